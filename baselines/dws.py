"""DWSNets: deep weight space networks (Navon et al., ICML 2023, arXiv:2301.12780).

A layer maps every weight and bias tensor to every other one by the maps that commute with
permutations of hidden neurons: pooling over neurons, a linear map of the channels, and broadcasting
over neurons. Tensors that touch the same neurons exchange features neuron by neuron, others only
through what is pooled.

The published code (AvivNavon/DWSNets) pools by the maximum and replaces the exchange between the
neurons of a layer by self-attention, which gives a layer that is equivariant, but not linear. With
mean pooling and without attention it is the paper's basis of all equivariant linear maps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor, nn

from baselines.equivariant import NeuronLayout
from benchmark.errors import UserError
from benchmark.methods import PREDICTIONS, Method, Problem, Variant
from benchmark.tuning.space import Choice, Log
from nft.layers import Standardize, attention

Pooling = Callable[[Tensor, tuple[int, ...]], Tensor]
POOLINGS: dict[str, Pooling] = {"max": torch.amax, "mean": torch.mean}


@dataclass(frozen=True)
class Item:
    """One weight or bias tensor, as features `[batch, *neurons, size * channels]`.

    Attributes:
        layers: The hidden layers whose neurons its axes are: two for a weight between hidden
            layers, one for the first and the last weight and a hidden bias, none for the last bias.
        size: Entries for each of these neurons: input neurons of the first weight, output neurons
            of the last weight and bias, else 1.
    """

    layers: tuple[int, ...]
    size: int

    def pool(self, pooling: Pooling, x: Tensor, keep: int | None = None) -> Tensor:
        """Pool features over all neurons, or over all but those of the layer to keep."""
        axes = tuple(axis for axis, layer in enumerate(self.layers, start=1) if layer != keep)
        return pooling(x, axes) if axes else x

    def spread(self, x: Tensor, layer: int | None = None) -> Tensor:
        """Give pooled features, or those of a layer's neurons, the axes that they lack."""
        for axis, own in enumerate(self.layers, start=1):
            x = x if own == layer else x.unsqueeze(axis)
        return x


def items(layout: NeuronLayout) -> list[Item]:
    """List the tensors in the order of `split`."""
    vectors = [Item((layer,), size) for layer, sizes in layout.vectors.items() for size in sizes]
    matrices = [Item((layer, layer - 1), size) for layer, size in layout.matrices.items()]
    return vectors + matrices + [Item((), size) for size in layout.constants]


def split(layout: NeuronLayout, x: Tensor) -> list[Tensor]:
    """Split features `[batch, tokens, channels]` into those of each tensor."""
    matrices, vectors, constants = layout.gather(x)
    flat = [part for parts in vectors.values() for part in parts]
    return flat + list(matrices.values()) + constants


def linear(inputs: list[int], outputs: int, *, bias: bool = True) -> nn.Linear:
    """Make a linear map of concatenated inputs with the published initialisation of each."""
    layer = nn.Linear(sum(inputs), outputs, bias=bias)
    with torch.no_grad():
        for size, block in zip(inputs, layer.weight.split(inputs, dim=1), strict=True):
            block.normal_(std=2 * sqrt(size / (outputs * (size + outputs))))
        if bias:
            layer.bias.uniform_(-1e-4, 1e-4)
    return layer


class NeuronLinear(nn.Module):
    """What a tensor receives from others at the same neurons: a linear map of their features.

    Maps features `[batch, neurons, inputs]`, one for each sender, to `[batch, neurons, outputs]`.
    """

    def __init__(self, inputs: list[int], outputs: int) -> None:
        super().__init__()
        self.map = linear(inputs, outputs, bias=False)

    def forward(self, senders: list[Tensor]) -> Tensor:
        return self.map(torch.cat(senders, dim=-1))


