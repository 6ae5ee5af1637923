"""The equivariant linear layers of NFN (Zhou et al., NeurIPS 2023, arXiv:2302.14040).

Every layer of neurons gathers the features that touch its neurons: their biases, and the means of
the incoming and the outgoing weights. One linear map computes the features that return to them. The
means of whole tensors are broadcast to everything.

HNP distinguishes the neurons of the input and of the output, by parameters of their own. NP treats
them as exchangeable, like hidden neurons; an encoding of the input distinguishes them.

Features are `[batch, tokens, positions * channels]`: a weight has `channels` for every position of
its kernel, and a bias for one. A tensor with fewer positions than the network's largest kernel uses
the first of its channels, and the others are zero. In an MLP every tensor has one position.
"""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from nft.network import NetworkSpec


class NeuronLayout:
    """A grouping of a network's tensors by the layers of exchangeable neurons that they touch.

    matrices: weights between two such layers, `[batch, outputs, inputs, multiple * channels]`, by
    layer number from 1. The multiple is the size of the kernel.

    vectors: tensors that touch one such layer, `[batch, neurons, multiple * channels]`, by neuron
    layer. These are its biases and, in HNP, the first weight (whose columns are further channels,
    one for each input) and the last weight (whose rows are, one for each output).

    constants: tensors that touch none, `[batch, multiple * channels]`. In HNP, these are the
    output's biases.
    """

    def __init__(self, spec: NetworkSpec, *, hidden_only: bool) -> None:
        self.spec, self.hidden_only = spec, hidden_only
        self.depth = len(spec.layers)
        self.positions = {la: layer.positions for la, layer in enumerate(spec.layers, start=1)}
        ends = 1 if hidden_only else 0
        self.neuron_layers = range(ends, self.depth + 1 - ends)
        self.matrices = {la: self.positions[la] for la in range(ends + 1, self.depth + 1 - ends)}
        self.vectors = {layer: [1] if layer else [] for layer in self.neuron_layers}
        self.constants = []
        if hidden_only:
            self.vectors[1].insert(0, spec.neurons[0] * self.positions[1])
            self.vectors[self.depth - 1].append(spec.neurons[-1] * self.positions[self.depth])
            self.constants.append(spec.neurons[-1])

    @property
    def pooled(self) -> int:
        """Channels after `pool`, as a multiple of the features' channels."""
        vectors = sum(map(sum, self.vectors.values()))
        return vectors + sum(self.matrices.values()) + sum(self.constants)

    def gather(self, x: Tensor) -> tuple[dict[int, Tensor], dict[int, list[Tensor]], list[Tensor]]:
        """Split features `[batch, tokens, positions * channels]` into the three groups."""
        weights, biases = self._used(x)
        matrices = {layer: weights[layer] for layer in self.matrices}
        vectors = {layer: [biases[layer]] if layer else [] for layer in self.neuron_layers}
        if not self.hidden_only:
            return matrices, vectors, []
        vectors[1].insert(0, weights[1].flatten(2))
        vectors[self.depth - 1].append(weights[self.depth].transpose(1, 2).flatten(2))
        return matrices, vectors, [biases[self.depth].flatten(1)]

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
        return self._padded(weights, biases)

    def pool(self, x: Tensor) -> Tensor:
        """Average features over the neurons of every tensor: `[batch, pooled * channels]`.

        The result is invariant to permutations of exchangeable neurons.
        """
        matrices, vectors, constants = self.gather(x)
        means = [part.mean(dim=1) for layer in self.neuron_layers for part in vectors[layer]]
        means += [matrices[layer].mean(dim=(1, 2)) for layer in self.matrices]
        return torch.cat(means + constants, dim=1)

    def _used(self, x: Tensor) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
        """Split features by layer, each tensor with the channels that it uses."""
        channels = x.shape[-1] // self.spec.positions
        weights, biases = {}, {}
        for layer, (weight, bias) in enumerate(self.spec.views(x), start=1):
            weights[layer] = weight[..., : self.positions[layer] * channels]
            biases[layer] = bias[..., :channels]
        return weights, biases

    def _padded(self, weights: dict[int, Tensor], biases: dict[int, Tensor]) -> Tensor:
        """Join features by layer, the inverse of `_used`."""
        channels = biases[self.depth].shape[-1]
        width = self.spec.positions * channels
        return self.spec.from_views(
            [(_pad(weights[layer], width), _pad(biases[layer], width)) for layer in self.positions]
        )


def _pad(x: Tensor, width: int) -> Tensor:
    """Append zeros to the last axis, up to a width."""
    missing = width - x.shape[-1]
    return functional.pad(x, (0, missing)) if missing else x


class EquivariantLinear(nn.Module):
    """The linear maps that commute with permutations of neurons.

    Maps features with `inputs` channels to features with `outputs`. With `hidden_only` this is the
    paper's HNP layer (appendix B), otherwise its NP layer (section 3.1, equation 3). It contains
    every such map once. (The paper's published code omits one from HNP, from the last hidden biases
    to the last weights, and learns others as sums of several.)
    """

    def __init__(self, spec: NetworkSpec, inputs: int, outputs: int, *, hidden_only: bool) -> None:
        super().__init__()
        self.layout = layout = NeuronLayout(spec, hidden_only=hidden_only)
        received, self.sent = {}, {}
        for layer in layout.neuron_layers:
            touching = [layout.matrices[la] for la in (layer, layer + 1) if la in layout.matrices]
            received[layer] = inputs * (sum(layout.vectors[layer]) + sum(touching))
            self.sent[layer] = [outputs * size for size in layout.vectors[layer] + touching]
        self.broadcast_sizes = [
            outputs * size for parts in layout.vectors.values() for size in parts
        ]
        self.broadcast_sizes += [
            outputs * size for size in [*layout.matrices.values(), *layout.constants]
        ]

        self.pointwise = nn.ModuleDict(
            {
                str(la): nn.Linear(size * inputs, size * outputs, bias=False)
                for la, size in layout.matrices.items()
            }
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
            la: 1 / sqrt(size * inputs + received[la - 1] + received[la] + everywhere)
            for la, size in self.layout.matrices.items()
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
