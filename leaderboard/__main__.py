"""`python -m leaderboard`: `LEADERBOARD.md` from the committed records."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from leaderboard import record, render

HERE = Path(__file__).resolve().parent


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m leaderboard", description="Write LEADERBOARD.md from the records.")
    parser.add_argument("--check", action="store_true", help="write nothing, and fail if it would change")
    arguments = parser.parse_args()
    path = HERE / "LEADERBOARD.md"
    try:
        made = render.markdown(record.read_all(HERE / "records"))
    except record.RecordError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if arguments.check:
        same = path.is_file() and path.read_text(encoding="utf-8") == made
        if not same:
            print(f"error: {path} is not what the records say; write it with nox -s leaderboard", file=sys.stderr)
        return 0 if same else 1
    path.write_text(made, encoding="utf-8")
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
