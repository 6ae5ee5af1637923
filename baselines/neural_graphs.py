"""Neural graphs: NG-GNN and NG-T (Kofinas et al., ICLR 2024, arXiv:2403.12143).

A network is a graph: neurons are nodes with their biases as features, weights are edges. Any graph
network reads it, and is equivariant to permutations of hidden neurons. What distinguishes nodes are
embeddings: one for each hidden layer, one for each input and each output.

NG-GNN passes messages up and down the network and aggregates them as PNA does (Corso et al. 2020,
arXiv:2004.05718). NG-T is a relational transformer (Diao and Loynd 2023, arXiv:2210.05062), in
which every node attends to every other, and edges change queries, keys and values. Both update
edges, too, and read the outputs' features.

With probe features nodes know what their neurons do: the network is evaluated at learned points.
These methods read functions, and are classes of their own.

The published code is mkofinas/neural-graphs. This differs from it:

- The norm of NG-GNN is over one network's nodes and channels. Published is one over all networks of
  a batch together, so that predictions depend on the others.
- The output's probe features lack an offset of 0.5, which the next layer's bias absorbs.
- Convolutional networks are read as MLPs are: messages pass both ways, and kernels of dense layers
  are padded with zeros (as published for NG-T). Their activations are not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.graph import NeuronGraph
from benchmark.errors import UserError
from benchmark.methods import Method, Problem
from benchmark.tuning.space import Choice, Log
from nft.layers import FourierFeatures, Standardize
from nft.network import VARIOUS, NetworkSpec
from nft.symmetry import ACTIVATIONS


class Sizes(Protocol):
    """The fields of a method that say how it reads numbers."""

    frequencies: int
    fourier_scale: float


class Probes(nn.Module):
    """What each neuron computes at learned points: `[batch, nodes, channels]` from flat weights."""

    def __init__(self, spec: NetworkSpec, points: int, channels: int) -> None:
        super().__init__()
        self.spec = spec
        self.points = nn.Parameter(2 * torch.rand(points, spec.neurons[0]) - 1)
        self.maps = nn.ModuleList(
            nn.Sequential(nn.Linear(points, channels), nn.LayerNorm(channels)) for _ in spec.neurons
        )

    def forward(self, flat: Tensor) -> Tensor:
        # Never autocast: bfloat16 would lose the fraction of a SIREN's phase.
        with torch.autocast(flat.device.type, enabled=False):
            values = self._values(flat)
        return torch.cat([own(x) for own, x in zip(self.maps, values, strict=True)], dim=1)

    def _values(self, flat: Tensor) -> list[Tensor]:
        """Evaluate every layer of neurons: `[batch, neurons, points]` each."""
        # Not expanded: torch's counting of operations takes no views of parameters.
        values = [self.points.T.repeat(len(flat), 1, 1)]
        layers = self.spec.to_layers(flat)
        for number, (weight, bias) in enumerate(layers, start=1):
            sums = torch.baddbmm(bias.unsqueeze(-1), weight, values[-1])
            values.append(sums if number == len(layers) else self._activate(sums))
        return values

    def _activate(self, sums: Tensor) -> Tensor:
        if self.spec.activation == "sine":
            return torch.sin(self.spec.omega * sums)
        return ACTIVATIONS[self.spec.activation](sums)


class NodeFeatures(nn.Module):
    """The first features of nodes: Fourier features of biases, probe features and embeddings."""

    def __init__(self, graph: NeuronGraph, sizes: Sizes, channels: int, points: int) -> None:
        super().__init__()
        self.encode = fourier(1, sizes, channels)
        self.probes = Probes(graph.spec, points, channels) if points else None
        self.mix = nn.Linear(channels, channels)
        self.register_buffer("kinds", graph.node_kinds(), persistent=False)
        self.embedding = nn.Parameter(torch.randn(int(self.kinds.max()) + 1, channels))

    def forward(self, flat: Tensor, biases: Tensor) -> Tensor:
        x = self.encode(biases)
        if self.probes is not None:
            x = x + self.probes(flat)
        return self.mix(x) + self.embedding[self.kinds]


def fourier(inputs: int, sizes: Sizes, channels: int) -> nn.Sequential:
    """Make the map of weights or biases to features."""
    return nn.Sequential(
        FourierFeatures(inputs, sizes.frequencies, sizes.fourier_scale),
        nn.Linear(2 * sizes.frequencies, channels),
    )


# NG-GNN. Features of edges are of those upwards, and then of those downwards, `[batch, 2 * edges,
# channels]`, each in the order of `NeuronGraph`.


class Aggregation(nn.Module):
    """PNA's aggregation of the messages that each node receives.

    Maps `[batch, 2 * edges, channels]` to the mean, the minimum, the maximum and the deviation, and
    to the same amplified by the logarithm of the node's degree: `[batch, nodes, 8 * channels]`.
    """

    def __init__(self, graph: NeuronGraph) -> None:
        super().__init__()
        self.graph = graph
        sizes = graph.spec.neurons
        below, above = [0, *sizes[:-1]], [*sizes[1:], 0]
        degrees = torch.tensor([sum(pair) for pair in zip(below, above, strict=True)])
        # Relative to the mean of what comes from below alone, as published.
        log = (torch.tensor(below) + 1.0).log().repeat_interleave(torch.tensor(sizes))
        amplified = (degrees + 1.0).log().repeat_interleave(torch.tensor(sizes)) / log.mean()
        self.register_buffer("amplification", amplified.unsqueeze(-1), persistent=False)

    def forward(self, messages: Tensor) -> Tensor:
        up, down = (self.graph.matrices(part) for part in messages.chunk(2, dim=1))
        from_above = [matrix.transpose(1, 2) for matrix in down]
        received = [from_above[0]]
        received += [torch.cat(pair, dim=2) for pair in zip(up, from_above[1:], strict=False)]
        received.append(up[-1])
        own = torch.cat([self._aggregate(x) for x in received], dim=1)
        return torch.cat([own, own * self.amplification], dim=-1)

    def _aggregate(self, x: Tensor) -> Tensor:
        """Aggregate `[batch, nodes, degree, channels]` to `[batch, nodes, 4 * channels]`."""
        mean = x.mean(dim=2)
        least = sqrt(1e-5)  # of a deviation; what is less counts as zero
        deviation = (x.square().mean(dim=2) - mean.square()).clamp_min(least**2).sqrt()
        deviation = deviation.masked_fill(deviation <= least, 0.0)
        return torch.cat([mean, x.amin(dim=2), x.amax(dim=2), deviation], dim=-1)


class Convolution(nn.Module):
    """A PNA layer: messages are linear maps of both ends, scaled and shifted by their edge."""

    def __init__(self, graph: NeuronGraph, channels: int) -> None:
        super().__init__()
        self.graph, self.channels = graph, channels
        self.modulation = nn.Linear(channels, 2 * channels)
        self.message = nn.Linear(2 * channels, channels)
        self.aggregation = Aggregation(graph)
        self.update = nn.Sequential(
            nn.Linear(9 * channels, channels), nn.Linear(channels, channels)
        )

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        # The linear map of both ends, receiver and sender, computed once for each node.
        receiver, sender = self.message.weight.split(self.channels, dim=1)
        ends = functional.linear(x, receiver, self.message.bias), functional.linear(x, sender)
        scale, shift = self.modulation(edges).chunk(2, dim=-1)
        messages = scale * both_ways(self.graph, *ends) + shift
        return self.update(torch.cat([x, self.aggregation(messages)], dim=-1))


def both_ways(graph: NeuronGraph, receiver: Tensor, sender: Tensor) -> Tensor:
    """Add features of each edge's receiver and its sender: `[batch, 2 * edges, channels]`."""
    up = graph.upper(receiver) + graph.lower(sender)
    down = graph.lower(receiver) + graph.upper(sender)
    return torch.cat([up, down], dim=1)


