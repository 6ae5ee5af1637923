"""NFN: permutation equivariant neural functionals (Zhou et al., NeurIPS 2023, arXiv:2302.14040).

The layers are in `equivariant.py`. The defaults are those of the code published with the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.editing import draws_nothing, equivariant_editor
from baselines.equivariant import EquivariantLinear, NeuronLayout
from benchmark.errors import UserError
from benchmark.methods import Method, Problem, Variant
from benchmark.tuning.space import Choice, Log
from nft.layers import FourierFeatures, GroupLinear, Standardize, Tokens, group_index
from nft.network import NetworkSpec


def input_tokens(problem: Problem, normalize: bool) -> nn.Module:
    """Make the map from flat weights to tokens, standardised by tensor or as they are."""
    if normalize:
        return Standardize(problem.spec, problem.mean, problem.std)
    return Tokens(problem.spec)


def io_encoding(spec: NetworkSpec, bands: int, maximum: float, *, layers: bool) -> Tensor:
    """Compute the sinusoidal encoding of input neuron and output neuron (appendix D).

    Args:
        spec: The networks that are read.
        bands: Frequencies of the sines and cosines.
        maximum: Twice the highest frequency.
        layers: Whether the layers are encoded, too.

    Returns:
        `[tokens, 2 * bands + 1]`.
    """

    def encode(count: int) -> Tensor:
        place = torch.linspace(-1, 1, count).unsqueeze(-1)
        phase = torch.pi * place * torch.linspace(1, maximum / 2, bands)
        return torch.cat((phase.sin(), phase.cos(), place), dim=-1)

    first, last = spec.layers[0], spec.layers[-1]
    encoding = torch.zeros(spec.tokens, 2 * bands + 1)
    if layers:
        encoding = encode(len(spec.layers))[group_index(spec) // 2].clone()
    encoding[: spec.group_sizes[0]] += encode(first.inputs).repeat(first.outputs, 1)
    outputs = encode(last.outputs)
    encoding[-last.outputs :] += outputs
    encoding[-last.outputs * (last.inputs + 1) : -last.outputs] += outputs.repeat_interleave(
        last.inputs, dim=0
    )
    return encoding


class InputFeatures(nn.Module):
    """The features of flat weights `[batch, parameters]`, `[batch, tokens, positions * channels]`.

    Args:
        problem: What is read.
        normalize: Whether to standardise every weight and bias tensor.
        frequencies: Gaussian Fourier frequencies.
        scale: Their standard deviation; with 0 the weights themselves are the features.
        encoding: Further channels, `[tokens, channels]`.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        normalize: bool,
        frequencies: int,
        scale: float,
        encoding: Tensor | None,
    ) -> None:
        super().__init__()
        self.tokens = input_tokens(problem, normalize)
        self.fourier = FourierFeatures(1, frequencies, scale) if scale else nn.Identity()
        further = torch.zeros(problem.spec.tokens, 0) if encoding is None else encoding
        self.register_buffer("encoding", further.unsqueeze(1))
        self.channels = (2 * frequencies if scale else 1) + further.shape[1]

    def forward(self, flat: Tensor) -> Tensor:
        features = self.fourier(self.tokens(flat).unsqueeze(-1))
        encoding = self.encoding.expand(*features.shape[:-1], -1)
        return torch.cat((features, encoding), dim=-1).flatten(-2)


class EndEmbedding(nn.Module):
    """A learned embedding of the input's and the output's neurons, added to features.

    The published code learns one for each NP layer where it does not encode these neurons.
    """

    def __init__(self, spec: NetworkSpec, channels: int) -> None:
        super().__init__()
        first, last = spec.layers[0], spec.layers[-1]
        self.width, self.repeats = spec.positions * channels, (first.outputs, last.inputs)
        self.between = sum(spec.group_sizes[1:-2])
        self.inputs = nn.Parameter(torch.randn(first.inputs, first.positions * channels))
        self.outputs = nn.Parameter(torch.randn(last.outputs, last.positions * channels))
        self.biases = nn.Parameter(torch.randn(last.outputs, channels))

    def forward(self, x: Tensor) -> Tensor:
        inputs, outputs, biases = (
            functional.pad(part, (0, self.width - part.shape[1]))
            for part in (self.inputs, self.outputs, self.biases)
        )
        parts = [
            inputs.repeat(self.repeats[0], 1),
            x.new_zeros(self.between, self.width),
            outputs.repeat_interleave(self.repeats[1], dim=0),
            biases,
        ]
        return x + torch.cat(parts)


