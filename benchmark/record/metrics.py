"""The metrics of all tasks: how predictions are scored, and what counts as the same score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from benchmark.record.predictions import Outcome
from benchmark.record.schema import RecordError


@dataclass(frozen=True, kw_only=True)
class Metric:
    """How a task is scored.

    label, scale, digits: how tables show it. direction: which way is better.
    margin: two results no further apart count as the same, in the shown unit, or as a fraction of
    the reported value where `relative`; declared before any run at the papers' size.
    bounds: what no result can leave.
    each: a score per network, whose mean is the metric. Of a metric that is no mean over networks
    it is the first-order influence of each, so that its variance is that of the metric too.
    whole: from all predictions and targets.
    """

    name: str
    label: str
    scale: float
    digits: int
    direction: Literal["max", "min"]
    margin: float
    relative: bool
    bounds: tuple[float, float]
    each: Callable[[Outcome], np.ndarray]
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


def _concordances(outcome: Outcome) -> np.ndarray:
    """Each network's part in Kendall's tau, a U-statistic, by Hoeffding's projection.

    Of networks that are `tau_i` concordant with all others it is 2 tau_i - tau.
    """
    targets = outcome.targets.astype(np.float64)
    predictions = outcome.predictions.astype(np.float64)
    parts, ties = [], np.zeros(2)
    for rows in np.array_split(np.arange(len(targets)), 1 + len(targets) // 500):
        orders = [
            np.sign(values[rows, None] - values[None]).astype(np.int8)
            for values in (predictions, targets)
        ]
        ties += [np.count_nonzero(order) for order in orders]
        parts.append((orders[0] * orders[1]).sum(axis=1, dtype=np.int64))
    pairs = np.sqrt(ties.prod()) / len(targets)
    concordances = np.concatenate(parts) / (pairs if pairs > 0 else np.nan)
    return 2 * concordances - concordances.mean()


def _explained(outcome: Outcome) -> np.ndarray:
    """Each network's part in R2, a quotient of two means over networks."""
    targets = outcome.targets.astype(np.float64)
    errors = np.square(outcome.predictions.astype(np.float64) - targets)
    deviations = np.square(targets - targets.mean())
    quotient = errors.mean() / deviations.mean()
    return 1 - quotient - (errors - quotient * deviations) / deviations.mean()


def _r2(outcome: Outcome) -> float:
    targets, predictions = (
        outcome.targets.astype(np.float64),
        outcome.predictions.astype(np.float64),
    )
    return float(
        1 - np.square(predictions - targets).sum() / np.square(targets - targets.mean()).sum()
    )


_METRICS = (
    Metric(
        name="accuracy",
        label="accuracy in percent",
        scale=100,
        digits=1,
        direction="max",
        margin=1.0,
        relative=False,
        bounds=(0, 1),
        each=_right,
        whole=lambda outcome: float(_right(outcome).mean()),
    ),
    Metric(
        name="kendall_tau",
        label="Kendall's tau",
        scale=1,
        digits=3,
        direction="max",
        margin=0.01,
        relative=False,
        bounds=(-1, 1),
        each=_concordances,
        whole=_tau,
    ),
    Metric(
        name="r2",
        label="R2",
        scale=1,
        digits=3,
        direction="max",
        margin=0.01,
        relative=False,
        bounds=(-np.inf, 1),
        each=_explained,
        whole=_r2,
    ),
    # An editor's prediction is its error on each network, so there are no targets to compare with.
    Metric(
        name="mse",
        label="mean squared error",
        scale=1,
        digits=4,
        direction="min",
        margin=0.05,
        relative=True,
        bounds=(0, np.inf),
        each=_error,
        whole=lambda outcome: float(_error(outcome).mean()),
    ),
)
METRICS = {metric.name: metric for metric in _METRICS}


def get(name: str) -> Metric:
    """The metric of that name. Raises RecordError for an unknown one."""
    if name not in METRICS:
        raise RecordError(f"unknown metric {name!r}; known: {', '.join(METRICS)}")
    return METRICS[name]


def interval(
    metric: Metric, outcome: Outcome, resamples: int = 400, level: float = 0.05
) -> tuple[float, float]:
    """Percentile bootstrap over networks, of one run: low and high."""
    random, count = np.random.default_rng(0), len(outcome.predictions)
    values = [
        metric.whole(outcome.take(random.integers(count, size=count))) for _ in range(resamples)
    ]
    return float(np.quantile(values, level / 2)), float(np.quantile(values, 1 - level / 2))