class NeuronAttention(nn.Module):
    """Self-attention among the neurons of a layer, for each sender (Lee et al., arXiv:1810.00825).

    Maps features `[batch, neurons, inputs]`, one for each sender, to `[batch, neurons, outputs]`.
    The keys have no bias, which the softmax would cancel.
    """

    def __init__(self, inputs: list[int], outputs: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.queries = nn.ModuleList(linear([size], outputs) for size in inputs)
        self.keys = nn.ModuleList(linear([size], outputs, bias=False) for size in inputs)
        self.values = nn.ModuleList(linear([size], outputs) for size in inputs)
        self.after = nn.ModuleList(linear([outputs], outputs) for _ in inputs)

    def forward(self, senders: list[Tensor]) -> Tensor:
        # Every sender's sequence is another row of one batch, as is every head.
        query, key, value = (
            torch.stack([own(x) for own, x in zip(maps, senders, strict=True)])
            .unflatten(-1, (self.heads, -1))
            .transpose(-2, -3)
            for maps in (self.queries, self.keys, self.values)
        )
        # Published with the root of all heads' channels as the divisor of the products.
        received = query + _attend(query / sqrt(self.heads), key, value)
        received = received.transpose(-2, -3).flatten(-2)
        return sum(x + own(x).relu() for own, x in zip(self.after, received, strict=True))


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Compute attention of `[senders, batch, heads, neurons, channels]`."""
    shape = query.shape
    flat = (part.flatten(0, 1) for part in (query, key, value))  # as the GPU's kernels want it
    return attention(*flat).reshape(shape)


class MatrixLinear(nn.Module):
    """The equivariant maps of a weight between hidden layers to itself.

    Maps `[batch, outputs, inputs, channels]` to the same with other channels: the sum of maps of an
    entry, its row, its column and the whole, over 4.
    """

    def __init__(self, item: Item, inputs: int, outputs: int, pooling: Pooling) -> None:
        super().__init__()
        self.item, self.pooling = item, pooling
        self.entry = linear([inputs], outputs, bias=False)
        self.lines = nn.ModuleList(linear([inputs], outputs, bias=False) for _ in item.layers)
        self.whole = linear([inputs], outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        total = self.entry(x) + self.item.spread(self.whole(self.item.pool(self.pooling, x)))
        for layer, line in zip(self.item.layers, self.lines, strict=True):
            lines = self.item.pool(self.pooling, x, keep=layer)
            total = total + self.item.spread(line(lines), layer)
        return total / 4


class DWSLayer(nn.Module):
    """An equivariant layer: maps features of all tensors, in the order of `items`, to others.

    Args:
        parts: The tensors.
        inputs: Channels of the features.
        outputs: Channels of the result.
        pooling: How features are pooled over neurons.
        heads: Heads of the attention among neurons; 0 for the linear maps.
    """

    def __init__(
        self, parts: list[Item], inputs: int, outputs: int, pooling: Pooling, heads: int
    ) -> None:
        super().__init__()
        self.parts, self.pooling = parts, pooling
        self.apart: list[list[int]] = []  # whose pooled features each tensor receives
        self.near: list[dict[int, list[int]]] = []  # whose, at the neurons of each of its layers
        self.broadcast, self.exchange, self.own = nn.ModuleList(), nn.ModuleList(), nn.ModuleDict()
        for index, part in enumerate(parts):
            width, matrix = part.size * outputs, len(part.layers) == 2
            self.apart.append(self._apart(index, heads))
            sizes = [parts[i].size * inputs for i in self.apart[-1]]
            self.broadcast.append(linear(sizes, width))
            self.near.append({layer: self._near(index, layer) for layer in part.layers})
            for senders in self.near[-1].values():
                sizes = [parts[i].size * inputs for i in senders]
                self.exchange.append(
                    NeuronAttention(sizes, width, heads) if heads else NeuronLinear(sizes, width)
                )
            if matrix:
                self.own[str(index)] = MatrixLinear(part, part.size * inputs, width, pooling)

    def _near(self, index: int, layer: int) -> list[int]:
        """List who shares a layer's neurons with a tensor; a matrix has maps of its own."""
        matrix = len(self.parts[index].layers) == 2
        return [
            i
            for i, part in enumerate(self.parts)
            if layer in part.layers and not (matrix and i == index)
        ]

    def _apart(self, index: int, heads: int) -> list[int]:
        """List whose pooled features a tensor receives: with attention, of none that is near."""
        own = self.parts[index]
        if not heads:
            matrix = len(own.layers) == 2
            return [i for i in range(len(self.parts)) if not (matrix and i == index)]
        return [i for i, part in enumerate(self.parts) if not set(part.layers) & set(own.layers)]

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        pairs = list(zip(self.parts, features, strict=True))
        pooled = [part.pool(self.pooling, x) for part, x in pairs]
        lines = [
            {layer: part.pool(self.pooling, x, keep=layer) for layer in part.layers}
            for part, x in pairs
        ]
        exchange, results = iter(self.exchange), []
        for index, part in enumerate(self.parts):
            everywhere = torch.cat([pooled[i] for i in self.apart[index]], dim=-1)
            terms = [part.spread(self.broadcast[index](everywhere))]
            for layer, senders in self.near[index].items():
                received = next(exchange)([lines[i][layer] for i in senders])
                terms.append(part.spread(received, layer))
            if str(index) in self.own:
                terms.append(self.own[str(index)](features[index]))
            results.append(sum(terms) / len(self.parts))
        return results


class TensorNorm(nn.Module):
    """A batch norm of each tensor's channels, over the networks and the tensor's entries."""

    def __init__(self, parts: list[Item], channels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm1d(channels) for _ in parts)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        return [
            norm(x.reshape(-1, norm.num_features)).view(x.shape)
            for norm, x in zip(self.norms, features, strict=True)
        ]


class DWSNet(nn.Module):
    """Equivariant layers with batch norm and ReLU, pooling over neurons, and a linear map."""

    def __init__(
        self, problem: Problem, channels: int, layers: int, pooling: Pooling, heads: int
    ) -> None:
        super().__init__()
        self.standardize = Standardize(problem.spec, problem.mean, problem.std)
        self.layout, self.pooling = NeuronLayout(problem.spec, hidden_only=True), pooling
        self.parts = items(self.layout)
        self.first = DWSLayer(self.parts, 1, channels, pooling, heads)
        self.norms = nn.ModuleList(TensorNorm(self.parts, channels) for _ in range(layers))
        # Published with one head in the last layer.
        counts = [heads] * (layers - 1) + [min(heads, 1)]
        self.layers = nn.ModuleList(
            DWSLayer(self.parts, channels, channels, pooling, count) for count in counts
        )
        self.head = nn.Linear(sum(part.size for part in self.parts) * channels, problem.outputs)

    def forward(self, flat: Tensor) -> Tensor:
        features = self.first(split(self.layout, self.standardize(flat)))
        for norm, layer in zip(self.norms, self.layers, strict=True):
            features = layer([x.relu() for x in norm(features)])
        pooled = [
            part.pool(self.pooling, x.relu()) for part, x in zip(self.parts, features, strict=True)
        ]
        return self.head(torch.cat(pooled, dim=-1))


@dataclass(frozen=True)
class DWS(Method):
    """Equivariant layers on the weight space of an MLP.

    The defaults are those of the published code, with "max" for the pooling and 8 heads of
    attention among the neurons of a layer. With no heads and the "mean", the layers are linear.
    Other than there, the weights are standardised by tensor: by entry, a permutation of neurons
    would change what is read. Biases that only ever appear in a sum are one.
    """

    name = "dwsnet"
    title = "DWSNet"
    paper = "arXiv:2301.12780"
    tasks = (*(task for task in PREDICTIONS if task != "generalization"), "sine-embedding")
    mini = {"channels": 16, "layers": 2, "heads": 4}
    space = {
        "learning_rate": Log(3e-4, 3e-2),
        "weight_decay": Log(1e-4, 1e-1),
        "channels": Choice(8, 16, 32),
        "layers": Choice(1, 2, 3),
    }
    variants = (
        Variant(
            "dwsnet-linear", "DWSNet (linear layers)", {"heads": 0, "pooling": "mean"}, mini={}
        ),
    )

    learning_rate: float = 5e-3
    weight_decay: float = 5e-4
    channels: int = 32
    layers: int = 4
    heads: int = 8
    pooling: str = "max"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pooling not in POOLINGS:
            raise UserError(
                f"{self.name}: pooling is one of {', '.join(POOLINGS)}, not {self.pooling!r}"
            )
        if self.heads and self.channels % self.heads:
            raise UserError(
                f"{self.name}: {self.heads} heads do not divide {self.channels} channels; "
                "choose others"
            )

    def build(self, problem: Problem) -> nn.Module:
        return DWSNet(problem, self.channels, self.layers, POOLINGS[self.pooling], self.heads)

    def skip(self, problem: Problem) -> str | None:
        if problem.spec.positions > 1:
            return "it reads MLPs alone, no convolutions"
        return None
