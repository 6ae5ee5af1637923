"""`python -m leaderboard`: the pages, tables and site from the committed records, and what checks them."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmark.record.schema import RecordError
from leaderboard import reported as published
from leaderboard.archive import entries as archive
from leaderboard.archive import lints, tables
from leaderboard.publish import pages
from leaderboard.publish.text import visible
from leaderboard.reported import check
from leaderboard.submissions import reproduce, submit

HERE = Path(__file__).resolve().parent
SITE = HERE.parent / "build" / "site"


def main(arguments: list[str] | None = None) -> int:
    """Exits with 0, 1 where a check failed, 2 for a mistake."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except RecordError as error:
        print(f"error: {visible(str(error))}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m leaderboard", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: object, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        return made

    build = command("build", _build, "Write the pages and tables, and the site.")
    build.add_argument(
        "--check",
        action="store_true",
        help="write nothing, and fail where a committed file would change",
    )
    build.add_argument(
        "--site", type=Path, default=SITE, help="folder for the site (default: build/site)"
    )
    command(
        "verify",
        _verify,
        "Print every verdict, and fail where a committed record fails its checks.",
    )
    send = command(
        "submit",
        _submit,
        "Check a method's records in a results folder, and copy them to the archive.",
    )
    send.add_argument("method", metavar="NAME")
    send.add_argument("--suite", default="mini")
    send.add_argument("--results", type=Path, default=Path("results"))
    send.add_argument(
        "--why", help="what changed, where these results take the place of older ones"
    )
    again = command(
        "reproduce",
        _reproduce,
        "Run a committed cell again, and say bit-equal, within noise, or different.",
    )
    again.add_argument("cell", metavar="SUITE/TASK/DATASET/METHOD/SEED")
    again.add_argument("--device", default="auto", help="cpu, cuda or auto")
    again.add_argument("--results", type=Path, help="keep the run in this folder")
    look = command(
        "review",
        _review,
        "Check the methods that changed since a commit, as a pull request's checks do.",
    )
    look.add_argument("base", metavar="COMMIT")
    look.add_argument("--output", type=Path, required=True, help="file for the review, as JSON")
    tell = command("comment", _comment, "Turn a review into a comment, in Markdown.")
    tell.add_argument("review", type=Path, metavar="FILE")
    tell.add_argument("--output", type=Path, required=True, help="file for the comment")
    rates = command(
        "simulate",
        _simulate,
        "Simulate how often verdicts are wrong, for METHOD.md; takes a minute.",
    )
    rates.add_argument("--trials", type=int, default=20_000)
    return parser


def _build(options: argparse.Namespace) -> int:
    from leaderboard.publish import site

    kept, rows = archive.read(), published.read()
    boards = tables.boards(kept.current)
    made = pages.build(kept, boards, rows)
    there = {path for path in (HERE / "tables").glob("*") if path.is_file()}
    stale = sorted(there - set(made))
    if options.check:
        with tempfile.TemporaryDirectory() as temporary:  # it must build, though nobody keeps it
            site.build(kept, boards, rows, Path(temporary) / "site")
        changed = [
            path
            for path, text in made.items()
            if not path.is_file() or path.read_bytes() != text.encode()
        ]
        for path in [*changed, *stale]:
            print(
                f"error: {path} is not what the records say; write it with nox -s leaderboard",
                file=sys.stderr,
            )
        return 1 if changed or stale else 0
    for path in stale:
        path.unlink()
    for path, text in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    try:
        front = site.build(kept, boards, rows, options.site)
    except (ValueError, OSError) as error:
        raise RecordError(str(error)) from None
    print(f"{len(made)} files under {HERE}\n{front}")
    return 0


def _verify(options: argparse.Namespace) -> int:  # noqa: ARG001
    kept, rows = archive.read(), published.read()
    checked = check.check(rows, [entry.record for entry in kept.current])
    for found in checked:
        place = f"{found.row.task} {found.row.dataset} {found.row.metric}"
        print(
            visible(
                f"{found.text:42} {place}: {found.row.method} {found.row.shown}, by {found.row.claimed_by} {pages.ours(found)}"
            )
        )
    counts = Counter(found.kind for found in checked)
    print("\n" + ", ".join(f"{counts[kind]} {kind}" for kind in check.KINDS))
    for line in lints.warnings(kept.current):
        print(f"warning: {visible(line)}", file=sys.stderr)
    wrong = lints.failures(kept.current)
    for line in wrong:
        print(f"error: {visible(line)}", file=sys.stderr)
    print(
        f"{len(kept.current)} current records, {len(kept.superseded)} superseded, {len(wrong)} things wrong"
    )
    return 1 if wrong else 0


def _submit(options: argparse.Namespace) -> int:
    written = submit.submit(options.method, options.suite, options.results, options.why)
    for path in written:
        print(path)
    print(
        "now: nox -s leaderboard, look at build/site/index.html, commit"
        if written
        else "the archive has these records already"
    )
    return 0


def _reproduce(options: argparse.Namespace) -> int:
    kept = archive.read()
    found = reproduce.reproduce(
        reproduce.find(kept, options.cell), kept, options.results, options.device
    )
    print(visible(str(found)))
    return 1 if found.verdict == "different" else 0


def _review(options: argparse.Namespace) -> int:
    from leaderboard.submissions import review

    found = review.review(review.changed_methods(options.base))
    options.output.write_text(found.model_dump_json(indent=1) + "\n", encoding="utf-8")
    print(review.comment(found))
    return 0 if found.stands else 1


def _comment(options: argparse.Namespace) -> int:
    from pydantic import ValidationError

    from leaderboard.submissions import review

    try:
        found = review.Review.model_validate_json(options.review.read_bytes())
    except (OSError, ValidationError) as error:
        raise RecordError(
            f"{options.review}: not a review ({str(error).splitlines()[0]})"
        ) from None
    options.output.write_text(review.comment(found), encoding="utf-8")
    print(options.output)
    return 0


def _simulate(options: argparse.Namespace) -> int:
    print(pages.write_rates(options.trials))
    return 0


if __name__ == "__main__":
    sys.exit(main())
