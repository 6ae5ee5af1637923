"""The contract an arm fulfils: an exact change of a stored dataset, made by seed when it is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from benchmark.datasets.storage import WeightDataset


class Arm(ABC):
    """One arm: one file of this package.

    The weights that it makes compute what the stored ones compute, so the distance between a
    method's results on two arms is what it loses to that symmetry.

    Class attributes:
    name: how the command line and the records call it.
    """

    name: ClassVar[str]

    @abstractmethod
    def weights(self, dataset: WeightDataset, split: str) -> Tensor:
        """Make the weights `[networks, parameters]` of a split."""

    def targets(self, dataset: WeightDataset, split: str, targets: Tensor) -> Tensor:  # noqa: ARG002
        """Make the targets `[networks, ...]` of a split: as they are, unless the arm says more."""
        return targets
