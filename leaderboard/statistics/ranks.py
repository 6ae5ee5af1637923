"""Ranks as groups of methods that a column's results cannot tell apart.

Two things vary: the seed of a run, and the networks of the test set, on which all methods are
tested. The difference between the means of methods a and b over S_a and S_b seeds has the variance

    v_a / S_a + v_b / S_b + w_ab,

where v is a method's variance over seeds and w_ab that of their difference over networks. What
varies with both is in each of the two, so that the sum errs on the side of caution.

With few seeds v is badly known, so it is moderated: drawn towards the variance that the column's
methods have in common, the more the more alike their variances are (Smyth 2004, "Linear models and
empirical Bayes methods for assessing differential expression in microarray experiments", section
6). Where they are alike this pools them, where they are not it is close to Welch's test.

The quotients are compared with Tukey's studentized range, for all pairs at once, so that in a
column of equal methods one is set below another in at most 5 % of cases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations

import numpy as np
from scipy import optimize, special, stats
from statsmodels.stats.libqsturng import psturng, qsturng

from benchmark.record.metrics import Metric
from benchmark.record.predictions import Outcome

LEVEL = 0.05
POWER = 0.8
FEWEST_SEEDS = 3  # with two, a spread is known too badly to hold the level
MOST_SEEDS = 10  # that a difference is worth


@dataclass(frozen=True)
class Sample:
    """A method's test results on one dataset, on the scale where they are compared.

    Errors are compared by their logarithms, since theirs spread in proportion to their size.

    scores: `[seeds]`.
    networks: `[networks]`, the mean over seeds of each network's part in the score.
    """

    scores: np.ndarray
    networks: np.ndarray

    @property
    def seeds(self) -> int:
        return len(self.scores)

    @property
    def mean(self) -> float:
        return float(self.scores.mean())


def sample(metric: Metric, outcomes: Mapping[int, Outcome]) -> Sample:
    """Prepare a method's test outcomes, by seed, for comparisons."""
    runs = [outcomes[seed] for seed in sorted(outcomes)]
    scores = np.array([metric.whole(run) for run in runs])
    parts = np.stack([metric.each(run) for run in runs])
    if metric.relative:
        parts /= np.maximum(scores, np.finfo(np.float64).tiny)[:, None]
        scores = np.log(np.maximum(scores, np.finfo(np.float64).tiny))
    return Sample(scores, parts.mean(axis=0))


@dataclass(frozen=True)
class Difference:
    """The difference of two means, on the scale of the samples.

    size: the first mean less the second.
    error: its standard error.
    freedom: the degrees of freedom of that.
    """

    size: float
    error: float
    freedom: float

    @property
    def p_value(self) -> float:
        """The p-value of no difference, two-sided, and not corrected for anything."""
        return min(1.0, 2 * self._tail(abs(self.size)))

    def equivalence(self, margin: float) -> float:
        """Compute the p-value of "it is no smaller than the margin", by two one-sided tests."""
        return self._tail(margin - abs(self.size))

    def excess(self, margin: float) -> float:
        """Compute the p-value of "it is no larger than the margin", for one of the two sides."""
        return self._tail(abs(self.size) - margin)

    @property
    def interval(self) -> tuple[float, float]:
        """The ends of its 95 % interval."""
        reach = float(stats.t.ppf(1 - LEVEL / 2, self.freedom)) * self.error
        return self.size - reach, self.size + reach

    def _tail(self, distance: float) -> float:
        """The chance of a distance as large as this where the true one is zero."""
        if self.error == 0:
            return float(distance <= 0)
        return float(stats.t.sf(distance / self.error, self.freedom))


