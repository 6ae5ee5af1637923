"""Random targets: permuted networks with other networks' targets for training and validation."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmark.arms.contract import Arm
from benchmark.arms.permuted import permuted
from benchmark.datasets.storage import WeightDataset
from benchmark.seeds import generator


class RandomTargets(Arm):
    """A control for leaks: these targets say nothing about the test networks."""

    name = "random-targets"

    def weights(self, dataset: WeightDataset, split: str) -> Tensor:
        return permuted(dataset, split)

    def targets(self, dataset: WeightDataset, split: str, targets: Tensor) -> Tensor:
        if split == "test":
            return targets
        random = generator(dataset.name, self.name, split)
        return targets[torch.randperm(len(targets), generator=random)]
