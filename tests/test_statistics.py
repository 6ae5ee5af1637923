"""Ranks are groups, and comparisons are paired."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.record import metrics
from benchmark.record.predictions import Outcome
from leaderboard.statistics import comparison as statistics


def resampled(metric: metrics.Metric, outcomes: dict[int, Outcome]) -> statistics.Resampled:
    return statistics.resample(metric, {"it": outcomes})["it"]


ACCURACY, TAU, MSE = (metrics.get(name) for name in ("accuracy", "kendall_tau", "mse"))


def answers(right: float, seed: int, networks: int = 1000) -> Outcome:
    random = np.random.default_rng(seed)
    targets = np.random.default_rng(99).integers(10, size=networks)
    wrong = random.random(networks) > right
    return Outcome(np.where(wrong, (targets + 1) % 10, targets), targets)


def test_an_interval_covers_the_mean_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    values = [statistics.summary(random.standard_normal(4).tolist()) for _ in range(800)]
    assert np.mean([answer.low <= 0 <= answer.high for answer in values]) == pytest.approx(
        0.95, abs=0.025
    )
    assert statistics.summary([0.5]).low is None


def test_methods_that_cannot_be_told_apart_share_a_rank() -> None:
    rights = {"best": 0.8, "same": 0.8, "worse": 0.6, "worst": 0.3}
    outcomes = {
        name: {seed: answers(right, 10 * index + seed) for seed in range(3)}
        for index, (name, right) in enumerate(rights.items())
    }
    prepared = statistics.resample(ACCURACY, outcomes)
    means = {
        name: float(np.mean([ACCURACY.whole(answer) for answer in by_seed.values()]))
        for name, by_seed in outcomes.items()
    }
    assert statistics.groups(ACCURACY, means, prepared) == {
        "best": 1,
        "same": 1,
        "worse": 3,
        "worst": 4,
    }
    assert statistics.groups(ACCURACY, means | {"unknown": 0.9}, prepared)["unknown"] is None
    errors = {
        name: {
            seed: Outcome((answer.predictions != answer.targets).astype(np.float32))
            for seed, answer in by_seed.items()
        }
        for name, by_seed in outcomes.items()
    }
    lower = {name: 1 - mean for name, mean in means.items()}
    of_errors = statistics.resample(MSE, errors)
    assert statistics.groups(MSE, lower, of_errors) == {
        "best": 1,
        "same": 1,
        "worse": 3,
        "worst": 4,
    }


@pytest.mark.parametrize("seeds", [1, 3])
def test_equal_methods_are_seldom_told_apart(seeds: int) -> None:
    values = []
    for trial in range(60):
        one, two = (
            resampled(
                ACCURACY,
                {
                    seed: answers(0.7, 1000 * trial + 100 * side + seed, 300)
                    for seed in range(seeds)
                },
            )
            for side in (0, 1)
        )
        values.append(statistics.paired(one, two) < 0.05)
    assert (
        np.mean(values) < 0.17
    )  # over seeds and networks alike it is a little liberal with few seeds


def test_what_has_no_common_seed_or_networks_is_not_compared() -> None:
    one = resampled(ACCURACY, {0: answers(0.7, 0)})
    assert statistics.paired(one, resampled(ACCURACY, {1: answers(0.7, 0)})) is None
    assert statistics.paired(one, resampled(ACCURACY, {0: answers(0.7, 0, 50)})) is None


def test_taus_are_compared_on_resampled_networks() -> None:
    random = np.random.default_rng(0)
    targets = random.random(300)
    good, bad, flat = (
        {0: Outcome((targets + noise * random.standard_normal(300)).astype(np.float32), targets)}
        for noise in (0.05, 2.0, 0.0)
    )
    flat = {0: Outcome(np.full(300, 0.5, np.float32), targets)}
    better, worse, none = (resampled(TAU, by_seed) for by_seed in (good, bad, flat))
    assert statistics.paired(better, worse) < 0.05
    assert statistics.paired(better, none) == 1.0
    low, high = metrics.interval(TAU, good[0])
    assert low < TAU.whole(good[0]) < high
    assert np.isnan(TAU.whole(flat[0]))