@dataclass(frozen=True)
class Column:
    """The methods of one column, ready to be compared.

    samples: By method; all on the same networks.
    spreads: Moderated variances over seeds and their degrees of freedom, by method; those with
        fewer than `FEWEST_SEEDS` are left out, and cannot be compared.
    """

    samples: Mapping[str, Sample]
    spreads: Mapping[str, tuple[float, float]]

    @classmethod
    def of(cls, samples: Mapping[str, Sample]) -> Column:
        """Moderate the variances of the methods that have seeds enough."""
        enough = [name for name, one in samples.items() if one.seeds >= FEWEST_SEEDS]
        variances = [float(samples[name].scores.var(ddof=1)) for name in enough]
        spreads = moderate(variances, [samples[name].seeds - 1 for name in enough])
        return cls(samples, dict(zip(enough, spreads, strict=True)))

    def p_value(self, first: str, second: str) -> float | None:
        """Compute the p-value of no difference, corrected for all pairs of the column.

        It is not below 0.001. None where one of the two has too few seeds.
        """
        if not {first, second} <= set(self.spreads):
            return None
        error, freedom = self._error(first, second)
        distance = abs(self.samples[first].mean - self.samples[second].mean)
        if error == 0:
            return 1.0 if distance == 0 else 0.001
        quotient = float(np.sqrt(2)) * distance / error
        return float(np.squeeze(psturng(quotient, len(self.spreads), max(2.0, freedom))))

    def difference(self, first: str, second: str) -> Difference | None:
        """Compute the difference of two methods' means; None where one has too few seeds."""
        if not {first, second} <= set(self.spreads):
            return None
        size = self.samples[first].mean - self.samples[second].mean
        return Difference(size, *self._error(first, second))

    def differs(self, first: str, second: str) -> bool:
        """Whether two methods differ at `LEVEL`, all pairs of the column being compared."""
        error, freedom = self._error(first, second)
        distance = abs(self.samples[first].mean - self.samples[second].mean)
        return distance > self._quantile(freedom) * error

    def resolution(self, seeds: int | None = None) -> float | None:
        """Compute the difference that is found four times out of five, the median over all pairs.

        Args:
            seeds: The number of seeds of each method, if it is not what they have.

        Returns:
            A difference on the scale of the samples; None for fewer than two methods.
        """
        reaches = []
        for pair in combinations(self.spreads, 2):
            error, freedom = self._error(*pair, seeds)
            reaches.append((self._quantile(freedom) + stats.norm.ppf(POWER)) * error)
        return float(np.median(reaches)) if reaches else None

    def seeds_for(self, difference: float) -> int | None:
        """Compute how many seeds resolve a difference; None where `MOST_SEEDS` do not."""
        for seeds in range(FEWEST_SEEDS, MOST_SEEDS + 1):
            reach = self.resolution(seeds)
            if reach is not None and reach <= difference:
                return seeds
        return None

    def _error(self, first: str, second: str, seeds: int | None = None) -> tuple[float, float]:
        """The standard error of a difference, and its degrees of freedom."""
        pair = (first, second)
        training = sum(self.spreads[name][0] / (seeds or self.samples[name].seeds) for name in pair)
        whole = training + self._network_variance[pair]
        # Moderated variances have much in common, so their errors add up rather than cancel.
        freedom = min(self.spreads[name][1] for name in pair)
        share = training / whole if whole > 0 else 1.0
        return float(np.sqrt(whole)), freedom / share**2 if share > 0 else np.inf

    @cached_property
    def _network_variance(self) -> dict[tuple[str, str], float]:
        """Of the difference between two means over networks, by pair."""
        names = list(self.spreads)
        parts = np.stack([self.samples[name].networks for name in names])
        covariance = np.atleast_2d(np.cov(parts)) / parts.shape[1]
        own = np.diag(covariance)
        variances = np.maximum(0.0, own[:, None] + own - 2 * covariance)
        return {
            (first, second): float(variances[row, column])
            for row, first in enumerate(names)
            for column, second in enumerate(names)
        }

    def _quantile(self, freedom: float) -> float:
        """Tukey's, of a difference in standard errors; freedoms are rounded down, to be reused."""
        steps = np.floor(freedom * 4) / 4 if freedom < 30 else np.floor(min(freedom, 1e4))
        return _studentized_range(len(self.spreads), max(2.0, float(steps)))


