"""An MLP on networks whose neurons are matched to those of one, DWSNets' "MLP + alignment"."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor, nn

from baselines.mlp import mlp
from benchmark.fields import LATER
from benchmark.matching import matched
from benchmark.methods import FittedModule, Problem, TwoStageMethod
from benchmark.tuning.space import Choice, Log
from nft import siren
from nft.network import NetworkSpec

Start = Literal["incoming", "given"]
MOST_SWEEPS = 100


class Matching(FittedModule):
    """A map from flat weights to the same networks with their neurons in the reference's order.

    Args:
        spec: The networks.
        image: Height and width of what they draw.
        sweeps: Sweeps after the first, where the start is "incoming".
        start: "incoming": a first sweep matches each layer by what comes in, so that the order of a
            network's neurons does not matter. "given": from the order that they have, as published.
    """

    returns_networks = True

    def __init__(
        self, spec: NetworkSpec, image: tuple[int, int], sweeps: int, start: Start = "incoming"
    ) -> None:
        super().__init__()
        self.spec, self.image, self.sweeps, self.start = spec, image, sweeps, start
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
        reference = self.reference.unsqueeze(0)
        if self.start == "given":
            return descended(self.spec, flat, reference)
        return matched(self.spec, flat, reference, self.sweeps)


def descended(spec: NetworkSpec, flat: Tensor, reference: Tensor) -> Tensor:
    """Match neurons as published, by coordinate descent (arXiv:2209.04836, algorithm 1).

    From the order that a network has, one hidden layer after the other, in random order, is matched
    by all weights that touch its neurons, until none moves.

    Args:
        spec: The networks.
        flat: `[batch, parameters]`.
        reference: `[1, parameters]`.
    """
    hidden = len(spec.layers) - 1
    ends = torch.tensor([0, *(layer.parameters for layer in spec.layers)]).cumsum(0).tolist()
    generator = torch.Generator().manual_seed(0)
    flat = flat.clone()
    for _ in range(MOST_SWEEPS):
        before = flat.clone()
        for index in torch.randperm(hidden, generator=generator).tolist():
            # Two layers alone are a network whose only hidden layer is the one between them.
            part, place = slice(index, index + 2), slice(ends[index], ends[index + 2])
            pair = replace(spec, layers=spec.layers[part], layout=None)
            flat[:, place] = matched(pair, flat[:, place], reference[:, place], 0)
        if torch.equal(before, flat):
            break
    return flat


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
    start: Start = field(default="incoming", metadata=LATER)
    layers: int = 3
    hidden: int = 1000
    dropout: float = 0.0

    def build_encoder(self, problem: Problem) -> nn.Module:
        return Matching(problem.spec, problem.image, self.sweeps, self.start)

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
        if self.augmentation not in ("none", "image"):
            return "its matching is done once, and only the images of matched networks can be moved"
        return None
