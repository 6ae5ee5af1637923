"""Cells that several processes may come to: each is made once, by whichever claims it first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from benchmark.errors import UserError
from benchmark.record import schema as records
from benchmark.record.cell import Cell
from benchmark.record.schema import Record
from benchmark.runs import claims, launch
from benchmark.runs.display import Display
from benchmark.runs.plan import ALL, CORE, Run, plan
from benchmark.runs.training import Stopped


@dataclass(frozen=True)
class Wanted:
    """A run to make once.

    code: the digest of its code when it was asked for. before: when the record was finished that it
    replaces, by which a new one is told from it; None where there was none.
    """

    run: Run
    code: str | None
    before: str | None

    def made(self, results: Path) -> Record | None:
        """The record that was made since it was asked for; None while there is none."""
        path = results / self.run.path
        record = records.read(path) if path.exists() else None
        return record if record is not None and record.finished_at != self.before else None


@dataclass
class Made:
    """What a process came to.

    records: of the runs that it made. others: of those that another process made meanwhile.
    held: the runs that another process still makes.
    """

    records: list[Record] = field(default_factory=list)
    others: list[Record] = field(default_factory=list)
    held: list[Run] = field(default_factory=list)


def runs_of(texts: Iterable[str]) -> list[Run]:
    """The runs of cells "SUITE/TASK/DATASET/ENTRANT/SEED" of the project's suites.

    Raises UserError for what is none, or is named twice.
    """
    runs = []
    for text in texts:
        cell = Cell.parse(text)
        if cell.task == ALL or cell.entrant.method in (ALL, CORE):
            raise UserError(f"{text} stands for several cells: name each, or give a task instead")
        parts = ([cell.dataset], [str(cell.entrant)], [cell.seed])
        runs += plan(cell.suite, cell.task, *parts)
        if runs[-1] in runs[:-1]:
            raise UserError(f"--cell {text} is given twice; name each cell once")
    return runs


def wanted(runs: Iterable[Run], results: Path) -> list[Wanted]:
    """What is asked for of a folder that may hold records of an older state, or failed ones."""
    asked = []
    for run in runs:
        path = results / run.path
        before = records.read(path).finished_at if path.exists() else None
        asked.append(Wanted(run, run.code, before))
    return asked


def make(
    asked: Sequence[Wanted],
    results: Path,
    device: torch.device,
    display: Display,
    is_over: Callable[[], bool],
    keep: bool,
) -> Made:
    """Claim runs and make them in this process, one after the other, until none is left.

    Ends early where time is over, and leaves those alone that others hold until it has nothing else
    to do: what a process that was killed held is free again.

    Raises:
        UserError: where another process holds the whole folder, or code changed meanwhile.
    """
    launch.settle(device)
    made, waiting = Made(), list(asked)
    try:
        while waiting:
            held = []
            for one in waiting:
                if is_over():
                    raise Stopped
                if (record := one.made(results)) is not None:
                    made.others.append(record)
                    continue
                with claims.one(one.run.cell, results) as free:
                    if not free:
                        held.append(one)
                    elif (record := one.made(results)) is not None:  # since the look above
                        made.others.append(record)
                    else:
                        launch.check_code(one.run, one.code)
                        record = launch.execute_here(
                            one.run, results, device, display, is_over, keep
                        )
                        made.records.append(record)
            if len(held) == len(waiting):
                break
            waiting = held
    except Stopped:
        return made
    made.held = [one.run for one in waiting]
    return made
