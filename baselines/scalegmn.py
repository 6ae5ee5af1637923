"""ScaleGMN: scale equivariant graph metanetworks (Kalogeropoulos et al., arXiv:2406.10685).

A network is a graph of neurons, along whose weights messages pass. A hidden neuron i can be
multiplied by some factor q_i without a change of the function: by a sign for sine and tanh, by a
positive number for ReLU. Its incoming weights and its bias become q_i times as large, and its
features follow; a weight from j, and the edge's features, become q_i / q_j times as large. Three
blocks keep it so:

- a linear map without bias follows any factor;
- the product of an edge's features (q_i / q_j) and its lower node's (q_j) follows q_i, as a message
  to i must;
- what no factor changes may be a factor itself: x -> W x * phi(invariant(x)), where the invariant
  is rho(x) + rho(-x) for signs and x / |x| for scales.

Inputs and outputs cannot be multiplied; the outputs' features are read. In the bidirectional
variant messages pass down the network, too, along the inverse of each weight, and the inputs'
features are read as well.

The published code is jkalogero/scalegmn. This differs from it:

- Phases come into half a turn by the multiples of pi in omega b (its algorithm 1), not in b.
- The inverse of a kernel w is w / |w|^2, and messages pass down along it. Published is 1 / w by
  entry, which is not read: messages pass down along w, and are not equivariant to scales.
- No constant is added to |x| in x / |x|.
- Convolutional networks are read as INRs are. Published are MLPs alone at their inputs and outputs
  and, for tanh, a readout of all nodes.
- An edge of the last layer is of its output's kind; published code mixes several outputs up.
- Networks of several activations are not read. Published code is told the activation of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.graph import NeuronGraph
from benchmark.methods import Method, Problem, Variant
from benchmark.tuning.space import Choice, Log
from nft import symmetry
from nft.layers import group_index
from nft.network import VARIOUS, NetworkSpec

FACTORS = {"sine": "sign", "tanh": "sign", "relu": "scale"}
"""What a neuron can be multiplied by, by activation; for others nothing."""


def mlp(inputs: int, channels: int, outputs: int) -> nn.Sequential:
    """Make the MLP of all blocks, with one hidden layer."""
    return nn.Sequential(
        nn.Linear(inputs, channels), nn.LayerNorm(channels), nn.SiLU(), nn.Linear(channels, outputs)
    )


class Invariant(nn.Module):
    """Features that no sign or no scale of `[..., channels]` changes, of the same shape."""

    def __init__(self, factor: str, inputs: int, channels: int) -> None:
        super().__init__()
        self.factor = factor
        self.rho = mlp(inputs, channels, inputs) if factor == "sign" else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        if self.factor == "sign":
            return self.rho(x) + self.rho(-x)
        if self.factor == "scale":
            return functional.normalize(x, dim=-1)
        return x


class Equivariant(nn.Module):
    """A map that follows the factors of hidden nodes: x -> W x * phi(invariant(x), context).

    Inputs and outputs have no factors, so that there phi reads x itself.

    Args:
        factor: "sign", "scale" or "none".
        inputs: Channels of x.
        channels: Channels of the result.
        context: Further channels that no factor changes.
    """

    def __init__(self, factor: str, inputs: int, channels: int, context: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, channels, bias=False)
        self.invariant = Invariant(factor, inputs, channels)
        self.hidden = mlp(inputs + context, channels, channels)
        self.ends = mlp(inputs + context, channels, channels)

    def forward(self, x: Tensor, context: Tensor, hidden: tuple[int, int]) -> Tensor:
        """Map features of nodes, or of messages to nodes.

        Args:
            x: `[batch, items, inputs]`.
            context: `[1, items, context]`.
            hidden: Numbers of the first item that is a hidden node's, and of the first after them.

        Returns:
            `[batch, items, channels]`.
        """
        sizes = hidden[0], hidden[1] - hidden[0], x.shape[1] - hidden[1]
        before, inner, after = x.split(sizes, dim=1)
        seen = before, self.invariant(inner), after
        factors = [
            phi(torch.cat([part, given.expand(len(x), -1, -1)], dim=-1))
            for phi, part, given in zip(
                (self.ends, self.hidden, self.ends), seen, context.split(sizes, dim=1), strict=True
            )
        ]
        return self.linear(x) * torch.cat(factors, dim=1)


class Messages(nn.Module):
    """What nodes receive along their edges, from below or from above, summed.

    A message is an equivariant map of the product of the sender's and the edge's features.
    """

    def __init__(
        self, graph: NeuronGraph, factor: str, channels: int, context: int, *, upwards: bool
    ) -> None:
        super().__init__()
        self.graph, self.upwards = graph, upwards
        self.node = nn.Linear(channels, channels, bias=False)
        self.edge = nn.Linear(channels, channels, bias=False)
        self.message = Equivariant(factor, channels, channels, context)

    def forward(self, x: Tensor, edges: Tensor, context: Tensor) -> Tensor:
        graph = self.graph
        if self.upwards:
            from_senders, to_receivers = graph.lower, graph.sum_to_upper
            hidden = 0, graph.inner[1]
        else:
            from_senders, to_receivers = graph.upper, graph.sum_to_lower
            hidden = graph.inner[0], graph.edges
        products = from_senders(self.node(x)) * self.edge(edges)
        return to_receivers(self.message(products, from_senders(context), hidden))


class EdgeUpdate(nn.Module):
    """New features of edges: W e * phi(invariant(sender), invariant(receiver))."""

    def __init__(self, graph: NeuronGraph, factor: str, channels: int, *, upwards: bool) -> None:
        super().__init__()
        self.graph, self.upwards = graph, upwards
        self.linear = nn.Linear(channels, channels, bias=False)
        self.invariant = Invariant(factor, channels, channels)
        self.phi = mlp(2 * channels, channels, channels)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        seen = self.invariant(x)
        ends = self.graph.lower(seen), self.graph.upper(seen)
        sender, receiver = ends if self.upwards else reversed(ends)
        return self.linear(edges) * self.phi(torch.cat([sender, receiver], dim=-1))


class GraphLayer(nn.Module):
    """One round of messages: new features of nodes and, before the last round, of edges.

    Edges have features for messages upwards, which follow q_i / q_j, and others for messages
    downwards, which follow q_j / q_i. For signs the two are the same factor, and the latter stay as
    they were read, as published.
    """

    def __init__(
        self,
        graph: NeuronGraph,
        factor: str,
        channels: int,
        context: int,
        *,
        bidirectional: bool,
        last: bool,
    ) -> None:
        super().__init__()
        self.graph = graph
        ways = (True, False) if bidirectional else (True,)
        self.messages = nn.ModuleList(
            Messages(graph, factor, channels, context, upwards=way) for way in ways
        )
        self.update = Equivariant(factor, (1 + len(ways)) * channels, channels, context)
        updated = () if last else ways if factor == "scale" else (True,)
        self.edge_updates = nn.ModuleList(
            EdgeUpdate(graph, factor, channels, upwards=way) for way in updated
        )

    def forward(
        self, x: Tensor, edges: list[Tensor], context: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        received = [
            own(x, features, context) for own, features in zip(self.messages, edges, strict=True)
        ]
        new = self.update(torch.cat([x, *received], dim=-1), context, self.graph.hidden)
        updated = [own(x, part) for own, part in zip(self.edge_updates, edges, strict=False)]
        return new, updated + edges[len(updated) :]


class ScaleGMNet(nn.Module):
    """Rounds of messages on a network's graph, and an MLP on the outputs' features.

    Maps flat weights `[batch, parameters]` to `[batch, outputs]`.
    """

    def __init__(self, problem: Problem, sizes: ScaleGMN) -> None:
        super().__init__()
        self.spec, self.graph = problem.spec, NeuronGraph(problem.spec)
        self.factor = FACTORS.get(problem.spec.activation, "none")
        graph, channels = self.graph, sizes.channels
        unit = problem.std.clamp_min(1e-6) if sizes.normalize else torch.ones_like(problem.std)
        self.register_buffer("unit", unit[group_index(problem.spec)].unsqueeze(-1))

        self.node = nn.Linear(1, channels, bias=False)
        self.edge = nn.Linear(problem.spec.positions, channels, bias=False)
        self.register_buffer("node_kinds", graph.node_kinds(), persistent=False)
        self.register_buffer("edge_kinds", graph.edge_kinds(), persistent=False)
        self.node_embedding = nn.Parameter(torch.randn(int(self.node_kinds.max()) + 1, channels))
        self.edge_embedding = (
            nn.Parameter(torch.randn(int(self.edge_kinds.max()) + 1, channels))
            if sizes.edge_embedding
            else None
        )
        number = torch.arange(graph.nodes).unsqueeze(-1)
        hidden = (number >= graph.hidden[0]) & (number < graph.hidden[1])
        self.register_buffer("hidden", hidden, persistent=False)
        self.register_buffer("ones", (number < graph.hidden[0]).float(), persistent=False)

        self.context = sizes.context
        self.layers = nn.ModuleList(
            GraphLayer(
                graph,
                self.factor,
                channels,
                channels if sizes.context else 0,
                bidirectional=sizes.bidirectional,
                last=number == sizes.layers,
            )
            for number in range(1, sizes.layers + 1)
        )
        self.skips = (
            nn.ModuleList(nn.Linear(channels, channels, bias=False) for _ in self.layers)
            if sizes.residual
            else None
        )
        self.dropout = nn.Dropout(sizes.dropout)
        self.bidirectional = sizes.bidirectional
        first, last = problem.spec.neurons[0], problem.spec.neurons[-1]
        if sizes.bidirectional:
            self.ends = nn.ModuleList(
                nn.Linear(count * channels, channels) for count in (last, first)
            )
            self.head = mlp(2 * channels, channels, problem.outputs)
        else:
            self.head = mlp(last * channels, channels, problem.outputs)

    def forward(self, flat: Tensor) -> Tensor:
        kinds = self.node_embedding[self.node_kinds].unsqueeze(0)
        x, edges = self._features(flat, kinds)
        context = kinds if self.context else kinds[..., :0]
        for number, layer in enumerate(self.layers):
            new, edges = layer(x, edges, context)
            x = self.dropout(new if self.skips is None else self.skips[number](x) + new)
        return self.head(self._ends(x))

    def _features(self, flat: Tensor, kinds: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Compute the first features of nodes, and of edges upwards and downwards."""
        tokens = self.spec.to_tokens(half_turn(self.spec, flat)) / self.unit
        biases, weights = self.graph.features(tokens)
        x = self.node(biases + self.ones)  # in place of the biases that inputs lack
        x = torch.where(self.hidden, x * kinds, x + kinds)
        ways = [weights]
        if self.bidirectional:
            ways.append(inverse(weights) if self.factor == "scale" else weights)
        edges = [self.edge(way) for way in ways]
        if self.edge_embedding is not None:
            edges = [way * self.edge_embedding[self.edge_kinds] for way in edges]
        return x, edges

    def _ends(self, x: Tensor) -> Tensor:
        """Read the features of the outputs, and of the inputs where messages pass both ways."""
        inputs, outputs = self.graph.hidden
        if not self.bidirectional:
            return x[:, outputs:].flatten(1)
        ends = x[:, outputs:], x[:, :inputs]
        return torch.cat(
            [own(part.flatten(1)) for own, part in zip(self.ends, ends, strict=True)], dim=-1
        )


