"""DWSNet's layers: all equivariant maps and no others, each once."""

from __future__ import annotations

from itertools import permutations, product

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev

from baselines.dws import DWS, POOLINGS, DWSLayer, items, split
from baselines.equivariant import NeuronLayout
from baselines.mlp import mlp
from benchmark.errors import UserError
from benchmark.methods import Problem
from nft.network import NetworkSpec

SPECS = [NetworkSpec.mlp(2, 3, 2, 1), NetworkSpec.mlp(2, 2, 3, 2, 2), NetworkSpec.mlp(1, 3, 2)]


def layer(spec: NetworkSpec, channels: tuple[int, int], pooling: str, heads: int) -> DWSLayer:
    layout = NeuronLayout(spec, hidden_only=True)
    return DWSLayer(items(layout), *channels, POOLINGS[pooling], heads).double()


def flattened(features: list[Tensor]) -> Tensor:
    return torch.cat([part.flatten(1) for part in features], dim=1)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: "-".join(map(str, spec.neurons)))
def test_the_linear_layer_is_the_basis_of_all_equivariant_maps(spec: NetworkSpec) -> None:
    """Burnside's lemma counts the equivariant maps: linear ones by squared traces, and constants.

    Their number is the rank of what the layer's parameters can do, and the number of its weights.
    """
    orders = [
        [torch.tensor(one) for one in chosen]
        for chosen in product(*(permutations(range(size)) for size in spec.neurons[1:-1]))
    ]
    identity = torch.arange(spec.parameters)
    traces = [
        (spec.permute(identity.double(), order).long() == identity).sum().item() for order in orders
    ]
    maps = sum(trace**2 for trace in traces) / len(traces)
    constants = sum(traces) / len(traces)

    own = layer(spec, (1, 1), "mean", heads=0)
    weights = [p for name, p in own.named_parameters() if name.endswith("weight")]
    biases = [p for name, p in own.named_parameters() if name.endswith("bias")]
    assert sum(p.numel() for p in weights) == maps
    assert sum(p.numel() for p in biases) == constants

    layout = NeuronLayout(spec, hidden_only=True)
    x = torch.randn(2 * spec.parameters, spec.parameters, 1, dtype=torch.float64)
    start = {name: p.detach() for name, p in own.named_parameters()}
    jacobian = jacrev(
        lambda values: flattened(functional_call(own, values, (split(layout, x),))).flatten()
    )(start)
    family = torch.cat([part.flatten(1) for part in jacobian.values()], dim=1)
    assert torch.linalg.matrix_rank(family, rtol=1e-9) == maps + constants


@pytest.mark.parametrize(("pooling", "heads"), [("max", 2), ("mean", 0), ("max", 0), ("mean", 2)])
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: "-".join(map(str, spec.neurons)))
def test_layers_permute_with_their_input(spec: NetworkSpec, pooling: str, heads: int) -> None:
    layout, own = NeuronLayout(spec, hidden_only=True), layer(spec, (3, 4), pooling, heads)
    tokens = torch.randn(2, spec.tokens, 3, dtype=torch.float64)
    order = spec.random_permutations()
    outputs = own(split(layout, tokens))
    moved = own(split(layout, spec.permute_tokens(tokens, order)))
    for part, before, after in zip(items(layout), outputs, moved, strict=True):
        for axis, hidden in enumerate(part.layers, start=1):
            before = before.index_select(axis, order[hidden - 1])
        torch.testing.assert_close(after, before)


def test_the_published_size() -> None:
    """The published code has 552,650 parameters, 6,080 of which are further biases in sums."""
    spec = NetworkSpec.mlp(2, 32, 32, 1, activation="sine", omega=30.0)
    problem = Problem(spec, 10, torch.zeros(6), torch.ones(6), (28, 28))
    module = DWS().build(problem)
    assert sum(parameter.numel() for parameter in module.parameters()) == 552_650 - 6_080


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match="8 heads do not divide 12 channels"):
        DWS(channels=12)
    with pytest.raises(UserError, match="pooling is one of max, mean"):
        DWS(pooling="sum")


def test_the_mlp_of_the_table_has_the_published_batch_norms() -> None:
    """One before each ReLU but the first (AvivNavon/DWSNets, `MLPModelForClassification`)."""
    module = mlp(6, 4, 10, layers=4, dropout=0.0, normalize=False, batch_norm=True)
    kinds = [type(part) for part in module if not isinstance(part, nn.Dropout)]
    hidden = [nn.Linear, nn.BatchNorm1d, nn.ReLU]
    assert kinds == [nn.Linear, nn.ReLU, *hidden, *hidden, nn.Linear]
