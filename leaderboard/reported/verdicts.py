"""A verdict on a reported number from our seeds: two-sided, by what the paper's ± means.

Equivalence is tested by Schuirmann's two one-sided tests (TOST) within the metric's margin,
difference by Student's t-test, both at 5 % for all rows of a table together. Where the paper gives
a spread over a known number of runs, Welch's test compares the two samples. Any other number is one
new observation with the variance of our seeds, or the mean of two where a ± is printed, which one
run has not, and then with the larger of both variances. A printed number may be anywhere within
its rounding, so both tests take the end of it that speaks against them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from math import sqrt
from typing import Any, Literal, get_args

import numpy as np
from scipy.special import stdtr

LEVEL = 0.05
POWER = 0.8
MOST_SEEDS = 30  # a verdict that needs more names no number
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
    equivalence, distinction: the p-values of "the difference is no smaller than the margin" and of
        "there is no difference".
    beyond: whether the difference is larger than the margin, however the number was rounded.
    needed: the number of further seeds that would probably decide it at a level; None where more
        than `MOST_SEEDS` are needed.
    condition: what a verdict rests on where it is unknown how the reported number's runs spread, or
        how many they are; else empty.
    """

    difference: float
    equivalence: float
    distinction: float
    beyond: bool
    needed: Callable[[float], int | None]
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
        return Comparison(difference, 1.0, 1.0, False, lambda _: 2 - count, condition)
    deviation = float(np.std(scores, ddof=1))
    equivalence, distinction, beyond = _tests(difference, deviation, count, reported, margin)
    return Comparison(
        difference,
        float(equivalence),
        float(distinction),
        bool(beyond),
        partial(_needed, difference, deviation, count, reported, margin),
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
    distinctions = holm([one.distinction for one in comparisons])
    # The strictest level of Holm's method, which a row passes whatever becomes of the others.
    level = LEVEL / max(1, len(comparisons))
    return [
        _verdict(one, equivalence, distinction, level)
        for one, equivalence, distinction in zip(
            comparisons, equivalences, distinctions, strict=True
        )
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values by Holm's method, whichever of them are true."""
    # statsmodels' own collects garbage at each call, which takes longer than all else here.
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values)
    steps = values[order] * np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return corrected.tolist()


def _verdict(one: Comparison, equivalence: float, distinction: float, level: float) -> Verdict:
    kind: Kind = "undecided"
    if equivalence < LEVEL:
        kind = "reproduced"
    elif one.beyond and distinction < LEVEL:
        kind = "higher" if one.difference > 0 else "lower"
    if kind != "undecided":
        return Verdict(kind, kind + one.condition)
    if (more := one.needed(level)) is None:
        return Verdict(kind, f"undecided: {MOST_SEEDS} more seeds would not decide it")
    return Verdict(kind, f"undecided: needs {more} more seed{'s' * (more > 1)}")


def _error(deviation: Any, count: int, reported: Published) -> tuple[Any, Any]:
    """Compute the standard error of the difference, and its degrees of freedom.

    Of one deviation, or of an array of them.
    """
    if not reported.is_sample:
        theirs = np.maximum(deviation, reported.deviation or 0.0)
        return np.sqrt(theirs**2 / reported.runs + deviation**2 / count), count - 1
    assert reported.deviation is not None
    left, right = deviation**2 / count, reported.deviation**2 / reported.runs
    total = left + right
    freedom = total**2 / np.maximum(
        left**2 / (count - 1) + right**2 / (reported.runs - 1), np.finfo(float).tiny
    )
    return total**0.5, np.maximum(freedom, 1)


def _tests(
    difference: Any, deviation: Any, count: int, reported: Published, margin: float
) -> tuple[Any, Any, Any]:
    """Compute a comparison's `equivalence`, `distinction` and `beyond`, of one or of an array."""
    error, freedom = _error(deviation, count, reported)
    farthest = np.abs(difference) + reported.rounding
    nearest = np.maximum(0.0, np.abs(difference) - reported.rounding)
    equivalence = _p_value(farthest - margin, error, freedom)
    distinction = np.minimum(1.0, 2 * _p_value(-nearest, error, freedom))
    return equivalence, distinction, nearest > margin


def _p_value(distance: Any, error: Any, freedom: Any) -> Any:
    """The chance of a distance as low as this where the true one is zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(error == 0, distance >= 0, stdtr(freedom, np.divide(distance, error)))


def _needed(
    difference: float,
    deviation: float,
    count: int,
    reported: Published,
    margin: float,
    level: float,
) -> int | None:
    """Find how many further seeds decide a row with power `POWER`.

    The reported number and the seeds that there are stand. Further ones are drawn with the same
    mean and deviation.

    Returns:
        None where more than `MOST_SEEDS` are needed.
    """

    def is_enough(more: int) -> bool:
        added = deviation * _draws()[:, :more]
        means = difference + added.sum(axis=1) / (count + more)
        squares = (count - 1) * deviation**2 + (added**2).sum(axis=1)
        squares -= added.sum(axis=1) ** 2 / (count + more)
        deviations = np.sqrt(np.maximum(squares, 0.0) / (count + more - 1))
        same, other, beyond = _tests(means, deviations, count + more, reported, margin)
        return bool(np.mean((same < level) | ((other < level) & beyond)) >= POWER)

    if not is_enough(MOST_SEEDS):
        return None
    return 1 + bisect_left(range(1, MOST_SEEDS), True, key=is_enough)


@cache
def _draws() -> np.ndarray:
    """Standard normal numbers, `[draws, MOST_SEEDS]`, the same each time."""
    return np.random.default_rng(0).standard_normal((400, MOST_SEEDS))


SEEDS = (1, 3, 10)
TRUTHS = (0.0, 1.0, 2.0)  # true difference, in margins
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
            wrong = shares["reproduced"] if truth else shares["higher"]
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
