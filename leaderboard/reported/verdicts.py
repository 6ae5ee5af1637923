"""A verdict on a reported number from our seeds: two-sided, by what the paper's ± means.

Equivalence is tested by Schuirmann's two one-sided tests (TOST) within the metric's margin,
difference by Student's t-test, both at 5 %. Where the paper gives a spread over a known number of
runs, Welch's test compares the two samples; a single number is one new observation, with the
variance of our seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt
from typing import Literal, get_args

import numpy as np
from scipy.special import stdtr, stdtrit

LEVEL = 0.05
POWER = 0.8
MOST_SEEDS = 30  # a verdict that needs more names no number

Kind = Literal["reproduced", "higher", "lower", "undecided"]


@dataclass(frozen=True)
class Published:
    """A reported number.

    deviation: the standard deviation over `runs` runs; None for a single number.
    """

    value: float
    deviation: float | None = None
    runs: int | None = None


@dataclass(frozen=True)
class Verdict:
    """A verdict.

    more: the number of further seeds that would probably decide it; None where it is decided, or
    more than `MOST_SEEDS` are needed.
    """

    kind: Kind
    more: int | None = None

    def __str__(self) -> str:
        if self.kind != "undecided":
            return self.kind
        return (
            f"undecided: needs {self.more} more seeds"
            if self.more
            else f"undecided: {MOST_SEEDS} more seeds would not decide it"
        )


def published(value: float, spread: float | None, kind: str | None, runs: int | None) -> Published:
    """Convert a printed ± into a standard deviation.

    Args:
        value: The reported number.
        spread: What follows its ±.
        kind: What the ± means: "std", "standard error", "half range" (of two runs), "not stated".
        runs: The number of runs.
    """
    if spread is None or runs is None or runs < 2 or kind in (None, "not stated"):
        return Published(value)
    if kind == "standard error":
        spread *= sqrt(runs)
    elif kind == "half range":
        # The deviation of two runs is their distance over the root of two.
        spread *= sqrt(2)
        runs = 2
    return Published(value, spread, runs)


def judge(scores: np.ndarray, reported: Published, margin: float) -> Verdict:
    """Judge a reported number by our scores.

    Args:
        scores: Ours, `[seeds]`, in the reported unit. One seed never reproduces a number.
        reported: The reported number.
        margin: The largest difference that does not matter.
    """
    count = len(scores)
    if count < 2:
        return Verdict("undecided", 2 - count)
    difference, deviation = float(np.mean(scores)) - reported.value, float(np.std(scores, ddof=1))
    error, freedom = _error(deviation, count, reported)
    if _equivalent(difference, error, freedom, margin):
        return Verdict("reproduced")
    if abs(difference) > margin and _different(difference, error, freedom):
        return Verdict("higher" if difference > 0 else "lower")
    return Verdict("undecided", _needed(difference, deviation, count, reported, margin))


def _error(deviation: float, count: int, reported: Published) -> tuple[float, float]:
    """Compute the standard error of the difference, and its degrees of freedom."""
    if reported.deviation is None or reported.runs is None:
        return deviation * sqrt(1 + 1 / count), count - 1
    left, right = deviation**2 / count, reported.deviation**2 / reported.runs
    if left + right == 0:
        return 0.0, count - 1
    freedom = (left + right) ** 2 / (left**2 / (count - 1) + right**2 / (reported.runs - 1))
    return sqrt(left + right), freedom


def _equivalent(difference: float, error: float, freedom: float, margin: float) -> bool:
    if error == 0:
        return abs(difference) < margin
    return float(stdtr(freedom, (abs(difference) - margin) / error)) < LEVEL


def _different(difference: float, error: float, freedom: float) -> bool:
    return error == 0 or 2 * float(stdtr(freedom, -abs(difference) / error)) < LEVEL


def _needed(
    difference: float, deviation: float, count: int, reported: Published, margin: float
) -> int | None:
    """Compute how many further seeds decide the same difference and deviation with power `POWER`.

    Returns:
        None where more than `MOST_SEEDS` are needed.
    """
    for more in range(1, MOST_SEEDS + 1):
        error, freedom = _error(deviation, count + more, reported)
        # Two-sided, since equivalence can be missed on either side.
        reach = float(stdtrit(freedom, (1 + POWER) / 2)) * error
        equivalence = margin - abs(difference) - float(stdtrit(freedom, 1 - LEVEL)) * error
        distinction = (
            abs(difference) - float(stdtrit(freedom, 1 - LEVEL / 2)) * error
            if abs(difference) > margin
            else -inf
        )
        if max(equivalence, distinction) > reach:
            return more
    return None


SEEDS = (1, 3, 5, 10)
TRUTHS = (0.0, 1.0, 2.0)  # true difference, in margins
DEVIATION = 0.3  # of one run, in margins
PAPERS = {"mean of 3 runs ± their standard deviation": 3, "a lone number": None}


def simulate(trials: int, seed: int = 0) -> list[dict[str, float | int | str]]:
    """Simulate the shares of verdicts where the true difference is known.

    Both samples are normal with the same deviation.
    """
    random, rows = np.random.default_rng(seed), []
    for name, runs in PAPERS.items():
        for truth in TRUTHS:
            for seeds in SEEDS:
                scores = truth + DEVIATION * random.standard_normal((trials, seeds))
                papers = DEVIATION * random.standard_normal((trials, runs or 1))
                kinds = [
                    judge(sample, _reported(paper, runs), 1.0).kind
                    for sample, paper in zip(scores, papers, strict=True)
                ]
                shares = {kind: kinds.count(kind) / trials for kind in get_args(Kind)}
                rows.append({"paper": name, "difference": truth, "seeds": seeds, **shares})
    return rows


def _reported(sample: np.ndarray, runs: int | None) -> Published:
    if runs is None:
        return Published(sample[0])
    return Published(sample.mean(), float(sample.std(ddof=1)), runs)
