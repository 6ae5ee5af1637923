"""The metrics of all tasks: how they are computed from predictions, which way is better, and what counts as the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchmark.record.predictions import Outcome
from benchmark.record.schema import RecordError


@dataclass(frozen=True)
class Metric:
    """label, scale, digits: how tables show it. margin: two results no further apart count as the same, in the shown unit, or as a
    fraction of the reported value where `relative`; declared before any run at the papers' size. bounds: what no result can leave.
    each: a score per network, whose mean is the metric; None where it is not a mean. whole: from all predictions and targets.
    """

    name: str
    label: str
    scale: float
    digits: int
    higher_is_better: bool
    margin: float
    relative: bool
    bounds: tuple[float, float]
    each: Callable[[Outcome], np.ndarray] | None
    whole: Callable[[Outcome], float]

    def show(self, value: float) -> str:
        """A value as tables have it: "81.3", "0.921"."""
        return f"{self.scale * value:.{self.digits}f}"

    def tolerance(self, reported: float) -> float:
        """The margin around a reported value, in the shown unit."""
        return self.margin * abs(reported) if self.relative else self.margin


def _right(outcome: Outcome) -> np.ndarray:
    return (outcome.predictions == outcome.targets).astype(np.float64)


def _error(outcome: Outcome) -> np.ndarray:
    return outcome.predictions.astype(np.float64)


def _tau(outcome: Outcome) -> float:
    """NaN where all predictions are the same: then no order is predicted."""
    return float(stats.kendalltau(outcome.predictions, outcome.targets).statistic)


def _r2(outcome: Outcome) -> float:
    targets, predictions = outcome.targets.astype(np.float64), outcome.predictions.astype(np.float64)
    return float(1 - np.square(predictions - targets).sum() / np.square(targets - targets.mean()).sum())


_METRICS = (
    Metric(
        "accuracy",
        "accuracy in percent",
        100,
        1,
        True,
        1.0,
        False,
        (0, 1),
        _right,
        lambda made: float(_right(made).mean()),
    ),
    Metric("kendall_tau", "Kendall's tau", 1, 3, True, 0.01, False, (-1, 1), None, _tau),
    Metric("r2", "R2", 1, 3, True, 0.01, False, (-np.inf, 1), None, _r2),
    # An editor's prediction is its error on each network, so there are no targets to compare with.
    Metric(
        "mse",
        "mean squared error",
        1,
        4,
        False,
        0.05,
        True,
        (0, np.inf),
        _error,
        lambda made: float(_error(made).mean()),
    ),
)
METRICS = {metric.name: metric for metric in _METRICS}


def get(name: str) -> Metric:
    """The metric of that name. Raises RecordError for an unknown one."""
    if name not in METRICS:
        raise RecordError(f"unknown metric {name!r}; known: {', '.join(METRICS)}")
    return METRICS[name]
