"""MLP on the flattened weights: the baseline that knows nothing of symmetries (NFN, arXiv:2302.14040, appendix D)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from benchmark.methods import Method, Problem
from nft.layers import Standardize


@dataclass(frozen=True)
class MLP(Method):
    """Three linear layers with ReLU over the standardised weights."""

    name = "mlp"
    title = "MLP"
    paper = "arXiv:2302.14040"
    invariant = False

    hidden: int = 1000
    dropout: float = 0.0

    def build(self, problem: Problem) -> nn.Module:
        return nn.Sequential(
            Standardize(problem.spec, problem.mean, problem.std),
            nn.Flatten(),
            nn.Linear(problem.spec.tokens * problem.spec.positions, self.hidden),
            nn.ReLU(),
            nn.Dropout(self.dropout),
            nn.Linear(self.hidden, self.hidden),
            nn.ReLU(),
            nn.Dropout(self.dropout),
            nn.Linear(self.hidden, problem.outputs),
        )


@dataclass(frozen=True)
class AugmentedMLP(MLP):
    """The same MLP, shown the training networks with their hidden neurons permuted anew each time."""

    name = "mlp-augmented"
    title = "MLP + permutation augmentation"
    augment = True
