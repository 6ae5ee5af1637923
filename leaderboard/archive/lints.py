"""Checks of the committed records, which reveal mix-ups, leaks and invented numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from benchmark.record import metrics
from benchmark.record.metrics import Metric
from benchmark.record.predictions import SHIFTED, Outcome, Predictions
from benchmark.record.schema import CurvePoint, Record, RecordError, Settings, defined
from leaderboard.archive import provenance
from leaderboard.archive.entries import Entry

RANDOM_TARGETS = "random-targets"
TOLERANCE = 1e-6


def failures(entries: Sequence[Entry]) -> list[str]:
    """List what is wrong with the current records, a line each."""
    lines = list(_duplicates(entries))
    for cell, identities in provenance.mixtures(entry.record for entry in entries).items():
        variants = " and ".join(", ".join(map(_short, identity)) for identity in identities)
        lines.append(
            f"{cell}: its seeds ran with different code, data or versions: {variants}; "
            "run all of them again"
        )
    for entry in entries:
        lines += [f"{entry.place}: {trouble}" for trouble in _troubles(entry)]
    return lines


def warnings(entries: Sequence[Entry]) -> list[str]:
    """List what is suspicious but may be chance: the same scores in several cells."""
    first: dict[tuple[object, ...], Entry] = {}
    lines = []
    for entry in entries:
        record = entry.record
        if (
            record.status != "finished"
            or record.metrics["test"] is None
            or record.method.parameters == 0
        ):
            continue
        key = (record.suite, record.task, record.metrics["test"], record.metrics["validation"])
        if (other := first.setdefault(key, entry)) is not entry:
            lines.append(f"{record.cell} has the scores of {other.record.cell}")
    return lines


def _troubles(entry: Entry) -> Iterator[str]:
    record = entry.record
    if record.status != "finished":
        return
    roles = ["parameters", "order of epoch 0"]
    roles += ["encoder", "encoder, order of epoch 0"] if record.encoder else []
    seeds = {role: record.cell.seed_for(role, record.method.base) for role in roles}
    if record.seeds != seeds:
        yield (
            f"its random seed is not that of {record.cell}: it ran as another cell; run it again"
        )
    metric = metrics.get(record.metric)
    low, high = metric.bounds
    for split, value in record.metrics.items():
        if value is not None and not low <= value <= high:
            yield f"{split} {record.metric} of {value:g} lies beyond {low:g} to {high:g}"
    if record.metrics["test"] is None and record.metrics["validation"] is not None:
        yield "the test metric is undefined, but that on validation is not"
    yield from _curves(record, metric)
    if record.predictions is None:
        if record.method.source is not None:  # the first schema had none
            yield "it has no predictions; run it again"
        return
    try:
        predictions = entry.predictions
    except RecordError as error:
        yield str(error)
        return
    yield from _contradictions(record, metric, predictions)


def _contradictions(record: Record, metric: Metric, predictions: Predictions) -> Iterator[str]:
    """List in what a record disagrees with its predictions, or they with each other."""
    for split, outcome in predictions.items():
        value, claim = metric.whole(outcome), record.metrics.get(split)
        if not _is_same(claim, defined(value)):
            yield f"{split} {record.metric} is {claim}, but its predictions make {value:.6g}"
    if "shifted" in record.metrics and SHIFTED not in predictions:
        yield "it has a shifted metric without predictions"
    yield from _further(record, predictions["test"])
    test, validation = predictions["test"].predictions, predictions["validation"].predictions
    if (
        test.shape == validation.shape
        and (test == validation).all()
        and len(set(test.tolist())) > 1
    ):
        yield "its test predictions are its predictions on validation"
    if record.dataset.arm == RANDOM_TARGETS and record.metric == "accuracy":
        outcome = predictions["test"]
        # The accuracy of always predicting the most frequent class, and four standard deviations.
        chance = max((outcome.targets == label).mean() for label in set(outcome.targets.tolist()))
        limit = chance + 4 * math.sqrt(chance * (1 - chance) / len(outcome.targets))
        if (accuracy := metric.whole(outcome)) > limit:
            yield (
                f"trained on other networks' labels, it reaches {accuracy:.3f}, "
                f"above {limit:.3f}: test labels leak"
            )


def _curves(record: Record, metric: Metric) -> Iterator[str]:
    """List in what a record's curves disagree with its protocols and its metrics."""
    if not record.curve:
        if record.method.parameters:
            yield f"it trained {record.method.parameters} parameters without a curve"
        return
    yield from _marks(record.curve, record.protocol, "curve")
    if record.encoder and record.encoder.curve:
        yield from _marks(record.encoder.curve, record.encoder.protocol, "first stage's curve")
    if record.dataset.arm == RANDOM_TARGETS:
        return  # it selects on targets that are not the dataset's
    scores = [point.validation for point in record.curve if point.validation is not None]
    best = (max if metric.direction == "max" else min)(scores, default=None)
    claim = record.metrics["validation"]
    if not _is_same(claim, best):
        yield f"validation {record.metric} is {claim}, but the best point of its curve is {best}"


