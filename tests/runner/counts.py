import dataclasses


@dataclasses.dataclass
class Counts:
    passed: int = 0
    failed: list[str] = dataclasses.field(default_factory=list)
    skipped: int = 0

    def add(self, other: "Counts") -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def summary(self) -> str:
        """The line that a program reads."""
        text = f"{self.passed} passed, {len(self.failed)} failed"
        return f"{text}, {self.skipped} skipped" if self.skipped else text
