"""A verdict on a reported number from our seeds: two-sided, and aware of what the paper's ± means.

Equivalence is Schuirmann's two one-sided tests (TOST) within the metric's margin, difference is Student's t, both at 5 %. Where
the paper gives a spread over a known number of runs, the two samples are compared as Welch does; where it gives a lone number,
that is one new observation against our seeds: it has their variance.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt
from typing import Literal

import numpy as np
from scipy.special import stdtr, stdtrit

LEVEL = 0.05
POWER = 0.8
MOST_SEEDS = 30  # further ones that are worth naming

Kind = Literal["reproduced", "higher", "lower", "undecided"]


@dataclass(frozen=True)
class Published:
    """A reported number. deviation: standard deviation over `runs` runs; None for a lone number."""

    value: float
    deviation: float | None = None
    runs: int | None = None


@dataclass(frozen=True)
class Verdict:
    """more: further seeds that would most likely decide it; None where it is decided, or no reasonable number would."""

    kind: Kind
    more: int | None = None

    def __str__(self) -> str:
        if self.kind != "undecided":
            return self.kind
        return (
            f"undecided: needs {self.more} more seeds"
            if self.more
            else f"undecided: {MOST_SEEDS} more seeds would not tell"
        )


def published(value: float, spread: float | None, kind: str | None, runs: int | None) -> Published:
    """What a printed ± tells: a standard deviation, a standard error of `runs` runs, or half the range of two."""
    if spread is None or runs is None or runs < 2 or kind in (None, "not stated"):
        return Published(value)
    if kind == "standard error":
        spread *= sqrt(runs)
    elif kind == "half range":
        spread *= sqrt(
            2
        )  # of two runs: their standard deviation is their distance over the root of two
        runs = 2
    return Published(value, spread, runs)


def judge(scores: np.ndarray, reported: Published, margin: float) -> Verdict:
    """The verdict on a reported number from our scores `[seeds]`, in its unit. Never `reproduced` from one seed."""
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
    """Standard error of the difference, and its degrees of freedom."""
    if reported.deviation is None or reported.runs is None:
        return deviation * sqrt(1 + 1 / count), count - 1
    ours, theirs = deviation**2 / count, reported.deviation**2 / reported.runs
    if ours + theirs == 0:
        return 0.0, count - 1
    return sqrt(ours + theirs), (ours + theirs) ** 2 / (
        ours**2 / (count - 1) + theirs**2 / (reported.runs - 1)
    )


def _equivalent(difference: float, error: float, freedom: float, margin: float) -> bool:
    if error == 0:
        return abs(difference) < margin
    return float(stdtr(freedom, (abs(difference) - margin) / error)) < LEVEL


def _different(difference: float, error: float, freedom: float) -> bool:
    return error == 0 or 2 * float(stdtr(freedom, -abs(difference) / error)) < LEVEL


def _needed(
    difference: float, deviation: float, count: int, reported: Published, margin: float
) -> int | None:
    """The fewest further seeds with which the same difference and deviation would be decided, four times out of five."""
    for more in range(1, MOST_SEEDS + 1):
        error, freedom = _error(deviation, count + more, reported)
        reach = (
            float(stdtrit(freedom, (1 + POWER) / 2)) * error
        )  # equivalence can be missed on either side
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
    """Shares of verdicts where the truth is known: both samples normal with the same deviation."""
    random, rows = np.random.default_rng(seed), []
    for name, runs in PAPERS.items():
        for truth in TRUTHS:
            for seeds in SEEDS:
                ours = truth + DEVIATION * random.standard_normal((trials, seeds))
                theirs = DEVIATION * random.standard_normal((trials, runs or 1))
                found = [
                    judge(
                        mine,
                        Published(other.mean(), float(other.std(ddof=1)), runs)
                        if runs
                        else Published(other[0]),
                        1.0,
                    ).kind
                    for mine, other in zip(ours, theirs, strict=True)
                ]
                shares = {
                    kind: found.count(kind) / trials
                    for kind in ("reproduced", "higher", "lower", "undecided")
                }
                rows.append({"paper": name, "difference": truth, "seeds": seeds, **shares})
    return rows
