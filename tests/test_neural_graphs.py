"""Neural graphs: the graph itself, and layers that permute with its nodes."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from helpers import SPECS
from torch import Tensor, nn
from torch.nn.functional import linear

import baselines
from baselines.graph import NeuronGraph
from baselines.neural_graphs import (
    NGT,
    Aggregation,
    Convolution,
    EdgeUpdate,
    NodeUpdate,
    PairUpdate,
    Probes,
)
from benchmark.errors import UserError
from benchmark.methods import Problem
from benchmark.runs.fit import count_flops
from nft import siren
from nft.network import NetworkSpec

SPEC = NetworkSpec.mlp(2, 5, 4, 3)


def random(*sizes: int) -> Tensor:
    return torch.randn(*sizes, dtype=torch.float64)


def places(graph: NeuronGraph) -> list[tuple[int, int]]:
    """The lower and the upper node of each edge, in the order of tokens."""
    pairs, start = [], 0
    for outputs, inputs in graph.shapes:
        above = start + inputs
        pairs += [(start + i, above + o) for o in range(outputs) for i in range(inputs)]
        start = above
    return pairs


@pytest.mark.parametrize("kind", SPECS)
def test_features_pass_along_the_weights(kind: str) -> None:
    graph = NeuronGraph(SPECS[kind])
    pairs = places(graph)
    nodes, edges = random(2, graph.nodes, 3), random(2, graph.edges, 3)
    lower, upper = zip(*pairs, strict=True)
    torch.testing.assert_close(graph.lower(nodes), nodes[:, list(lower)])
    torch.testing.assert_close(graph.upper(nodes), nodes[:, list(upper)])
    for ends, summed in ((upper, graph.sum_to_upper), (lower, graph.sum_to_lower)):
        expected = torch.zeros_like(nodes).index_add(1, torch.tensor(ends), edges)
        torch.testing.assert_close(summed(edges), expected)


@pytest.mark.parametrize("kind", SPECS)
def test_kinds_tell_apart_what_no_permutation_exchanges(kind: str) -> None:
    spec = SPECS[kind]
    graph = NeuronGraph(spec)
    ends = spec.neurons[0] + spec.neurons[-1]
    node_kinds, edge_kinds = graph.node_kinds(), graph.edge_kinds()
    assert node_kinds.unique().numel() == ends + len(spec.neurons) - 2
    assert edge_kinds.unique().numel() == ends + len(spec.layers) - 2
    # A permutation leaves the kinds of all edges, as features of tokens, where they are.
    kinds = graph.matrices(edge_kinds.double().view(1, -1, 1))
    tokens = spec.from_views([(part, torch.zeros_like(part[:, :, 0])) for part in kinds])
    assert torch.equal(spec.permute_tokens(tokens, spec.random_permutations()), tokens)


@pytest.fixture
def orders() -> tuple[Tensor, Tensor, Tensor]:
    """A permutation of hidden neurons: of nodes, of edges upwards, and of edges both ways."""
    graph = NeuronGraph(SPEC)
    order, start = [], 0
    hidden = iter(SPEC.random_permutations())
    for number, size in enumerate(SPEC.neurons):
        inner = 0 < number < len(SPEC.neurons) - 1
        order.append(start + (next(hidden) if inner else torch.arange(size)))
        start += size
    nodes = torch.cat(order)
    number_of = {pair: number for number, pair in enumerate(places(graph))}
    edges = torch.tensor(
        [number_of[int(nodes[low]), int(nodes[high])] for low, high in places(graph)]
    )
    return nodes, edges, torch.cat([edges, graph.edges + edges])


def test_messages_permute_with_the_neurons(orders: tuple[Tensor, Tensor, Tensor]) -> None:
    graph, (order, _, both) = NeuronGraph(SPEC), orders
    x, edges = random(2, graph.nodes, 6), random(2, 2 * graph.edges, 6)
    convolution, update = Convolution(graph, 6).double(), EdgeUpdate(graph, 6).double()
    moved = convolution(x[:, order], edges[:, both])
    torch.testing.assert_close(moved, convolution(x, edges)[:, order])
    torch.testing.assert_close(update(x[:, order], edges[:, both]), update(x, edges)[:, both])


def test_attention_permutes_with_the_neurons(orders: tuple[Tensor, Tensor, Tensor]) -> None:
    order = orders[0]
    x, pairs = random(2, len(order), 64), random(2, len(order), len(order), 32)
    moved = x[:, order], pairs[:, order][:, :, order]
    nodes = NodeUpdate(NGT(dropout=0.0)).double()
    torch.testing.assert_close(nodes(*moved), nodes(x, pairs)[:, order])
    update = PairUpdate(64, 32, 8, 0.0).double()
    torch.testing.assert_close(update(*moved), update(x, pairs)[:, order][:, :, order])


def test_messages_are_aggregated_as_in_pna() -> None:
    """Of a hidden neuron with two inputs and one output, from the messages one by one."""
    graph = NeuronGraph(NetworkSpec.mlp(2, 3, 1))
    messages = random(1, 2 * graph.edges, 1)
    # Edges upwards are 0 and 1 to the first hidden neuron; edge 6 is from there to the output, and
    # downwards it is the 9 + 6th.
    received = messages[0, [0, 1, graph.edges + 6], 0]
    plain = [
        received.mean(),
        received.min(),
        received.max(),
        received.std(correction=0),
    ]
    # Below are none for two inputs, two for three neurons and three for the output.
    mean_log = (3 * torch.tensor(3.0).log() + torch.tensor(4.0).log()) / 6
    amplified = torch.stack(plain) * (torch.tensor(4.0).log() / mean_log)
    expected = torch.cat([torch.stack(plain), amplified])
    torch.testing.assert_close(Aggregation(graph).double()(messages)[0, 2], expected)


def test_attention_is_what_the_paper_says() -> None:
    """Of the first node, head by head, with the pair's part of query, key and value."""
    attention = NodeUpdate(NGT(channels=6, edge_channels=5, attention=8, heads=2)).attention
    x, pairs = torch.randn(1, 3, 6), torch.randn(1, 3, 3, 5)
    query, key, value = linear(x[0], attention.node.weight).view(3, 2, 3, 4).unbind(2)
    by_pair = linear(pairs[0, 0], attention.edge.weight).view(3, 2, 4, 4).unbind(2)
    heads = []
    for head in range(2):
        own = [part[:, head] for part in by_pair]
        scores = ((query[0, head] + own[0]) * (key[:, head] + own[1])).sum(dim=-1) / 8**0.5
        heads.append(scores.softmax(dim=0) @ (value[:, head] * own[3] + own[2]))
    torch.testing.assert_close(attention(x, pairs)[0, 0], attention.out(torch.cat(heads)))


