"""Arms: exact changes of a stored dataset, made by seed when it is read.

Each leaves what every network computes as it is, so the distance between a method's results on two arms is what it
loses to that symmetry.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmark.datasets.storage import WeightDataset
from benchmark.errors import UserError
from benchmark.record.schema import DEFAULT_ARM as DEFAULT
from benchmark.seeds import generator

RANDOM_TARGETS = "random-targets"
ARMS = (DEFAULT, "aligned", RANDOM_TARGETS)
"""`permuted`: the hidden neurons of every network reordered at random. `aligned`: as fitted. `random-targets`: `permuted`, but what is
learned and selected by are other networks' targets, so that nothing can be found out about the test networks: a control for leaks.
"""


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
    random = generator(dataset.name, DEFAULT, split)
    return dataset.spec.permute(weights, dataset.spec.random_permutations(len(weights), random))


def shuffle(arm: str, dataset: WeightDataset, split: str, targets: Tensor) -> Tensor:
    """The targets `[networks, ...]` of a split in the given arm."""
    if arm != RANDOM_TARGETS or split == "test":
        return targets
    return targets[torch.randperm(len(targets), generator=generator(dataset.name, arm, split))]
