"""The command line: `python -m leaderboard build`, `figures`, `verify`, `submit`, ..."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from benchmark.errors import UserError
from benchmark.record.options import App
from benchmark.record.paths import entered
from leaderboard.publish.text import visible

HERE = Path(__file__).resolve().parent
SITE = HERE.parent / "build" / "site"
FIGURES = HERE.parent / "build" / "figures"

app = App(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Write the pages, tables and site of the committed records, and check the records.",
)


def _device(name: str) -> str:
    # Without torch, which only the run itself needs.
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]+)?", name):
        raise typer.BadParameter(f"{name!r} is not cpu, cuda or auto")
    return name


@app.callback()
def _root() -> None:
    pass


@app.command()
def build(
    check: Annotated[
        bool,
        typer.Option("--check", help="Write nothing; fail where a committed file would change."),
    ] = False,
    site: Annotated[
        Path,
        typer.Option(callback=entered, help="Folder for the site.", show_default="build/site"),
    ] = SITE,
    records: Annotated[
        Path | None,
        typer.Option(
            callback=entered,
            help="Rank the records of a results folder instead, whatever they are of, and write "
            "its LEADERBOARD.md and tables.",
        ),
    ] = None,
) -> None:
    """Write the pages and tables, and the site."""
    if records is not None:
        if check:
            raise UserError("--check is for the committed records; leave it out, or --records")
        from leaderboard.publish import own

        for path in own.build(records):
            typer.echo(path)
        return
    from leaderboard import reported
    from leaderboard.archive import entries, tables
    from leaderboard.publish import pages
    from leaderboard.publish import site as sites

    archive, rows = entries.read(), reported.read()
    boards = tables.boards(archive.current)
    files = pages.build(archive, boards, rows)
    tables = {path for path in (HERE / "tables").glob("*") if path.is_file()}
    present = tables | {*HERE.glob("*.svg")}
    stale = sorted(present - set(files))
    if check:
        with tempfile.TemporaryDirectory() as temporary:  # the site must build, too
            sites.build(archive, boards, rows, Path(temporary) / "site")
        changed = [
            path
            for path, text in files.items()
            if not path.is_file() or path.read_bytes() != text.encode()
        ]
        for path in [*changed, *stale]:
            _error(f"{path} differs from what the records say; write it with nox -s leaderboard")
        raise typer.Exit(1 if changed or stale else 0)
    try:
        front = sites.build(archive, boards, rows, site)
    except ValueError as error:
        raise UserError(str(error)) from None
    except OSError as error:
        raise UserError(f"{site}: cannot be written: {error.strerror}") from None
    for path in stale:
        path.unlink()
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    typer.echo(f"{len(files)} files under {HERE}\n{front}")


@app.command()
def figures(
    output: Annotated[
        Path,
        typer.Option(callback=entered, help="Folder for the files.", show_default="build/figures"),
    ] = FIGURES,
) -> None:
    """Write the plots of the committed records as PDF and PNG."""
    from leaderboard import reported
    from leaderboard.archive import entries, tables
    from leaderboard.publish import talk

    archive = entries.read()
    for path in talk.write(archive, tables.boards(archive.current), reported.read(), output):
        typer.echo(path)


@app.command()
def verify(
    base: Annotated[
        str | None,
        typer.Option(metavar="COMMIT", help="A commit whose records must all be there still."),
    ] = None,
) -> None:
    """Print every verdict, and check the records.

    Fails where a committed record fails its checks.
    """
    from leaderboard import reported
    from leaderboard.archive import checks, entries, lints
    from leaderboard.publish import pages
    from leaderboard.reported import check

    archive, rows = entries.read(), reported.read()
    verdicts = check.check(rows, [entry.record for entry in archive.current])
    for verdict in verdicts:
        row = verdict.row
        place = f"{row.task} {row.dataset} {row.metric}"
        claim = f"{row.method} {row.text}, by {row.claimed_by}"
        here = pages.result(row, verdict.scores)
        typer.echo(visible(f"{verdict.text:42} {place}: {claim} {here}"))
    counts = Counter(verdict.kind for verdict in verdicts)
    typer.echo("\n" + ", ".join(f"{counts[kind]} {kind}" for kind in check.KINDS))
    for line in lints.warnings(archive.current):
        typer.echo(f"warning: {visible(line)}", err=True)
    failures = checks.failures(archive, base)
    for line in failures:
        _error(line)
    typer.echo(
        f"{len(archive.current)} current records, {len(archive.superseded)} superseded, "
        f"{len(failures)} errors"
    )
    raise typer.Exit(1 if failures else 0)


@app.command()
def submit(
    method: Annotated[str, typer.Argument(metavar="NAME", help="A method.")],
    suite: Annotated[str, typer.Option(help="The suite of the records.")] = "mini",
    results: Annotated[Path, typer.Option(callback=entered, help="Folder of the records.")] = Path(
        "results"
    ),
    why: Annotated[
        str | None, typer.Option(help="What changed, where these results replace older ones.")
    ] = None,
) -> None:
    """Copy a method's records to the archive.

    The records come from a results folder, and are checked first.
    """
    from leaderboard.submissions import submit as submission

    files = submission.submit(method, suite, results, why)
    for path in files:
        typer.echo(path)
    typer.echo(
        "now: nox -s leaderboard, look at build/site/index.html, commit"
        if files
        else "the archive has these records already"
    )


@app.command()
def reproduce(
    cell: Annotated[
        str | None,
        typer.Argument(
            metavar="SUITE/TASK/DATASET/NAME[/SEED]",
            help="A cell of a table: all of its seeds, or one.",
        ),
    ] = None,
    every: Annotated[
        bool,
        typer.Option(
            "--all", help="One seed of every ranked row of a suite, and note it for METHOD.md."
        ),
    ] = False,
    suite: Annotated[str, typer.Option(help="The suite of --all.")] = "mini",
    device: Annotated[
        str, typer.Option(callback=_device, help="cpu, cuda, or auto: a GPU where available.")
    ] = "auto",
    results: Annotated[
        Path | None,
        typer.Option(
            callback=entered,
            help="Folder for the new records, from where a run that was stopped goes on.",
            show_default="a temporary folder; with --all results/reproduction",
        ),
    ] = None,
) -> None:
    """Run a committed cell again, or one seed of all ranked rows.

    Says of each run whether the result is bit-equal, within noise, or different, and in what the
    environments differ. Fails if one is different.
    """
    from benchmark import suites
    from leaderboard.archive import entries, tallies
    from leaderboard.submissions import reproduce as reproduction

    if (cell is None) != every:
        raise UserError("name one cell, or give --all")
    archive = entries.read()
    if cell is None:
        suites.get(suite)
        chosen = reproduction.ranked(archive, suite)
        if not chosen:
            raise UserError(f"no row of suite {suite!r} is ranked")
        folder = results or HERE.parent / "results" / "reproduction"
        tally = reproduction.reproduce_all(chosen, archive, folder, device)
        typer.echo(visible(reproduction.table(tally.reproductions)))
        typer.echo(f"\nnoted in {tallies.write(tally)}; now: nox -s leaderboard, commit")
        raise typer.Exit(any(one.verdict == "different" for one in tally.reproductions))
    comparisons = []
    for entry in reproduction.find(archive, cell):
        comparisons.append(reproduction.reproduce(entry, archive, results, device))
        typer.echo(visible(str(comparisons[-1])))
    typer.echo(visible(reproduction.unlike_text(comparisons)))
    raise typer.Exit(any(one.verdict == "different" for one in comparisons))


@app.command()
def rerun(
    cells: Annotated[
        list[str], typer.Argument(metavar="SUITE/TASK/DATASET/NAME...", help="Cells of tables.")
    ],
) -> None:
    """Run cells again under conditions that are drawn now, and note how they came out.

    The board marks the rows of which all cells did as submitted. Fails if one did worse.
    """
    from leaderboard.archive import entries, reruns
    from leaderboard.submissions import hidden, reproduce

    archive, worse = entries.read(), False
    for cell in cells:
        for seeds in hidden.by_cell(reproduce.find(archive, cell)).values():
            one = hidden.rerun(seeds)
            reruns.write([one])
            typer.echo(visible(str(one)))
            worse = worse or not one.stands
    raise typer.Exit(worse)


@app.command()
def review(
    base: Annotated[str, typer.Argument(metavar="COMMIT", help="The commit to compare with.")],
    output: Annotated[Path, typer.Option(callback=entered, help="File for the review, as JSON.")],
) -> None:
    """Check the methods that changed since a commit.

    A pull request's checks do so.
    """
    from leaderboard.submissions import review as reviews

    _require_writable(output)
    report = reviews.review(reviews.changed_methods(base), base)
    _write(output, report.model_dump_json(indent=1) + "\n")
    typer.echo(reviews.comment(report))
    raise typer.Exit(0 if report.stands else 1)


@app.command()
def comment(
    path: Annotated[
        Path, typer.Argument(metavar="FILE", callback=entered, help="A review, as JSON.")
    ],
    output: Annotated[Path, typer.Option(callback=entered, help="File for the comment.")],
) -> None:
    """Render a review as a comment, in Markdown."""
    from leaderboard.submissions import review as reviews

    _require_writable(output)
    _write(output, reviews.comment(reviews.read(path)))
    typer.echo(output)


@app.command()
def simulate(
    trials: Annotated[
        int, typer.Option(min=1, help="Simulations of each verdict; of ranks a twentieth.")
    ] = 20_000,
) -> None:
    """Simulate how often verdicts and ranks are wrong.

    METHOD.md states the rates. The simulation takes ten minutes.
    """
    from leaderboard.publish import pages

    typer.echo(pages.write_rates(trials))


def _require_writable(path: Path) -> None:
    """Raise UserError where a file cannot be written, before the work whose result it is for."""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise UserError(f"{path}: cannot be written: {folder} is not a folder")
    if path.is_dir() or not os.access(path if path.exists() else folder, os.W_OK):
        raise UserError(f"{path}: cannot be written; name another file")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None


def _error(message: str) -> None:
    typer.echo(f"error: {visible(message)}", err=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Those of the command line; by default `sys.argv`'s.

    Returns:
        0, 1 where a check failed, 2 for a mistake.
    """
    try:
        app(arguments, prog_name="python -m leaderboard")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except (UserError, OSError) as error:
        _error(str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