def test_probes_are_what_neurons_compute() -> None:
    spec = SPECS["siren"]
    probes = Probes(spec, 7, 4).double()
    flat = random(3, spec.parameters)
    values = probes._values(flat)
    weight, bias = spec.to_layers(flat)[0]
    hidden = torch.sin(spec.omega * (weight @ probes.points.T + bias.unsqueeze(-1)))
    torch.testing.assert_close(values[1], hidden)
    rendered = siren.render(spec, flat, probes.points)
    torch.testing.assert_close(values[-1], rendered.transpose(1, 2))


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("ng-gnn", 92_010),
        ("ng-gnn-probes", 100_714),
        ("ng-t", 376_586),
        ("ng-t-probes", 393_866),
    ],
)
def test_the_published_size(name: str, size: int) -> None:
    """The published code has as many parameters for MNIST INRs."""
    spec = NetworkSpec.mlp(2, 32, 32, 1, activation="sine", omega=30.0)
    module = (
        baselines.get(name)
        .method()
        .build(Problem(spec, 10, torch.zeros(6), torch.ones(6), (28, 28)))
    )
    assert sum(p.numel() for p in module.parameters() if p.requires_grad) == size


def test_operations_of_probes_are_counted() -> None:
    spec = SPECS["siren"]
    counts = [
        count_flops(nn.Sequential(Probes(spec, points, 4)), torch.zeros(1, spec.parameters))
        for points in (7, 14)
    ]
    assert counts[1] == 2 * counts[0] > 0


@pytest.mark.parametrize("name", ["ng-gnn", "ng-t"])
def test_what_evaluates_networks_stands_apart(name: str) -> None:
    plain, probing = (baselines.get(one).method for one in (name, f"{name}-probes"))
    assert (plain.reads_functions, probing.reads_functions) == (False, True)
    # No option of the ranked rows can make them evaluate.
    assert {field.name for field in fields(probing)} - {field.name for field in fields(plain)} == {
        "points"
    }
    for kind in ("cnn", "cnn-flattened"):
        spec = SPECS[kind]
        count = 2 * len(spec.layers)
        problem = Problem(spec, 1, torch.zeros(count), torch.ones(count), None)
        assert "no convolutions" in probing().skip(problem)
        assert plain().skip(problem) is None


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match="8 heads do not divide 12 channels"):
        NGT(attention=12)
