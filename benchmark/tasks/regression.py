"""Regression: a number that a user's own networks come with, from their weights."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from benchmark.datasets.storage import WeightDataset
from benchmark.errors import UserError
from benchmark.record import metrics
from benchmark.record.predictions import Outcome
from benchmark.tasks.contract import Task


class Regression(Task):
    """Prediction of a number, ranked by R2.

    Modules predict `[batch, 1]`, standardised over the training networks; targets are `[batch]` in
    their own unit, as are the predictions that are kept. The loss is the mean squared error of the
    standardised numbers.
    """

    name = "regression"
    title = "Regression"
    metric = "r2"
    target = "target"
    quality = None
    outputs = 1

    def __init__(self, dataset: WeightDataset) -> None:
        super().__init__(dataset)
        for split in dataset.splits:
            if not bool(self.targets(split).std() > 0):
                raise UserError(
                    f"{dataset.name}: all {split} networks have the same target, so there is "
                    "nothing to predict; choose another target or other splits"
                )

    def responses(self, targets: Tensor) -> Tensor:
        mean, spread = self._scale()
        return (targets - mean) / spread

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        mean, spread = self._scale()
        return (predictions[:, 0] - (targets - mean) / spread).square().mean()

    def outcome(self, predictions: Tensor, targets: Tensor) -> Outcome:
        mean, spread = self._scale()
        values = mean + spread * predictions[:, 0].double()
        return Outcome(values.float().cpu().numpy(), targets.cpu().numpy())

    def further(self, test: Outcome) -> Mapping[str, float]:
        return {"test_kendall_tau": metrics.get("kendall_tau").whole(test)}

    def _scale(self) -> tuple[float, float]:
        train = self.targets("train")
        return train.mean().item(), train.std().item()
