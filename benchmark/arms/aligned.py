"""Aligned: the networks as they were fitted, their neurons never reordered."""

from __future__ import annotations

from torch import Tensor

from benchmark.arms.contract import Arm
from benchmark.datasets.storage import WeightDataset


class Aligned(Arm):
    """What a method that knows no permutation could reach."""

    name = "aligned"

    def weights(self, dataset: WeightDataset, split: str) -> Tensor:
        return dataset.splits[split].weights