def half_turn(spec: NetworkSpec, flat: Tensor) -> Tensor:
    """Bring the phases of a SIREN's neurons into [-pi/2, pi/2]; other networks stay as they are."""
    if "phase" not in symmetry.symmetries(spec):
        return flat
    phases = [spec.omega * bias.detach() for _, bias in spec.to_layers(flat)[:-1]]
    return symmetry.shift(spec, flat, [-(phase / pi).round() for phase in phases])


def inverse(weights: Tensor) -> Tensor:
    """Invert each kernel w `[..., positions]`: w / |w|^2, and zero where it is zero."""
    squares = weights.square().sum(dim=-1, keepdim=True)
    return weights / torch.where(squares > 0, squares, 1.0)


@dataclass(frozen=True)
class ScaleGMN(Method):
    """Messages between neurons that follow whatever their weights can be multiplied by.

    The defaults are those of the published code for MNIST INRs (configs/mnist_cls), whose two
    variants differ in more than the direction of messages. `edge_embedding` multiplies edges by an
    embedding of their kind, `residual` adds a linear map of the features before a round, and
    `context` tells messages and updates the kind of their node. With `normalize` each
    weight and bias tensor is divided by its deviation, which follows any factor; to subtract a mean
    would not.
    """

    name = "scalegmn"
    title = "ScaleGMN"
    paper = "arXiv:2406.10685"
    symmetries = ("permutation", "sign", "phase", "scale")
    mini = {"normalize": True, "channels": 24, "layers": 3, "dropout": 0.0}
    space = {
        "learning_rate": Log(3e-4, 1e-2),
        "weight_decay": Log(1e-4, 1e-1),
        "dropout": Choice(0.0, 0.1, 0.2),
        "channels": Choice(16, 24, 32),
    }
    variants = (
        Variant(
            "scalegmn-b",
            "ScaleGMN-B",
            {
                "bidirectional": True,
                "edge_embedding": False,
                "residual": False,
                "context": True,
                "weight_decay": 1e-3,
            },
            mini={},
        ),
    )

    bidirectional: bool = False
    normalize: bool = False
    channels: int = 128
    layers: int = 4
    edge_embedding: bool = True
    residual: bool = True
    context: bool = False
    dropout: float = 0.2

    def build(self, problem: Problem) -> nn.Module:
        return ScaleGMNet(problem, self)

    def skip(self, problem: Problem) -> str | None:
        if problem.spec.activation == VARIOUS:
            return "the networks' activations differ, and with them the factors that it builds in"
        return None
