"""The search, the same for every method: settings by successive halving, on validation alone.

The first trial is what the suite has. Optuna's tree-structured Parzen estimator, seeded, proposes
the others. Each is a run of the suite's protocol with a seed of its own. After a quarter and half
of its steps, one that is not in the better half of those that came as far is given up (asynchronous
successive halving, arXiv:1810.05934).

A search that was killed goes on from its log: the sampler proposes the same settings again, and
those that the log holds are not trained again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.pruners import SuccessiveHalvingPruner
from optuna.samplers import TPESampler
from optuna.trial import TrialState

from benchmark import tasks
from benchmark.datasets.storage import WeightDataset
from benchmark.errors import UserError
from benchmark.fields import recorded
from benchmark.record import metrics
from benchmark.runs.environment import processor, versions
from benchmark.runs.plan import Run, plan
from benchmark.tuning import log as logs
from benchmark.tuning.display import Display
from benchmark.tuning.log import Budget, Point, SearchLog
from benchmark.tuning.space import Dimension, Log, Value
from benchmark.tuning.trial import Clock, attempt

BUDGET = Budget(trials=20, cpu_seconds=1800)
"""Of every search."""

SEED = 1000
"""Of every trial, and of no run that is ranked: the ranked seeds are not those that chose."""

HALVES = 2
"""How often half of the trials are given up: after a quarter and half of the steps."""


@dataclass(frozen=True)
class Search:
    """One search: the run that its trials vary, its dataset, and its log without trials."""

    run: Run
    dataset: WeightDataset
    opening: SearchLog

    @property
    def space(self) -> Mapping[str, Dimension]:
        """What is searched, by field."""
        return self.run.row.space


def prepare(suite: str, task: str, method: str, dataset: WeightDataset) -> Search:
    """Prepare a search of a method's settings for a suite's task on a dataset.

    Raises:
        UserError: If the method declares no search space, or the dataset is not of the task.
    """
    (run,) = plan(suite, task, [dataset.name], [method], [SEED])
    if not run.row.space:
        raise UserError(
            f"{method} has nothing to search: declare `space` in its class, as "
            '{"learning_rate": SearchLog(1e-4, 1e-2)}'
        )
    tasks.registry()[task](dataset)
    values = recorded(run.method)
    opening = SearchLog(
        suite=suite,
        task=task,
        dataset=dataset.name,
        fingerprint=dataset.manifest.fingerprint,
        method=method,
        metric=tasks.registry()[task].metric,
        seed=SEED,
        budget=BUDGET,
        space={name: str(dimension) for name, dimension in run.row.space.items()},
        first={name: values[name] for name in run.row.space},
        others={name: value for name, value in values.items() if name not in run.row.space},
        protocol=run.protocol.model_dump(),
        encoder_protocol=run.encoder_protocol and run.encoder_protocol.model_dump(),
        code_sha256=run.code or "0" * 64,
        versions=versions(("optuna", *run.libraries)),
        processor=processor(),
    )
    return Search(run, dataset, opening)


def conduct(
    search: Search, path: Path, display: Display, clock: Clock = time.process_time
) -> SearchLog:
    """Conduct a search to its end, or go on with one that was killed, and return its log.

    Args:
        search: What is searched.
        path: Path of the log, which is written after every trial.
        display: Whom it tells how it fares.
        clock: CPU time in seconds.

    Raises:
        UserError: If the log is damaged, or the method cannot read the dataset.
    """
    log = _taken_up(search, path, display)
    budget, steps = log.budget, search.run.protocol.steps
    space = {name: known.including(log.first[name]) for name, known in search.space.items()}
    drawn = {name: _distribution(dimension) for name, dimension in space.items()}
    first = {name: known.nearest(log.first[name]) for name, known in space.items()}
    study = _study(log, steps, first)
    for number in range(budget.trials):
        course = Course(study.ask(drawn), log, steps)
        params = course.asked.params
        settings = {name: known.rounded(params[name]) for name, known in space.items()}
        settings = settings if number else log.first
        if (trial := log.trial(settings)) is not None:
            for point in trial.curve:
                course.passes(point)
        elif (left := budget.cpu_seconds - log.cpu_seconds) > 0:
            display.begin(log)
            trial = attempt(
                search.run, settings, search.dataset, left, course.passes, display.step, clock
            )
            log = log.adding(trial)
            logs.write(log, path)
            display.finish(log)
        if trial is None or trial.status == "stopped":
            break
        if trial.validation is None:
            study.tell(course.asked, state=TrialState.PRUNED)
        else:
            study.tell(course.asked, trial.validation)
    return log


class Course:
    """A trial's course as the study knows it: the best score so far, and whether it goes on."""

    def __init__(self, asked: optuna.Trial, log: SearchLog, steps: int) -> None:
        self.asked, self.steps, self.best = asked, steps, math.nan
        self.better = max if metrics.get(log.metric).direction == "max" else min

    def passes(self, point: Point) -> bool:
        """Return whether a trial that came to this point goes on."""
        if point.validation is not None:
            known = point.validation if math.isnan(self.best) else self.best
            self.best = self.better(known, point.validation)
        self.asked.report(self.best, point.step)
        return point.step == self.steps or not self.asked.should_prune()


def _taken_up(search: Search, path: Path, display: Display) -> SearchLog:
    """Return the log to go on with: what lies at `path`, or one without trials."""
    earlier = logs.read(path)
    if earlier is None:
        return search.opening
    if not earlier.begins_like(search.opening):
        display.note(f"{path} is of other code, settings, data or versions: searching anew")
        return search.opening
    display.note(f"{len(earlier.trials)} trials are in {path}: going on from there")
    return earlier


def _study(log: SearchLog, steps: int, first: Mapping[str, Value]) -> optuna.Study:
    """Return an empty study, to be asked for the settings of a log's trials in their order.

    The first that it is asked for are `first`.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction={"max": "maximize", "min": "minimize"}[metrics.get(log.metric).direction],
        sampler=TPESampler(seed=log.seed),
        pruner=SuccessiveHalvingPruner(min_resource=max(1, steps // 2**HALVES), reduction_factor=2),
    )
    study.enqueue_trial(dict(first))
    return study


def _distribution(dimension: Dimension) -> BaseDistribution:
    if isinstance(dimension, Log):
        return FloatDistribution(dimension.low, dimension.high, log=True)
    return CategoricalDistribution(dimension.values)
