"""A network as a graph: its neurons are nodes, its weights edges, and its biases the nodes' own.

Features of nodes are `[batch, nodes, channels]`, from the inputs to the outputs, and features of
edges `[batch, edges, channels]`, in the order of tokens: by layer, then by the upper neuron (the
layer's output), then by the lower one. A convolution's channels are nodes, and its kernels edges.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nft.network import NetworkSpec


class NeuronGraph:
    """The neurons and weights of a network, and how features pass between them.

    Attributes:
        spec: The network.
        nodes: Number of neurons, with those of the input and of the output.
        hidden: Numbers of the first hidden node, and of the first output node.
        edges: Number of weights, of which a kernel is one.
        inner: Numbers of the first edge above the first layer, and of the first of the last layer.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        self.spec = spec
        self.shapes = [(layer.outputs, layer.inputs) for layer in spec.layers]
        self.edge_sizes = [outputs * inputs for outputs, inputs in self.shapes]
        self.nodes, self.edges = sum(spec.neurons), sum(self.edge_sizes)
        self.hidden = spec.neurons[0], self.nodes - spec.neurons[-1]
        self.inner = self.edge_sizes[0], self.edges - self.edge_sizes[-1]

    def node_kinds(self) -> Tensor:
        """Return the kind of each node, `[nodes]`.

        A layer of hidden neurons is of one kind, since they can be permuted. Each input and each
        output is of its own.
        """
        first, *middle, last = self.spec.neurons
        repeats = torch.tensor([1] * first + middle + [1] * last)
        return torch.arange(len(repeats)).repeat_interleave(repeats)

    def edge_kinds(self) -> Tensor:
        """Return the kind of each edge, `[edges]`: its layer, and the input or output at its end.

        In a network of two layers there are no further kinds.
        """
        (first, inputs), *_, (outputs, last) = self.shapes
        middle = torch.arange(len(self.shapes) - 2).repeat_interleave(
            torch.tensor(self.edge_sizes[1:-1], dtype=torch.long)
        )
        ends = torch.arange(outputs).repeat_interleave(last)
        above = inputs + len(self.shapes) - 2
        return torch.cat([torch.arange(inputs).repeat(first), inputs + middle, above + ends])

    def features(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Split tokens `[batch, tokens, positions]` into features of nodes and of edges.

        Returns:
            Biases `[batch, nodes, 1]`, zero at the inputs, and weights `[batch, edges, positions]`.
        """
        weights, biases = zip(*self.spec.views(tokens), strict=True)
        inputs = tokens.new_zeros(len(tokens), self.spec.neurons[0], 1)
        nodes = torch.cat([inputs, *(bias[..., :1] for bias in biases)], dim=1)
        return nodes, torch.cat([weight.flatten(1, 2) for weight in weights], dim=1)

    def lower(self, nodes: Tensor) -> Tensor:
        """Give each edge the features of its lower node, `[batch, edges, channels]`."""
        parts = zip(nodes.split(self.spec.neurons, dim=1), self.shapes, strict=False)
        return torch.cat(
            [x.unsqueeze(1).expand(-1, above, -1, -1).flatten(1, 2) for x, (above, _) in parts],
            dim=1,
        )

    def upper(self, nodes: Tensor) -> Tensor:
        """Give each edge the features of its upper node, `[batch, edges, channels]`."""
        parts = zip(nodes.split(self.spec.neurons, dim=1)[1:], self.shapes, strict=True)
        return torch.cat(
            [x.unsqueeze(2).expand(-1, -1, below, -1).flatten(1, 2) for x, (_, below) in parts],
            dim=1,
        )

    def matrices(self, edges: Tensor) -> list[Tensor]:
        """Split features of edges by layer: `[batch, outputs, inputs, channels]` each."""
        parts = edges.split(self.edge_sizes, dim=1)
        return [part.unflatten(1, shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def sum_to_upper(self, edges: Tensor) -> Tensor:
        """Sum the features of edges at their upper nodes; the inputs receive zeros."""
        sums = [matrix.sum(dim=2) for matrix in self.matrices(edges)]
        return torch.cat([torch.zeros_like(edges[:, : self.spec.neurons[0]]), *sums], dim=1)

    def sum_to_lower(self, edges: Tensor) -> Tensor:
        """Sum the features of edges at their lower nodes; the outputs receive zeros."""
        sums = [matrix.sum(dim=1) for matrix in self.matrices(edges)]
        return torch.cat([*sums, torch.zeros_like(edges[:, : self.spec.neurons[-1]])], dim=1)