def _marks(curve: Sequence[CurvePoint], protocol: Settings, what: str) -> Iterator[str]:
    """Tell of a curve that has not the steps at which its protocol scores validation."""
    steps, evaluations = protocol.get("steps"), protocol.get("evaluations")
    if not isinstance(steps, int) or not isinstance(evaluations, int):
        yield f"the protocol of its {what} says no steps or evaluations"
        return
    marks = sorted({max(1, steps * (place + 1) // evaluations) for place in range(evaluations)})
    if [point.step for point in curve] != marks:
        yield f"its {what} has not the {len(marks)} points of its protocol, up to step {steps}"


FURTHER: dict[str, Callable[[Outcome], float]] = {
    "test_r2": metrics.get("r2").whole,
    "test_kendall_tau": metrics.get("kendall_tau").whole,
    "test_mean_psnr": lambda outcome: float(np.mean(10 * np.log10(4 / outcome.predictions))),
}
"""The metrics beside a task's own that its test predictions make; of values that span 2."""
KNOWN = {"test", "validation", "shifted", "test_low", "test_high", "test_fit", "test_ceiling"}


def _further(record: Record, test: Outcome) -> Iterator[str]:
    """List further metrics that nothing computes, or that the predictions contradict."""
    for name in sorted(set(record.metrics) - KNOWN - set(FURTHER)):
        yield f"nothing computes a metric {name!r}"
    for name in sorted(set(record.metrics) & set(FURTHER)):
        value, claim = FURTHER[name](test), record.metrics[name]
        if not _is_same(claim, defined(value), absolute=1e-5, relative=1e-4):
            yield f"{name} is {claim}, but its predictions make {value:.6g}"
    low, high = record.metrics.get("test_low"), record.metrics.get("test_high")
    claim = record.metrics["test"]
    if None not in (low, high, claim) and not low <= claim <= high:
        yield f"its interval of {low:g} to {high:g} does not hold its test {record.metric}"


def _is_same(
    claim: float | None, value: float | None, absolute: float = TOLERANCE, relative: float = 1e-5
) -> bool:
    """Whether a metric is what was computed, but for rounding; None is an undefined one."""
    if claim is None or value is None:
        return claim is value
    return math.isclose(value, claim, abs_tol=absolute, rel_tol=relative)


def _short(part: str) -> str:
    """Shorten the digests of code and data; leave versions as they are."""
    if part.startswith("data "):
        return part[:17]
    return f"code {part[:12]}" if len(part) == 64 else part


def _duplicates(entries: Sequence[Entry]) -> Iterator[str]:
    """List cells with the predictions of another: a reused seed, or another method's results."""
    first: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        record = entry.record
        if (
            record.predictions is None
            or record.metrics.get("test") is None
            or record.method.parameters == 0
        ):
            continue  # a method without parameters predicts the same with every seed
        other = first.setdefault((record.task, record.predictions), entry)
        if other is entry or _is_one_run(record, other.record) or entry.is_constant:
            continue
        yield (
            f"{entry.place}: {record.cell} has the very predictions of {other.record.cell}; "
            "run it again with its own seed"
        )


def _is_one_run(one: Record, other: Record) -> bool:
    """Whether two suites run the same thing, which then predicts the same."""
    return one.suite != other.suite and _run(one) == _run(other)


def _run(record: Record) -> tuple[object, ...]:
    """What a run is made of, whatever suite it belongs to."""
    dataset, settings = record.dataset, record.method.hyperparameters
    stages = record.protocol, record.encoder and record.encoder.protocol
    entrant = record.cell.entrant
    return record.task, dataset.name, dataset.fingerprint, entrant, record.seed, settings, stages
