"""ScaleGMN: its layers follow every factor of a neuron, and its outputs change with none."""

from __future__ import annotations

from math import pi

import pytest
import torch
from helpers import SPECS
from torch import Tensor

import baselines
from baselines.graph import NeuronGraph
from baselines.scalegmn import GraphLayer, half_turn, inverse
from benchmark.methods import Problem
from nft import symmetry
from nft.network import LayerSpec, NetworkSpec

READ = {
    **{name: SPECS[name] for name in ("siren", "shallow", "cnn")},
    "tanh": NetworkSpec.mlp(2, 5, 4, 3, activation="tanh"),
    "gelu": NetworkSpec.mlp(2, 5, 4, 3, activation="gelu"),
    "tanh-cnn": NetworkSpec(
        (LayerSpec(4, 2, (2, 2)), LayerSpec(6, 4, (9,)), LayerSpec(3, 6)), activation="tanh"
    ),
}


def build(name: str, spec: NetworkSpec, **values: float) -> torch.nn.Module:
    problem = Problem(spec, 10, *spec.statistics(torch.randn(20, spec.parameters)), None)
    row = baselines.get(name)
    fields = row.variant.fields if row.variant else {}
    return row.method(**{**fields, **values}).build(problem)


@pytest.mark.parametrize("name", ["scalegmn", "scalegmn-b"])
@pytest.mark.parametrize("kind", READ)
def test_no_symmetry_changes_what_is_read(kind: str, name: str) -> None:
    spec = READ[kind]
    module = build(name, spec, channels=8, normalize=True).double().eval()
    flat = torch.randn(4, spec.parameters, dtype=torch.float64)
    outputs = module(flat)
    spread = outputs.std(dim=0).mean()
    assert spread > 0
    for change in symmetry.symmetries(spec):
        moved = module(symmetry.scatter(spec, flat, [change]))
        assert (moved - outputs).abs().max() < 1e-9 * spread, change
    # What is no symmetry is seen: the same weights with other signs.
    assert (module(flat * torch.randn_like(flat).sign()) - outputs).abs().max() > 1e-2 * spread


@pytest.mark.parametrize("factor", ["sign", "scale"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_layers_follow_the_factors_of_their_input(bidirectional: bool, factor: str) -> None:
    graph = NeuronGraph(NetworkSpec.mlp(2, 5, 4, 3))
    layer = GraphLayer(graph, factor, 6, 2, bidirectional=bidirectional, last=False).double()

    def random(*sizes: int) -> Tensor:
        return torch.randn(*sizes, dtype=torch.float64)

    x, context = random(3, graph.nodes, 6), random(1, graph.nodes, 2)
    edges = [random(3, graph.edges, 6) for _ in layer.messages]
    factors = random(3, graph.nodes, 1)
    factors = factors.sign() if factor == "sign" else factors.exp()
    factors[:, : graph.hidden[0]] = factors[:, graph.hidden[1] :] = 1
    up = graph.upper(factors) / graph.lower(factors)
    scales = [up, 1 / up]

    nodes, updated = layer(x, edges, context)
    pairs = zip(edges, scales, strict=False)
    moved, moved_edges = layer(x * factors, [part * scale for part, scale in pairs], context)
    torch.testing.assert_close(moved, nodes * factors)
    for part, before, scale in zip(moved_edges, updated, scales, strict=False):
        torch.testing.assert_close(part, before * scale)
    assert not torch.equal(updated[0], edges[0])


def test_messages_are_what_the_paper_says() -> None:
    """Of two hidden neurons to an output, summed one by one, and from it back to the first."""
    spec = NetworkSpec.mlp(1, 2, 1, activation="tanh")
    graph = NeuronGraph(spec)
    layer = GraphLayer(graph, "sign", 4, 0, bidirectional=True, last=True)
    x, edges, nothing = torch.randn(1, 4, 4), torch.randn(1, 4, 4), torch.zeros(1, 4, 0)
    up, down = layer.messages

    def message(own: torch.nn.Module, sender: int, edge: int, *, to_hidden: bool) -> Tensor:
        product = own.node(x[0, sender]) * own.edge(edges[0, edge])
        block = own.message
        if to_hidden:
            seen = block.invariant.rho(product) + block.invariant.rho(-product)
            return block.linear(product) * block.hidden(seen)
        return block.linear(product) * block.ends(product)

    # Nodes are the input, two hidden neurons and the output; edges go from 0 to 1, from 0 to 2,
    # from 1 to 3 and from 2 to 3.
    received = up(x, edges, nothing)[0]
    torch.testing.assert_close(received[0], torch.zeros(4))
    torch.testing.assert_close(received[1], message(up, 0, 0, to_hidden=True))
    both = message(up, 1, 2, to_hidden=False) + message(up, 2, 3, to_hidden=False)
    torch.testing.assert_close(received[3], both)
    received = down(x, edges, nothing)[0]
    torch.testing.assert_close(received[1], message(down, 3, 2, to_hidden=True))
    torch.testing.assert_close(received[3], torch.zeros(4))


def test_phases_come_into_half_a_turn() -> None:
    spec = SPECS["siren"]
    flat = 3 * torch.randn(5, spec.parameters, dtype=torch.float64)
    turned = half_turn(spec, flat)
    for _, bias in spec.to_layers(turned)[:-1]:
        assert (spec.omega * bias).abs().max() <= pi / 2 + 1e-9
    assert symmetry.residual(spec, flat, turned) < 1e-8


def test_an_inverse_follows_the_inverse_factor_and_zero_stays() -> None:
    kernels = torch.randn(3, 4, 9)
    torch.testing.assert_close(inverse(4 * kernels), inverse(kernels) / 4)
    torch.testing.assert_close(inverse(torch.tensor([[2.0], [0.0]])), torch.tensor([[0.5], [0.0]]))


@pytest.mark.parametrize(("name", "size"), [("scalegmn", 1_772_042), ("scalegmn-b", 3_089_162)])
def test_the_published_size(name: str, size: int) -> None:
    """The published code has as many parameters for MNIST INRs."""
    module = build(name, NetworkSpec.mlp(2, 32, 32, 1, activation="sine", omega=30.0))
    assert sum(parameter.numel() for parameter in module.parameters()) == size


def test_networks_of_several_activations_are_left_out() -> None:
    spec = NetworkSpec.mlp(2, 5, 3, activation="various")
    problem = Problem(spec, 1, torch.zeros(4), torch.ones(4), None)
    assert "activations differ" in baselines.get("scalegmn").method().skip(problem)
