"""`docs/scaling.md`: what whole grids cost on several machines, from what their runs cost."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from tabulate import tabulate

from benchmark import suites
from benchmark.record import descriptions, sources
from benchmark.record.cell import CONDITION, Cell, Entrant
from benchmark.record.schema import Record
from leaderboard.publish.text import markdown

PATH = sources.ROOT / "docs" / "scaling.md"
WORKERS = (1, 8, 64)

PAGE = """\
# Scaling

Written from the [records](../leaderboard/records/), by `nox -s leaderboard`: what it takes to run
whole grids of methods, datasets and seeds. Cells don't talk to each other, so that machines need
nothing but a results folder in common, or results folders that are merged in the end.

## What a grid costs

A *column* is a method, with its arm and options, on a dataset; each is run with every seed of its
suite. What a run costs is measured: the seconds that its committed records say it trained and
evaluated, on the device that they name, as the mean over their seeds. A worker is one such device:
a processor core, as each run has one thread, or a GPU. The time on several workers is the makespan
of *longest processing time first*: the runs are taken by decreasing cost, each by the worker that
is free first, which is within a third of the best there is (Graham, 1969). It is never shorter than
the longest run.

{table}

Where only some of the runs are measured, the times are of those alone, and the whole takes longer;
what has no committed record is not estimated. Not counted are the seconds in which a job starts and
loads its data, and the time that jobs wait in a queue. A first stage that several methods share is
counted for each of them; in a folder in common it is trained once.

## How it is run

On a Slurm cluster whose machines share the results folder:

```
python -m benchmark run all --suite paper --results /shared/results --executor slurm --workers 64 \\
    --slurm partition=gpu --slurm gpus_per_node=1 --slurm timeout_min=240 --slurm mem_gb=32
python -m benchmark run all --suite paper --results /shared/results --collect
```

The first command submits an array of 64 jobs, each of which makes cells that no other holds, one
after the other, and tells of records as they come. Before its time limit Slurm signals a job, which
stops at a checkpoint, goes back into the queue and goes on from there. A job that is preempted
stops at a checkpoint, too, as far as the partition's grace time allows; it is put back by Slurm, as
is one whose machine is lost, which goes on from the checkpoint that the last look at the validation
split left. A job that is killed otherwise, for want of memory, is not put back: its cell is free
for the others, and the command names the job and its log. Ctrl-C leaves the jobs alone unless it is
told to cancel them. The second command prints the table of what is there. Given again, the first
makes what is left.

With any other scheduler, or none, a cell is a command, which says so at once where its record
stands or another process makes it, and with `--minutes` stops at a checkpoint:

```
python -m benchmark run --cell mini/inr-classification/mnist-inr-own-mini/nft/0 --minutes 25
```

Machines without a common disk each have a results folder. These are joined, unless a cell has two
results that differ:

```
python -m benchmark merge machine-1/results machine-2/results --results results
python -m leaderboard build --records results
```
"""


@dataclass(frozen=True)
class Grid:
    """The columns of a suite's task, each as the cell with seed 0, with how many seeds it has."""

    suite: str
    task: str
    columns: Mapping[Cell, int]

    @property
    def runs(self) -> int:
        """How many runs it has."""
        return sum(self.columns.values())


def grids() -> list[Grid]:
    """The grids of all suites whose methods are described, in the order of their names."""
    described = _described()
    every = [
        Grid(suite.name, task, _columns(suite.name, task, settings, described))
        for suite in suites.registry().values()
        for task, settings in suite.tasks.items()
    ]
    return [grid for grid in every if grid.columns]


def makespan(seconds: Iterable[float], workers: int) -> float:
    """How long workers take, the longest run first, each by the worker that is free first."""
    free = [0.0] * workers
    for cost in sorted(seconds, reverse=True):
        heapq.heapreplace(free, free[0] + cost)
    return max(free)


def page(records: Sequence[Record]) -> str:
    """Render the page from current records."""
    costs = unit_costs(records)
    rows, every = [], {}
    for grid in grids():
        devices = sorted({device for device, column in costs if column in set(grid.columns)})
        for device in devices or [None]:
            seconds = [
                cost
                for one, seeds in grid.columns.items()
                for cost in [costs.get((device, one))] * seeds
                if cost is not None
            ]
            name, columns = f"{grid.suite}, {grid.task}", len(grid.columns)
            rows.append([name, columns, grid.runs, len(seconds), *_times(device, seconds)])
            every.setdefault(device, []).extend(seconds)
    for device, seconds in every.items():
        if device is not None:
            rows.append(["all that is measured", "", "", len(seconds), *_times(device, seconds)])
    headers = ["suite, task", "columns", "runs", "measured", "on", "longest run"]
    headers += [f"{workers} worker{'s' * (workers > 1)}" for workers in WORKERS]
    align = ["left", "right", "right", "right", "left", *["right"] * (1 + len(WORKERS))]
    table = tabulate(rows, headers, tablefmt="github", colalign=align, disable_numparse=True)
    return PAGE.format(table=table)


def unit_costs(records: Iterable[Record]) -> dict[tuple[str, Cell], float]:
    """Seconds of a run, by device and column: the mean over the seeds that have finished."""
    seconds: dict[tuple[str, Cell], list[float]] = {}
    for record in records:
        if record.cost is None:
            continue
        environment = record.environment
        kind = "a GPU" if environment.cuda else "a core"
        key = f"{kind} of {environment.processor}", record.cell.column
        cost = record.cost.training_seconds + record.cost.evaluation_seconds
        seconds.setdefault(key, []).append(cost)
    return {key: fmean(values) for key, values in seconds.items()}


def _times(device: str | None, seconds: Sequence[float]) -> list[str]:
    if device is None:
        return ["not measured"] * (2 + len(WORKERS))
    times = [max(seconds), *(makespan(seconds, workers) for workers in WORKERS)]
    return [markdown(device), *map(_time, times)]


def _time(seconds: float) -> str:
    for limit, length, unit in ((90, 1, "s"), (5400, 60, "min")):
        if seconds < limit:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 3600:.1f} h"


def _described() -> Mapping[tuple[str, str], list[descriptions.Description]]:
    """What the code says of all methods, by suite and task."""
    found: dict[tuple[str, str], list[descriptions.Description]] = {}
    for path in sorted(descriptions.FOLDER.glob("*.json")):
        for one in descriptions.read(path.stem).values():
            found.setdefault((one.suite, one.task), []).append(one)
    return found


def _columns(
    suite: str,
    task: str,
    settings: suites.TaskSettings,
    described: Mapping[tuple[str, str], Sequence[descriptions.Description]],
) -> dict[Cell, int]:
    """Every described method under the conditions of its dataset, and the controls, with the number
    of their seeds.
    """
    entrants = [
        (one.dataset, under)
        for one in described.get((suite, task), ())
        for under in _under(Entrant.parse(one.row), settings.conditions.get(one.dataset, ("",)))
    ]
    entrants += [
        (name, Entrant.parse(one)) for name in settings.datasets for one in settings.controls
    ]
    cells = [Cell(suite, task, dataset, entrant, 0) for dataset, entrant in entrants]
    return {cell: len(settings.seeds_of(cell.entrant.method)) for cell in sorted(set(cells))}


def _under(row: Entrant, conditions: Sequence[str]) -> list[Entrant]:
    """A row under each condition whose options it has."""
    parsed = [Entrant.parse(f"{row.method}{CONDITION.fullmatch(one)[0]}") for one in conditions]
    return [one for one in parsed if one.options == row.options]
