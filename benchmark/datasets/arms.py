"""Arms: exact changes of a stored dataset, made by seed when it is read.

Each leaves what every network computes as it is, so the distance between a method's results on two arms is what it
loses to that symmetry.
"""

from __future__ import annotations

from torch import Tensor

from benchmark.datasets.storage import WeightDataset
from benchmark.errors import UserError
from benchmark.seeds import generator

DEFAULT = "permuted"
ARMS = (DEFAULT, "aligned")
"""`permuted`: the hidden neurons of every network reordered at random. `aligned`: as fitted."""


def check(arm: str) -> None:
    """Raise UserError unless there is such an arm."""
    if arm not in ARMS:
        raise UserError(f"unknown arm {arm!r}; known: {', '.join(ARMS)}")


def apply(arm: str, dataset: WeightDataset, split: str) -> Tensor:
    """The weights `[networks, parameters]` of a split in the given arm. Raises UserError for an unknown arm."""
    check(arm)
    weights = dataset.splits[split].weights
    if arm == "aligned":
        return weights
    random = generator(dataset.name, arm, split)
    return dataset.spec.permute(weights, dataset.spec.random_permutations(len(weights), random))
