"""The statistics of the tables: intervals over seeds, paired comparisons, ranks as groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from benchmark.record.metrics import Metric
from benchmark.record.predictions import Outcome

LEVEL = 0.05
RESAMPLES = 2000
RESAMPLES_OF_WHOLE = 400


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


def summary(scores: Sequence[float]) -> Summary:
    """Compute mean, standard deviation and Student's 95 % interval of the mean."""
    values, count = np.asarray(scores, dtype=np.float64), len(scores)
    mean = float(values.mean())
    if count < 2:
        return Summary(mean, None, None, None, count)
    deviation = float(values.std(ddof=1))
    reach = float(stats.t.ppf(1 - LEVEL / 2, count - 1)) * deviation / np.sqrt(count)
    return Summary(mean, deviation, mean - reach, mean + reach, count)


def prediction_interval(scores: Sequence[float]) -> tuple[float, float]:
    """Compute Student's 95 % prediction interval of one more score: low and high.

    Fewer than two scores have no deviation, and their interval is empty.
    """
    moments = summary(scores) if scores else None
    if moments is None or moments.deviation is None:
        return float("inf"), float("-inf")
    quantile = float(stats.t.ppf(1 - LEVEL / 2, moments.seeds - 1))
    reach = quantile * moments.deviation * float(np.sqrt(1 + 1 / moments.seeds))
    return moments.mean - reach, moments.mean + reach


@dataclass(frozen=True)
class Resampled:
    """A method's test results on one dataset, prepared for comparisons.

    scores: `[seeds, networks]`; None for a metric that is not a mean over networks.
    means: `[resamples, seeds]`, the metric on networks sampled with replacement, the same networks
    for every method.
    """

    seeds: tuple[int, ...]
    networks: int
    scores: np.ndarray | None
    means: np.ndarray


def resample(metric: Metric, outcomes: Mapping[str, Mapping[int, Outcome]]) -> dict[str, Resampled]:
    """Resample several methods' test outcomes, which are by method and seed."""
    samples: dict[str, Resampled] = {}
    scores: dict[int, dict[str, np.ndarray]] = {}
    for name, by_seed in outcomes.items():
        seeds = tuple(sorted(by_seed))
        count = len(by_seed[seeds[0]].predictions)
        if metric.each is not None:
            scores.setdefault(count, {})[name] = np.stack(
                [metric.each(by_seed[seed]) for seed in seeds]
            )
            continue
        rows = np.random.default_rng(0).integers(count, size=(RESAMPLES_OF_WHOLE, count))
        means = [[metric.whole(by_seed[seed].take(row)) for seed in seeds] for row in rows]
        samples[name] = Resampled(seeds, count, None, np.asarray(means))
    for count, by_method in scores.items():  # one large product for all methods
        means = _weights(count) @ np.concatenate(list(by_method.values())).T.astype(np.float32)
        parts = np.split(means, np.cumsum([len(rows) for rows in by_method.values()])[:-1], axis=1)
        for (name, rows), part in zip(by_method.items(), parts, strict=True):
            samples[name] = Resampled(tuple(sorted(outcomes[name])), count, rows, part)
    return samples


def paired(first: Resampled, second: Resampled) -> float | None:
    """Compute the two-sided p-value of no difference between two methods on the same networks.

    One seed of right-or-wrong answers is compared by McNemar's exact test, all else by a bootstrap
    over networks and, where there are several, seeds.

    Returns:
        None where the two have no seed in common.
    """
    seeds = [seed for seed in first.seeds if seed in second.seeds]
    if not seeds or first.networks != second.networks:
        return None
    left, right = ([sample.seeds.index(seed) for seed in seeds] for sample in (first, second))
    if len(seeds) == 1 and first.scores is not None and second.scores is not None:
        differences = first.scores[left[0]] - second.scores[right[0]]
        if np.isin(differences, (-1, 0, 1)).all():
            better, worse = int((differences > 0).sum()), int((differences < 0).sum())
            return float(mcnemar([[0, better], [worse, 0]], exact=True).pvalue)
    differences = first.means[:, left] - second.means[:, right]
    columns = _seed_samples(len(differences), len(seeds))
    return _two_sided(np.take_along_axis(differences, columns, axis=1).mean(axis=1))


@cache
def _weights(count: int) -> np.ndarray:
    """Sample each network's frequency in a resample: `[resamples, networks]`, of rows' sum 1."""
    random = np.random.default_rng(0)
    return (random.multinomial(count, np.full(count, 1 / count), size=RESAMPLES) / count).astype(
        np.float32
    )


@cache
def _seed_samples(resamples: int, count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(count, size=(resamples, count))


def _two_sided(differences: np.ndarray) -> float:
    if not np.isfinite(differences).all():
        return 1.0  # an undefined result differs from nothing
    below, above = np.mean(differences <= 0), np.mean(differences >= 0)
    return float(min(1.0, 2 * max(min(below, above), 1 / len(differences))))


def groups(
    metric: Metric, means: Mapping[str, float], prepared: Mapping[str, Resampled]
) -> dict[str, int | None]:
    """Rank methods as groups.

    The best method has rank 1, and so has every method that does not differ from it at `LEVEL`,
    by p-values that Holm's method corrects. The best of the others leads the next group, whose rank
    is one more than the number of methods above.

    Args:
        metric: What the means are of.
        means: Each method's mean over seeds.
        prepared: The methods' resamples, of those whose predictions are available.

    Returns:
        Each method's rank; None for one without predictions, which cannot be compared.
    """
    sign = -1 if metric.direction == "max" else 1
    rest = sorted(
        (name for name in means if name in prepared), key=lambda name: (sign * means[name], name)
    )
    ranks: dict[str, int | None] = dict.fromkeys(means)
    above = 0
    while rest:
        leader, *others = rest
        tests = [paired(prepared[leader], prepared[other]) for other in others]
        p_values = [1.0 if p is None else p for p in tests]
        rejections = multipletests(p_values, LEVEL, "holm")[0] if p_values else []
        group = [
            leader,
            *(other for other, differs in zip(others, rejections, strict=True) if not differs),
        ]
        for name in group:
            ranks[name] = above + 1
        above += len(group)
        rest = [name for name in rest if name not in group]
    return ranks
