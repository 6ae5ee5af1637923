"""Verdicts: what a ± means, what each verdict claims, and how often they are wrong."""

from __future__ import annotations

import numpy as np
import pytest

from leaderboard.publish import pages
from leaderboard.reported import verdicts
from leaderboard.reported.verdicts import Published, judge, published


def test_each_spread_is_taken_for_what_it_is() -> None:
    assert published(5.0, 0.3, "std", 4) == Published(5.0, 0.3, 4)
    assert published(5.0, 0.3, "standard error", 4).deviation == pytest.approx(0.6)
    # Two runs at 4 and 6: half their range is 1, their standard deviation the root of two.
    assert published(5.0, 1.0, "half range", 2).deviation == pytest.approx(np.std([4, 6], ddof=1))
    for lone in (
        published(5.0, None, None, None),
        published(5.0, 0.3, "not stated", 3),
        published(5.0, 0.3, "std", None),
    ):
        assert lone == Published(5.0)


def scores(mean: float, deviation: float, count: int) -> np.ndarray:
    shape = np.linspace(-1, 1, count)
    return mean + deviation * shape / shape.std(ddof=1)


@pytest.mark.parametrize(
    ("ours", "reported", "kind"),
    [
        (scores(80.1, 0.2, 5), Published(80.0, 0.2, 3), "reproduced"),
        (scores(83.0, 0.2, 5), Published(80.0, 0.2, 3), "higher"),
        (scores(77.0, 0.2, 5), Published(80.0), "lower"),
        (scores(80.1, 3.0, 5), Published(80.0, 3.0, 3), "undecided"),
        (scores(80.9, 0.5, 3), Published(80.0), "undecided"),
    ],
)
def test_what_is_claimed(ours: np.ndarray, reported: Published, kind: str) -> None:
    assert judge(ours, reported, 1.0).kind == kind


def test_one_seed_never_reproduces() -> None:
    assert judge(np.array([80.0]), Published(80.0, 0.1, 3), 1.0) == verdicts.Verdict("undecided", 1)
    assert "needs 1 more seeds" in str(judge(np.array([80.0]), Published(80.0), 1.0))


def test_results_without_any_spread_are_judged() -> None:
    same = np.array([80.0, 80.0, 80.0])
    assert judge(same, Published(80.0), 1.0).kind == "reproduced"
    assert (
        judge(same, Published(82.0), 1.0).kind == "higher"
        or judge(same, Published(82.0), 1.0).kind == "lower"
    )


def test_the_seeds_it_asks_for_most_often_decide() -> None:
    random = np.random.default_rng(1)
    few, reported = scores(80.0, 0.9, 3), Published(80.0, 0.6, 10)
    more = judge(few, reported, 1.0).more
    assert more is not None
    decided = [
        judge(80 + 0.9 * random.standard_normal(3 + more), reported, 1.0).kind == "reproduced"
        for _ in range(300)
    ]
    assert np.mean(decided) > 0.6


def test_the_rates_of_false_verdicts_are_what_the_page_says() -> None:
    committed, trials = pages.read_rates(), 600
    again = verdicts.simulate(trials, seed=7)
    assert [row["seeds"] for row in committed["rows"]] == [row["seeds"] for row in again]
    for stated, simulated in zip(committed["rows"], again, strict=True):
        for kind in ("reproduced", "higher", "lower", "undecided"):
            noise = 4 * np.sqrt(max(stated[kind] * (1 - stated[kind]), 1e-3) / trials)
            assert abs(stated[kind] - simulated[kind]) < noise, (stated, kind)


def test_false_verdicts_are_rare() -> None:
    for row in pages.read_rates()["rows"]:
        wrong = row["higher"] + row["lower"] if row["difference"] == 0 else row["reproduced"]
        assert wrong < 0.075, row
        if row["seeds"] == 1:
            assert row["undecided"] == 1
