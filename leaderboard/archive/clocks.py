"""Whether a record's times can be: past, in order, and no shorter than a machine needs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from statistics import median

from benchmark.record import sources
from benchmark.record.cell import Cell
from benchmark.record.git import GitError, git
from benchmark.record.schema import Record
from leaderboard.archive.entries import Entry

FASTEST = {"cpu": 1e13, "cuda": 1e16}
"""FLOP a second that no device reaches with what the methods do, by its type."""
SHORTEST_STEP = 1e-5  # seconds
LARGEST_RATIO = 100
"""How far a run's training seconds may be from the median of its seeds, which share no machine."""


def failures(entries: Sequence[Entry], now: datetime | None = None) -> list[str]:
    """List what cannot be, a line each.

    Args:
        entries: The records.
        now: The present; by default the machine's.
    """
    now, commits, lines = now or datetime.now(UTC), _commits(), []
    usual = _usual(entries)
    for entry in entries:
        troubles = [*_times(entry.record, now, commits), *_seconds(entry, usual)]
        lines += [f"{entry.place}: {trouble}" for trouble in troubles]
    return lines


def _commits() -> dict[str, float]:
    """When each known commit was made; nothing outside a checkout."""
    try:
        listing = git(sources.ROOT, "log", "--all", "--format=%H %ct")
    except GitError:
        return {}
    return {name: float(time) for name, time in map(str.split, listing.splitlines())}


def _times(record: Record, now: datetime, commits: dict[str, float]) -> Iterator[str]:
    try:
        finished = datetime.fromisoformat(record.finished_at)
    except ValueError:
        yield f"its finish, {record.finished_at}, is no time"
        return
    if finished > now:
        yield f"it finished in the future, at {record.finished_at}"
    made = commits.get(record.environment.commit or "")
    if made is not None and finished.timestamp() - _own_seconds(record) < made:
        yield (
            f"it began before its commit {record.environment.commit[:12]} was made: it finished at "
            f"{record.finished_at} after {_own_seconds(record):.0f} s"
        )


def _own_seconds(record: Record) -> float:
    """What a run itself took at least; not what an earlier one did that shared its first stage."""
    if record.cost is None:
        return 0.0
    seconds = record.cost.training_seconds + record.cost.evaluation_seconds
    if record.encoder and record.encoder.from_cache:
        part = record.encoder
        seconds -= part.training_seconds + part.evaluation_seconds + part.encoding_seconds
    return max(0.0, seconds)


def _usual(entries: Sequence[Entry]) -> dict[Cell, float]:
    """The median training seconds of each cell's seeds."""
    seconds: dict[Cell, list[float]] = {}
    for entry in entries:
        if entry.record.cost and entry.record.curve:
            known = seconds.setdefault(entry.record.cell.column, [])
            known.append(entry.record.cost.training_seconds)
    return {column: median(values) for column, values in seconds.items()}


def _seconds(entry: Entry, usual: dict[Cell, float]) -> Iterator[str]:
    record, cost = entry.record, entry.record.cost
    if record.status != "finished" or cost is None:
        return
    fastest = FASTEST["cuda" if record.environment.cuda else "cpu"]
    flops = cost.flops_per_network or 0
    if flops * cost.networks_per_second > fastest:
        rate = f"{cost.networks_per_second:.3g} networks a second"
        yield f"no device evaluates {rate} of {flops} FLOPs each"
    # The test split is a part of what was evaluated.
    if entry.has_predictions and record.predictions is not None:
        least = entry.networks / cost.networks_per_second
        if cost.evaluation_seconds < least * (1 - 1e-6):
            yield (
                f"its evaluation took {cost.evaluation_seconds:.3g} s, but its test networks alone "
                f"{least:.3g} s at {cost.networks_per_second:.3g} a second"
            )
    steps, batch = record.protocol.get("steps"), record.protocol.get("batch_size")
    if not record.curve or not isinstance(steps, int) or not isinstance(batch, int):
        return
    least = SHORTEST_STEP * steps
    if record.encoder is None:
        least = max(least, 3 * flops * batch * steps / fastest)
    if cost.training_seconds < least:
        yield f"no device trains it in {cost.training_seconds:.3g} s, but in {least:.3g} at least"
    seeds = usual[record.cell.column]
    ratio = cost.training_seconds / max(seeds, 1e-9)
    if abs(math.log(max(ratio, 1e-9))) > math.log(LARGEST_RATIO):
        yield f"it trained {cost.training_seconds:.3g} s, its seeds {seeds:.3g} s"
