"""Reported against reproduced: a verdict on every reported number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import get_args

import numpy as np

from benchmark import suites
from benchmark.datasets import listing
from benchmark.record import descriptions, metrics, sources
from benchmark.record.cell import DEFAULT_ARM
from benchmark.record.schema import Record
from leaderboard.archive import provenance
from leaderboard.reported import Reported, explanations, verdicts
from leaderboard.reported.explanations import Explanation

SAME_NETWORKS = {
    "mnist-inr": ("mnist-inr-nfn", "mnist-inr"),
    "fashion-inr": ("fashion-inr-nfn", "fashion-inr"),
    "cifar10-inr": ("cifar10-inr-nfn", "cifar10-inr"),
    "cifar10-gs": ("cifar10-gs-unterthiner",),
    "svhn-gs": ("svhn-gs-unterthiner",),
    "mnist-dilate": ("mnist-dilate-nfn", "mnist-dilate"),
    "cifar10-contrast": ("cifar10-contrast-nfn", "cifar10-contrast"),
}
"""By reported dataset, the published networks, then those that follow the same recipe."""

JUDGED = get_args(verdicts.Kind)
KINDS = (*JUDGED, "incomplete", "not run", "not comparable")
"""From those with a verdict to those that never have one."""


@dataclass(frozen=True)
class Checked:
    """One reported row and its verdict.

    scores: ours of the row's cell, in the reported unit.
    planned: with how many seeds its suite runs it: there is no verdict on fewer.
    kind: one of `KINDS`.
    text: the whole verdict.
    rebuilt: whether our scores are of networks made again by a recipe, not of the paper's own.
    others: our scores of the same cell with other settings than the row's, by what was changed.
    dataset: that of our scores.
    explanation: what other runs say of the verdict.
    """

    row: Reported
    scores: Sequence[float]
    kind: str
    text: str
    rebuilt: bool = False
    planned: int = 0
    others: Mapping[str, Sequence[float]] = field(default_factory=dict)
    dataset: str = ""
    explanation: Explanation | None = None

    @property
    def is_complete(self) -> bool:
        """Whether all seeds that its suite plans have been run."""
        return 0 < self.planned == len(self.scores)

    @property
    def reason(self) -> str:
        """What the verdict says beside its kind."""
        return self.text.removeprefix(self.kind).lstrip(":, ")


def check(rows: Sequence[Reported], records: Sequence[Record]) -> list[Checked]:
    """Judge each row, in their order, by the records that may be ranked.

    The verdicts of one paper's table are corrected together, over those of its rows that were run
    with all seeds of their suite.
    """
    usable = [
        record
        for record in records
        if record.status == "finished" and not provenance.objections(record)
    ]
    checked = [_check(row, usable) for row in rows]
    tables: dict[tuple[str, str, str], list[int]] = {}
    for index, (row, one) in enumerate(zip(rows, checked, strict=True)):
        if one.is_complete:
            tables.setdefault((row.claimed_by, row.task, row.suite), []).append(index)
    for places in tables.values():
        verdict_of = verdicts.judge([_comparison(checked[index]) for index in places])
        for index, verdict in zip(places, verdict_of, strict=True):
            one = checked[index]
            checked[index] = replace(
                one,
                kind=verdict.kind,
                text=verdict.text + _conditions(one.row, one.rebuilt),
                explanation=explanations.explanation(
                    one.row, verdict.kind, _by_entrant(one, usable)
                ),
            )
    return checked


def _conditions(row: Reported, rebuilt: bool) -> str:
    """What a verdict rests on, whatever the numbers are."""
    chosen = f", with {row.open} of our choice" if row.open else ""
    return chosen + (", on rebuilt networks" if rebuilt else "")


def published(row: Reported) -> verdicts.Published:
    """A reported number with the standard deviation that its ± means."""
    return verdicts.published(row.value, row.spread, row.spread_kind, row.runs, row.rounding)


def _check(row: Reported, records: Sequence[Record]) -> Checked:
    """Find our scores of a row's cell. Whether they agree is judged with the table's other rows."""
    if row.differs:
        return Checked(row, (), "not comparable", f"not comparable: {row.differs}")
    runs = [record for record in records if _is_of(row, record)]
    same = SAME_NETWORKS.get(row.dataset, (row.dataset,))
    # The seeds of one dataset are no seeds of another: the first that was run is the one judged.
    for dataset in same:
        exact = [one for one in runs if one.suite == row.suite and one.dataset.name == dataset]
        if exact:
            return _unjudged(row, exact, records)
    if reduced := sorted({record.suite for record in runs if record.dataset.name in same}):
        text = f"not comparable: only run in suite {', '.join(reduced)}"
        return Checked(row, (), "not comparable", text)
    if missing := _missing(row):
        return Checked(row, (), "not comparable", f"not comparable: {missing}")
    return Checked(row, (), "not run", "not run" + _cost(row, same))


def _unjudged(row: Reported, runs: Sequence[Record], records: Sequence[Record]) -> Checked:
    """Collect our scores of a row, of the seeds that its suite plans."""
    seeds = planned(runs[0])
    scores = _scores(row, [record for record in runs if record.seed in seeds])
    rebuilt = listing.is_rebuilt(runs[0].dataset.name)
    text = f"incomplete: {len(scores)} of {len(seeds)} seeds run{_conditions(row, rebuilt)}"
    others = _others(row, runs[0], records)
    dataset = runs[0].dataset.name
    return Checked(row, scores, "incomplete", text, rebuilt, len(seeds), others, dataset)


def planned(record: Record) -> tuple[int, ...]:
    """The seeds with which a record's suite runs its method."""
    return suites.get(record.suite).tasks[record.task].seeds_of(record.method.name)


