"""How often judgements of claims are wrong, simulated where the truth is known."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np

from benchmark.record import metrics
from leaderboard.archive.pools import Pool
from leaderboard.reported import judgements
from leaderboard.reported.claims import Claim
from leaderboard.statistics import simulation
from leaderboard.statistics.ranks import Column, Sample

METHODS, DATASETS = 8, 2
SEEDS = (3, 5, 10)
SPREADS = ((0.01, 0.01), (0.05, 0.05), (0.01, 0.04))
DIFFERENCE = 0.1


def simulate(trials: int, seed: int = 0) -> list[dict[str, object]]:
    """Simulate claims about equally good methods, each pair on two datasets, and one that is true.

    Returns:
        For each number of seeds and pair of deviations over seeds (every other method has the
        second): the share of trials in which any claim about equal methods is decided, and the
        share of datasets on which the true one, of 10 points, holds.
    """
    random, rows = np.random.default_rng(seed), []
    names = [str(place) for place in range(METHODS)]
    equal = [_claim(*pair) for pair in combinations(names, 2)]
    true = _claim(names[0], "last")
    for seeds, spreads in product(SEEDS, SPREADS):
        wrong = found = 0
        for _ in range(trials):
            judged = judgements.judge(
                [*equal, true], [_pool(random, names, seeds, spreads) for _ in range(DATASETS)]
            )
            decided = [one.claim for one in judged if one.verdict != "undecided"]
            wrong += any(claim in equal for claim in decided)
            found += sum(one.verdict == "holds" for one in judged if one.claim == true)
        rows.append(
            {
                "seeds": seeds,
                "deviations": list(spreads),
                "wrong": wrong / trials,
                "found": found / trials / DATASETS,
            }
        )
    return rows


def _claim(row: str, other: str) -> Claim:
    said = dict.fromkeys(("claim", "claimed_by", "read_in"), "simulated")
    fields = said | dict.fromkeys(("where", "inferred", "note"), "")
    named = {"row": row, "kind": "better", "other": other, "task": "simulated"}
    return Claim.model_validate({**fields, **named, "claimed_in": "arXiv:0000.00000"})


def _pool(
    random: np.random.Generator, names: list[str], seeds: int, spreads: tuple[float, float]
) -> Pool:
    *equal, last = simulation.equal(random, len(names) + 1, seeds, spreads)
    samples = dict(zip(names, equal, strict=True))
    samples["last"] = Sample(last.scores - DIFFERENCE, last.networks - DIFFERENCE)
    suites = dict.fromkeys(samples, "simulated")
    return Pool("simulated", "simulated", metrics.get("accuracy"), Column.of(samples), suites)
