"""An MLP on networks whose neurons are matched to those of one, DWSNets' "MLP + alignment"."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from baselines.mlp import mlp
from benchmark.fields import LATER
from benchmark.matching import matched
from benchmark.methods import FittedModule, Problem, TwoStageMethod
from benchmark.tuning.space import Choice, Log
from nft import siren
from nft.network import NetworkSpec


class Matching(FittedModule):
    """A map from flat weights to the same networks with their neurons in the reference's order.

    Args:
        spec: The networks.
        image: Height and width of what they draw.
        sweeps: Sweeps after the first.
    """

    def __init__(self, spec: NetworkSpec, image: tuple[int, int], sweeps: int) -> None:
        super().__init__()
        self.spec, self.image, self.sweeps = spec, image, sweeps
        self.register_buffer("reference", torch.randn(spec.parameters))  # until it is fitted

    def fit(self, weights: Tensor, targets: Tensor, seed: int) -> None:  # noqa: ARG002
        """Take one training network as the reference."""
        self.reference.copy_(weights[seed % len(weights)])

    def forward(self, flat: Tensor) -> Tensor:
        """Draw what the matched networks draw, which is what they drew before."""
        grid = siren.grid(*self.image, dtype=flat.dtype, device=flat.device)
        return siren.render(self.spec, self.encode(flat), grid)

    def encode(self, flat: Tensor) -> Tensor:
        """Match networks `[batch, parameters]`."""
        return matched(self.spec, flat, self.reference.unsqueeze(0), self.sweeps)


@dataclass(frozen=True)
class MatchedMLP(TwoStageMethod):
    """Weight matching to one training network, then an MLP on flat weights.

    The matching is learned from no labels and done once. The reference is drawn by the seed.
    """

    name = "mlp-matched"
    title = "MLP + alignment"
    paper = "arXiv:2301.12780"
    libraries = ("scipy",)
    mini = {"normalize": True, "hidden": 512, "learning_rate": 3e-4}
    space = {
        "learning_rate": Log(1e-4, 1e-2),
        "weight_decay": Log(1e-3, 1.0),
        "dropout": Choice(0.0, 0.2, 0.5),
        "hidden": Choice(256, 512, 1024),
    }

    sweeps: int = 3
    normalize: bool = False
    batch_norm: bool = field(default=False, metadata=LATER)
    layers: int = 3
    hidden: int = 1000
    dropout: float = 0.0

    def build_encoder(self, problem: Problem) -> nn.Module:
        return Matching(problem.spec, problem.image, self.sweeps)

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

    def skip(self, problem: Problem) -> str | None:
        if problem.spec.positions > 1 or problem.spec.activation != "sine" or not problem.image:
            return "it matches INRs that draw images"
        if self.augmentation != "none":
            return "its matching is done once, on networks as they are"
        return None
