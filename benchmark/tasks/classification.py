"""Classification: a class that a user's own networks come with, from their weights."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from benchmark.record.predictions import Outcome
from benchmark.tasks.contract import Task


class Classification(Task):
    """Prediction of a class, ranked by accuracy.

    The loss is the cross-entropy of logits `[batch, classes]` against labels `[batch]`.
    """

    name = "classification"
    title = "Classification"
    metric = "accuracy"
    target = "label"
    quality = None

    @property
    def outputs(self) -> int:
        return len(self.dataset.classes)

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(predictions, targets)

    def outcome(self, predictions: Tensor, targets: Tensor) -> Outcome:
        return Outcome(predictions.argmax(dim=1).cpu().numpy(), targets.cpu().numpy())
