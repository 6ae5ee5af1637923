"""The contract of a task: a target in a dataset, a loss and a metric."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn

from benchmark.datasets.storage import WeightDataset
from benchmark.errors import UserError
from benchmark.record.predictions import Outcome

Augmentation = Callable[[Tensor, Tensor], Tensor]
"""A function of a batch's weights `[batch, parameters]` and its rows of the split `[batch]`."""


class Task(ABC):
    """A task on one dataset, defined in one file of this package.

    Args:
        dataset: The dataset.

    Raises:
        UserError: If the dataset lacks the task's columns.

    Attributes:
        name: Name on the command line and in records.
        title: Name in tables.
        metric: Name of the metric, one of `benchmark.record.metrics`.
        target: Column of targets in the task's datasets: "label", "target" or "target_image".
        quality: Column of the networks' quality: "psnr" or "train_accuracy"; None where it does
            not matter. Users' own networks have none, and do for every task.
        several: Number of targets of each network, where there are more than one; else 0.
        self_supervised: Whether modules learn without targets, by what `learner` puts around them.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    metric: ClassVar[str]
    target: ClassVar[str]
    quality: ClassVar[str | None] = "psnr"
    several: ClassVar[int] = 0
    self_supervised: ClassVar[bool] = False

    def __init__(self, dataset: WeightDataset) -> None:
        columns = dataset.manifest.columns
        measured = columns.quality is not None and self.quality is not None
        if columns.target != self.target or (measured and columns.quality != self.quality):
            raise UserError(
                f"{dataset.name} has columns {columns.target} and {columns.quality}, "
                f"but {self.name} needs {self.target} and {self.quality}"
            )
        if (targets := len(dataset.manifest.targets)) != self.several:
            raise UserError(
                f"{dataset.name} has {targets or 1} to predict of each network, but {self.name} "
                f"needs {self.several or 1}"
            )
        self.dataset = dataset

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Numbers to predict per network."""

    def targets(self, split: str) -> Tensor:
        """Return the targets of a split, `[networks, ...]`."""
        return self.dataset.splits[split].targets

    def responses(self, targets: Tensor) -> Tensor:
        """Return what a fitted module learns to output: labels, or the outputs that hit targets.

        Args:
            targets: Targets, `[networks, ...]`.

        Returns:
            Labels `[networks]`, whose logits the module outputs, or numbers of any shape.
        """
        return targets

    def learner(self, module: nn.Module, weights: Tensor) -> nn.Module:  # noqa: ARG002
        """Return what is trained and predicts: a method's module, or one around it.

        Args:
            module: The method's, from `[batch, ...]` to `[batch, outputs]`.
            weights: What it reads of the training networks, of all or the first, `[networks, ...]`.
        """
        return module

    def reading(self, change: Augmentation | None) -> Augmentation | None:
        """Return how training networks are changed each time they are read.

        Args:
            change: What the method has done to them; None for nothing.
        """
        return change

    @abstractmethod
    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Compute the scalar loss of a batch.

        Args:
            predictions: Outputs of a module.
            targets: Targets of the same networks.
        """

    @abstractmethod
    def outcome(self, predictions: Tensor, targets: Tensor) -> Outcome:
        """Compute what the metric reads and the record stores.

        Args:
            predictions: Outputs of a module for a whole split.
            targets: Targets of the same split.
        """

    def fits(self, outputs: Tensor, networks: int) -> bool:
        """Return whether a module's outputs for this number of networks have the task's shape."""
        return outputs.shape == (networks, self.outputs)

    def answers(self, predictions: Tensor, networks: int) -> bool:
        """Return whether what a learner predicts for so many networks has the task's shape."""
        return self.fits(predictions, networks)

    def further(self, test: Outcome) -> Mapping[str, float]:  # noqa: ARG002
        """Compute further metrics of the test split, by name, for the record."""
        return {}

    def references(self) -> Mapping[str, float]:
        """Compute floors and ceilings that need no method, by name.

        The record of a method without gradient training contains them.
        """
        return {}

    def picture(self, predictions: Tensor, path: Path) -> None:  # noqa: B027
        """Save a picture of the test predictions to `path`, where the task has one."""
