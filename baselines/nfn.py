"""NFN: permutation equivariant neural functionals (Zhou et al., NeurIPS 2023, arXiv:2302.14040).

Every layer of neurons gathers the features that touch its neurons: their biases, and the means of
the incoming and the outgoing weights. One linear map computes the features that return to them. The
means of whole tensors are broadcast to everything.

HNP distinguishes the neurons of the input and of the output, by parameters of their own. NP treats
them as exchangeable, like hidden neurons; an encoding of the input distinguishes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor, nn

from baselines.editing import draws_nothing, equivariant_editor
from benchmark.methods import Method, Problem, Variant
from benchmark.tuning.space import Choice, Log
from nft.layers import FourierFeatures, GroupLinear, Standardize, group_index
from nft.network import NetworkSpec


class NeuronLayout:
    """A grouping of a network's tensors by the layers of exchangeable neurons that they touch.

    matrices: weights between two such layers, `[batch, outputs, inputs, channels]`, by layer number
    from 1.

    vectors: tensors that touch one such layer, `[batch, neurons, multiple * channels]`, by neuron
    layer. These are its biases and, in HNP, the first weight (whose columns are further channels,
    one for each input) and the last weight (whose rows are, one for each output).

    constants: tensors that touch none, `[batch, multiple * channels]`. In HNP, these are the
    output's biases.
    """

    def __init__(self, spec: NetworkSpec, *, hidden_only: bool) -> None:
        self.spec, self.hidden_only = spec, hidden_only
        self.depth = len(spec.layers)
        ends = 1 if hidden_only else 0
        self.neuron_layers = range(ends, self.depth + 1 - ends)
        self.matrices = range(ends + 1, self.depth + 1 - ends)
        self.vectors = {layer: [1] if layer else [] for layer in self.neuron_layers}
        self.constants = []
        if hidden_only:
            self.vectors[1].insert(0, spec.neurons[0])
            self.vectors[self.depth - 1].append(spec.neurons[-1])
            self.constants.append(spec.neurons[-1])

    @property
    def pooled(self) -> int:
        """Channels after `pool`, as a multiple of the features' channels."""
        return sum(map(sum, self.vectors.values())) + len(self.matrices) + sum(self.constants)

    def gather(self, x: Tensor) -> tuple[dict[int, Tensor], dict[int, list[Tensor]], list[Tensor]]:
        """Split features `[batch, tokens, channels]` into matrices, vectors and constants."""
        weights, biases = zip(*self.spec.views(x), strict=True)
        matrices = {layer: weights[layer - 1] for layer in self.matrices}
        vectors = {layer: [biases[layer - 1]] if layer else [] for layer in self.neuron_layers}
        if not self.hidden_only:
            return matrices, vectors, []
        vectors[1].insert(0, weights[0].flatten(2))
        vectors[self.depth - 1].append(weights[-1].transpose(1, 2).flatten(2))
        return matrices, vectors, [biases[-1].flatten(1)]

    def scatter(
        self, matrices: dict[int, Tensor], vectors: dict[int, list[Tensor]], constants: list[Tensor]
    ) -> Tensor:
        """Join matrices, vectors and constants to features, the inverse of `gather`."""
        weights, biases = dict(matrices), {}
        if self.hidden_only:
            weights[1] = vectors[1].pop(0).unflatten(2, (self.spec.neurons[0], -1))
            last = vectors[self.depth - 1].pop().unflatten(2, (self.spec.neurons[-1], -1))
            weights[self.depth] = last.transpose(1, 2)
            biases[self.depth] = constants[0].unflatten(1, (self.spec.neurons[-1], -1))
        biases |= {layer: parts[0] for layer, parts in vectors.items() if layer}
        return self.spec.from_views(
            [(weights[layer], biases[layer]) for layer in range(1, self.depth + 1)]
        )

    def pool(self, x: Tensor) -> Tensor:
        """Average features over the neurons of every tensor: `[batch, pooled * channels]`.

        The result is invariant to permutations of exchangeable neurons.
        """
        matrices, vectors, constants = self.gather(x)
        means = [part.mean(dim=1) for layer in self.neuron_layers for part in vectors[layer]]
        means += [matrices[layer].mean(dim=(1, 2)) for layer in self.matrices]
        return torch.cat(means + constants, dim=1)


