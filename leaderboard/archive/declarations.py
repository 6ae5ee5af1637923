"""Whether records say what the project says: its suites, its datasets, and its methods' code."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pyarrow.parquet as pq

from benchmark import suites
from benchmark.datasets import listing
from benchmark.record import descriptions, differences, sources
from benchmark.record.cell import DEFAULT_ARM, Cell, Entrant
from benchmark.record.descriptions import Description
from benchmark.record.schema import Record, RecordError
from leaderboard.archive import provenance
from leaderboard.archive.entries import Entry

TOLD = ("title", "paper", "base", "reads_functions", "source")
"""What a record repeats of its method's code, beside hyper-parameters and costs."""


def troubles(entry: Entry) -> Iterator[str]:
    """List in what a record disagrees with the project."""
    record = entry.record
    yield from _of_suite(record)
    yield from _of_code(record)
    if record.predictions is not None and entry.has_predictions:
        yield from _of_targets(entry)


def _of_suite(record: Record) -> Iterator[str]:
    name, arm = record.dataset.name, record.dataset.arm
    suite = suites.registry().get(record.suite)
    settings = suite and suite.tasks.get(record.task)
    if settings is None:
        yield f"there is no task {record.task} of suite {record.suite!r}"
        return
    if name not in settings.datasets or name not in listing.catalog_data().datasets:
        yield f"suite {record.suite!r} has no dataset {name!r} for {record.task}"
        return
    if arm not in _arms():
        yield f"there is no arm {arm!r}"
    elif not is_run(record.cell):
        yield f"suite {record.suite!r} does not run {record.cell.entrant} on {name}"
    if record.seed not in settings.seeds:
        known = ", ".join(map(str, settings.seeds))
        yield f"its seed, {record.seed}, is none of its suite's: {known}"
    if record.command != record.cell.command:
        yield f"its command is not that of {record.cell}"
    if record.setting not in (suite.note, *suite.earlier_notes):
        yield f"its setting is not what suite {record.suite!r} says of itself"


@cache
def _arms() -> frozenset[str]:
    return frozenset(sources.arms())


def is_run(cell: Cell) -> bool:
    """Whether a suite runs a method under a cell's condition."""
    settings, entrant = suites.get(cell.suite).tasks[cell.task], cell.entrant
    under = settings.conditions.get(cell.dataset)
    if under is not None:
        return entrant in {Entrant.parse(f"{entrant.method}{condition}") for condition in under}
    usual = not entrant.options and entrant.arm == DEFAULT_ARM
    return usual or str(entrant) in settings.controls


def lacking(cells: Collection[Cell]) -> list[Cell]:
    """List the seeds that are missing beside others of the same row, none of which may be picked.

    On networks that do not come with the project a run can take hours: there the last seeds may be
    missing.
    """
    known, columns = suites.registry(), {}
    for cell in cells:
        columns.setdefault(cell.column, set()).add(cell.seed)
    missing = []
    for column, seeds in columns.items():
        suite = known.get(column.suite)
        if suite is None or column.task not in suite.tasks:
            continue
        wanted = suite.tasks[column.task].seeds_of(column.entrant.method)
        if not listing.is_embedded(column.dataset):
            wanted = tuple(seed for seed in wanted if seed <= max(seeds))
        missing += [replace(column, seed=seed) for seed in wanted if seed not in seeds]
    return missing


def _of_code(record: Record) -> Iterator[str]:
    """Hold a record against what its method's code gives, where it is of code that is present."""
    told = descriptions.of(record)
    if told is None:
        yield (
            f"nothing says what the code of {record.method.name} gives on {record.dataset.name}: "
            f"python -m benchmark describe {record.method.name}"
        )
        return
    found = list(_unlike(record, told))
    # To digest the code takes a second, and only what differs needs it.
    if found and not set(provenance.objections(record)) & set(provenance.CHANGED):
        yield from found


def _unlike(record: Record, told: Description) -> Iterator[str]:
    part, cost = record.method, record.cost
    if record.metric != told.metric:
        yield f"its metric is {record.metric}, but {record.task} has {told.metric}"
    for name in TOLD:
        if getattr(part, name) != getattr(told, name):
            claim, fact = getattr(part, name), getattr(told, name)
            yield f"its {name} is {claim!r}, but its code says {fact!r}"
    if changes := differences.between(part.hyperparameters, told.hyperparameters):
        yield f"its hyper-parameters are not those of its code: {changes[0]}"
    if record.status != "finished" or told.parameters is None:
        return
    if part.parameters != told.parameters:
        yield f"it says {part.parameters} parameters, but its module has {told.parameters}"
    flops = cost and cost.flops_per_network
    if told.flops_per_network not in (None, flops):
        yield f"it says {flops} FLOPs a network, but its module takes {told.flops_per_network}"


def _of_targets(entry: Entry) -> Iterator[str]:
    """Hold the targets beside predictions against an embedded dataset's."""
    try:
        outcomes = entry.predictions
    except RecordError:
        return  # which the lints tell
    for split, outcome in outcomes.items():
        stored = _stored(entry.record.dataset.name, "test" if split == "shifted" else split)
        if stored is None:
            continue
        if len(outcome.predictions) != len(stored):
            yield f"it predicts {len(outcome.predictions)} {split} networks of {len(stored)}"
        elif len(outcome.targets) and not np.array_equal(outcome.targets, stored):
            yield f"its {split} targets are not those of {entry.record.dataset.name}"


@cache
def _stored(dataset: str, split: str) -> np.ndarray | None:
    """An embedded dataset's targets, `[networks]`, of images a zero each; None without a copy."""
    manifest = listing.get(dataset).manifest
    if manifest is None:
        return None
    column = "label" if manifest["classes"] else "target"
    if manifest.get("target_pixels"):
        return np.zeros(sum(file["rows"] for file in manifest["files"][split]), np.uint8)
    folder = listing.EMBEDDED / dataset
    files = [folder / file["path"] for file in manifest["files"][split]]
    return np.concatenate(
        [pq.read_table(file, columns=[column])[column].to_numpy() for file in files]
    )
