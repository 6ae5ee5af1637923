"""How often ranks are wrong, simulated where the truth is known."""

from __future__ import annotations

from itertools import product

import numpy as np

from benchmark.record import metrics
from leaderboard.statistics.ranks import Column, Sample, ranks

FIELDS = ((9, 3), (22, 5), (22, 10))  # methods, seeds
SPREADS = ((0.01, 0.01), (0.02, 0.02), (0.05, 0.05), (0.01, 0.04))
DIFFERENCES = (0.0, 0.02, 0.05)
NETWORKS = 200
OWN = 0.005
"""Deviation of a method's accuracy on 2,000 networks, of what it finds easier than others do."""

ACCURACY = metrics.get("accuracy")


def simulate(trials: int, seed: int = 0) -> list[dict[str, float | int]]:
    """Simulate ranks of methods of which all but one are equally good.

    Returns:
        For each number of methods and seeds, each pair of deviations over seeds (every other
        method has the second), and each difference by which the last method is worse: the share
        of trials in which one of the equal methods is set below another, and the share in which
        the last is set below one of them.
    """
    random, rows = np.random.default_rng(seed), []
    for (methods, seeds), spreads in product(FIELDS, SPREADS):
        wrong = np.zeros((len(DIFFERENCES), trials), dtype=bool)
        found = np.zeros_like(wrong)
        for trial in range(trials):
            alike = equal(random, methods, seeds, spreads)
            for row, difference in enumerate(DIFFERENCES):
                last = Sample(alike[-1].scores - difference, alike[-1].networks - difference)
                samples = dict(enumerate([*alike[:-1], last]))
                places = ranks(ACCURACY, Column.of(samples))
                others = [places[index] for index in range(methods - 1)]
                wrong[row, trial] = max(others) > 1
                found[row, trial] = places[methods - 1] > min(others)
        rows += [
            {
                "methods": methods,
                "seeds": seeds,
                "deviations": list(spreads),
                "difference": difference,
                "wrong": float((wrong[row] | (found[row] if difference == 0 else False)).mean()),
                "found": float(found[row].mean()),
            }
            for row, difference in enumerate(DIFFERENCES)
        ]
    return rows


def equal(
    random: np.random.Generator, methods: int, seeds: int, spreads: tuple[float, float]
) -> list[Sample]:
    """Results of equally good methods on a test set of few networks, which stand for many."""
    each = OWN * np.sqrt(NETWORKS) * random.standard_normal((methods, NETWORKS))
    samples = []
    for index, networks in enumerate(each):
        noise = spreads[index % 2] * random.standard_normal(seeds)
        samples.append(Sample(networks.mean() + noise, networks + noise.mean()))
    return samples