class EquivariantLinear(nn.Module):
    """The linear maps that commute with permutations of neurons.

    Maps `[batch, tokens, inputs]` to `[batch, tokens, outputs]`. With `hidden_only` this is the
    paper's HNP layer (appendix B), otherwise its NP layer (section 3.1, equation 3). It contains
    every such map. (The paper's published code omits one from HNP, from the last hidden biases to
    the last weights.)
    """

    def __init__(self, spec: NetworkSpec, inputs: int, outputs: int, *, hidden_only: bool) -> None:
        super().__init__()
        self.layout = layout = NeuronLayout(spec, hidden_only=hidden_only)
        received, self.sent = {}, {}
        for layer in layout.neuron_layers:
            touching = [1 for matrix in (layer, layer + 1) if matrix in layout.matrices]
            received[layer] = inputs * (sum(layout.vectors[layer]) + len(touching))
            self.sent[layer] = [outputs * size for size in layout.vectors[layer] + touching]
        self.broadcast_sizes = [
            outputs * size for parts in layout.vectors.values() for size in parts
        ]
        self.broadcast_sizes += [outputs] * len(layout.matrices) + [
            outputs * size for size in layout.constants
        ]

        self.pointwise = nn.ModuleDict(
            {str(la): nn.Linear(inputs, outputs, bias=False) for la in layout.matrices}
        )
        self.neuron = nn.ModuleDict(
            {
                str(la): nn.Linear(received[la], sum(self.sent[la]), bias=False)
                for la in layout.neuron_layers
            }
        )
        self.broadcast = nn.Linear(layout.pooled * inputs, sum(self.broadcast_sizes))
        self._initialise(inputs, received)

    def _initialise(self, inputs: int, received: dict[int, int]) -> None:
        """Draw from +-1/sqrt(fan-in), where the fan-in counts every term of a tensor's sum."""
        everywhere = self.broadcast.in_features
        vector_bounds: list[float] = []
        matrix_bounds = {
            la: 1 / sqrt(inputs + received[la - 1] + received[la] + everywhere)
            for la in self.layout.matrices
        }
        with torch.no_grad():
            for layer in self.layout.neuron_layers:
                vectors = [1 / sqrt(received[layer] + everywhere)] * len(self.layout.vectors[layer])
                touching = [matrix_bounds[la] for la in (layer, layer + 1) if la in matrix_bounds]
                rows = self.neuron[str(layer)].weight.split(self.sent[layer])
                for part, bound in zip(rows, vectors + touching, strict=True):
                    part.uniform_(-bound, bound)
                vector_bounds += vectors
            for layer, bound in matrix_bounds.items():
                self.pointwise[str(layer)].weight.uniform_(-bound, bound)
            bounds = (
                vector_bounds
                + list(matrix_bounds.values())
                + [1 / sqrt(everywhere)] * len(self.layout.constants)
            )
            weights, biases = (
                t.split(self.broadcast_sizes) for t in (self.broadcast.weight, self.broadcast.bias)
            )
            for weight, bias, bound in zip(weights, biases, bounds, strict=True):
                weight.uniform_(-bound, bound)
                bias.uniform_(-bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        matrices, vectors, constants = self.layout.gather(x)
        over_inputs = {layer: weight.mean(dim=2) for layer, weight in matrices.items()}
        over_outputs = {layer: weight.mean(dim=1) for layer, weight in matrices.items()}
        means = [part.mean(dim=1) for parts in vectors.values() for part in parts]
        means += [part.mean(dim=1) for part in over_inputs.values()]
        everywhere = list(
            self.broadcast(torch.cat(means + constants, dim=1)).split(self.broadcast_sizes, dim=1)
        )

        incoming, outgoing, sent = {}, {}, {}
        for layer in self.layout.neuron_layers:
            received = list(vectors[layer])
            if layer in matrices:
                received.append(over_inputs[layer])
            if layer + 1 in matrices:
                received.append(over_outputs[layer + 1])
            parts = list(
                self.neuron[str(layer)](torch.cat(received, dim=-1)).split(self.sent[layer], dim=-1)
            )
            if layer + 1 in matrices:
                outgoing[layer + 1] = parts.pop().unsqueeze(1)
            if layer in matrices:
                incoming[layer] = parts.pop().unsqueeze(2)
            sent[layer] = [part + everywhere.pop(0).unsqueeze(1) for part in parts]
        mixed = {}
        for layer, weight in matrices.items():
            to_all = everywhere.pop(0)[:, None, None]
            mixed[layer] = (
                self.pointwise[str(layer)](weight) + (incoming[layer] + to_all) + outgoing[layer]
            )
        return self.layout.scatter(mixed, sent, everywhere)


def io_encoding(spec: NetworkSpec, frequencies: int = 6, maximum: float = 10.0) -> Tensor:
    """Compute the sinusoidal encoding of layer, input neuron and output neuron (appendix D).

    Returns:
        `[tokens, 2 * frequencies + 1]`.
    """

    def encode(count: int) -> Tensor:
        place = torch.linspace(-1, 1, count).unsqueeze(-1)
        phase = torch.pi * place * torch.linspace(1, maximum / 2, frequencies)
        return torch.cat((phase.sin(), phase.cos(), place), dim=-1)

    first, last = spec.layers[0], spec.layers[-1]
    encoding = encode(len(spec.layers))[group_index(spec) // 2].clone()
    encoding[: spec.group_sizes[0]] += encode(first.inputs).repeat(first.outputs, 1)
    outputs = encode(last.outputs)
    encoding[-last.outputs :] += outputs
    encoding[-last.outputs * (last.inputs + 1) : -last.outputs] += outputs.repeat_interleave(
        last.inputs, dim=0
    )
    return encoding


class InputFeatures(nn.Module):
    """Fourier features of the standardised weights.

    With `encode`, the encoding of layers, inputs and outputs is appended, which NP needs.
    """

    def __init__(self, problem: Problem, frequencies: int, scale: float, *, encode: bool) -> None:
        super().__init__()
        self.standardize = Standardize(problem.spec, problem.mean, problem.std)
        self.fourier = FourierFeatures(problem.spec.positions, frequencies, scale)
        encoding = io_encoding(problem.spec) if encode else torch.zeros(problem.spec.tokens, 0)
        self.register_buffer("encoding", encoding)
        self.channels = 2 * frequencies + encoding.shape[1]

    def forward(self, flat: Tensor) -> Tensor:
        features = self.fourier(self.standardize(flat))
        return torch.cat((features, self.encoding.expand(len(flat), -1, -1)), dim=-1)


class NFN(nn.Module):
    """Equivariant linear layers with ReLU, mean pooling, and a head on the pooled features."""

    def __init__(
        self, features: InputFeatures, layers: list[EquivariantLinear], head: nn.Module
    ) -> None:
        super().__init__()
        self.features, self.layers, self.head = features, nn.ModuleList(layers), head

    def forward(self, flat: Tensor) -> Tensor:
        x = self.features(flat)
        for layer in self.layers:
            x = layer(x).relu()
        return self.head(self.layers[-1].layout.pool(x))


@dataclass(frozen=True)
class NFNClassifier(Method):
    """NFN layers, mean pooling and an MLP.

    HNP layers have separate parameters for input and output neurons. NP layers treat these as
    exchangeable, and a sinusoidal encoding distinguishes them.
    """

    name = "nfn-hnp"
    title = "NFN (HNP)"
    paper = "arXiv:2302.14040"
    mini = {
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
    variants = (Variant("nfn-np", "NFN (NP)", {"hidden_only": False}, mini={}),)

    hidden_only: bool = True
    channels: int = 512
    layers: int = 3
    frequencies: int = 128
    fourier_scale: float = 3.0
    hidden: int = 1000
    dropout: float = 0.5

    def build(self, problem: Problem) -> nn.Module:
        features = InputFeatures(
            problem, self.frequencies, self.fourier_scale, encode=not self.hidden_only
        )
        sizes = [features.channels] + [self.channels] * self.layers
        layers = [
            EquivariantLinear(problem.spec, inputs, outputs, hidden_only=self.hidden_only)
            for inputs, outputs in pairwise(sizes)
        ]
        head = nn.Sequential(
            nn.Linear(layers[-1].layout.pooled * self.channels, self.hidden),
            nn.ReLU(),
            nn.Dropout(self.dropout),
            nn.Linear(self.hidden, self.hidden),
            nn.ReLU(),
            nn.Dropout(self.dropout),
            nn.Linear(self.hidden, problem.outputs),
        )
        return NFN(features, layers, head)


@dataclass(frozen=True)
class NFNEditor(Method):
    """NFN layers, and a linear map from each weight's features to its change.

    `layer` is "hnp", "np" or "pointwise". A pointwise layer changes each weight by itself, with
    separate parameters for each tensor, which is equivariant without any exchange between weights.
    """

    name = "nfn-hnp-editor"
    title = "NFN (HNP)"
    paper = "arXiv:2302.14040"
    tasks = ("inr-editing",)
    edits = True
    mini = {"channels": 32, "frequencies": 32, "fourier_scale": 0.3, "learning_rate": 4e-3}
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

    layer: str = "hnp"
    channels: int = 128
    layers: int = 3
    frequencies: int = 64
    fourier_scale: float = 3.0
    sets: int = 1

    def build(self, problem: Problem) -> nn.Module:
        features = InputFeatures(
            problem, self.frequencies, self.fourier_scale, encode=self.layer != "hnp"
        )
        sizes = [features.channels] + [self.channels] * self.layers
        layers = [
            module
            for inputs, outputs in pairwise(sizes)
            for module in (self._layer(problem, inputs, outputs), nn.ReLU())
        ]
        body = nn.Sequential(features, *layers)
        return equivariant_editor(problem, body, self.channels, self.sets)

    def _layer(self, problem: Problem, inputs: int, outputs: int) -> nn.Module:
        if self.layer == "pointwise":
            return GroupLinear(problem.spec, inputs, outputs)
        return EquivariantLinear(problem.spec, inputs, outputs, hidden_only=self.layer == "hnp")

    def skip(self, problem: Problem) -> str | None:
        return draws_nothing(problem)
