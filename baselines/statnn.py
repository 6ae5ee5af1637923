"""StatNN: an MLP on statistics of the weights (Unterthiner et al. 2020, arXiv:2002.11448)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmark.methods import Method, Problem
from benchmark.tuning.space import Choice, Log
from nft.network import NetworkSpec

QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


class Statistics(nn.Module):
    """The mean, the variance and five quantiles of each weight and bias tensor.

    Maps flat weights `[batch, parameters]` to `[batch, 14 * layers]`. The variance of a tensor
    divides by its entries, less a correction where it has several.
    """

    def __init__(self, spec: NetworkSpec, correction: int) -> None:
        super().__init__()
        self.spec, self.correction = spec, correction
        self.register_buffer("quantiles", torch.tensor(QUANTILES), persistent=False)
        self.features = 2 * len(spec.layers) * (2 + len(QUANTILES))

    def forward(self, flat: Tensor) -> Tensor:
        parts = []
        for tensor in (part.flatten(1) for layer in self.spec.to_layers(flat) for part in layer):
            correction = min(self.correction, tensor.shape[1] - 1)
            variance = tensor.var(dim=1, correction=correction)
            moments = torch.stack((tensor.mean(dim=1), variance), dim=1)
            parts += [moments, torch.quantile(tensor, self.quantiles.to(tensor), dim=1).T]
        return torch.cat(parts, dim=1)


@dataclass(frozen=True)
class StatNN(Method):
    """An MLP on seven statistics of each weight and bias tensor.

    No permutation of neurons changes the statistics. With `normalize`, a batch norm without
    trainable parameters standardises each. The defaults are those of the code published with NFN
    (arXiv:2302.14040).
    """

    name = "statnn"
    title = "StatNN"
    paper = "arXiv:2002.11448"
    mini = {"normalize": True, "correction": 0, "hidden": 256, "learning_rate": 2e-3}
    space = {
        "learning_rate": Log(1e-4, 1e-2),
        "weight_decay": Log(1e-3, 1.0),
        "dropout": Choice(0.0, 0.2, 0.5),
        "hidden": Choice(128, 256, 512),
    }

    normalize: bool = False
    correction: int = 1
    hidden: int = 1000
    dropout: float = 0.0

    def build(self, problem: Problem) -> nn.Module:
        statistics = Statistics(problem.spec, self.correction)
        norm = nn.BatchNorm1d(statistics.features, affine=False) if self.normalize else None
        return nn.Sequential(
            statistics,
            norm or nn.Identity(),
            nn.Linear(statistics.features, self.hidden),
            nn.ReLU(),
            nn.Dropout(self.dropout),
            nn.Linear(self.hidden, self.hidden),
            nn.ReLU(),
            nn.Dropout(self.dropout),
            nn.Linear(self.hidden, problem.outputs),
        )
