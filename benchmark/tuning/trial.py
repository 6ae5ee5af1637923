"""One trial of a search: a run that is scored on validation alone, and may be stopped early."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from benchmark import tasks
from benchmark.datasets.storage import WeightDataset
from benchmark.errors import UserError
from benchmark.record import metrics
from benchmark.record.schema import defined
from benchmark.runs.fit import Skipped, fit
from benchmark.runs.plan import Run
from benchmark.runs.training import Diverged, Monitor, Stopped
from benchmark.tuning.log import Point, Trial, Values

Clock = Callable[[], float]
Passes = Callable[[Point], bool]
"""Whether a trial that came to a point goes on."""


class _Pruned(Stopped):
    """A trial is not good enough to go on."""


def without_test(dataset: WeightDataset) -> WeightDataset:
    """Return the dataset with the validation split in the place of the test split.

    What reads it cannot look at a test network.
    """
    splits = {split: dataset.splits[split] for split in ("train", "validation")}
    return replace(dataset, splits=splits | {"test": splits["validation"]})


def with_settings(run: Run, settings: Values) -> Run:
    """Return a run whose method has other values of some fields."""
    options = run.row.canonical([f"{name}={value}" for name, value in settings.items()])
    entrant = replace(run.cell.entrant, options=options)
    return replace(run, cell=replace(run.cell, entrant=entrant))


def attempt(
    run: Run,
    settings: Values,
    dataset: WeightDataset,
    seconds: float,
    passes: Passes,
    tick: Callable[[int], None],
    clock: Clock,
) -> Trial:
    """Train with settings until the run is finished or pruned, or the budget ends.

    Args:
        run: Run of the method, whose cell, seeds and protocols the trial has.
        settings: Values of the fields that are searched.
        dataset: Dataset of which the test split is not read.
        seconds: What is left of the budget.
        passes: Called at each scoring of the last stage.
        tick: Called with the step now and then.
        clock: CPU time in seconds.

    Raises:
        UserError: If the method cannot read the dataset.
    """
    metric = metrics.get(tasks.registry()[run.cell.task].metric)
    sign = 1 if metric.direction == "max" else -1
    earlier = run.encoder_protocol.steps if run.encoder_protocol else 0
    started, curve = clock(), []

    def step(step: int) -> None:
        tick(step)
        if clock() - started > seconds:
            raise Stopped

    def evaluated(step: int, score: float, _: torch.Tensor) -> None:
        if step <= earlier:
            return  # of the first stage, which knows no targets
        curve.append(Point(step=step - earlier, validation=defined(sign * score)))
        if not passes(curve[-1]):
            raise _Pruned

    status, reason, validation = "finished", None, None
    try:
        with tempfile.TemporaryDirectory() as folder:
            chosen, monitor = with_settings(run, settings), Monitor(step=step, evaluated=evaluated)
            seen = without_test(dataset)
            fitted = fit(chosen, seen, Path(folder), torch.device("cpu"), monitor)
        validation = defined(metric.whole(fitted.predictions["validation"]))
    except _Pruned:
        status = "pruned"
    except Stopped:
        status = "stopped"
    except Diverged as diverged:
        status, reason = "diverged", str(diverged)
    except Skipped as skipped:
        raise UserError(f"{run.row.name} cannot read {run.cell.dataset}: {skipped}") from None
    except Exception as error:  # whatever a method does wrong, the other trials go on
        status, reason = "failed", f"{type(error).__name__}: {error}".splitlines()[0][:500]
    # Rounded up, so that what a log sums up is never less than what was taken.
    if (taken := math.ceil(100 * (clock() - started)) / 100) > seconds:
        status, reason, validation = "stopped", None, None
    return Trial(
        settings=settings,
        status=status,
        reason=reason,
        curve=curve,
        validation=validation,
        cpu_seconds=taken,
    )