class EdgeUpdate(nn.Module):
    """New features of edges from theirs and those of both ends."""

    def __init__(self, graph: NeuronGraph, channels: int) -> None:
        super().__init__()
        self.graph = graph
        self.edge = nn.Linear(channels, channels)
        self.sender = nn.Linear(channels, channels)
        self.receiver = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        ends = both_ways(self.graph, self.receiver(x), self.sender(x))
        return self.out(functional.silu(self.edge(edges) + ends))


class NetworkNorm(nn.Module):
    """A layer norm over all nodes and channels of a network, with gain and bias by channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, x.shape[1:]) * self.gain + self.bias


class GraphNetwork(nn.Module):
    """NG-GNN: PNA layers, updates of edges between them, and an MLP on the outputs' features.

    Maps flat weights `[batch, parameters]` to `[batch, outputs]`.
    """

    def __init__(self, problem: Problem, sizes: GraphNetworkMethod, points: int = 0) -> None:
        super().__init__()
        self.graph, channels = NeuronGraph(problem.spec), sizes.channels
        self.standardize = Standardize(problem.spec, problem.mean, problem.std)
        self.node_features = NodeFeatures(self.graph, sizes, channels, points)
        self.edge_features = nn.Sequential(
            *fourier(3 * problem.spec.positions, sizes, channels), nn.Linear(channels, channels)
        )
        self.convolutions = nn.ModuleList(
            Convolution(self.graph, channels) for _ in range(sizes.layers)
        )
        between = range(sizes.layers - 1)
        self.norms = nn.ModuleList(NetworkNorm(channels) for _ in between)
        self.edge_updates = nn.ModuleList(EdgeUpdate(self.graph, channels) for _ in between)
        self.dropout = nn.Dropout(sizes.dropout)
        self.head = nn.Sequential(
            nn.Linear(problem.spec.neurons[-1] * channels, channels),
            nn.ReLU(),
            nn.Linear(channels, channels),
            nn.ReLU(),
            nn.Linear(channels, problem.outputs),
        )

    def forward(self, flat: Tensor) -> Tensor:
        biases, weights = self.graph.features(self.standardize(flat))
        x = self.node_features(flat, biases)
        # The weight in an edge's direction, the one against it, and their sum.
        none = torch.zeros_like(weights)
        up = torch.cat([weights, none, weights], dim=-1)
        down = torch.cat([none, weights, weights], dim=-1)
        edges = self.edge_features(torch.cat([up, down], dim=1))
        x = self.convolutions[0](x, edges)
        for norm, update, convolution in zip(
            self.norms, self.edge_updates, self.convolutions[1:], strict=True
        ):
            x = self.dropout(functional.silu(norm(x)))
            edges = update(x, edges)
            x = convolution(x, edges)
        return self.head(x[:, self.graph.hidden[1] :].flatten(1))


# NG-T. Every pair of nodes has features, `[batch, nodes, nodes, edge_channels]`. An edge is in the
# row of its lower node and in the column of its upper one.


class RelationalAttention(nn.Module):
    """Attention of each node to all, in which a pair's features change query, key and value."""

    def __init__(self, nodes: int, edges: int, channels: int, heads: int) -> None:
        super().__init__()
        self.heads, self.factor = heads, 1 / sqrt(channels)  # of all heads, as published
        self.node = linear(nodes, 3 * channels, bias=False)
        self.edge = linear(edges, 4 * channels, bias=False)
        self.out = linear(channels, nodes)

    def forward(self, x: Tensor, pairs: Tensor) -> Tensor:
        query, key, value = self.node(x).unflatten(-1, (self.heads, 3, -1)).unbind(-2)
        by_pair = self.edge(pairs).unflatten(-1, (self.heads, 4, -1)).unbind(-2)
        queries, keys = query.unsqueeze(2) + by_pair[0], key.unsqueeze(1) + by_pair[1]
        values = value.unsqueeze(1) * by_pair[3] + by_pair[2]
        weights = ((queries * keys).sum(dim=-1) * self.factor).softmax(dim=2)
        return self.out((weights.unsqueeze(-1) * values).sum(dim=2).flatten(-2))


