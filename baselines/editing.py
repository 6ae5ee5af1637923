"""Editors of INRs: equivariant bodies, an MLP, and the identity (NFN, arXiv:2302.14040, section 4.3; NFT, arXiv:2305.13546).

All of them change the weights that they read. `sets` is output capacity expansion (arXiv:2602.01083): so many sets of weights instead of
one, whose drawings are averaged; the channels are cut so that the parameters do not grow.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from baselines.nfn import EquivariantLinear, InputFeatures
from benchmark.methods import PAPER_EDITING, Method, Problem
from nft.layers import GroupLinear, group_index
from nft.transformer import NFTEncoder

MINI = {"channels": 32, "fourier_scale": 0.3, "learning_rate": 4e-3}


class Editor(nn.Module):
    """Flat weights `[batch, parameters]` to edited sets `[batch, sets, parameters]`.

    Each weight and bias tensor of each set has a learned factor for its change, which starts at 0.01.
    """

    def __init__(self, problem: Problem, change: nn.Module, sets: int) -> None:
        super().__init__()
        self.change, self.sets = change, sets
        self.scale = nn.Parameter(torch.full((sets, len(problem.spec.group_sizes)), 0.01))
        index = group_index(problem.spec)
        self.register_buffer(
            "tensor_of", problem.spec.from_tokens(index.unsqueeze(-1).expand(-1, problem.spec.positions))
        )

    def forward(self, flat: Tensor) -> Tensor:
        return flat.unsqueeze(1) + self.change(flat) * self.scale[:, self.tensor_of]


class TokenChange(nn.Module):
    """A body that makes features `[batch, tokens, channels]`, and a map of each token's features to `sets` changes of its weights."""

    def __init__(self, problem: Problem, body: nn.Module, channels: int, sets: int) -> None:
        super().__init__()
        self.spec, self.body, self.sets = problem.spec, body, sets
        self.head = GroupLinear(problem.spec, channels, sets * problem.spec.positions)

    def forward(self, flat: Tensor) -> Tensor:
        changes = self.head(self.body(flat)).unflatten(-1, (self.sets, -1)).transpose(1, 2)
        return self.spec.from_tokens(changes)


@dataclass(frozen=True)
class EditorMethod(Method):
    """What the equivariant editors share; not a method itself."""

    tasks = ("inr-editing",)
    edits = True

    channels: int = 128
    layers: int = 3
    frequencies: int = 64
    fourier_scale: float = 3.0
    sets: int = 1

    def body(self, problem: Problem) -> nn.Module:
        """Flat weights to features `[batch, tokens, channels]`."""
        features = InputFeatures(problem, self.frequencies, self.fourier_scale, encode=self.encode)
        sizes = [features.channels] + [self.channels] * self.layers
        layers = [
            module
            for inputs, outputs in pairwise(sizes)
            for module in (self.layer(problem, inputs, outputs), nn.ReLU())
        ]
        return nn.Sequential(features, *layers)

    encode = False

    def layer(self, problem: Problem, inputs: int, outputs: int) -> nn.Module:
        """A layer from `inputs` to `outputs` channels."""
        raise NotImplementedError

    def build(self, problem: Problem) -> nn.Module:
        return Editor(problem, TokenChange(problem, self.body(problem), self.channels, self.sets), self.sets)

    def skip(self, problem: Problem) -> str | None:
        return None if problem.spec.activation == "sine" else "these networks draw no images"


@dataclass(frozen=True)
class HNPEditor(EditorMethod):
    """NFN layers that keep input and output neurons apart."""

    name = "nfn-hnp-editor"
    title = "NFN (HNP)"
    paper = "arXiv:2302.14040"
    suites = {"mini": MINI | {"frequencies": 32}} | PAPER_EDITING

    def layer(self, problem: Problem, inputs: int, outputs: int) -> nn.Module:
        return EquivariantLinear(problem.spec, inputs, outputs, hidden_only=True)


