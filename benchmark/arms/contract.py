"""The contract of an arm: an exact change of a stored dataset, seeded and made when it is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from benchmark.datasets.storage import WeightDataset


class Arm(ABC):
    """An exact change of a dataset, defined in one file of this package.

    The weights of an arm compute the same functions as the stored ones. The difference between a
    method's results on two arms is therefore what it loses to that symmetry.

    Attributes:
        name: Name on the command line and in records.
    """

    name: ClassVar[str]

    @abstractmethod
    def weights(self, dataset: WeightDataset, split: str) -> Tensor:
        """Return the weights of a split, `[networks, parameters]`."""

    def targets(self, dataset: WeightDataset, split: str, targets: Tensor) -> Tensor:  # noqa: ARG002
        """Return the targets of a split, unchanged by default.

        Args:
            dataset: The stored dataset.
            split: Name of the split.
            targets: The task's targets, `[networks, ...]`.

        Returns:
            Targets of the same shape.
        """
        return targets