def _missing(row: Reported) -> str | None:
    """Say what a run of a row would need and is not here; None where a command can fill it."""
    known = suites.registry()
    task = known[row.suite].tasks.get(row.task) if row.suite in known else None
    if task is None:
        return "its task is in none of our suites"
    same = set(SAME_NETWORKS.get(row.dataset, (row.dataset,))) & set(task.datasets)
    if not same:
        return "its dataset is not here"
    if not any(map(listing.is_known, same)):
        return "nothing is published that tells its networks from others"
    if _described(row):
        return None
    if row.method in sources.titles():
        return f"its method has no settings for the task in suite {row.suite}"
    return "its method is not here"


def _described(row: Reported) -> list[descriptions.Description]:
    """What is said of a row's method in its suite, by dataset."""
    return _descriptions().get((row.suite, row.task, row.method), [])


@cache
def _descriptions() -> dict[tuple[str, str, str], list[descriptions.Description]]:
    """Collect what the suites run, by suite, task and title."""
    found: dict[tuple[str, str, str], list[descriptions.Description]] = {}
    for method in sources.all_methods():
        for one in descriptions.read(method).values():
            found.setdefault((one.suite, one.task, one.title), []).append(one)
    return found


def _cost(row: Reported, same: Sequence[str]) -> str:
    """Say what a seed of a row would take at least, where that is known.

    A step's gradient takes about twice the products of a prediction. Those of the loss and of the
    scoring are left out.
    """
    known = (one for one in _described(row) if one.dataset in same and one.flops_per_network)
    if (one := next(known, None)) is None:
        return ""
    protocol, _ = suites.get(row.suite).tasks[row.task].protocols(one.row)
    networks = protocol.steps * protocol.batch_size
    digits = f"{3 * one.flops_per_network * networks / 1e15:.2g}"
    return f": at least {float(digits):,g} PFLOP a seed"


def _comparison(one: Checked) -> verdicts.Comparison:
    margin = metrics.get(one.row.metric).tolerance(one.row.value)
    return verdicts.compare(np.asarray(one.scores), published(one.row), margin)


def _is_of(row: Reported, record: Record) -> bool:
    key = (row.task, row.metric, row.method, DEFAULT_ARM, ())
    method = record.method
    return (record.task, record.metric, method.title, record.dataset.arm, method.options) == key


def _others(row: Reported, run: Record, records: Sequence[Record]) -> dict[str, list[float]]:
    """Our scores of the cell of a run with options, by these."""

    def cell(record: Record) -> tuple[str, ...]:
        places = record.dataset.name, record.dataset.arm
        return record.suite, record.task, record.method.name, *places

    changed: dict[str, list[Record]] = {}
    for record in records:
        if record.method.options and cell(record) == cell(run):
            changed.setdefault(", ".join(record.method.options), []).append(record)
    return {options: _scores(row, runs) for options, runs in sorted(changed.items())}


def _by_entrant(one: Checked, records: Sequence[Record]) -> dict[str, list[float]]:
    """Our scores of all that ran where a row was tested, by entrant, of the seeds planned."""
    place = one.row.suite, one.row.task, one.dataset
    found: dict[str, list[Record]] = {}
    for record in records:
        same = (record.suite, record.task, record.dataset.name) == place
        if same and record.seed in planned(record):
            found.setdefault(str(record.cell.entrant), []).append(record)
    return {name: _scores(one.row, runs) for name, runs in found.items()}


def _scores(row: Reported, records: Sequence[Record]) -> list[float]:
    scale = metrics.get(row.metric).scale
    return [scale * value for record in records if (value := record.metrics["test"]) is not None]
