"""Sine frequency: which wave sin(b x) a SIREN computes (Navon et al., arXiv:2301.12780, section 7)."""

from __future__ import annotations

from torch import Tensor

from benchmark.record.predictions import Outcome
from benchmark.tasks.contract import Task


class SineFrequency(Task):
    """Squared error of b, `[batch, 1]` against `[batch]`; modules predict it standardised over the training networks."""

    name = "sine-frequency"
    title = "Sine frequency"
    metric = "mse"
    target = "target"
    outputs = 1

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return (self._frequency(predictions) - targets).square().mean()

    def outcome(self, predictions: Tensor, targets: Tensor) -> Outcome:
        return Outcome((self._frequency(predictions) - targets).square().cpu().numpy())

    def _frequency(self, predictions: Tensor) -> Tensor:
        train = self.targets("train")
        return train.mean().item() + train.std().item() * predictions[:, 0]
