"""What the command `run` does once its options are read: runs are made, and their table printed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import typer

from benchmark import tasks
from benchmark.datasets import locate
from benchmark.errors import UserError
from benchmark.record import schema
from benchmark.record.schema import Record
from benchmark.runs import (
    cells,
    claims,
    environment,
    kept,
    launch,
    slurm_jobs,
    slurm_keys,
    trial_table,
)
from benchmark.runs.display import Display
from benchmark.runs.event_files import EventFiles
from benchmark.runs.launch import Standing
from benchmark.runs.plan import Run
from benchmark.runs.slurm_jobs import Array
from benchmark.runs.trials import Trial
from leaderboard.archive import entries, tables
from leaderboard.archive.entries import Entry
from leaderboard.publish import render
from leaderboard.submissions import reproduce, standing


@dataclass(frozen=True)
class Manner:
    """How runs are made, and where their records go."""

    results: Path
    device: str
    workers: int | None
    rerun: bool
    minutes: float | None
    keep: bool


@dataclass(frozen=True)
class Shown:
    """What is shown of runs: of a trial, the test split only where it is asked for."""

    trial: Trial | None
    show_test: bool
    events: EventFiles | None = None

    @property
    def split(self) -> str:
        return "validation" if self.trial else "test"


def run_here(runs: list[Run], manner: Manner, shown: Shown) -> None:
    """Make runs on this machine, and print their table."""
    results, where = manner.results, environment.resolve_device(manner.device)
    check_datasets(runs)
    with claims.whole(results):
        folder = launch.standing(runs, results, manner.rerun, manner.keep)
        launch.tidy(folder.done, results)
        todo, done = folder.todo, folder.done
        usual = launch.default_workers(where)
        wanted = usual if manner.workers is None else manner.workers
        count = min(wanted, max(1, len(todo)))
        place = environment.processor() if where.type == "cpu" else where.type
        at_a_time = f"{count} at a time" if count else "in this process"
        _announce(folder, results, f"{at_a_time} on {place}", shown.trial)
        over = launch.deadline(manner.minutes)
        try:
            with Display(todo, shown.split, count > 0, shown.events) as display:
                records = launch.execute_all(
                    todo, results, where, count, display, over, manner.keep
                )
        except KeyboardInterrupt:
            typer.echo("stopped; the same command goes on from here", err=True)
            raise typer.Exit(130) from None
        if shown.trial is None:
            boards = tables.boards(entries.of_results(results))
            page = "\n".join(render.board_markdown(board) for board in boards)
            (results / "LEADERBOARD.md").write_text(f"# Results\n\n{page}", encoding="utf-8")
    _show(runs, [*done.values(), *records], results, shown)
    if shown.trial is None:
        typer.echo(f"\nrecords and table: {results / 'LEADERBOARD.md'}", err=True)
    if manner.keep:
        _show_kept([*done.values(), *records], results)
    _end(records, len(todo) - len(records))


def make_cells(texts: list[str], manner: Manner, events: EventFiles | None) -> None:
    """Make cells in this process, and leave those alone that stand or that others make."""
    runs, results = cells.runs_of(texts), manner.results
    folder = launch.standing(runs, results, manner.rerun, manner.keep)
    for run in folder.done:
        typer.echo(f"{run.cell}: its record stands", err=True)
    if not folder.todo:
        return
    where, over = environment.resolve_device(manner.device), launch.deadline(manner.minutes)
    check_datasets(folder.todo)
    asked = cells.wanted(folder.todo, results)
    try:
        with Display(folder.todo, live=False, log=events) as display:
            made = cells.make(asked, results, where, display, over, manner.keep)
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on from here", err=True)
        raise typer.Exit(130) from None
    for record in made.others:
        typer.echo(f"{record.cell}: made by another process meanwhile", err=True)
    for run in made.held:
        typer.echo(f"{run.cell}: another process makes it, and it is left to that", err=True)
    told = [made.records, made.others, made.held]
    _end(made.records, len(folder.todo) - sum(map(len, told)))


def run_on_slurm(runs: list[Run], manner: Manner, asked: Sequence[str], shown: Shown) -> None:
    """Submit workers, tell how they fare, and print the table of what they made."""
    parameters, results = slurm_keys.parameters(asked), manner.results
    if manner.workers == 0:
        raise UserError("--workers 0 is for this process; Slurm's jobs are 1 or more")
    slurm_jobs.check_programs()
    from benchmark.runs import slurm  # which needs submitit

    check_datasets(runs)
    folder = launch.standing(runs, results, manner.rerun, manner.keep)
    count = min(manner.workers or slurm_jobs.WORKERS, len(folder.todo))
    _announce(folder, results, f"{count} jobs of Slurm", shown.trial)
    records: list[Record] = []
    if folder.todo:
        wanted = cells.wanted(folder.todo, results)
        work = slurm.Work(wanted, results, manner.device, manner.keep, shown.split, parameters)
        array = slurm.submit(work, count)
        typer.echo(f"job {array.number} is submitted; its logs are in {array.folder}", err=True)
        try:
            with Display(folder.todo, shown.split, log=shown.events) as display:
                records = slurm_jobs.follow(array, wanted, results, display)
        except KeyboardInterrupt:
            _leave(array)
            raise typer.Exit(130) from None
    _show(runs, [*folder.done.values(), *records], results, shown)
    if manner.keep:
        _show_kept([*folder.done.values(), *records], results)
    _end(records, len(folder.todo) - len(records))


def collect(runs: list[Run], results: Path, shown: Shown) -> None:
    """Print the table of what is there of a plan, whoever works on it."""
    folder = launch.standing(runs, results)
    _show(runs, list(folder.done.values()), results, shown)
    typer.echo(f"{len(folder.done)} of {len(runs)} runs are done", err=True)


def check_datasets(runs: list[Run]) -> None:
    """Fetch every dataset, and find a damaged or unfit one, now and not an hour from now."""
    for place, task in dict.fromkeys((run.dataset, run.cell.task) for run in runs):
        dataset, _ = locate.load(place)
        tasks.registry()[task](dataset)
        if isinstance(place, str) and not locate.is_pinned(place, dataset):
            why = "its networks are not those of the catalogue, by fingerprint or statistics"
            typer.echo(f"results on {place} will not be ranked: {why}", err=True)


def _end(records: Sequence[Record], left: int) -> None:
    """Exit with 3 where runs are left, with 1 where some failed."""
    if left:
        typer.echo(f"{left} runs are not done; the same command goes on from here", err=True)
        raise typer.Exit(3)
    if failed := sum(record.status == "failed" for record in records):
        typer.echo(f"{failed} runs failed; their tracebacks lie beside their records", err=True)
        raise typer.Exit(1)


def _show_kept(finished: Sequence[Record], results: Path) -> None:
    sizes = kept.sizes(finished, results)
    typer.echo(
        f"weights: {len(sizes)} files of {sum(sizes) / 2**20:,.1f} MiB together, beside the "
        f"records as seed-N{kept.SUFFIX}; benchmark.load(RECORD) gives the module",
        err=True,
    )


def _leave(array: Array) -> None:
    """Ask, where there is a terminal, whether the jobs are to go on without this command."""
    cancel, wanted = f"scancel {array.number}", False
    with suppress(typer.Abort):  # Ctrl-C again
        wanted = sys.stdin.isatty() and typer.confirm(f"cancel job {array.number}?", err=True)
    if wanted:
        array.cancel()
        typer.echo("cancelled; the same command goes on from here", err=True)
    else:
        typer.echo(
            f"job {array.number} goes on; --collect shows its results, {cancel} ends it", err=True
        )


def _show(runs: list[Run], finished: Sequence[Record], results: Path, shown: Shown) -> None:
    """Print the table of runs."""
    if shown.trial is not None:
        _show_trials(runs, results, shown.show_test)
    elif finished:
        _show_results(entries.of_results(results, finished))


def _announce(folder: Standing, results: Path, manner: str, trial: Trial | None) -> None:
    """Say what there is to do, and what will become of it."""
    typer.echo(
        f"{len(folder.todo)} runs to make, {len(folder.done)} done already in {results}; {manner}",
        err=True,
    )
    if folder.stale:
        typer.echo(f"{len(folder.stale)} are made again, as something has changed:", err=True)
        reasons = {(run.cell.row, *why): None for run, why in folder.stale.items()}
        for row, *why in reasons:
            typer.echo(f"  {row}: {'; '.join(why)}", err=True)
    if trial is not None:
        typer.echo("trials are not ranked, and cannot be submitted", err=True)
    elif (reason := environment.checkout()[1]) is not None:
        typer.echo(f"the results will not be ranked: {reason}", err=True)


def _show_results(finished: Sequence[Entry]) -> None:
    """Print the tables of new results, and how they stand beside the committed ones."""
    # What keeps a result from being ranked is said below the table, and tears no row in two.
    boards, archive = tables.boards(finished, lambda _: []), entries.read()
    typer.echo(render.text(boards))
    if len(boards) > 1:
        typer.echo("\n" + render.overview(boards))
    if beside := reproduce.beside_committed(finished, archive):
        typer.echo("\n" + reproduce.table(beside))
    for line in reproduce.not_compared(finished, archive):
        typer.echo(line, err=True)
    if places := standing.standings(finished, archive):
        typer.echo("\n" + standing.table(places))


def _show_trials(runs: list[Run], results: Path, show_test: bool) -> None:
    """Print the trials of these runs' tasks and datasets, earlier ones too."""
    places = {(run.cell.task, run.cell.dataset) for run in runs}
    records = schema.read_all(results)
    found = [record for record in records if (record.task, record.dataset.name) in places]
    splits = ("validation", "test") if show_test else ("validation",)
    typer.echo(trial_table.table(found, splits))
    typer.echo(f"\nrecords: {results}", err=True)
