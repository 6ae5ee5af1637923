"""Permuted: the hidden neurons of every network reordered at random."""

from __future__ import annotations

from torch import Tensor

from benchmark.arms.contract import Arm
from benchmark.datasets.storage import WeightDataset
from benchmark.seeds import generator


def permuted(dataset: WeightDataset, split: str) -> Tensor:
    """The weights `[networks, parameters]` of a split, each network's neurons in a random order."""
    weights, random = dataset.splits[split].weights, generator(dataset.name, "permuted", split)
    return dataset.spec.permute(weights, dataset.spec.random_permutations(len(weights), random))


class Permuted(Arm):
    """What is ranked."""

    name = "permuted"

    def weights(self, dataset: WeightDataset, split: str) -> Tensor:
        return permuted(dataset, split)