class NFN(nn.Module):
    """Equivariant linear layers with ReLU, mean pooling, and a head on the pooled features."""

    def __init__(
        self, features: InputFeatures, layers: list[nn.Module], pool: NeuronLayout, head: nn.Module
    ) -> None:
        super().__init__()
        self.features, self.layers, self.head = features, nn.ModuleList(layers), head
        self.layout = pool

    def forward(self, flat: Tensor) -> Tensor:
        x = self.features(flat)
        for layer in self.layers:
            x = layer(x).relu()
        return self.head(self.layout.pool(x))


ENCODINGS = ("none", "sinusoidal", "learned")


@dataclass(frozen=True)
class NFNClassifier(Method):
    """NFN layers, mean pooling and an MLP.

    HNP layers have separate parameters for input and output neurons. NP layers treat these as
    exchangeable, and `encoding` distinguishes them: "sinusoidal" once, beside the weights, or
    "learned" in every layer. The pooling keeps the input and output neurons of both apart, unless
    `pool_ends`.
    """

    name = "nfn-hnp"
    title = "NFN (HNP)"
    paper = "arXiv:2302.14040"
    mini = {
        "normalize": True,
        "channels": 32,
        "frequencies": 32,
        "fourier_scale": 0.3,
        "hidden": 256,
        "dropout": 0.0,
        "learning_rate": 4e-3,
    }
    space = {
        "learning_rate": Log(3e-4, 3e-2),
        "fourier_scale": Log(0.03, 3.0),
        "dropout": Choice(0.0, 0.2, 0.5),
        "channels": Choice(16, 32, 64),
    }
    variants = (
        Variant(
            "nfn-np",
            "NFN (NP)",
            {"hidden_only": False, "encoding": "sinusoidal"},
            mini={"encode_layers": True},
        ),
    )

    hidden_only: bool = True
    normalize: bool = False
    channels: int = 512
    last_channels: int = 0  # 0 stands for as many as in the other layers
    layers: int = 3
    frequencies: int = 128
    fourier_scale: float = 3.0
    encoding: str = "none"
    bands: int = 6
    max_frequency: float = 10.0
    encode_layers: bool = False
    pool_ends: bool = False
    hidden: int = 1000
    dropout: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.encoding not in ENCODINGS:
            raise UserError(
                f"{self.name}: encoding is one of {', '.join(ENCODINGS)}, not {self.encoding!r}"
            )

    def build(self, problem: Problem) -> nn.Module:
        features = InputFeatures(
            problem,
            normalize=self.normalize,
            frequencies=self.frequencies,
            scale=self.fourier_scale,
            encoding=self._encoding(problem.spec) if self.encoding == "sinusoidal" else None,
        )
        last = self.last_channels or self.channels
        sizes = [features.channels] + [self.channels] * (self.layers - 1) + [last]
        layers = [self._layer(problem.spec, *pair) for pair in pairwise(sizes)]
        pool = NeuronLayout(problem.spec, hidden_only=not self.pool_ends)
        head = nn.Sequential(
            nn.Linear(pool.pooled * last, self.hidden),
            nn.ReLU(),
            nn.Dropout(self.dropout),
            nn.Linear(self.hidden, self.hidden),
            nn.ReLU(),
            nn.Dropout(self.dropout),
            nn.Linear(self.hidden, problem.outputs),
        )
        return NFN(features, layers, pool, head)

    def _encoding(self, spec: NetworkSpec) -> Tensor:
        return io_encoding(spec, self.bands, self.max_frequency, layers=self.encode_layers)

    def _layer(self, spec: NetworkSpec, inputs: int, outputs: int) -> nn.Module:
        layer = EquivariantLinear(spec, inputs, outputs, hidden_only=self.hidden_only)
        if self.encoding == "learned":
            return nn.Sequential(EndEmbedding(spec, inputs), layer)
        return layer


