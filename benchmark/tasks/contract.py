"""The contract a task fulfils: what of a dataset is to be predicted, by which loss, scored by which metric."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from benchmark.datasets.storage import WeightDataset
from benchmark.errors import UserError
from benchmark.record.predictions import Outcome


class Task(ABC):
    """One task on one dataset: one file of this package. Class attributes, which are its documentation:

    name: how the command line and the records call it. title: how tables do. metric: one of `benchmark.record.metrics`.
    target: the column that its datasets have: "label", "target" or "target_image". quality: likewise, "psnr" or "train_accuracy".
    Raises UserError for a dataset that it cannot use.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    metric: ClassVar[str]
    target: ClassVar[str]
    quality: ClassVar[str] = "psnr"

    def __init__(self, dataset: WeightDataset) -> None:
        columns = dataset.manifest.columns
        if (columns.target, columns.quality) != (self.target, self.quality):
            raise UserError(
                f"{dataset.name} has columns {columns.target} and {columns.quality}, but {self.name} needs {self.target} and {self.quality}"
            )
        self.dataset = dataset

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Numbers to predict per network."""

    def targets(self, split: str) -> Tensor:
        """`[networks, ...]`: what is to be predicted for each network of a split."""
        return self.dataset.splits[split].targets

    @abstractmethod
    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """A scalar to minimise, of a batch of a module's outputs."""

    @abstractmethod
    def outcome(self, predictions: Tensor, targets: Tensor) -> Outcome:
        """What the metric is computed from and the record keeps, of a whole split."""

    def fits(self, predictions: Tensor, networks: int) -> bool:
        """Whether a module's output for that many networks has the shape that this task wants."""
        return predictions.shape == (networks, self.outputs)

    def further(self, test: Outcome) -> Mapping[str, float]:  # noqa: ARG002
        """More metrics of the test split, by name, for the record."""
        return {}

    def references(self) -> Mapping[str, float]:
        """What no method is needed for: floors and ceilings, for the record of what learns nothing."""
        return {}

    def picture(self, predictions: Tensor, path: Path) -> None:  # noqa: B027
        """Draw what test predictions look like, where there is something to look at."""
