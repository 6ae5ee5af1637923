"""`python -m leaderboard`: `LEADERBOARD.md` and `REPORTED.md` from the committed records."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from leaderboard import record, render, reported

HERE = Path(__file__).resolve().parent


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m leaderboard", description="Write LEADERBOARD.md and REPORTED.md from the records."
    )
    parser.add_argument("--check", action="store_true", help="write nothing, and fail if it would change")
    arguments = parser.parse_args()
    try:
        records = record.read_all(HERE / "records")
        pages = {
            HERE / "LEADERBOARD.md": render.markdown(records),
            HERE / "REPORTED.md": reported.markdown(reported.read(), records),
        }
    except record.RecordError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if arguments.check:
        changed = [
            path for path, made in pages.items() if not path.is_file() or path.read_text(encoding="utf-8") != made
        ]
        for path in changed:
            print(f"error: {path} is not what the records say; write it with nox -s leaderboard", file=sys.stderr)
        return 1 if changed else 0
    for path, made in pages.items():
        path.write_text(made, encoding="utf-8")
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
