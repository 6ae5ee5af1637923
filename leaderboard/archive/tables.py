"""The tables as data: a board for each suite and task, with a row for each entrant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from benchmark import suites
from benchmark.record import metrics
from benchmark.record.cell import DEFAULT_ARM
from benchmark.record.metrics import Metric
from benchmark.record.predictions import Outcome
from benchmark.record.schema import Record, RecordError
from leaderboard.archive import provenance, reruns
from leaderboard.archive.entries import Entry
from leaderboard.archive.lints import RANDOM_TARGETS
from leaderboard.statistics import ranks as ranking
from leaderboard.statistics import summaries
from leaderboard.statistics.ranks import Column, Sample
from leaderboard.statistics.summaries import Summary


@dataclass(frozen=True)
class Cell:
    """An entrant's results on one dataset.

    summary: None where no run finished with a defined metric.
    rank: that of its group; None where it is not ranked.
    undefined: the number of runs whose metric is undefined.
    """

    summary: Summary | None
    rank: int | None
    undefined: int
    entries: Sequence[Entry]


@dataclass(frozen=True)
class Row:
    """One entrant.

    reads_functions: whether it evaluates the networks that it reads, and stands apart.
    objections: why it is not ranked.
    rerun: whether the project itself ran all of its cells again, and they came out as they stand.
    parameters, flops, seconds, rate, memory: means over all of its runs; None where unknown.
    """

    entrant: str
    title: str
    method: str
    paper: str
    arm: str
    reads_functions: bool
    objections: tuple[str, ...]
    rerun: bool
    cells: dict[str, Cell]
    parameters: float | None
    flops: float | None
    seconds: float | None
    rate: float | None
    memory: float | None

    @property
    def is_control(self) -> bool:
        """Whether it reads another arm than the default one."""
        return self.arm != DEFAULT_ARM

    @property
    def is_ranked(self) -> bool:
        """Whether it is ranked."""
        return not (self.is_control or self.reads_functions or self.objections)

    @property
    def apart(self) -> str:
        """Why it stands apart from the ranked ones; empty for one that does not."""
        if self.is_control:
            return "control" if self.arm == RANDOM_TARGETS else "another arm"
        return "may run the networks" if self.reads_functions else ""

    @property
    def title_with_arm(self) -> str:
        """Its title, with the arm of a control."""
        return with_arm(self.title, self.arm)

    @property
    def label(self) -> str:
        """Its title in tables of text, with a star where it may run the networks."""
        return self.title_with_arm + " *" * self.reads_functions


def with_arm(title: str, arm: str) -> str:
    """A method's title, with the arm that it reads where that is not the default one."""
    return title if arm == DEFAULT_ARM else f"{title} ({arm.replace('-', ' ')})"


@dataclass(frozen=True)
class Board:
    """One suite's task.

    rows: the ranked ones from the best on, then those that evaluate the networks, then controls,
    then those with objections.
    columns: what is ranked, by dataset, ready to be compared.
    samples: all that has no objections, by dataset and entrant: what is ranked, what evaluates the
    networks, and controls.
    """

    suite: str
    task: str
    metric: Metric
    settings: tuple[str, ...]
    datasets: tuple[str, ...]
    rows: Sequence[Row]
    hardware: tuple[str, ...]
    columns: dict[str, Column]
    samples: dict[str, dict[str, Sample]]

    @property
    def name(self) -> str:
        """The name of its files and anchors."""
        return f"{self.suite}--{self.task}"

    @cached_property
    def most_seeds(self) -> int:
        """The largest number of seeds of any cell."""
        counts = [
            cell.summary.seeds for row in self.rows for cell in row.cells.values() if cell.summary
        ]
        return max(counts, default=0)

    @property
    def records(self) -> list[Record]:
        """The records of all rows."""
        return [
            entry.record
            for row in self.rows
            for cell in row.cells.values()
            for entry in cell.entries
        ]


Judge = Callable[[Record], list[str]]
"""Lists why a record is not ranked."""


def boards(entries: Sequence[Entry], judge: Judge = provenance.objections) -> list[Board]:
    """Make the boards of current entries: suite mini first, and tasks as their suites name them."""
    by_task: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        by_task.setdefault((entry.record.suite, entry.record.task), []).append(entry)
    return [
        _board(suite, task, by_task[suite, task], judge)
        for suite, task in sorted(by_task, key=lambda place: _place(*place))
    ]


def _place(suite: str, task: str) -> tuple[object, ...]:
    known = suites.registry()
    order = [*known[suite].tasks] if suite in known else []
    return suite != suites.MINI, suite, order.index(task) if task in order else len(order), task


def _board(suite: str, task: str, entries: Sequence[Entry], judge: Judge) -> Board:
    metric = metrics.get(entries[0].record.metric)
    datasets = _in_order(suite, task, {entry.record.dataset.name for entry in entries})
    groups: dict[tuple[str, tuple[str, ...]], list[Entry]] = {}
    strays = _strays(entries)
    for entry in entries:
        objections = (*judge(entry.record), *strays.get(entry.place, ()))
        groups.setdefault((str(entry.record.cell.entrant), objections), []).append(entry)
    samples = _samples(metric, datasets, groups)
    apart = {
        entrant
        for (entrant, _), group in groups.items()
        if "@" in entrant or group[0].record.method.reads_functions
    }
    columns = {
        dataset: column({name: one for name, one in found.items() if name not in apart})
        for dataset, found in samples.items()
    }
    ranks = {dataset: ranking.ranks(metric, columns[dataset]) for dataset in datasets}
    rows = [
        _row(entrant, objections, group, datasets, ranks)
        for (entrant, objections), group in groups.items()
    ]
    sign = -1 if metric.direction == "max" else 1

    def order(row: Row) -> tuple[object, ...]:
        places = [cell.rank for cell in row.cells.values() if cell.rank]
        means = [cell.summary.mean for cell in row.cells.values() if cell.summary]
        mean = sign * sum(means) / len(means) if means else float("inf")
        gaps = len(datasets) - len(means)
        return (
            bool(row.objections),
            row.is_control,
            row.reads_functions,
            gaps,
            sum(places) / len(places) if places else 0.0,
            mean,
            row.entrant,
        )

    settings = tuple(sorted({_setting(entry.record) for entry in entries}))
    hardware = tuple(sorted({entry.record.environment.processor for entry in entries}))
    rows.sort(key=order)
    return Board(suite, task, metric, settings, datasets, rows, hardware, columns, samples)


