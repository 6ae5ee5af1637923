"""The mean predictor: the same prediction for every network, the floor of regression."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmark.methods import Method, Problem
from benchmark.tuning.space import Log


class Constant(nn.Module):
    """A map from flat weights `[batch, parameters]` to one learned row, `[batch, outputs]`."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.guess = nn.Parameter(torch.randn(outputs))

    def forward(self, flat: Tensor) -> Tensor:
        return torch.zeros_like(flat[:, :1]) + self.guess


@dataclass(frozen=True)
class MeanPredictor(Method):
    """One learned prediction for all networks, whose weights are ignored.

    Its Kendall's tau is undefined, since equal predictions have no order.
    """

    name = "mean"
    title = "Mean predictor"
    paper = "none"
    tasks = ("generalization", "sine-frequency")
    symmetries = ("permutation", "sign", "phase", "scale", "duplicate", "dead")
    mini = {"learning_rate": 1e-2}
    space = {"learning_rate": Log(1e-3, 1e-1)}

    def build(self, problem: Problem) -> nn.Module:
        return Constant(problem.outputs)
