"""The tables, before anything is written: a board for each suite and task, with a row for each entrant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from benchmark.record import metrics
from benchmark.record.cell import DEFAULT_ARM
from benchmark.record.metrics import Metric
from benchmark.record.schema import Record
from leaderboard.archive import provenance
from leaderboard.archive.entries import Entry
from leaderboard.statistics import comparison as statistics
from leaderboard.statistics.comparison import Summary


@dataclass(frozen=True)
class Cell:
    """An entrant's results on one dataset. summary: None where no run finished with a defined metric. rank: of its group; None for
    what is not ranked. undefined: runs whose metric has no value.
    """

    summary: Summary | None
    rank: int | None
    undefined: int
    entries: Sequence[Entry]


@dataclass(frozen=True)
class Row:
    """One entrant. objections: why it is shown apart and not ranked. Costs are means over all of its runs; None where unknown."""

    entrant: str
    title: str
    method: str
    paper: str
    arm: str
    objections: tuple[str, ...]
    cells: dict[str, Cell]
    parameters: float | None
    flops: float | None
    seconds: float | None
    rate: float | None
    memory: float | None

    @property
    def is_control(self) -> bool:
        return self.arm != DEFAULT_ARM

    @property
    def is_ranked(self) -> bool:
        return not (self.is_control or self.objections)

    @property
    def shown(self) -> str:
        return f"{self.title} ({self.arm.replace('-', ' ')})" if self.is_control else self.title


@dataclass(frozen=True)
class Board:
    """One suite's task. rows: ranked ones first, the best first; then controls, then what is shown apart."""

    suite: str
    task: str
    metric: Metric
    settings: tuple[str, ...]
    datasets: tuple[str, ...]
    rows: Sequence[Row]
    hardware: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.suite}--{self.task}"

    @cached_property
    def most_seeds(self) -> int:
        """Of any cell."""
        counts = [
            cell.summary.seeds for row in self.rows for cell in row.cells.values() if cell.summary
        ]
        return max(counts, default=0)

    @property
    def records(self) -> list[Record]:
        return [
            entry.record
            for row in self.rows
            for cell in row.cells.values()
            for entry in cell.entries
        ]


def boards(entries: Sequence[Entry]) -> list[Board]:
    """Of current entries, in the order of suites and tasks."""
    keyed: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        keyed.setdefault((entry.record.suite, entry.record.task), []).append(entry)
    return [_board(suite, task, found) for (suite, task), found in sorted(keyed.items())]


def _board(suite: str, task: str, entries: Sequence[Entry]) -> Board:
    metric = metrics.get(entries[0].record.metric)
    datasets = tuple(sorted({entry.record.dataset.name for entry in entries}))
    grouped: dict[tuple[str, tuple[str, ...]], list[Entry]] = {}
    apart = _apart(entries)
    for entry in entries:
        objections = (*provenance.objections(entry.record), *apart.get(entry.place, ()))
        grouped.setdefault((str(entry.record.cell.entrant), objections), []).append(entry)
    ranks = {dataset: _ranks(metric, dataset, grouped) for dataset in datasets}
    rows = [
        _row(entrant, objections, found, datasets, ranks)
        for (entrant, objections), found in grouped.items()
    ]
    sign = -1 if metric.direction == "max" else 1

    def order(row: Row) -> tuple[object, ...]:
        placed = [cell.rank for cell in row.cells.values() if cell.rank]
        means = [cell.summary.mean for cell in row.cells.values() if cell.summary]
        mean = sign * sum(means) / len(means) if means else float("inf")
        fewer = len(datasets) - len(means)
        return (
            bool(row.objections),
            row.is_control,
            fewer,
            sum(placed) / len(placed) if placed else 0.0,
            mean,
            row.entrant,
        )

    settings = tuple(sorted({entry.record.setting for entry in entries}))
    hardware = tuple(sorted({entry.record.environment.processor for entry in entries}))
    return Board(suite, task, metric, settings, datasets, sorted(rows, key=order), hardware)


def _apart(entries: Sequence[Entry]) -> dict[str, tuple[str, ...]]:
    """What, by place, was made otherwise than the newest record of its cell: no mean is of both."""
    mixed = provenance.mixtures(entry.record for entry in entries)
    newest: dict[str, Record] = {}
    for entry in entries:
        cell = str(entry.record.cell.column)
        if cell in mixed and entry.record.status == "finished":
            other = newest.setdefault(cell, entry.record)
            if entry.record.finished_at > other.finished_at:
                newest[cell] = entry.record
    reason = ("made with other code or versions than the newest of its cell",)
    return {
        entry.place: reason
        for entry in entries
        if (other := newest.get(str(entry.record.cell.column))) is not None
        and provenance.identity(other) != provenance.identity(entry.record)
    }


def _ranks(
    metric: Metric, dataset: str, grouped: dict[tuple[str, tuple[str, ...]], list[Entry]]
) -> dict[str, int | None]:
    means, outcomes = {}, {}
    for (entrant, objections), entries in grouped.items():
        mine = [entry for entry in entries if entry.record.dataset.name == dataset]
        scores = _scores(mine)
        if objections or "@" in entrant or not scores:
            continue
        means[entrant] = sum(scores) / len(scores)
        kept = {
            entry.record.seed: entry.predictions["test"] for entry in mine if entry.has_predictions
        }
        if kept:
            outcomes[entrant] = kept
    return statistics.groups(metric, means, statistics.resample(metric, outcomes))


def _row(
    entrant: str,
    objections: tuple[str, ...],
    entries: Sequence[Entry],
    datasets: Sequence[str],
    ranks: dict[str, dict[str, int | None]],
) -> Row:
    cells = {}
    for dataset in datasets:
        mine = [entry for entry in entries if entry.record.dataset.name == dataset]
        scores = _scores(mine)
        finished = sum(entry.record.status == "finished" for entry in mine)
        rank = None if objections else ranks[dataset].get(entrant)
        cells[dataset] = Cell(
            statistics.summary(scores) if scores else None, rank, finished - len(scores), mine
        )
    last = entries[-1].record
    costs = [entry.record.cost for entry in entries if entry.record.cost]
    return Row(
        entrant=entrant,
        title=last.method.title,
        method=last.method.name,
        paper=last.method.paper,
        arm=last.dataset.arm,
        objections=objections,
        cells=cells,
        parameters=_mean([entry.record.method.parameters for entry in entries]),
        flops=_mean([cost.flops_per_network for cost in costs]),
        seconds=_mean([cost.training_seconds + cost.evaluation_seconds for cost in costs]),
        rate=_mean([cost.networks_per_second for cost in costs]),
        memory=_mean([cost.peak_memory_mib for cost in costs]),
    )


def _scores(entries: Sequence[Entry]) -> list[float]:
    found = [
        entry.record.metrics.get("test") for entry in entries if entry.record.status == "finished"
    ]
    return [score for score in found if score is not None]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
