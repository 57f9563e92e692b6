"""Writes deploy/grafana/boards/*.json; with --check, writes nothing and exits with 1 where one is out of date.

Call it as deploy/grafana/generate."""

import json
import sys
from pathlib import Path

from generator import backends, capacity, gateway, log, muc_search, overview, roster, session_manager
from generator.board import to_json

DIRECTORY = Path(__file__).resolve().parents[1] / "boards"
BOARDS = (overview.BOARD, gateway.BOARD, session_manager.BOARD, roster.BOARD, muc_search.BOARD, log.BOARD, backends.BOARD, capacity.BOARD)


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    files = {DIRECTORY / f"{board.uid}.json": json.dumps(to_json(board), indent=1, ensure_ascii=False) + "\n" for board in BOARDS}
    others = set(DIRECTORY.glob("*.json")) - set(files)
    if not arguments:
        for path in others:
            path.unlink()
        for path, text in files.items():
            path.write_text(text)
        return 0
    wrong = sorted(others | {path for path, text in files.items() if not path.exists() or path.read_text() != text})
    for path in wrong:
        print(f"deploy/grafana/boards/{path.name} is not what the generator writes: run deploy/grafana/generate")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
