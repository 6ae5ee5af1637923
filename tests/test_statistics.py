"""Ranks are groups that the seeds and the networks cannot tell apart."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.record import metrics
from benchmark.record.predictions import Outcome
from leaderboard.publish import pages
from leaderboard.statistics import simulation, summaries
from leaderboard.statistics.ranks import Column, Sample, moderate, ranks, sample

ACCURACY, TAU, R2, MSE = (metrics.get(name) for name in ("accuracy", "kendall_tau", "r2", "mse"))


def answers(right: float, seed: int, networks: int = 1000) -> Outcome:
    random = np.random.default_rng(seed)
    targets = np.random.default_rng(99).integers(10, size=networks)
    wrong = random.random(networks) > right
    return Outcome(np.where(wrong, (targets + 1) % 10, targets), targets)


def column(means: dict[str, float], deviation: float | dict[str, float], seeds: int = 3) -> Column:
    """Methods with these means, whose seeds lie evenly around them."""
    spread = np.linspace(-1, 1, seeds) / np.linspace(-1, 1, seeds).std(ddof=1)
    samples = {}
    for name, mean in means.items():
        own = deviation[name] if isinstance(deviation, dict) else deviation
        samples[name] = Sample(mean + own * spread, np.full(100, mean))
    return Column.of(samples)


def test_an_interval_covers_the_mean_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    values = [summaries.summary(random.standard_normal(4).tolist()) for _ in range(800)]
    assert np.mean([answer.low <= 0 <= answer.high for answer in values]) == pytest.approx(
        0.95, abs=0.025
    )
    assert summaries.summary([0.5]).low is None


@pytest.mark.parametrize("metric", [ACCURACY, MSE])
def test_methods_that_cannot_be_told_apart_share_a_rank(metric: metrics.Metric) -> None:
    rights = {"best": 0.8, "same": 0.8, "worse": 0.6, "worst": 0.3}
    samples = {}
    for index, (name, right) in enumerate(rights.items()):
        runs = {seed: answers(right, 10 * index + seed) for seed in range(3)}
        if metric is MSE:
            runs = {
                seed: Outcome((run.predictions != run.targets).astype(np.float32))
                for seed, run in runs.items()
            }
        samples[name] = sample(metric, runs)
    places = ranks(metric, Column.of(samples))
    assert places == {"best": 1, "same": 1, "worse": 3, "worst": 4}


def test_a_clear_leader_is_not_hidden_by_how_many_follow() -> None:
    """One tau of .9 and eleven of 0: two groups, whatever the number of methods."""
    random = np.random.default_rng(0)
    targets = random.random(300)
    samples = {}
    for name in range(12):
        noise = 0.15 if name == 0 else 100.0
        runs = {
            seed: Outcome(targets + noise * random.standard_normal(300), targets)
            for seed in range(3)
        }
        samples[str(name)] = sample(TAU, runs)
    places = ranks(TAU, Column.of(samples))
    assert places.pop("0") == 1
    assert set(places.values()) == {2}


def test_a_better_mean_is_never_ranked_below_a_worse_one() -> None:
    """A method of wide spread does not differ from the leader, one of narrow spread does."""
    means = {"leader": 0.80, "steady": 0.75, "erratic": 0.70}
    spreads = {"leader": 0.001, "steady": 0.001, "erratic": 0.3}
    one = column(means, spreads)
    assert one.differs("leader", "steady")
    assert not one.differs("leader", "erratic")
    random = np.random.default_rng(3)
    for _ in range(200):
        means = {str(name): mean for name, mean in enumerate(random.random(6))}
        one = column(means, {name: float(random.exponential(0.05)) for name in means})
        places = ranks(ACCURACY, one)
        order = sorted(means, key=means.get, reverse=True)
        assert [places[name] for name in order] == sorted(places.values())


def test_what_has_few_seeds_or_no_rival_has_no_rank() -> None:
    known = column({"one": 0.5, "two": 0.9}, 0.01).samples
    lone = {"lone": Sample(np.array([0.99]), np.full(100, 0.99))}
    assert ranks(ACCURACY, Column.of({**known, **lone})) == {"one": 2, "two": 1, "lone": None}
    assert Column.of({**known, **lone}).p_value("one", "lone") is None
    assert ranks(ACCURACY, Column.of({"one": known["one"]})) == {"one": None}
    assert ranks(ACCURACY, Column.of({})) == {}


def test_alike_spreads_are_pooled_and_unlike_ones_are_not() -> None:
    alike = moderate([1.0, 1.2, 0.9, 1.1], [2, 2, 2, 2])
    assert alike == [(pytest.approx(1.05), 8.0)] * 4
    unlike = moderate([1e-6, 1.0, 1e3], [2, 2, 2])
    assert unlike[2] == (1e3, 2.0)
    assert moderate([0.0, 1.0, 1.0], [2, 2, 2])[1] == (1.0, 4.0)
    assert moderate([2.0], [4]) == [(2.0, 4.0)]


def test_more_seeds_resolve_smaller_differences() -> None:
    few, many = column(dict.fromkeys("abc", 0.5), 0.01), column(dict.fromkeys("abc", 0.5), 0.01, 9)
    assert few.resolution() > few.resolution(5) > many.resolution()
    assert few.resolution(few.seeds_for(0.03)) <= 0.03
    assert few.seeds_for(1e-6) is None


@pytest.mark.parametrize("metric", [ACCURACY, TAU, R2, MSE], ids=lambda metric: metric.name)
def test_each_network_has_its_part_in_a_metric(metric: metrics.Metric) -> None:
    """The parts' mean is the metric, and their spread is that of a bootstrap over networks."""
    random = np.random.default_rng(0)
    targets = random.standard_normal(400).round(1)
    predictions = targets + random.standard_normal(400)
    if metric is ACCURACY:
        targets, predictions = targets > 0, predictions > 0
    outcome = Outcome(predictions**2) if metric is MSE else Outcome(predictions, targets)
    parts = metric.each(outcome)
    assert parts.mean() == pytest.approx(metric.whole(outcome))
    resampled = [metric.whole(outcome.take(random.integers(400, size=400))) for _ in range(300)]
    assert parts.std() / 20 == pytest.approx(np.std(resampled), rel=0.15)


def test_equal_methods_are_seldom_torn_apart() -> None:
    """At most 5 % of tables, at each spread that was simulated; the page's rates are true."""
    rates = pages.read_rates()
    noise = 2 * np.sqrt(0.05 * 0.95 / rates["rank_trials"])
    for row in rates["ranks"]:
        assert row["wrong"] <= 0.05 + noise, row
    for stated, again in zip(rates["ranks"], simulation.simulate(25, seed=7), strict=True):
        assert abs(stated["wrong"] - again["wrong"]) < 0.25
        assert abs(stated["found"] - again["found"]) < 0.45


def test_an_interval_of_taus_holds_the_tau() -> None:
    random = np.random.default_rng(0)
    targets = random.random(300)
    outcome = Outcome((targets + 0.05 * random.standard_normal(300)).astype(np.float32), targets)
    low, high = metrics.interval(TAU, outcome)
    assert low < TAU.whole(outcome) < high
    assert np.isnan(TAU.whole(Outcome(np.full(300, 0.5, np.float32), targets)))
