"""Configuration files that are written anew at each start.

The first lines of each say where a developer's own settings belong, and carry a checksum of
the rest, so that an edit is noticed before it is overwritten."""

import hashlib
import os
from pathlib import Path

from rookery_local.output import Progress

_CHECKSUM = "# checksum: "


def write(path: Path, body: str, own: list[Path], progress: Progress) -> None:
    """Writes `body` below a heading. An edited file is put aside first, and the edit is told."""
    try:
        before = path.read_text()
    except FileNotFoundError:
        before = ""
    if is_edited(before):
        aside = path.with_name(path.name + ".edited")
        os.replace(path, aside)
        progress.say(f"warning: {path} had been edited; it is written anew, and the edited one is kept as {aside.name}. "
                     f"Settings of your own go into {own[0]}")
    places = " or ".join(map(str, own))
    path.write_text(
        f"# Written by deploy/local/cluster at each start: do not edit. Settings of your own go into\n# {places}\n"
        f"{_CHECKSUM}{_sum(body)}\n{body}"
    )


def is_edited(text: str) -> bool:
    """False of a file without a checksum: nothing can be said of it."""
    heading, mark, rest = text.partition(_CHECKSUM)
    checksum, _, body = rest.partition("\n")
    return bool(mark) and checksum.strip() != _sum(body)


def _sum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]
