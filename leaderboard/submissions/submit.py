"""Submission of results: check a method's records, and copy them to the archive."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark import suites
from benchmark.record import schema as records
from benchmark.record.cell import Cell, Entrant
from benchmark.record.schema import RecordError
from leaderboard.archive import entries as archive
from leaderboard.archive import lints, provenance
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
        RecordError: A run is missing, failed, or may not be ranked, or `why` is missing.
    """
    if why is not None and not 0 < len(why) <= WHY_LIMIT:
        raise RecordError(f"the reason has {len(why)} characters; give 1 to {WHY_LIMIT}")
    new = _entries(method, suite, results)
    _require_all(method, suite, [entry.record.cell for entry in new])
    for entry in new:
        if objections := provenance.objections(entry.record):
            raise RecordError(
                f"{entry.place}: {'; '.join(objections)}; commit, and run it again from the commit"
            )
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
    others = [entry for entry in everything.current if _file(entry) != (suite, method)]
    if failures := lints.failures([*others, *new]):
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


def _require_all(method: str, suite: str, cells: Sequence[Cell]) -> None:
    """Raise RecordError unless each task among the cells has all the suite's datasets and seeds."""
    tasks = suites.get(suite).tasks
    for task, entrant in dict.fromkeys((cell.task, cell.entrant) for cell in cells):
        if entrant.options:
            raise RecordError(f"{entrant} was run with options, which a submission cannot have")
        if task not in tasks:
            raise RecordError(f"suite {suite!r} has no task {task!r}")
        for dataset in tasks[task].datasets:
            for seed in tasks[task].seeds:
                if Cell(suite, task, dataset, entrant, seed) not in cells:
                    raise RecordError(
                        f"{method} was not run on {dataset} with seed {seed}; a submission has all "
                        f"of the suite's runs: nox -s benchmark -- --suite {suite} "
                        f"--methods {entrant}"
                    )
