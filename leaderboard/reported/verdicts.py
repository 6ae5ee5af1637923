"""A verdict on a reported number from our seeds: two-sided, by what the paper's ± means.

That the difference is smaller than the metric's margin is tested by Schuirmann's two one-sided
tests (TOST), that it is larger by the t-test of the other side, both at 5 % for all rows of a table
together. Where the paper gives a spread over a known number of runs, Welch's test compares the two
samples. Any other number is one new observation with the variance of our seeds, or the mean of two
where a ± is printed, which one run has not, and then with the larger of both variances. A printed
number may be anywhere within its rounding, so both tests take the end of it that speaks against
them. How many seeds are run is fixed beforehand: nothing corrects for looking in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import isfinite, sqrt
from typing import Literal, get_args

import numpy as np
from scipy.special import stdtr, stdtrit

LEVEL = 0.05
FEWEST = 2  # runs of a number with a ±

Kind = Literal["reproduced", "higher", "lower", "undecided"]


@dataclass(frozen=True)
class Published:
    """A reported number.

    deviation: the standard deviation of its runs; None where none is printed.
    runs: how many it is the mean of, or at least.
    counted: whether the paper says how many.
    rounding: half a unit of its last printed digit.
    """

    value: float
    deviation: float | None = None
    runs: int = 1
    counted: bool = False
    rounding: float = 0.0

    @property
    def is_sample(self) -> bool:
        """Whether it is known how its runs spread, and how many they are."""
        return self.deviation is not None and self.counted and self.runs > 1


@dataclass(frozen=True)
class Comparison:
    """Our results beside a reported number.

    difference: our mean less the reported value.
    reach: half its 95 % interval; infinite for a single seed.
    equivalence, excess: the p-values of "the difference is no smaller than the margin" and of "it
        is no larger".
    condition: what a verdict rests on where it is unknown how the reported number's runs spread, or
        how many they are; else empty.
    """

    difference: float
    reach: float
    equivalence: float
    excess: float
    condition: str


@dataclass(frozen=True)
class Verdict:
    """A verdict; `text` is the whole of it."""

    kind: Kind
    text: str


def published(
    value: float, spread: float | None, kind: str | None, runs: int | None, rounding: float = 0.0
) -> Published:
    """Convert a printed ± into a standard deviation.

    Args:
        value: The reported number.
        spread: What follows its ±.
        kind: What the ± means: "std", "standard error", "half range" (of two runs), "not stated".
        runs: The number of runs, where it is stated.
        rounding: Half a unit of the last printed digit.
    """
    if kind in (None, "not stated") or runs == 1:
        spread = None
    counted = runs is not None
    runs = runs or (1 if spread is None else FEWEST)
    if spread is not None and kind == "standard error":
        spread *= sqrt(runs)
    elif spread is not None and kind == "half range":
        # The deviation of two runs is their distance over the root of two.
        spread, runs, counted = spread * sqrt(2), 2, True
    return Published(value, spread, runs, counted, rounding)


def compare(scores: np.ndarray, reported: Published, margin: float) -> Comparison:
    """Compare our scores with a reported number.

    Args:
        scores: Ours, `[seeds]`, in the reported unit. One seed never decides anything.
        reported: The reported number.
        margin: The largest difference that does not matter.
    """
    count, condition = len(scores), _condition(reported)
    difference = float(np.mean(scores)) - reported.value
    if count < 2:
        return Comparison(difference, float("inf"), 1.0, 1.0, condition)
    error, freedom = _error(float(np.std(scores, ddof=1)), count, reported)
    farthest = abs(difference) + reported.rounding
    nearest = max(0.0, abs(difference) - reported.rounding)
    return Comparison(
        difference,
        float(stdtrit(freedom, 0.975) * error),
        _p_value(farthest - margin, error, freedom),
        _p_value(margin - nearest, error, freedom),
        condition,
    )


def _condition(reported: Published) -> str:
    if reported.is_sample:
        return ""
    if reported.deviation is None:
        return ", if their spread is like ours"
    return f", if theirs is a mean of {FEWEST} runs"


def judge(comparisons: Sequence[Comparison]) -> list[Verdict]:
    """Judge the rows of one table, by p-values that Holm's method corrects over its rows."""
    equivalences = holm([one.equivalence for one in comparisons])
    excesses = holm([one.excess for one in comparisons])
    return [_verdict(*row) for row in zip(comparisons, equivalences, excesses, strict=True)]


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values by Holm's method, whichever of them are true."""
    # statsmodels' own collects garbage at each call, which takes longer than all else here.
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values)
    steps = values[order] * np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return corrected.tolist()


