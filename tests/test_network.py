"""The views of a flat vector, and the action of neuron permutations."""

from __future__ import annotations

import pytest
import torch
from helpers import SPECS
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from nft import siren
from nft.network import LayerSpec, NetworkSpec


@st.composite
def networks(draw: st.DrawFn) -> NetworkSpec:
    """Any small network: a few layers, each dense or with a kernel."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=3, max_size=5))
    kernels = [draw(st.sampled_from([(), (3,), (2, 2)])) for _ in sizes[1:]]
    shapes = zip(sizes, sizes[1:], kernels, strict=False)
    return NetworkSpec(
        tuple(LayerSpec(outputs, inputs, kernel) for inputs, outputs, kernel in shapes)
    )


@settings(max_examples=40, deadline=None)
@given(networks(), st.sampled_from([(), (1,), (3,), (2, 3)]))
def test_the_views_lose_nothing(spec: NetworkSpec, batch: tuple[int, ...]) -> None:
    flat = torch.randn(*batch, spec.parameters)
    assert torch.equal(spec.to_flat(spec.to_layers(flat)), flat)
    tokens = spec.to_tokens(flat)
    assert tokens.shape == (*batch, spec.tokens, spec.positions)
    assert torch.equal(spec.from_tokens(tokens), flat)
    features = torch.randn(2, spec.tokens, 3)
    assert torch.equal(spec.from_views(spec.views(features)), features)


@settings(max_examples=40, deadline=None)
@given(networks(), st.integers(0, 99))
def test_permutations_act_as_a_group(spec: NetworkSpec, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    flat = torch.randn(3, spec.parameters, generator=random)
    first, second = (spec.random_permutations(3, random) for _ in range(2))
    inverse = [permutation.argsort(-1) for permutation in first]
    assert torch.equal(spec.permute(spec.permute(flat, first), inverse), flat)
    product = [one.gather(-1, two) for one, two in zip(first, second, strict=True)]
    assert torch.equal(spec.permute(spec.permute(flat, first), second), spec.permute(flat, product))
    one_by_one = [spec.permute(row, [p[i] for p in first]) for i, row in enumerate(flat)]
    assert torch.equal(spec.permute(flat, first), torch.stack(one_by_one))
    assert torch.equal(
        spec.to_tokens(spec.permute(flat, first)), spec.permute_tokens(spec.to_tokens(flat), first)
    )


def test_permuting_neurons_leaves_a_siren_alone() -> None:
    spec = SPECS["siren"]
    flat = siren.initialise(spec, 4, dtype=torch.float64)
    permuted = spec.permute(flat, spec.random_permutations(4))
    points = siren.grid(7, 5, torch.float64)
    assert not torch.allclose(permuted, flat)
    torch.testing.assert_close(
        siren.render(spec, permuted, points), siren.render(spec, flat, points)
    )


def convolutional() -> nn.Sequential:
    """The network that the spec "cnn-flattened" describes."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 9, 6), nn.ReLU(), nn.Linear(6, 3)
    )


def load(module: nn.Module, spec: NetworkSpec, flat: Tensor) -> nn.Module:
    tensors = [part for layer in spec.to_layers(flat) for part in layer]
    shaped = zip(module.state_dict().items(), tensors, strict=True)
    module.load_state_dict({name: tensor.reshape(old.shape) for (name, old), tensor in shaped})
    return module


def test_permuting_channels_leaves_a_cnn_alone() -> None:
    module = convolutional().double()
    spec = NetworkSpec.from_state_dict(module.state_dict())
    assert spec == SPECS["cnn-flattened"]
    flat = torch.cat([tensor.flatten() for tensor in module.state_dict().values()])
    images = torch.randn(5, 2, 4, 4, dtype=torch.float64)
    before = module(images)
    permuted = spec.permute(flat, spec.random_permutations())
    assert not torch.allclose(permuted, flat)
    torch.testing.assert_close(load(module, spec, permuted)(images), before)
    # The positions inside a kernel are no symmetry: moving them changes the function.
    weight, bias = spec.to_layers(flat)[0]
    moved = spec.to_flat([(weight.flip(-1), bias), *spec.to_layers(flat)[1:]])
    assert not torch.allclose(load(module, spec, moved)(images), before)


def test_statistics_do_not_see_permutations(spec: NetworkSpec) -> None:
    flat = torch.randn(10, spec.parameters, dtype=torch.float64)
    permuted = spec.permute(flat, spec.random_permutations(10))
    for before, after in zip(spec.statistics(flat), spec.statistics(permuted), strict=True):
        torch.testing.assert_close(before, after)
    mean, std = spec.statistics(flat)
    weight, bias = spec.to_layers(flat)[1]
    torch.testing.assert_close(mean[2:4], torch.stack([weight.mean(), bias.mean()]))
    torch.testing.assert_close(
        std[2:4], torch.stack([weight.std(correction=0), bias.std(correction=0)])
    )


def test_a_spec_survives_json(spec: NetworkSpec) -> None:
    assert NetworkSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NetworkSpec.mlp(2, 3), "at least two layers"),
        (lambda: NetworkSpec.mlp(2, 0, 3), "positive integers"),
        (lambda: NetworkSpec.mlp(2, 4, 3, activation="swish"), "unknown activation 'swish'"),
        (
            lambda: NetworkSpec((LayerSpec(4, 2), LayerSpec(3, 5))),
            "layer 1 has 4 outputs, but layer 2 has 5 inputs",
        ),
        (
            lambda: NetworkSpec.from_state_dict(
                {"0.weight": torch.ones(3, 2), "1.bias": torch.ones(3)}
            ),
            "1.bias has no 1.weight beside it",
        ),
        (
            lambda: NetworkSpec.from_state_dict(
                nn.BatchNorm1d(3, track_running_stats=False).state_dict()
            ),
            "no weight",
        ),
        (
            lambda: SPECS["siren"].flatten([nn.Linear(2, 3).state_dict()]),
            r"network 0 does not fit the spec: weight \(3, 2\)",
        ),
        (lambda: SPECS["siren"].to_layers(torch.zeros(2, 7)), "parameters, but the vector holds 7"),
        (
            lambda: SPECS["siren"].permute(torch.zeros(54), [torch.arange(5)]),
            "do not fit hidden layers",
        ),
    ],
)
def test_what_does_not_fit_is_named(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