def across(first: Column, second: Column, name: str) -> Difference | None:
    """Compute the difference of a method's means on different networks.

    Args:
        first: The column of the first mean.
        second: That of the second.
        name: The method.

    Returns:
        None where one of them has too few seeds.
    """
    ends = (first, second)
    if not all(name in column.spreads for column in ends):
        return None
    variances = []
    for column in ends:
        sample, (spread, _) = column.samples[name], column.spreads[name]
        networks = float(sample.networks.var(ddof=1)) / len(sample.networks)
        variances.append(spread / sample.seeds + networks)
    size = first.samples[name].mean - second.samples[name].mean
    freedom = min(column.spreads[name][1] for column in ends)
    return Difference(size, float(np.sqrt(sum(variances))), freedom)


def ranks(metric: Metric, column: Column) -> dict[str, int | None]:
    """Rank a column's methods as groups.

    The best method leads the first group, which goes down to the last method that does not differ
    from it: no method is set below the leader by less than a test, nor above one with a better
    mean. The best of the others leads the next group, whose rank is one more than the number of
    methods above.

    Returns:
        Each method's rank. None for one that cannot be compared, and in a field of one.
    """
    sign = -1 if metric.direction == "max" else 1
    rest = sorted(column.spreads, key=lambda name: (sign * column.samples[name].mean, name))
    places: dict[str, int | None] = dict.fromkeys(column.samples)
    if len(rest) < 2:
        return places
    above = 0
    while rest:
        alike = [place for place, name in enumerate(rest) if not column.differs(rest[0], name)]
        group, rest = rest[: alike[-1] + 1], rest[alike[-1] + 1 :]
        places |= dict.fromkeys(group, above + 1)
        above += len(group)
    return places


def moderate(variances: Sequence[float], freedoms: Sequence[int]) -> list[tuple[float, float]]:
    """Draw variances towards what they have in common (Smyth 2004, section 6.2).

    One that is larger than what it would be drawn to stays as it is, so that the common variance
    never hides a method's own.

    Args:
        variances: Of samples. Those of zero, of methods that no seed moves, do not count for
            others.
        freedoms: Their degrees of freedom.

    Returns:
        Each variance and its degrees of freedom.
    """
    own, freedom = np.asarray(variances), np.asarray(freedoms, dtype=np.float64)
    varies = own > 0
    prior, strength = _prior(own[varies], freedom[varies])
    whole = float(freedom[varies].sum())
    moderated = []
    for variance, degrees in zip(own.tolist(), freedom.tolist(), strict=True):
        if np.isinf(strength):
            moderated.append((prior, whole))
            continue
        mixed = (strength * prior + degrees * variance) / (strength + degrees)
        worth = min(strength + degrees, max(whole, degrees))
        moderated.append((mixed, worth) if variance < mixed else (variance, degrees))
    return moderated


def _prior(variances: np.ndarray, freedoms: np.ndarray) -> tuple[float, float]:
    """Estimate the common variance, and the degrees of freedom that it is worth."""
    if len(variances) < 2:
        return 0.0, 0.0
    logs = np.log(variances) - special.digamma(freedoms / 2) + np.log(freedoms / 2)
    excess = float(logs.var(ddof=1) - special.polygamma(1, freedoms / 2).mean())
    if excess <= 0:
        return float((variances * freedoms).sum() / freedoms.sum()), np.inf
    half = float(optimize.brentq(lambda x: special.polygamma(1, x) - excess, 1e-6, 1e9))
    return float(np.exp(logs.mean() + special.digamma(half) - np.log(half))), 2 * half


@cache
def _studentized_range(methods: int, freedom: float) -> float:
    """The quantile of the largest of all differences, in standard errors of a difference."""
    return float(np.squeeze(qsturng(1 - LEVEL, methods, freedom))) / float(np.sqrt(2))