def _verdict(one: Comparison, equivalence: float, excess: float) -> Verdict:
    kind: Kind = "undecided"
    if equivalence < LEVEL:
        kind = "reproduced"
    elif excess < LEVEL:
        kind = "higher" if one.difference > 0 else "lower"
    if kind != "undecided":
        return Verdict(kind, kind + one.condition)
    if not isfinite(one.reach):
        return Verdict(kind, "undecided: one seed")
    return Verdict(kind, f"undecided: the difference is {one.difference:+.2g} ± {one.reach:.2g}")


def _error(deviation: float, count: int, reported: Published) -> tuple[float, float]:
    """Compute the standard error of the difference, and its degrees of freedom."""
    if not reported.is_sample:
        theirs = max(deviation, reported.deviation or 0.0)
        return sqrt(theirs**2 / reported.runs + deviation**2 / count), count - 1
    assert reported.deviation is not None
    left, right = deviation**2 / count, reported.deviation**2 / reported.runs
    total = left + right
    parts = left**2 / (count - 1) + right**2 / (reported.runs - 1)
    return sqrt(total), max(1.0, total**2 / parts) if parts else 1.0


def _p_value(distance: float, error: float, freedom: float) -> float:
    """The chance of a distance as low as this where the true one is zero."""
    if error == 0:
        return float(distance >= 0)
    return float(stdtr(freedom, distance / error))


SEEDS = (3, 5, 10)
TRUTHS = (0.0, 0.95, 1.05, 2.0)  # true difference, in margins
DEVIATIONS = ((0.3, 0.3), (0.1, 0.5), (0.5, 0.1))  # of one run, ours and theirs, in margins
ROUNDING = 0.5  # as of a mean squared error of .020, whose margin is .001


@dataclass(frozen=True)
class Paper:
    """What a simulated paper prints: the mean of so many runs, rounded.

    deviation, counted: whether it prints their standard deviation, and how many they are.
    """

    name: str
    runs: int
    deviation: bool = True
    counted: bool = True
    rounding: float = 0.0

    def print(self, runs: np.ndarray) -> Published:
        """Print what the paper's runs, `[runs]`, give."""
        value = float(runs.mean())
        if self.rounding:
            value = float(np.round(value / (2 * self.rounding)) * 2 * self.rounding)
        deviation = float(runs.std(ddof=1)) if self.deviation else None
        fewest = self.runs if self.counted else FEWEST
        return Published(value, deviation, fewest, self.counted, self.rounding)


LONE = Paper("a lone number", 1, deviation=False)
UNCOUNTED = Paper("mean of 2 runs ±, not of how many", FEWEST, counted=False)
PAPERS = (
    Paper("mean of 3 runs ± their standard deviation", 3),
    Paper("the same, rounded to a margin", 3, rounding=ROUNDING),
    LONE,
    UNCOUNTED,
)


def simulate(trials: int, seed: int = 0) -> list[dict[str, float | int | str]]:
    """Simulate the shares of verdicts where the true difference is known.

    Both samples are normal, with deviations of their own.
    """
    random, rows = np.random.default_rng(seed), []
    for paper in PAPERS:
        for (ours, theirs), truth, seeds in product(DEVIATIONS, TRUTHS, SEEDS):
            # A paper's value is anywhere between two printed ones.
            level = random.uniform(-0.5, 0.5, trials)[:, None]
            scores = level + truth + ours * random.standard_normal((trials, seeds))
            papers = level + theirs * random.standard_normal((trials, paper.runs))
            kinds = [
                judge([compare(sample, paper.print(runs), 1.0)])[0].kind
                for sample, runs in zip(scores, papers, strict=True)
            ]
            shares = {kind: kinds.count(kind) / trials for kind in get_args(Kind)}
            wrong = shares["reproduced"] if truth > 1 else shares["higher"]
            rows.append(
                {
                    "paper": paper.name,
                    "ours": ours,
                    "theirs": theirs,
                    "difference": truth,
                    "seeds": seeds,
                    **shares,
                    "wrong": wrong + shares["lower"],
                }
            )
    return rows
