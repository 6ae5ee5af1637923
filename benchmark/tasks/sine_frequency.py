"""Sine frequency: the b of a SIREN's wave sin(b x) (Navon et al., arXiv:2301.12780, section 7)."""

from __future__ import annotations

from torch import Tensor

from benchmark.record.predictions import Outcome
from benchmark.tasks.contract import Task


class SineFrequency(Task):
    """Prediction of the frequency b, ranked by mean squared error.

    Modules predict `[batch, 1]`, standardised over the training networks; targets are `[batch]`.
    """

    name = "sine-frequency"
    title = "Sine frequency"
    metric = "mse"
    target = "target"
    outputs = 1

    def responses(self, targets: Tensor) -> Tensor:
        train = self.targets("train")
        return (targets - train.mean()) / train.std()

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return (self._frequency(predictions) - targets).square().mean()

    def outcome(self, predictions: Tensor, targets: Tensor) -> Outcome:
        return Outcome((self._frequency(predictions) - targets).square().cpu().numpy())

    def _frequency(self, predictions: Tensor) -> Tensor:
        train = self.targets("train")
        return train.mean().item() + train.std().item() * predictions[:, 0]
