"""Sine embedding: amplitude and frequency of a wave, from what was learned without them.

A method learns numbers by which two views of a network are told from those of all others; then a
linear function of them is fitted to a and b of the wave a sin(b x) (Navon et al., arXiv:2301.12780,
section 7; the public code, AvivNavon/DWSNets, experiments/ssl/trainer.py).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.disturbance import disturbed
from benchmark.record.predictions import Outcome
from benchmark.tasks.contract import Augmentation, Task

TEMPERATURE = 0.1
SHIFT = 0.2  # of a tensor's standard deviation
DROPOUT = 0.5


class Probe(nn.Module):
    """A module, with a projection for the contrastive loss and a linear probe of its features.

    In training mode it maps `[batch, ...]` to projections `[batch, features]`, and in evaluation
    mode to the probe's predictions `[batch, targets]`. The probe is a linear function by least
    squares of the training networks' features, fitted when it is first used after training.

    Args:
        body: The module, from `[batch, ...]` to `[batch, features]`.
        features: The number of features.
        inputs: The training networks, `[networks, ...]`.
        targets: Their targets, `[networks, targets]`.
    """

    def __init__(self, body: nn.Module, features: int, inputs: Tensor, targets: Tensor) -> None:
        super().__init__()
        self.body, self.inputs, self.targets = body, inputs, targets
        self.projection = nn.Sequential(
            nn.Linear(features, features), nn.ReLU(), nn.Linear(features, features)
        )
        self.register_buffer("coefficients", torch.zeros(features + 1, targets.shape[1]))
        self._is_fitted = False

    def train(self, mode: bool = True) -> Probe:
        """Set the mode. After training the probe is fitted anew."""
        self._is_fitted &= not mode
        return super().train(mode)

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            return self.projection(self.body(inputs))
        if not self._is_fitted:
            self._fit()
        return _with_constant(self.body(inputs)) @ self.coefficients

    @torch.no_grad()
    def _fit(self) -> None:
        features = torch.cat([self.body(part) for part in self.inputs.split(1000)])
        if features.isfinite().all():
            inverse = torch.linalg.pinv(_with_constant(features).double())
            self.coefficients.copy_(inverse @ self.targets.double())
        else:
            self.coefficients.fill_(torch.nan)
        self._is_fitted = True


def _with_constant(features: Tensor) -> Tensor:
    return functional.pad(features, (0, 1), value=1.0)


class SineEmbedding(Task):
    """Prediction of amplitude and frequency by a linear probe, ranked by mean squared error.

    Modules map `[batch, parameters]` to `[batch, 16]`. The loss is InfoNCE (arXiv:2002.05709) of a
    batch's two views `[2 * batch, 16]`, each network as the method reads it and disturbed. Targets
    are `[batch, 2]`; no method is trained on them, but the checkpoint is chosen by them.
    """

    name = "sine-embedding"
    title = "Sine embedding"
    metric = "mse"
    target = "target"
    outputs = 16
    several = 2
    self_supervised = True

    def learner(self, module: nn.Module, weights: Tensor) -> nn.Module:
        targets = self.targets("train")[: len(weights)].to(weights.device)
        return Probe(module, self.outputs, weights, targets).to(weights.device)

    def reading(self, change: Augmentation | None) -> Augmentation | None:
        def views(flat: Tensor, rows: Tensor) -> Tensor:
            # As published, the disturbed view has its neurons in the order that they have.
            read = flat if change is None else change(flat, rows)
            return torch.cat([read, disturbed(self.dataset.spec, flat, SHIFT, DROPOUT)])

        return views

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:  # noqa: ARG002
        unit = functional.normalize(predictions, dim=1)
        similarities = (unit @ unit.T / TEMPERATURE).fill_diagonal_(-torch.inf)
        views = torch.arange(len(unit), device=unit.device)
        return functional.cross_entropy(similarities, views.roll(len(unit) // 2))

    def outcome(self, predictions: Tensor, targets: Tensor) -> Outcome:
        return Outcome((predictions - targets).square().mean(dim=1).cpu().numpy())

    def answers(self, predictions: Tensor, networks: int) -> bool:
        return predictions.shape == (networks, self.several)