@dataclass(frozen=True)
class NPEditor(EditorMethod):
    """NFN layers for which all neurons are exchangeable, and an encoding of inputs and outputs."""

    name = "nfn-np-editor"
    title = "NFN (NP)"
    paper = "arXiv:2302.14040"
    suites = {"mini": MINI | {"frequencies": 32}} | PAPER_EDITING
    encode = True

    def layer(self, problem: Problem, inputs: int, outputs: int) -> nn.Module:
        return EquivariantLinear(problem.spec, inputs, outputs, hidden_only=False)


@dataclass(frozen=True)
class NPEditor2(NPEditor):
    """Two sets of weights."""

    name = "nfn-np-editor-2"
    title = "NFN (NP) + OCE (k=2)"
    suites = {"mini": MINI | {"frequencies": 32, "channels": 31, "sets": 2}}


@dataclass(frozen=True)
class NPEditor4(NPEditor):
    """Four sets of weights."""

    name = "nfn-np-editor-4"
    title = "NFN (NP) + OCE (k=4)"
    suites = {"mini": MINI | {"frequencies": 32, "channels": 31, "sets": 4}}


@dataclass(frozen=True)
class NPEditor8(NPEditor):
    """Eight sets of weights."""

    name = "nfn-np-editor-8"
    title = "NFN (NP) + OCE (k=8)"
    suites = {"mini": MINI | {"frequencies": 32, "channels": 30, "sets": 8}}


@dataclass(frozen=True)
class PointwiseEditor(EditorMethod):
    """Each weight is changed by itself, by a map of its tensor's own: what equivariance alone gives without any exchange."""

    name = "pointwise-editor"
    title = "NFN (pointwise)"
    paper = "arXiv:2302.14040"
    suites = {"mini": MINI | {"frequencies": 32}} | PAPER_EDITING
    encode = True

    def layer(self, problem: Problem, inputs: int, outputs: int) -> nn.Module:
        return GroupLinear(problem.spec, inputs, outputs)


@dataclass(frozen=True)
class NFTEditorMethod(EditorMethod):
    """NFT blocks."""

    name = "nft-editor"
    title = "NFT"
    paper = "arXiv:2305.13546"
    suites = {"mini": MINI | {"blocks": 2, "ff_factor": 2}} | PAPER_EDITING

    blocks: int = 4
    heads: int = 4
    ff_factor: int = 4

    def body(self, problem: Problem) -> nn.Module:
        return NFTEncoder(
            problem.spec,
            problem.mean,
            problem.std,
            channels=self.channels,
            blocks=self.blocks,
            heads=self.heads,
            ff_factor=self.ff_factor,
            fourier_scale=self.fourier_scale,
        )


class FlatChange(nn.Module):
    """An MLP on the flattened weights, `[batch, parameters]` to changes `[batch, sets, parameters]`."""

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
    """An MLP that knows nothing of symmetries."""

    name = "mlp-editor"
    title = "MLP"
    paper = "arXiv:2302.14040"
    tasks = ("inr-editing",)
    edits = True
    invariant = False
    suites = {"mini": {"hidden": 512, "learning_rate": 1e-3}} | PAPER_EDITING

    hidden: int = 1000
    sets: int = 1

    def build(self, problem: Problem) -> nn.Module:
        return Editor(problem, FlatChange(problem.spec.parameters, self.hidden, self.sets), self.sets)


class Unchanged(nn.Module):
    """Flat weights as they are, `[batch, 1, parameters]`."""

    def forward(self, flat: Tensor) -> Tensor:
        return flat.unsqueeze(1)


@dataclass(frozen=True)
class Identity(Method):
    """Changes nothing: the floor. Its record also says what fitting alone costs, and what these INRs could draw at best."""

    name = "identity-editor"
    title = "identity"
    paper = "none"
    tasks = ("inr-editing",)
    edits = True
    suites = {"mini": {}} | PAPER_EDITING

    def build(self, problem: Problem) -> nn.Module:  # noqa: ARG002
        return Unchanged()
