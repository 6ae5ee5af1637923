"""Reported against reproduced: a verdict on every reported row, and the distances between all numbers that stand side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.record import metrics
from benchmark.record.cell import DEFAULT_ARM
from benchmark.record.schema import Record
from leaderboard.archive import provenance
from leaderboard.reported import Reported, verdicts

# Datasets whose networks are those of a reported dataset: the published originals, or made by the same recipe.
SAME_NETWORKS = {
    "mnist-inr": ("mnist-inr", "mnist-inr-nfn"),
    "fashion-inr": ("fashion-inr", "fashion-inr-nfn"),
    "cifar10-inr": ("cifar10-inr", "cifar10-inr-nfn"),
    "cifar10-gs": ("cifar10-gs-unterthiner",),
    "svhn-gs": ("svhn-gs-unterthiner",),
    "mnist-dilate": ("mnist-dilate", "mnist-dilate-nfn"),
    "cifar10-contrast": ("cifar10-contrast", "cifar10-contrast-nfn"),
}
KINDS = ("reproduced", "higher", "lower", "undecided", "not comparable", "not run")


@dataclass(frozen=True)
class Checked:
    """One reported row, our scores of its cell in the reported unit, and the verdict: one of `KINDS`, and all of it as text."""

    row: Reported
    scores: Sequence[float]
    kind: str
    text: str


@dataclass(frozen=True)
class Gap:
    """A reported number beside one of ours for the same method, task and metric, and what sets the two apart by name."""

    row: Reported
    suite: str
    dataset: str
    ours: float
    seeds: int
    deviations: tuple[str, ...]

    @property
    def distance(self) -> float:
        """Ours less theirs, in the reported unit."""
        return self.ours - self.row.value

    @property
    def margins(self) -> float:
        """The distance in margins of equivalence, which compares across metrics."""
        return self.distance / metrics.get(self.row.metric).tolerance(self.row.value)


def check(rows: Sequence[Reported], records: Sequence[Record]) -> list[Checked]:
    """A verdict for each row, in their order. Records that may not be ranked do not count."""
    usable = [
        record
        for record in records
        if record.status == "finished" and not provenance.objections(record)
    ]
    return [_check(row, usable) for row in rows]


def gaps(rows: Sequence[Reported], records: Sequence[Record]) -> list[Gap]:
    """Every pair of a reported number and ours for the same method, in any suite, the farthest apart first."""
    found = []
    for row in rows:
        cells: dict[tuple[str, str], list[Record]] = {}
        for record in records:
            if record.status == "finished" and _is_of(row, record) and _is_kin(row, record):
                cells.setdefault((record.suite, record.dataset.name), []).append(record)
        for (suite, dataset), mine in cells.items():
            scores = _scores(row, mine)
            if len(scores):
                named = _deviations(row, mine[0])
                found.append(Gap(row, suite, dataset, float(np.mean(scores)), len(scores), named))
    return sorted(found, key=lambda gap: -abs(gap.margins))


def _check(row: Reported, records: Sequence[Record]) -> Checked:
    if row.differs:
        return Checked(row, (), "not comparable", f"not comparable: {row.differs}")
    mine = [record for record in records if _is_of(row, record)]
    same = SAME_NETWORKS.get(row.dataset, (row.dataset,))
    exact = [record for record in mine if record.suite == row.suite and record.dataset.name in same]
    scores = _scores(row, exact)
    if not len(scores):
        reduced = sorted({record.suite for record in mine if record.dataset.name in same})
        if reduced:
            return Checked(
                row, (), "not comparable", f"not comparable: only run in suite {', '.join(reduced)}"
            )
        return Checked(row, (), "not run", "not run")
    reported = verdicts.published(row.value, row.spread, row.spread_kind, row.runs)
    verdict = verdicts.judge(
        np.asarray(scores), reported, metrics.get(row.metric).tolerance(row.value)
    )
    return Checked(row, scores, verdict.kind, str(verdict))


def _is_of(row: Reported, record: Record) -> bool:
    wanted = (row.task, row.metric, row.method, DEFAULT_ARM)
    return (record.task, record.metric, record.method.title, record.dataset.arm) == wanted


def _is_kin(row: Reported, record: Record) -> bool:
    """Whether the record's dataset is the row's, or a smaller one of the same images."""
    name = record.dataset.name
    return (
        name in SAME_NETWORKS.get(row.dataset, (row.dataset,))
        or name.removesuffix("-mini") == row.dataset
    )


def _deviations(row: Reported, record: Record) -> tuple[str, ...]:
    named = [row.differs] if row.differs else []
    if record.dataset.name not in SAME_NETWORKS.get(row.dataset, (row.dataset,)):
        named.append(f"dataset {record.dataset.name}")
    if record.suite != row.suite:
        named.append(f"suite {record.suite}: {record.setting}")
    return tuple(named + provenance.objections(record))


def _scores(row: Reported, records: Sequence[Record]) -> list[float]:
    scale = metrics.get(row.metric).scale
    return [scale * value for record in records if (value := record.metrics["test"]) is not None]
