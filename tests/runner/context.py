import dataclasses
from pathlib import Path

from rookery_local.output import Progress
from rookery_local.paths import LOCAL


@dataclasses.dataclass
class Context:
    """What a suite needs to know."""

    progress: Progress
    build_directory: Path
    filters: list[str]
    fuzz_seconds: int
    seeds: int = 0
    # Others run at the same time, and need the processor more.
    yields: bool = False
    # Results, and the state of the tests' own cluster.
    work: Path = LOCAL / "tests"

    def matches(self, name: str) -> bool:
        return not self.filters or any(text in name for text in self.filters)
