"""Permuted: networks whose hidden neurons are in random order."""

from __future__ import annotations

from torch import Tensor

from benchmark.arms.contract import Arm
from benchmark.datasets.storage import WeightDataset
from benchmark.seeds import generator


def permuted(dataset: WeightDataset, split: str) -> Tensor:
    """Return the weights of a split with hidden neurons permuted, `[networks, parameters]`."""
    weights, random = dataset.splits[split].weights, generator(dataset.name, "permuted", split)
    return dataset.spec.permute(weights, dataset.spec.random_permutations(len(weights), random))


class Permuted(Arm):
    """The arm that is ranked: hidden neurons in random order."""

    name = "permuted"

    def weights(self, dataset: WeightDataset, split: str) -> Tensor:
        return permuted(dataset, split)