def _setting(record: Record) -> str:
    """What a record's suite says of itself, in its newest words."""
    suite = suites.registry().get(record.suite)
    return suite.note if suite and record.setting in suite.earlier_notes else record.setting


def _in_order(suite: str, task: str, datasets: set[str]) -> tuple[str, ...]:
    """Datasets as their suite names them, others after them."""
    known = suites.registry()
    order = (
        known[suite].tasks[task].datasets if suite in known and task in known[suite].tasks else ()
    )
    places = {name: place for place, name in enumerate(order)}
    return tuple(sorted(datasets, key=lambda name: (places.get(name, len(places)), name)))


def _strays(entries: Sequence[Entry]) -> dict[str, tuple[str, ...]]:
    """Object, by place, to records whose code, data or versions differ from their cell's newest.

    No mean is of runs with different code, data or versions.
    """
    mixtures = provenance.mixtures(entry.record for entry in entries)
    newest: dict[str, Record] = {}
    for entry in entries:
        cell = str(entry.record.cell.column)
        if cell in mixtures and entry.record.status == "finished":
            other = newest.setdefault(cell, entry.record)
            if entry.record.finished_at > other.finished_at:
                newest[cell] = entry.record
    return {
        entry.place: (_difference(other, entry.record),)
        for entry in entries
        if (other := newest.get(str(entry.record.cell.column))) is not None
        and provenance.identity(other) != provenance.identity(entry.record)
    }


def _difference(newest: Record, record: Record) -> str:
    if record.dataset.fingerprint != newest.dataset.fingerprint:
        return "on other networks than its cell's newest"
    return "of other code or library versions than its cell's newest"


def _samples(
    metric: Metric, datasets: Sequence[str], groups: dict[tuple[str, tuple[str, ...]], list[Entry]]
) -> dict[str, dict[str, Sample]]:
    """Entrants without objections by dataset, by their predictions."""
    samples: dict[str, dict[str, Sample]] = {dataset: {} for dataset in datasets}
    for (entrant, objections), entries in groups.items():
        if objections:
            continue
        runs: dict[str, dict[int, Outcome]] = {}
        for entry in entries:
            record = entry.record
            if record.status != "finished" or record.metrics["test"] is None:
                continue
            if entry.has_predictions:
                by_seed = runs.setdefault(record.dataset.name, {})
                by_seed[record.seed] = _like(by_seed.values(), entry)
        for dataset, outcomes in runs.items():
            samples[dataset][entrant] = ranking.sample(metric, outcomes)
    return samples


def _like(others: Iterable[Outcome], entry: Entry) -> Outcome:
    """An entry's predictions. Raises RecordError where other seeds have those of more networks."""
    outcome = entry.predictions["test"]
    networks = len(outcome.predictions)
    for other in others:
        if len(other.predictions) != networks:
            raise RecordError(
                f"{entry.place}: predictions of {networks} test networks, where another seed has "
                f"{len(other.predictions)}; run it again"
            )
    return outcome


def column(samples: Mapping[str, Sample]) -> Column:
    """Make a column of those on as many networks as most are; others cannot be compared."""
    sizes = Counter(len(one.networks) for one in samples.values())
    usual = max(sizes, key=lambda size: (sizes[size], size), default=0)
    return Column.of({name: one for name, one in samples.items() if len(one.networks) == usual})


def _row(
    entrant: str,
    objections: tuple[str, ...],
    entries: Sequence[Entry],
    datasets: Sequence[str],
    ranks: dict[str, dict[str, int | None]],
) -> Row:
    cells = {}
    for dataset in datasets:
        runs = [entry for entry in entries if entry.record.dataset.name == dataset]
        scores = _scores(runs)
        finished = sum(entry.record.status == "finished" for entry in runs)
        rank = None if objections else ranks[dataset].get(entrant)
        cells[dataset] = Cell(
            summaries.summary(scores) if scores else None, rank, finished - len(scores), runs
        )
    last = entries[-1].record
    costs = [entry.record.cost for entry in entries if entry.record.cost]
    return Row(
        entrant=entrant,
        title=last.method.title,
        method=last.method.name,
        paper=last.method.paper,
        arm=last.dataset.arm,
        reads_functions=last.method.reads_functions,
        objections=objections,
        rerun=all(reruns.covers(entry.record) for entry in entries),
        cells=cells,
        parameters=_mean([entry.record.method.parameters for entry in entries]),
        flops=_mean([cost.flops_per_network for cost in costs]),
        seconds=_mean([cost.training_seconds + cost.evaluation_seconds for cost in costs]),
        rate=_mean([cost.networks_per_second for cost in costs]),
        memory=_mean([cost.peak_memory_mib for cost in costs]),
    )


def _scores(entries: Sequence[Entry]) -> list[float]:
    scores = [
        entry.record.metrics.get("test") for entry in entries if entry.record.status == "finished"
    ]
    return [score for score in scores if score is not None]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
