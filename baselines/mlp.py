"""MLP on the flattened weights: the baseline that knows nothing of symmetries (NFN, arXiv:2302.14040, appendix D)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from benchmark.methods import PAPER, Method, Problem


@dataclass(frozen=True)
class MLP(Method):
    """Three linear layers with ReLU; each weight is standardised by itself, by a batch norm without parameters."""

    name = "mlp"
    title = "MLP"
    paper = "arXiv:2302.14040"
    invariant = False
    suites = {"mini": {"hidden": 512, "learning_rate": 3e-4}} | PAPER

    hidden: int = 1000
    dropout: float = 0.0

    def build(self, problem: Problem) -> nn.Module:
        return nn.Sequential(
            nn.BatchNorm1d(problem.spec.parameters, affine=False),
            nn.Linear(problem.spec.parameters, self.hidden),
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
