"""What a person sees of runs: a progress bar in a terminal, a line for each that finished."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from benchmark.record import metrics
from benchmark.record.schema import Record
from benchmark.runs import curves
from benchmark.runs.curves import Curves

if TYPE_CHECKING:
    from benchmark.runs.event_files import EventFiles
    from benchmark.runs.plan import Run


def bars(live: bool = True) -> Progress:
    """Make progress bars, and a console to print lines above them; without `live` lines alone.

    They are written to standard error, so that standard output holds the tables alone.
    """
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeElapsedColumn(),
        console=console,
        disable=not (live and console.is_terminal),
        transient=True,
    )


class Display:
    """A context manager around the runs; `update` and `finish` tell it how they fare.

    split: the one whose result a finished run's line tells. live: whether there are bars, which a
    debugger could not be used beneath. log: where the runs' curves are written as well, if any.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        split: str = "test",
        live: bool = True,
        log: EventFiles | None = None,
    ) -> None:
        self.progress, self.split, self.log = bars(live), split, log
        self.total = len(runs)
        self.finished: set[Run] = set()  # of which more may be heard, from another process
        self.overall: TaskID | None = None
        self.bars: dict[Run, TaskID] = {}

    def __enter__(self) -> Display:
        self.progress.start()
        self.overall = self.progress.add_task("all runs", total=self.total, unit="runs")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.progress.stop()

    def update(self, run: Run, step: int) -> None:
        if run in self.finished:
            return
        if run not in self.bars:
            self.bars[run] = self.progress.add_task(_name(run), total=run.steps, unit="steps")
        self.progress.update(self.bars[run], completed=step)

    def finish(self, run: Run, record: Record) -> None:
        self.finished.add(run)
        if run in self.bars:
            self.progress.remove_task(self.bars.pop(run))
        assert self.overall is not None
        self.progress.update(self.overall, completed=len(self.finished))
        place = f"[{len(self.finished)}/{self.total}]"
        self.say(f"{place} {_name(run)}: {_describe(record, self.split)}")
        if self.log is not None:
            self.log.write(run.path, curves.of(record), whole=True)

    def grow(self, run: Run, grown: Curves) -> None:
        """Tell that a run's curves grew."""
        if self.log is not None and run not in self.finished:
            self.log.write(run.path, grown)

    def note(self, run: Run, line: str) -> None:
        """Print a line about a run."""
        self.say(f"{_name(run)}: {line}")

    def say(self, line: str) -> None:
        """Print a line."""
        self.progress.console.print(line, soft_wrap=True)


def _describe(record: Record, split: str) -> str:
    if record.cost is None:
        return f"{record.status}: {record.reason}"
    seconds = record.cost.training_seconds + record.cost.evaluation_seconds
    score = record.metrics[split]
    text = "undefined" if score is None else metrics.get(record.metric).show(score)
    where = "" if split == "test" else f" on {split}"
    return f"{record.metric} {text}{where}, {seconds:.0f} s"


def _name(run: Run) -> str:
    return f"{run.cell.dataset} {run.cell.entrant} seed {run.cell.seed}"
