"""The statistics of the tables: intervals over seeds, paired comparisons on the same networks, ranks as groups."""

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
    """Of one cell over seeds. low, high: 95 % interval of the mean; None for one seed."""

    mean: float
    deviation: float | None
    low: float | None
    high: float | None
    seeds: int


def summary(scores: Sequence[float]) -> Summary:
    """Mean, standard deviation and Student's 95 % interval of the mean."""
    values, count = np.asarray(scores, dtype=np.float64), len(scores)
    mean = float(values.mean())
    if count < 2:
        return Summary(mean, None, None, None, count)
    deviation = float(values.std(ddof=1))
    reach = float(stats.t.ppf(1 - LEVEL / 2, count - 1)) * deviation / np.sqrt(count)
    return Summary(mean, deviation, mean - reach, mean + reach, count)


def prediction_interval(scores: Sequence[float]) -> tuple[float, float]:
    """Where one more score lies with 95 % probability: low and high, by Student's t.

    Of fewer than two scores nothing is known, and the interval is empty.
    """
    made = summary(scores) if scores else None
    if made is None or made.deviation is None:
        return float("inf"), float("-inf")
    reach = (
        stats.t.ppf(1 - LEVEL / 2, made.seeds - 1) * made.deviation * np.sqrt(1 + 1 / made.seeds)
    )
    return made.mean - float(reach), made.mean + float(reach)


@dataclass(frozen=True)
class Resampled:
    """A method's test results on one dataset, prepared for comparisons. scores: `[seeds, networks]`, or None for a metric that is
    no mean over networks. means: `[resamples, seeds]`, the metric on networks drawn with replacement, the same for every method.
    """

    seeds: tuple[int, ...]
    networks: int
    scores: np.ndarray | None
    means: np.ndarray


def resample(metric: Metric, outcomes: Mapping[str, Mapping[int, Outcome]]) -> dict[str, Resampled]:
    """Of several methods' test outcomes by seed."""
    found: dict[str, Resampled] = {}
    scores: dict[int, dict[str, np.ndarray]] = {}
    for name, mine in outcomes.items():
        seeds = tuple(sorted(mine))
        count = len(mine[seeds[0]].predictions)
        if metric.each is not None:
            scores.setdefault(count, {})[name] = np.stack(
                [metric.each(mine[seed]) for seed in seeds]
            )
            continue
        rows = np.random.default_rng(0).integers(count, size=(RESAMPLES_OF_WHOLE, count))
        means = [[metric.whole(mine[seed].take(drawn)) for seed in seeds] for drawn in rows]
        found[name] = Resampled(seeds, count, None, np.asarray(means))
    for count, alike in scores.items():  # one large product for all methods
        means = _weights(count) @ np.concatenate(list(alike.values())).T.astype(np.float32)
        parts = np.split(means, np.cumsum([len(rows) for rows in alike.values()])[:-1], axis=1)
        for (name, rows), part in zip(alike.items(), parts, strict=True):
            found[name] = Resampled(tuple(sorted(outcomes[name])), count, rows, part)
    return found


def paired(ours: Resampled, theirs: Resampled) -> float | None:
    """Two-sided p of no difference between two methods on the same networks; None without a common seed.

    From one seed of right-or-wrong answers, McNemar's exact test. Else a bootstrap over networks, and over seeds where there are
    several.
    """
    seeds = [seed for seed in ours.seeds if seed in theirs.seeds]
    if not seeds or ours.networks != theirs.networks:
        return None
    mine, other = ([of.seeds.index(seed) for seed in seeds] for of in (ours, theirs))
    if len(seeds) == 1 and ours.scores is not None and theirs.scores is not None:
        differences = ours.scores[mine[0]] - theirs.scores[other[0]]
        if np.isin(differences, (-1, 0, 1)).all():
            better, worse = int((differences > 0).sum()), int((differences < 0).sum())
            return float(mcnemar([[0, better], [worse, 0]], exact=True).pvalue)
    differences = ours.means[:, mine] - theirs.means[:, other]
    drawn = _seeds_drawn(len(differences), len(seeds))
    return _two_sided(np.take_along_axis(differences, drawn, axis=1).mean(axis=1))


@cache
def _weights(count: int) -> np.ndarray:
    """`[resamples, networks]`: how often each network is drawn, over how many are."""
    random = np.random.default_rng(0)
    return (random.multinomial(count, np.full(count, 1 / count), size=RESAMPLES) / count).astype(
        np.float32
    )


@cache
def _seeds_drawn(resamples: int, count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(count, size=(resamples, count))


def _two_sided(resampled: np.ndarray) -> float:
    if not np.isfinite(resampled).all():
        return 1.0  # an undefined result is not told apart from anything
    below, above = np.mean(resampled <= 0), np.mean(resampled >= 0)
    return float(min(1.0, 2 * max(min(below, above), 1 / len(resampled))))


def groups(
    metric: Metric, means: Mapping[str, float], prepared: Mapping[str, Resampled]
) -> dict[str, int | None]:
    """Ranks as groups: the best method's rank is 1, and so is that of all that cannot be told from it at `LEVEL`.

    The p-values of the comparisons with the leader are corrected by Holm's method. Of those that are told apart, the best leads
    the next group, whose rank is one more than the number of methods above. None for a method without predictions, which can be
    told from nothing.
    """
    sign = -1 if metric.direction == "max" else 1
    left = sorted(
        (name for name in means if name in prepared), key=lambda name: (sign * means[name], name)
    )
    ranks: dict[str, int | None] = dict.fromkeys(means)
    above = 0
    while left:
        leader, *others = left
        found = [paired(prepared[leader], prepared[other]) for other in others]
        ps = [1.0 if p is None else p for p in found]
        apart = multipletests(ps, LEVEL, "holm")[0] if ps else []
        group = [
            leader,
            *(other for other, is_apart in zip(others, apart, strict=True) if not is_apart),
        ]
        for name in group:
            ranks[name] = above + 1
        above += len(group)
        left = [name for name in left if name not in group]
    return ranks
