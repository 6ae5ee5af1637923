"""Submission of results: check a method's records, and copy them to the archive."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from benchmark import suites
from benchmark.datasets import listing
from benchmark.errors import unknown
from benchmark.record import schema as records
from benchmark.record import sources
from benchmark.record.cell import Cell, Entrant
from benchmark.record.schema import RecordError
from leaderboard.archive import checks, declarations, provenance
from leaderboard.archive import entries as archive
from leaderboard.archive.entries import WHY_LIMIT, Entry


def submit(
    method: str, suite: str, results: Path, why: str | None, folder: Path = archive.FOLDER
) -> list[Path]:
    """Copy a method's records of a suite into the archive.

    Args:
        method: The method's name.
        suite: The suite's name.
        results: The results folder.
        why: What changed; required where a cell has a committed record already.
        folder: The archive's folder.

    Returns:
        The files written; none where the archive has the records already.

    Raises:
        UserError: A run is missing, failed, or may not be ranked, `why` is missing, or there is no
            such method or suite.
    """
    if why is not None and not 0 < len(why) <= WHY_LIMIT:
        raise RecordError(f"the reason has {len(why)} characters; give 1 to {WHY_LIMIT}")
    known = sources.all_methods()
    if method not in known:
        raise unknown("method", method, known)
    if not any(task.datasets for task in suites.get(suite).tasks.values()):
        raise RecordError(
            f"suite {suite!r} is for networks of one's own, whose results are not submitted: "
            f"nox -s leaderboard -- --records {results}"
        )
    new = _entries(method, suite, results)
    _require_all(method, suite, new)
    for entry in new:
        if objections := provenance.objections(entry.record):
            reasons = "; ".join([*objections, *provenance.changed_settings(entry.record)])
            raise RecordError(f"{entry.place}: {reasons}; commit, and run it again from the commit")
        if entry.record.status == "failed":
            raise RecordError(
                f"{entry.place}: failed: {entry.record.reason}; fix the method, and run it again"
            )
    everything = archive.read(folder)
    old = [entry for entry in everything.entries if _file(entry) == (suite, method)]
    known = {entry.record.cell: entry.record for entry in old}
    additions = []
    for entry in new:
        cell = entry.record.cell
        before = known.get(cell)
        if before == entry.record:
            continue
        if before is not None and why is None:
            raise RecordError(
                f"{entry.place}: the archive has a result of {cell}; say with --why what changed"
            )
        reason = why if before is not None else None
        additions.append(Entry(entry.record, reason, entry.place, entry.store))
    if failures := checks.certain(archive.ordered([*everything.entries, *additions])):
        raise RecordError(failures[0])
    return archive.write_file(folder, [*old, *additions]) if additions else []


def _file(entry: Entry) -> tuple[str, str]:
    return entry.record.suite, entry.record.method.name


def _entries(method: str, suite: str, results: Path) -> list[Entry]:
    paths = [
        path
        for path in sorted((results / suite).glob("*/*/*/seed-*.json"))
        if Entrant.parse(path.parent.name).method == method
    ]
    if not paths:
        command = f"nox -s benchmark -- --suite {suite} --methods {method}"
        raise RecordError(f"no records of {method} in {results / suite}; run it first: {command}")
    return archive.of_results(results, [records.read(path) for path in paths])


def _require_all(method: str, suite: str, entries: Sequence[Entry]) -> None:
    """Raise RecordError unless each task among the entries has all that the suite runs.

    A variant may lack a condition: one that sets what the variant fixes is not run. Runs on
    networks that do not come with the project can take days: there a dataset may be missing whole,
    and the last seeds.
    """
    tasks = suites.get(suite).tasks
    cells = {entry.record.cell for entry in entries}
    is_variant = any(entry.record.method.base != method for entry in entries)
    for task in dict.fromkeys(cell.task for cell in cells):
        if task not in tasks:
            raise RecordError(f"suite {suite!r} has no task {task!r}")
        settings = tasks[task]
        entrants = dict.fromkeys(cell.entrant for cell in cells if cell.task == task)
        for dataset in settings.datasets:
            under = settings.conditions.get(dataset)
            named = ("",) if under is None else under
            required = {Entrant.parse(f"{method}{condition}") for condition in named}
            if under is not None and is_variant:
                required &= set(entrants)
            for cell in cells:
                if (cell.task, cell.dataset) == (task, dataset) and not declarations.is_run(cell):
                    raise RecordError(
                        f"{cell.entrant} on {dataset} is no run of suite {suite!r}, and a "
                        "submission has those alone"
                    )
            present = {
                cell.entrant for cell in cells if (cell.task, cell.dataset) == (task, dataset)
            }
            if present or listing.is_embedded(dataset):
                for entrant in sorted(required - present, key=str):
                    _refuse(Cell(suite, task, dataset, entrant, 0))
    for cell in declarations.lacking(cells):
        _refuse(cell)


def _refuse(cell: Cell) -> NoReturn:
    raise RecordError(
        f"{cell.entrant} was not run on {cell.dataset} with seed {cell.seed}; a submission has all "
        f"of the suite's runs: nox -s benchmark -- --suite {cell.suite} --methods "
        f"{cell.entrant.method}"
    )
