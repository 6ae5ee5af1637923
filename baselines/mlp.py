"""MLPs on flat weights, without any symmetry (NFN, arXiv:2302.14040, appendix D)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from baselines.editing import Editor
from benchmark.methods import Method, Problem, Variant
from benchmark.tuning.space import Choice, Log


@dataclass(frozen=True)
class MLP(Method):
    """Three linear layers with ReLU on flat weights.

    A batch norm without trainable parameters standardises each weight separately.
    """

    name = "mlp"
    title = "MLP"
    paper = "arXiv:2302.14040"
    symmetries = ()
    mini = {"hidden": 512, "learning_rate": 3e-4}
    space = {
        "learning_rate": Log(1e-4, 1e-2),
        "weight_decay": Log(1e-3, 1.0),
        "dropout": Choice(0.0, 0.2, 0.5),
        "hidden": Choice(256, 512, 1024),
    }
    variants = (
        Variant(
            "mlp-augmented",
            "MLP + permutation augmentation",
            {"augmentation": "permutation"},
            mini={},
        ),
    )

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


class FlatChange(nn.Module):
    """An MLP from flat weights to their changes.

    Maps `[batch, parameters]` to `[batch, sets, parameters]`.
    """

    def __init__(self, parameters: int, hidden: int, sets: int) -> None:
        super().__init__()
        self.sets = sets
        self.mlp = nn.Sequential(
            nn.BatchNorm1d(parameters, affine=False),
            nn.Linear(parameters, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, sets * parameters),
        )

    def forward(self, flat: Tensor) -> Tensor:
        return self.mlp(flat).unflatten(1, (self.sets, -1))


@dataclass(frozen=True)
class MLPEditor(Method):
    """An MLP that predicts a change of all weights from all weights."""

    name = "mlp-editor"
    title = "MLP"
    paper = "arXiv:2302.14040"
    tasks = ("inr-editing",)
    edits = True
    symmetries = ()
    mini = {"hidden": 512, "learning_rate": 1e-3}
    space = {
        "learning_rate": Log(1e-4, 1e-2),
        "weight_decay": Log(1e-3, 1.0),
        "hidden": Choice(256, 512, 1024),
    }

    hidden: int = 1000
    sets: int = 1

    def build(self, problem: Problem) -> nn.Module:
        change = FlatChange(problem.spec.parameters, self.hidden, self.sets)
        return Editor(problem, change, self.sets)
