"""What committed records must hold, and what gives mix-ups, leaks and inventions away."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from benchmark.record import metrics
from benchmark.record.metrics import Metric
from benchmark.record.predictions import Predictions
from benchmark.record.schema import Record, RecordError
from leaderboard.archive import provenance
from leaderboard.archive.entries import Entry

RANDOM_TARGETS = "random-targets"
TOLERANCE = 1e-6


def failures(entries: Sequence[Entry]) -> list[str]:
    """One line for each thing that is wrong with the current records; none where all is well."""
    found = list(_alike(entries))
    for cell, identities in provenance.mixtures(entry.record for entry in entries).items():
        described = " and ".join(", ".join(_short(part) for part in one) for one in identities)
        found.append(f"{cell}: its seeds were not made alike: {described}; run all of them again")
    for entry in entries:
        found += [f"{entry.place}: {trouble}" for trouble in _troubles(entry)]
    return found


def warnings(entries: Sequence[Entry]) -> list[str]:
    """What is odd, but can be chance: the same scores in several cells."""
    seen: dict[tuple[object, ...], Entry] = {}
    found = []
    for entry in entries:
        record = entry.record
        if (
            record.status != "finished"
            or record.metrics["test"] is None
            or record.method.parameters == 0
        ):
            continue
        key = (record.suite, record.task, record.metrics["test"], record.metrics["validation"])
        if (other := seen.setdefault(key, entry)) is not entry:
            found.append(f"{_name(record)} has the scores of {_name(other.record)}")
    return found


def _troubles(entry: Entry) -> Iterator[str]:
    record = entry.record
    if record.status != "finished":
        return
    seeds = {role: record.cell.seed_for(role, record.method.base) for role in record.seeds}
    if record.seeds != seeds:
        yield f"its random seed is not that of {_name(record)}: it was run as something else; run it again"
    metric = metrics.get(record.metric)
    low, high = metric.bounds
    for split, value in record.metrics.items():
        if value is not None and not low <= value <= high:
            yield f"{split} {record.metric} of {value:g} lies beyond {low:g} to {high:g}"
    if record.metrics["test"] is None and record.metrics["validation"] is not None:
        yield "the test metric is undefined, but that on validation is not"
    if record.predictions is None:
        if record.method.source is not None:  # the first schema had none
            yield "it has no predictions; run it again"
        return
    try:
        predictions = entry.predictions
    except RecordError as error:
        yield str(error)
        return
    yield from _against_predictions(record, metric, predictions)


def _against_predictions(record: Record, metric: Metric, predictions: Predictions) -> Iterator[str]:
    for split, outcome in predictions.items():
        made, told = metric.whole(outcome), record.metrics[split]
        if (told is None) != math.isnan(made) or (
            told is not None and not math.isclose(made, told, abs_tol=TOLERANCE, rel_tol=1e-5)
        ):
            yield f"{split} {record.metric} is {told}, but its predictions make {made:.6g}"
    test, validation = predictions["test"].predictions, predictions["validation"].predictions
    if (
        test.shape == validation.shape
        and (test == validation).all()
        and len(set(test.tolist())) > 1
    ):
        yield "its test predictions are its predictions on validation"
    if record.dataset.arm == RANDOM_TARGETS and record.metric == "accuracy":
        outcome = predictions["test"]
        # The best that guessing one class reaches, and four standard deviations.
        chance = max((outcome.targets == label).mean() for label in set(outcome.targets.tolist()))
        limit = chance + 4 * math.sqrt(chance * (1 - chance) / len(outcome.targets))
        if metric.whole(outcome) > limit:
            yield f"learning from other networks' labels it reaches {metric.whole(outcome):.3f}, above {limit:.3f}: test labels leak"


def _short(part: str) -> str:
    """Digests by their beginning, all else whole."""
    return f"code {part[:12]}" if len(part) == 64 else part


def _alike(entries: Sequence[Entry]) -> Iterator[str]:
    """The same predictions in two cells: a reused seed, or one method's results under another's name."""
    seen: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        record = entry.record
        if (
            record.predictions is None
            or record.metrics.get("test") is None
            or record.method.parameters == 0
        ):
            continue  # what has nothing to learn is the same with every seed
        if (other := seen.setdefault((record.task, record.predictions), entry)) is not entry:
            yield f"{entry.place}: {_name(record)} has the very predictions of {_name(other.record)}; run it again with its own seed"


def _name(record: Record) -> str:
    return str(record.cell)