@dataclass(frozen=True)
class NFNEditor(Method):
    """NFN layers, the last of which computes the change of each weight.

    `layer` is "hnp", "np" or "pointwise". A pointwise layer changes each weight by itself, with
    separate parameters for each tensor, which is equivariant without any exchange between weights.
    With `pointwise_output` the last layer is pointwise whatever the others are.
    """

    name = "nfn-hnp-editor"
    title = "NFN (HNP)"
    paper = "arXiv:2302.14040"
    tasks = ("inr-editing",)
    edits = True
    mini = {
        "normalize": True,
        "channels": 32,
        "frequencies": 32,
        "fourier_scale": 0.3,
        "bands": 6,
        "max_frequency": 10.0,
        "encode_layers": True,
        "pointwise_output": True,
        "learning_rate": 4e-3,
    }
    # Not the channels: with more sets there are fewer, so that the parameters do not grow.
    space = {
        "learning_rate": Log(3e-4, 3e-2),
        "weight_decay": Log(1e-3, 1.0),
        "fourier_scale": Log(0.03, 3.0),
    }
    variants = (
        Variant("nfn-np-editor", "NFN (NP)", {"layer": "np"}, mini={}),
        Variant("pointwise-editor", "NFN (pointwise)", {"layer": "pointwise"}, mini={}),
        Variant(
            "nfn-np-editor-2",
            "NFN (NP) + OCE (k=2)",
            {"layer": "np", "sets": 2},
            mini={},
            paper="arXiv:2602.01083",
        ),
        Variant(
            "nfn-np-editor-4",
            "NFN (NP) + OCE (k=4)",
            {"layer": "np", "sets": 4},
            mini={},
            paper="arXiv:2602.01083",
        ),
        Variant(
            "nfn-np-editor-8",
            "NFN (NP) + OCE (k=8)",
            {"layer": "np", "sets": 8},
            mini={},
            paper="arXiv:2602.01083",
        ),
    )

    layer: Literal["hnp", "np", "pointwise"] = "hnp"
    normalize: bool = False
    channels: int = 128
    layers: int = 3
    frequencies: int = 128
    fourier_scale: float = 3.0
    bands: int = 3
    max_frequency: float = 3.0
    encode_layers: bool = False
    pointwise_output: bool = False
    sets: int = 1

    def build(self, problem: Problem) -> nn.Module:
        features = InputFeatures(
            problem,
            normalize=self.normalize,
            frequencies=self.frequencies,
            scale=self.fourier_scale,
            encoding=None if self.layer == "hnp" else self._encoding(problem.spec),
        )
        sizes = [features.channels] + [self.channels] * self.layers
        layers = [
            module
            for inputs, outputs in pairwise(sizes)
            for module in (self._layer(problem.spec, self.layer, inputs, outputs), nn.ReLU())
        ]
        body = nn.Sequential(features, *layers)
        last = "pointwise" if self.pointwise_output else self.layer
        head = self._layer(problem.spec, last, self.channels, self.sets)
        return equivariant_editor(problem, body, head, self.sets)

    def _encoding(self, spec: NetworkSpec) -> Tensor:
        return io_encoding(spec, self.bands, self.max_frequency, layers=self.encode_layers)

    def _layer(self, spec: NetworkSpec, kind: str, inputs: int, outputs: int) -> nn.Module:
        if kind == "pointwise":
            return GroupLinear(spec, inputs, outputs)
        return EquivariantLinear(spec, inputs, outputs, hidden_only=kind == "hnp")

    def skip(self, problem: Problem) -> str | None:
        return draws_nothing(problem)
