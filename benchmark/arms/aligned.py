"""Aligned: the networks as they were fitted, with their neurons in the original order."""

from __future__ import annotations

from torch import Tensor

from benchmark.arms.contract import Arm
from benchmark.datasets.storage import WeightDataset


class Aligned(Arm):
    """The bound for methods without permutation symmetry: neurons in their original order."""

    name = "aligned"

    def weights(self, dataset: WeightDataset, split: str) -> Tensor:
        return dataset.splits[split].weights
