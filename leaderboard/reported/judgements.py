"""Judgements of claims: each is held against the results of its two rows, wherever both were run.

The difference of the two means has the standard error and the degrees of freedom that ranks use.
"Better" is judged by a two-sided test of no difference. "Near" is judged by the margin of the
metric: two one-sided tests show that the difference is smaller, the opposite test that it is
larger. All p-values are corrected together, by Holm's method, over all comparisons of all suites.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log1p
from typing import Literal

from benchmark.record.metrics import Metric
from leaderboard.archive.pools import Pool
from leaderboard.reported import verdicts
from leaderboard.reported.claims import Claim
from leaderboard.statistics.ranks import LEVEL, Difference

Verdict = Literal["holds", "reversed", "undecided"]


@dataclass(frozen=True)
class Judgement:
    """A claim, held against one dataset's results.

    suites: those of the two rows; one where they are the same.
    difference: of the two, on the scale of the samples.
    p_value: corrected over all comparisons.
    """

    claim: Claim
    suites: tuple[str, ...]
    dataset: str
    metric: Metric
    difference: Difference
    p_value: float
    verdict: Verdict


def judge(claims: Sequence[Claim], pools: Sequence[Pool]) -> list[Judgement]:
    """Judge each claim on each dataset where both of its rows have seeds enough.

    Returns:
        In the order of the claims; nothing for a claim whose rows were not both run.
    """
    found = [
        (claim, pool, difference)
        for claim in claims
        for pool in pools
        if pool.task == claim.task
        and (difference := pool.column.difference(claim.row, claim.other)) is not None
    ]
    # What two papers claim alike is one comparison.
    keys = [(claim.row, claim.kind, claim.other, id(pool)) for claim, pool, _ in found]
    own = {
        key: p_value(claim, pool.metric, difference)
        for key, (claim, pool, difference) in zip(keys, found, strict=True)
    }
    corrected = dict(zip(own, verdicts.holm(list(own.values())), strict=True))
    return [
        Judgement(
            claim,
            tuple(dict.fromkeys(pool.suites[name] for name in (claim.row, claim.other))),
            pool.dataset,
            pool.metric,
            difference,
            corrected[key],
            _verdict(claim, pool.metric, difference, corrected[key]),
        )
        for key, (claim, pool, difference) in zip(keys, found, strict=True)
    ]


def p_value(claim: Claim, metric: Metric, difference: Difference) -> float:
    """Compute a claim's p-value, not corrected.

    A claim of nearness can fall on either side of the margin, which counts twice.
    """
    if claim.kind == "better":
        return difference.p_value
    reach = margin(metric)
    return min(1.0, 2 * min(difference.equivalence(reach), difference.excess(reach)))


def margin(metric: Metric) -> float:
    """The margin of a metric on the scale of the samples, where errors are logarithms."""
    return log1p(metric.margin) if metric.relative else metric.margin / metric.scale


def _verdict(claim: Claim, metric: Metric, difference: Difference, p: float) -> Verdict:
    if p >= LEVEL:
        return "undecided"
    if claim.kind == "near":
        return "holds" if abs(difference.size) < margin(metric) else "reversed"
    is_better = (difference.size > 0) == (metric.direction == "max")
    return "holds" if is_better else "reversed"
