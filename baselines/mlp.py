"""MLPs on flat weights, without any symmetry (NFN, arXiv:2302.14040, appendix D).

With `normalize`, a batch norm without trainable parameters standardises each weight separately.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn

from baselines.editing import Editor
from benchmark.fields import LATER
from benchmark.methods import PREDICTIONS, Method, Problem, Variant
from benchmark.tuning.space import Choice, Log


def mlp(
    inputs: int,
    hidden: int,
    outputs: int,
    *,
    layers: int,
    dropout: float,
    normalize: bool,
    batch_norm: bool = False,
) -> nn.Sequential:
    """Make an MLP of linear layers, with ReLU and dropout between them.

    With `batch_norm` one comes before every ReLU but the first, as in DWSNets' public code.
    """
    modules: list[nn.Module] = [nn.BatchNorm1d(inputs, affine=False)] if normalize else []
    modules += [nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(dropout)]
    for _ in range(layers - 2):
        modules.append(nn.Linear(hidden, hidden))
        modules += [nn.BatchNorm1d(hidden)] if batch_norm else []
        modules += [nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*modules, nn.Linear(hidden, outputs))


@dataclass(frozen=True)
class MLP(Method):
    """Linear layers with ReLU on flat weights."""

    name = "mlp"
    title = "MLP"
    paper = "arXiv:2302.14040"
    tasks = (*PREDICTIONS, "sine-embedding")
    symmetries = ()
    mini = {"normalize": True, "hidden": 512, "learning_rate": 3e-4}
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

    normalize: bool = False
    batch_norm: bool = field(default=False, metadata=LATER)
    layers: int = 3
    hidden: int = 1000
    dropout: float = 0.0

    def build(self, problem: Problem) -> nn.Module:
        return mlp(
            problem.spec.parameters,
            self.hidden,
            problem.outputs,
            layers=self.layers,
            dropout=self.dropout,
            normalize=self.normalize,
            batch_norm=self.batch_norm,
        )


class FlatChange(nn.Module):
    """A map from flat weights `[batch, parameters]` to their changes `[batch, sets, parameters]`.

    Args:
        body: A map from flat weights to `[batch, sets * parameters]`.
        sets: Sets of weights.
    """

    def __init__(self, body: nn.Module, sets: int) -> None:
        super().__init__()
        self.body, self.sets = body, sets

    def forward(self, flat: Tensor) -> Tensor:
        return self.body(flat).unflatten(1, (self.sets, -1))


@dataclass(frozen=True)
class MLPEditor(Method):
    """An MLP that predicts a change of all weights from all weights."""

    name = "mlp-editor"
    title = "MLP"
    paper = "arXiv:2302.14040"
    tasks = ("inr-editing",)
    edits = True
    symmetries = ()
    mini = {"normalize": True, "layers": 3, "hidden": 512, "learning_rate": 1e-3}
    space = {
        "learning_rate": Log(1e-4, 1e-2),
        "weight_decay": Log(1e-3, 1.0),
        "hidden": Choice(256, 512, 1024),
    }
    variants = (
        Variant(
            "mlp-editor-augmented",
            "MLP + permutation augmentation",
            {"augmentation": "permutation"},
            mini={},
        ),
    )

    normalize: bool = False
    layers: int = 4
    hidden: int = 1000
    sets: int = 1

    def build(self, problem: Problem) -> nn.Module:
        parameters = problem.spec.parameters
        body = mlp(
            parameters,
            self.hidden,
            self.sets * parameters,
            layers=self.layers,
            dropout=0.0,
            normalize=self.normalize,
        )
        return Editor(problem, FlatChange(body, self.sets), self.sets)
