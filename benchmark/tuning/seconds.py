"""Equal training seconds: how many steps of each method take as long as the yardstick's.

The seconds are CPU time, since machines are shared, of a quiet moment: the rate of a stage is the
median over stretches of 20 steps, and the best of three rounds over all methods. What was measured
once is data of the suite.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median

import torch

from benchmark import suites
from benchmark.datasets.storage import WeightDataset
from benchmark.errors import UserError
from benchmark.record.schema import write_atomically
from benchmark.runs.fit import fit
from benchmark.runs.plan import Run, plan
from benchmark.runs.training import Monitor
from benchmark.suites import tables
from benchmark.suites.protocol import Protocol
from benchmark.tuning.trial import Clock, without_test

STEPS = 200
"""Steps of each stage that are timed."""

ROUNDS = 3


@dataclass(frozen=True)
class Pace:
    """What a method's training takes.

    Attributes:
        seconds: CPU time of the protocol's own steps, in both stages where there are two.
        steps: Steps of the last stage that take as long as the yardstick's training.
    """

    seconds: float
    steps: int


def tasks_of(suite: str) -> list[str]:
    """Return the tasks in which a suite gives all methods the same seconds.

    Raises:
        UserError: If there are none.
    """
    tasks = suites.get(suite).tasks
    if not (found := [task for task, chosen in tasks.items() if chosen.yardstick is not None]):
        raise UserError(
            f"suite {suite!r} names no yardstick, the method whose training seconds all get"
        )
    return found


def measure(
    suite: str, task: str, dataset: WeightDataset, clock: Clock = time.process_time
) -> dict[str, Pace]:
    """Time every method of a suite's task here, and return its pace by name.

    Raises:
        UserError: If a method is not trained by steps.
    """
    settings = suites.get(suite).tasks[task]
    runs = [
        replace(
            run,
            protocol=settings.protocol,
            encoder_protocol=run.encoder_protocol and settings.encoder_protocol,
        )
        for run in plan(suite, task, [dataset.name], seeds=[0])
    ]
    seconds: dict[str, float] = {}
    for run in runs * ROUNDS:
        name = run.row.name
        seconds[name] = min(_seconds(run, dataset, clock), seconds.get(name, math.inf))
    return paces(seconds, settings.yardstick, settings.protocol.steps)


def paces(seconds: Mapping[str, float], yardstick: str, steps: int) -> dict[str, Pace]:
    """Return every method's pace, in tens of steps.

    Args:
        seconds: CPU time of the protocol's own steps, by method.
        yardstick: The method whose seconds all get.
        steps: The protocol's own steps, which the yardstick keeps.
    """
    return {
        name: Pace(own, max(10, round(steps * seconds[yardstick] / own, -1)))
        for name, own in seconds.items()
    }


def write(suite: str, task: str, measured: Mapping[str, Pace]) -> Path:
    """Write the steps of each method into a suite's file, and return its path."""
    path, own = suites.file_of(suite), suites.get(suite).tasks[task].protocol.steps
    lines = {
        name: f"{pace.steps:.0f} # {pace.seconds:.1f} s for {own}"
        for name, pace in sorted(measured.items())
    }
    text = path.read_text(encoding="utf-8")
    write_atomically(path, tables.changed(text, f"tasks.{task}.steps", lines).encode())
    suites.registry.cache_clear()
    return path


def _seconds(run: Run, dataset: WeightDataset, clock: Clock) -> float:
    """Return the CPU time that all steps of a run take, by a few steps of each stage."""
    stamps: list[tuple[int, float]] = []
    monitor = Monitor(step=lambda step: stamps.append((step, clock())))
    stages = [stage for stage in (run.encoder_protocol, run.protocol) if stage]
    short = replace(
        run,
        protocol=_shortened(run.protocol),
        encoder_protocol=run.encoder_protocol and _shortened(run.encoder_protocol),
    )
    with tempfile.TemporaryDirectory() as folder:
        fit(short, without_test(dataset), Path(folder), torch.device("cpu"), monitor)
    rates = _rates(stamps, len(stages))
    if not all(rates):
        raise UserError(f"{run.row.name} is not trained by steps: leave it out of the suite")
    return sum(median(rate) * stage.steps for rate, stage in zip(rates, stages, strict=True))


def _rates(stamps: Sequence[tuple[int, float]], stages: int) -> list[list[float]]:
    """Return the seconds a step of every stretch between two stamps within a stage."""
    rates: list[list[float]] = [[] for _ in range(stages)]
    for (before, begun), (step, ended) in pairwise(stamps):
        if (before - 1) // STEPS == (step - 1) // STEPS:
            rates[(step - 1) // STEPS].append((ended - begun) / (step - before))
    return rates


def _shortened(protocol: Protocol) -> Protocol:
    return protocol.model_copy(update={"steps": STEPS, "evaluations": 1})
