"""Means over seeds, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.05


@dataclass(frozen=True)
class Summary:
    """A cell's results over seeds.

    low, high: 95 % confidence interval of the mean; None for one seed, as is the deviation.
    """

    mean: float
    deviation: float | None
    low: float | None
    high: float | None
    seeds: int

    def show(self, digits: int) -> str:
        """The mean and the deviation, as "1.5 ± 0.2" with one digit."""
        spread = "" if self.deviation is None else f" ± {self.deviation:.{digits}f}"
        return f"{self.mean:.{digits}f}{spread}"


def summary(scores: Sequence[float]) -> Summary:
    """Compute mean, standard deviation and Student's 95 % interval of the mean."""
    values, count = np.asarray(scores, dtype=np.float64), len(scores)
    mean = float(values.mean())
    if count < 2:
        return Summary(mean, None, None, None, count)
    deviation = float(values.std(ddof=1))
    half = reach(deviation, count)
    return Summary(mean, deviation, mean - half, mean + half, count)


def reach(deviation: float, count: int) -> float:
    """Half of Student's 95 % interval of the mean of so many results, at least two."""
    return float(stats.t.ppf(1 - LEVEL / 2, count - 1) * deviation / np.sqrt(count))


def prediction_interval(scores: Sequence[float]) -> tuple[float, float]:
    """Compute Student's 95 % prediction interval of one more score: low and high.

    Fewer than two scores have no deviation, and their interval is empty.
    """
    moments = summary(scores) if scores else None
    if moments is None or moments.deviation is None:
        return float("inf"), float("-inf")
    quantile = float(stats.t.ppf(1 - LEVEL / 2, moments.seeds - 1))
    half = quantile * moments.deviation * float(np.sqrt(1 + 1 / moments.seeds))
    return moments.mean - half, moments.mean + half
