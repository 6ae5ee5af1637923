"""Predictions that are nearly another's, and results far from all others: signs of invention.

An honest pair of methods makes different mistakes, and of all committed records the likest two of
different methods agree on four fifths of theirs. What a method predicts on another arm or with
another option from the same seed may be the same, where it has the symmetry, and tells nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from benchmark.record import metrics
from benchmark.record.schema import Record, RecordError
from leaderboard.archive.entries import Entry
from leaderboard.archive.lints import RANDOM_TARGETS

ALIKE = 0.9
"""The share of mistakes, or of errors, that no two methods have in common."""
ALIKE_SEEDS = 0.97
"""The same of two seeds of one method."""
COLLAPSED = 0.8
"""A share of networks with one prediction: that two such runs of a method agree tells nothing."""
CLOSE = 1e-3  # standard deviations, of two numbers that count as the same
LEAP = 20
"""How many times smaller than the best other method's error no method's is."""


def failures(entries: Sequence[Entry]) -> dict[str, str]:
    """Say of suspicious records, by place, what is wrong with them."""
    lines: dict[str, str] = {}
    for group in _groups(entries).values():
        for one, other, share in _alike(group):
            newer, older = sorted((one, other), key=_age, reverse=True)
            lines.setdefault(
                newer.place,
                f"{newer.place}: {newer.record.cell} has nearly the predictions of "
                f"{older.record.cell}: {100 * share:.1f} % of what they miss is the same",
            )
        for entry, error, best in _leaps(group):
            lines.setdefault(
                entry.place,
                f"{entry.place}: its error of {error:.2g} is less than a {LEAP}th of the best "
                f"other method's, {best:.2g}",
            )
    return lines


def _age(entry: Entry) -> tuple[str, str]:
    return entry.record.finished_at, entry.place


def _groups(entries: Sequence[Entry]) -> dict[tuple[object, ...], list[Entry]]:
    """Records with predictions of the same networks. A method that learns nothing is left out."""
    groups: dict[tuple[object, ...], list[Entry]] = {}
    for entry in entries:
        record = entry.record
        if record.metrics.get("test") is None or record.method.parameters == 0:
            continue
        if not entry.has_predictions:
            continue
        try:
            test = entry.predictions["test"].predictions
        except RecordError:
            continue  # which the lints tell
        key = (record.task, record.metric, record.dataset.name, len(test), test.dtype.kind)
        groups.setdefault(key, []).append(entry)
    return groups


def _alike(group: Sequence[Entry]) -> Iterator[tuple[Entry, Entry, float]]:
    """Pairs that are more alike than two runs can be, each with the share that is the same."""
    outcomes = [entry.predictions["test"] for entry in group]
    predictions = np.stack([outcome.predictions for outcome in outcomes])
    are_classes = predictions.dtype.kind in "ui"
    wrong = predictions != outcomes[0].targets if are_classes else None
    collapsed = [
        are_classes and np.bincount(row).max() > COLLAPSED * len(row) for row in predictions
    ]
    for place, row in enumerate(predictions[:-1]):
        later = predictions[place + 1 :]
        if are_classes:
            missed = wrong[place + 1 :] | wrong[place]
            same = (later == row) & missed
            shares = same.sum(axis=1) / np.maximum(1, missed.sum(axis=1))
        else:
            shares = (np.abs(later - row) <= CLOSE * row.std()).mean(axis=1)
        for offset in np.flatnonzero(shares >= ALIKE):
            other = place + 1 + int(offset)
            share = float(shares[offset])
            both = bool(collapsed[place] and collapsed[other])
            if share >= _limit(group[place].record, group[other].record, both):
                yield group[place], group[other], share


def _limit(one: Record, other: Record, collapsed: bool) -> float:
    """The share from which two runs are suspicious; above 1 where none is."""
    if one.method.base != other.method.base:
        return ALIKE
    if collapsed:
        return 2.0
    if _is_blind(one) != _is_blind(other):
        return ALIKE
    return ALIKE_SEEDS if one.seed != other.seed else 2.0


def _is_blind(record: Record) -> bool:
    """Whether a run learned from other networks' targets."""
    return record.dataset.arm == RANDOM_TARGETS


def _leaps(group: Sequence[Entry]) -> Iterator[tuple[Entry, float, float]]:
    """Records whose error is far below all others': each with its error, and the best other's."""
    best: dict[str, float] = {}
    errors = [(entry, _error(entry.record)) for entry in group]
    for entry, error in errors:
        base = entry.record.method.base
        best[base] = min(error, best.get(base, error))
    for entry, error in errors:
        others = [value for base, value in best.items() if base != entry.record.method.base]
        if len(others) > 1 and error * LEAP < min(others):
            yield entry, error, min(others)


def _error(record: Record) -> float:
    """How far a result is from what cannot be bettered."""
    metric = metrics.get(record.metric)
    perfect = metric.bounds[1] if metric.direction == "max" else metric.bounds[0]
    return abs(perfect - record.metrics["test"])
