"""Verdicts: what a ± means, what each verdict claims, and how often they are wrong."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_ind
from statsmodels.stats.multitest import multipletests

from leaderboard.publish import pages
from leaderboard.reported import verdicts
from leaderboard.reported.verdicts import Published, Verdict, compare, published


def test_each_spread_is_taken_for_what_it_is() -> None:
    assert published(5.0, 0.3, "std", 4) == sample(5.0, 0.3, 4)
    assert published(5.0, 0.3, "standard error", 4).deviation == pytest.approx(0.6)
    # Two runs at 4 and 6: half their range is 1, their standard deviation the root of two.
    assert published(5.0, 1.0, "half range", 2).deviation == pytest.approx(np.std([4, 6], ddof=1))
    assert published(5.0, None, None, None) == Published(5.0)
    assert published(5.0, None, None, 3) == Published(5.0, runs=3, counted=True)
    assert published(5.0, 0.3, "not stated", 3) == Published(5.0, runs=3, counted=True)


def test_a_spread_means_two_runs_at_least() -> None:
    assert published(5.0, 0.3, "std", None) == Published(5.0, 0.3, 2)
    assert published(5.0, 0.3, "not stated", None) == Published(5.0)  # of networks, say
    assert published(5.0, 0.3, "std", 1) == Published(5.0, runs=1, counted=True)
    assert published(5.0, 0.3, "standard error", None).deviation == pytest.approx(0.3 * 2**0.5)
    ours = scores(80.0, 0.4, 4)
    lone, narrow, wide = (
        compare(ours, published(80.5, spread, "std", None), 1.0) for spread in (None, 0.1, 0.8)
    )
    assert narrow.equivalence < lone.equivalence < wide.equivalence
    # A narrower spread than ours is no evidence, since nobody knows of how many runs it is.
    equal = compare(ours, published(80.5, 0.4, "std", None), 1.0)
    assert narrow.equivalence == pytest.approx(equal.equivalence)


def judge(ours: np.ndarray, reported: Published, margin: float) -> Verdict:
    """The verdict on a row that stands alone in its table."""
    return verdicts.judge([compare(ours, reported, margin)])[0]


def sample(value: float, deviation: float, runs: int, rounding: float = 0.0) -> Published:
    """A number with the deviation of so many runs."""
    return Published(value, deviation, runs, True, rounding)


def scores(mean: float, deviation: float, count: int) -> np.ndarray:
    shape = np.linspace(-1, 1, count)
    return mean + deviation * shape / shape.std(ddof=1)


@pytest.mark.parametrize(
    ("ours", "reported", "kind"),
    [
        (scores(80.1, 0.2, 5), sample(80.0, 0.2, 3), "reproduced"),
        (scores(83.0, 0.2, 5), sample(80.0, 0.2, 3), "higher"),
        (scores(77.0, 0.2, 5), Published(80.0), "lower"),
        (scores(80.1, 3.0, 5), sample(80.0, 3.0, 3), "undecided"),
        (scores(80.9, 0.5, 3), Published(80.0), "undecided"),
    ],
)
def test_what_is_claimed(ours: np.ndarray, reported: Published, kind: str) -> None:
    assert judge(ours, reported, 1.0).kind == kind


def test_one_seed_never_reproduces() -> None:
    one = judge(np.array([80.0]), sample(80.0, 0.1, 3), 1.0)
    assert one == Verdict("undecided", "undecided: one seed")
    assert judge(np.array([70.0]), Published(80.0), 1.0).kind == "undecided"


def test_a_verdict_says_what_it_rests_on() -> None:
    assert judge(scores(80.1, 0.2, 5), sample(80.0, 0.2, 3), 1.0).text == "reproduced"
    uncounted = judge(scores(80.1, 0.1, 5), published(80.0, 0.2, "std", None), 1.0)
    assert uncounted.text == "reproduced, if theirs is a mean of 2 runs"
    lone = judge(scores(80.1, 0.1, 5), Published(80.0), 1.0)
    assert lone == Verdict("reproduced", "reproduced, if their spread is like ours")


def test_rounding_is_no_evidence() -> None:
    """Of a printed .020 the true value is within .0005, half of the margin of 5 %."""
    ours = scores(0.0203, 0.0001, 5)
    assert judge(ours, sample(0.020, 0.0001, 3), 0.001).kind == "reproduced"
    assert judge(ours, sample(0.020, 0.0001, 3, rounding=0.0005), 0.001).kind == "reproduced"
    ours = scores(0.0207, 0.0001, 5)
    assert judge(ours, sample(0.020, 0.0001, 3), 0.001).kind == "reproduced"
    assert judge(ours, sample(0.020, 0.0001, 3, rounding=0.0005), 0.001).kind == "undecided"
    ours = scores(0.0213, 0.0001, 5)
    assert judge(ours, sample(0.020, 0.0001, 3), 0.001).kind == "higher"
    assert judge(ours, sample(0.020, 0.0001, 3, rounding=0.0005), 0.001).kind == "undecided"


def test_a_table_of_many_rows_is_corrected() -> None:
    row = compare(scores(80.5, 0.5, 5), sample(80.0, 0.2, 5), 1.0)
    assert 0.01 < row.equivalence < 0.05
    assert verdicts.judge([row])[0].kind == "reproduced"
    assert {verdict.kind for verdict in verdicts.judge([row] * 6)} == {"undecided"}
    values = [0.01, 0.04, 0.03, 0.005]
    library = multipletests(values, method="holm")[1]
    assert verdicts.holm(values) == pytest.approx(library)


def test_results_without_any_spread_are_judged() -> None:
    same = np.array([80.0, 80.0, 80.0])
    assert judge(same, Published(80.0), 1.0).kind == "reproduced"
    assert (
        judge(same, Published(82.0), 1.0).kind == "higher"
        or judge(same, Published(82.0), 1.0).kind == "lower"
    )


def test_what_lies_beyond_the_margin_by_chance_is_undecided() -> None:
    """A difference that is surely there and hardly larger than the margin is neither."""
    ours = scores(81.1, 0.4, 10)
    assert judge(ours, sample(80.0, 0.2, 3), 1.0).kind == "undecided"
    assert judge(ours, sample(80.0, 0.2, 3), 0.5).kind == "higher"
    assert judge(ours, sample(80.0, 0.2, 3), 2.0).kind == "reproduced"


def test_an_undecided_difference_is_told_with_its_interval() -> None:
    ours, theirs = scores(80.6, 0.5, 5), scores(80.0, 0.4, 3)
    low, high = ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    verdict = judge(ours, sample(80.0, 0.4, 3), 0.7)
    assert verdict.text == f"undecided: the difference is +0.6 ± {(high - low) / 2:.2g}"


def test_the_rates_of_false_verdicts_are_what_the_page_says() -> None:
    committed, trials = pages.read_rates()["verdicts"], 300
    again = verdicts.simulate(trials, seed=7)
    assert [row["seeds"] for row in committed] == [row["seeds"] for row in again]
    for stated, simulated in zip(committed, again, strict=True):
        for kind in ("reproduced", "higher", "lower", "undecided"):
            noise = 4 * np.sqrt(max(stated[kind] * (1 - stated[kind]), 3e-3) / trials)
            assert abs(stated[kind] - simulated[kind]) < noise, (stated, kind)


def test_false_verdicts_are_rare() -> None:
    """Also where spreads differ, but for a number whose spread or runs nobody knows."""
    lines = pages.read_rates()["verdicts"]
    lone, uncounted = verdicts.LONE.name, verdicts.UNCOUNTED.name
    for row in lines:
        if row["paper"] not in (lone, uncounted) or row["ours"] >= row["theirs"]:
            assert row["wrong"] < 0.05, row
        if row["paper"] == uncounted:
            assert row["wrong"] < 0.15, row
    blind = [row for row in lines if row["paper"] == lone and row["theirs"] > 0.3]
    assert max(row["wrong"] for row in blind) > 0.2  # as METHOD.md warns