def linear(inputs: int, outputs: int, *, bias: bool = True) -> nn.Linear:
    """Make a linear map with the published initialisation."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.xavier_uniform_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def feed_forward(channels: int, hidden: int, dropout: float) -> nn.Sequential:
    """Make the MLP of nodes or of pairs."""
    return nn.Sequential(
        linear(channels, hidden, bias=False),
        nn.GELU(),
        linear(hidden, channels),
        nn.Dropout(dropout),
    )


class PairUpdate(nn.Module):
    """New features of pairs, from theirs in both directions and from both nodes."""

    def __init__(self, nodes: int, edges: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.pair = linear(2 * edges, hidden)
        self.row, self.column = linear(nodes, hidden), linear(nodes, hidden)
        self.out = nn.Sequential(nn.GELU(), linear(hidden, edges), nn.Dropout(dropout))
        self.norm = nn.LayerNorm(edges)
        self.feed_forward = feed_forward(edges, hidden, dropout)
        self.feed_forward_norm = nn.LayerNorm(edges)

    def forward(self, x: Tensor, pairs: Tensor) -> Tensor:
        both = torch.cat([pairs, pairs.transpose(1, 2)], dim=-1)
        ends = self.row(x).unsqueeze(2) + self.column(x).unsqueeze(1)
        pairs = self.norm(pairs + self.out(self.pair(both) + ends))
        return self.feed_forward_norm(pairs + self.feed_forward(pairs))


class NodeUpdate(nn.Module):
    """New features of nodes: relational attention and an MLP, each followed by a norm."""

    def __init__(self, sizes: RelationalMethod) -> None:
        super().__init__()
        channels = sizes.channels
        self.attention = RelationalAttention(
            channels, sizes.edge_channels, sizes.attention, sizes.heads
        )
        self.after = nn.Sequential(linear(channels, channels), nn.Dropout(sizes.dropout))
        self.norm = nn.LayerNorm(channels)
        self.feed_forward = feed_forward(channels, sizes.hidden, sizes.dropout)
        self.feed_forward_norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor, pairs: Tensor) -> Tensor:
        x = self.norm(x + self.after(self.attention(x, pairs)))
        return self.feed_forward_norm(x + self.feed_forward(x))


class RelationalTransformer(nn.Module):
    """NG-T: updates of nodes, of pairs between them, and an MLP on the outputs' features.

    Maps flat weights `[batch, parameters]` to `[batch, outputs]`.
    """

    def __init__(self, problem: Problem, sizes: RelationalMethod, points: int = 0) -> None:
        super().__init__()
        self.graph, positions = NeuronGraph(problem.spec), problem.spec.positions
        self.standardize = Standardize(problem.spec, problem.mean, problem.std)
        self.node_features = NodeFeatures(self.graph, sizes, sizes.channels, points)
        self.edge_features = nn.Sequential(
            *fourier(positions, sizes, sizes.edge_channels),
            nn.Linear(sizes.edge_channels, sizes.edge_channels),
        )
        numbers = torch.arange(self.graph.nodes).view(1, -1, 1)
        places = self.graph.lower(numbers) * self.graph.nodes + self.graph.upper(numbers)
        self.register_buffer("places", places.flatten(), persistent=False)
        self.register_buffer("no_edge", torch.zeros(1, 1, positions), persistent=False)
        self.node_updates = nn.ModuleList(NodeUpdate(sizes) for _ in range(sizes.layers))
        self.pair_updates = nn.ModuleList(
            PairUpdate(sizes.channels, sizes.edge_channels, sizes.edge_hidden, sizes.dropout)
            for _ in range(sizes.layers - 1)
        )
        self.head = nn.Sequential(
            nn.Linear(problem.spec.neurons[-1] * sizes.channels, sizes.head_hidden),
            nn.ReLU(),
            nn.Linear(sizes.head_hidden, problem.outputs),
        )

    def forward(self, flat: Tensor) -> Tensor:
        biases, weights = self.graph.features(self.standardize(flat))
        x, pairs = self.node_features(flat, biases), self._pairs(weights)
        x = self.node_updates[0](x, pairs)
        for pair_update, node_update in zip(self.pair_updates, self.node_updates[1:], strict=True):
            pairs = pair_update(x, pairs)
            x = node_update(x, pairs)
        return self.head(x[:, self.graph.hidden[1] :].flatten(1))

    def _pairs(self, weights: Tensor) -> Tensor:
        """Compute the first features of pairs; those without an edge have the features of zero."""
        nodes = self.graph.nodes
        pairs = self.edge_features(self.no_edge).expand(len(weights), nodes**2, -1)
        pairs = pairs.index_copy(1, self.places, self.edge_features(weights))
        return pairs.unflatten(1, (nodes, nodes))


@dataclass(frozen=True)
class GraphNetworkMethod(Method):
    """NG-GNN with or without probe features."""

    paper = "arXiv:2403.12143"
    mini = {"layers": 3, "frequencies": 32, "fourier_scale": 0.3, "dropout": 0.0}
    space = {
        "learning_rate": Log(3e-4, 1e-2),
        "fourier_scale": Log(0.03, 3.0),
        "dropout": Choice(0.0, 0.1, 0.2),
        "channels": Choice(16, 24, 32),
    }

    weight_decay: float = 5e-4
    channels: int = 32
    layers: int = 4
    frequencies: int = 128
    fourier_scale: float = 3.0
    dropout: float = 0.2


@dataclass(frozen=True)
class NGGNN(GraphNetworkMethod):
    """Messages up and down the network, aggregated as PNA does.

    The defaults are those of the published code for MNIST INRs (mnist_cls_pna.sh).
    """

    name = "ng-gnn"
    title = "NG-GNN"

    def build(self, problem: Problem) -> nn.Module:
        return GraphNetwork(problem, self)


@dataclass(frozen=True)
class NGGNNProbes(GraphNetworkMethod):
    """NG-GNN that also evaluates the networks at learned points (mnist_cls_pna_probe_64.sh)."""

    name = "ng-gnn-probes"
    title = "NG-GNN (64 probes)"
    reads_functions = True

    points: int = 64

    def build(self, problem: Problem) -> nn.Module:
        return GraphNetwork(problem, self, self.points)

    def skip(self, problem: Problem) -> str | None:
        return cannot_be_evaluated(problem.spec)


@dataclass(frozen=True)
class RelationalMethod(Method):
    """NG-T with or without probe features."""

    paper = "arXiv:2403.12143"
    mini = {
        "channels": 32,
        "edge_channels": 16,
        "attention": 32,
        "heads": 4,
        "hidden": 64,
        "edge_hidden": 32,
        "head_hidden": 64,
        "layers": 2,
        "frequencies": 32,
        "fourier_scale": 0.3,
        "dropout": 0.0,
    }
    space = {
        "learning_rate": Log(3e-4, 1e-2),
        "fourier_scale": Log(0.03, 3.0),
        "dropout": Choice(0.0, 0.1, 0.2),
        "layers": Choice(2, 3),
    }

    weight_decay: float = 5e-4
    channels: int = 64
    edge_channels: int = 32
    attention: int = 128
    heads: int = 8
    hidden: int = 128
    edge_hidden: int = 64
    head_hidden: int = 128
    layers: int = 4
    frequencies: int = 128
    fourier_scale: float = 1.0
    dropout: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.attention % self.heads:
            raise UserError(
                f"{self.name}: {self.heads} heads do not divide {self.attention} channels of "
                "attention; choose others"
            )


@dataclass(frozen=True)
class NGT(RelationalMethod):
    """A transformer on all nodes, with features of every pair of them.

    The defaults are those of the published code for MNIST INRs (mnist_cls_rt.sh).
    """

    name = "ng-t"
    title = "NG-T"

    def build(self, problem: Problem) -> nn.Module:
        return RelationalTransformer(problem, self)


@dataclass(frozen=True)
class NGTProbes(RelationalMethod):
    """NG-T that also evaluates the networks at learned points (mnist_cls_rt_probe_64.sh)."""

    name = "ng-t-probes"
    title = "NG-T (64 probes)"
    reads_functions = True

    points: int = 64

    def build(self, problem: Problem) -> nn.Module:
        return RelationalTransformer(problem, self, self.points)

    def skip(self, problem: Problem) -> str | None:
        return cannot_be_evaluated(problem.spec)


def cannot_be_evaluated(spec: NetworkSpec) -> str | None:
    """Return why probes cannot be taken of networks, or None if they can."""
    if spec.positions > 1:
        return "it evaluates MLPs alone, no convolutions"
    if spec.activation == VARIOUS:
        return "the networks' activations differ, so that it cannot evaluate them"
    return None
