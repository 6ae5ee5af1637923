"""INR classification: the class of a SIREN's image (NFN, arXiv:2302.14040, section 4.2)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from benchmark.record.predictions import Outcome
from benchmark.tasks.contract import Task


class InrClassification(Task):
    """Prediction of an image's class, ranked by accuracy.

    The loss is the cross-entropy of logits `[batch, classes]` against labels `[batch]`.
    """

    name = "inr-classification"
    title = "INR classification"
    metric = "accuracy"
    target = "label"

    @property
    def outputs(self) -> int:
        return len(self.dataset.classes)

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(predictions, targets)

    def outcome(self, predictions: Tensor, targets: Tensor) -> Outcome:
        return Outcome(predictions.argmax(dim=1).cpu().numpy(), targets.cpu().numpy())
