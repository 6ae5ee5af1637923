"""Methods that ask networks: evaluated in batches as each is alone, whatever their weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import baselines
from baselines.hiddenprobe import HiddenProbe, LowRankLinear
from baselines.probegen import ProbeGen, Probes, evaluate, image_generator
from benchmark.errors import UserError
from benchmark.methods import Problem
from nft import symmetry
from nft.network import LayerSpec, NetworkSpec

SIREN = NetworkSpec.mlp(2, 5, 4, 3, activation="sine", omega=15.0)
CONVOLUTIONS = (LayerSpec(3, 2, (3, 3)), LayerSpec(4, 3, (3, 3)), LayerSpec(5, 4))


def problem(spec: NetworkSpec, outputs: int = 10) -> Problem:
    zeros = torch.zeros(2 * len(spec.layers))
    return Problem(spec, outputs, zeros, zeros + 1, None)


def networks(spec: NetworkSpec, count: int = 3) -> Tensor:
    return 0.3 * torch.randn(count, spec.parameters, dtype=torch.float64)


class Sine(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(15.0 * x)


def test_sirens_are_evaluated_as_each_is_alone() -> None:
    flat, probes = networks(SIREN), torch.randn(6, 2, dtype=torch.float64)
    module = nn.Sequential(
        nn.Linear(2, 5), Sine(), nn.Linear(5, 4), Sine(), nn.Linear(4, 3)
    ).double()
    found = evaluate(SIREN, flat, probes, "sine")
    for number, row in enumerate(flat):
        nn.utils.vector_to_parameters(row, module.parameters())
        for part, sums in zip((1, 3, 5), found, strict=True):
            torch.testing.assert_close(sums[number].T, module[:part](probes))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("stride", [1, 2])
def test_cnns_are_evaluated_as_each_is_alone(activation: str, stride: int) -> None:
    spec = NetworkSpec(CONVOLUTIONS, activation)
    flat, probes = networks(spec), torch.randn(6, 2, 8, 8, dtype=torch.float64)
    own = {"relu": nn.ReLU, "tanh": nn.Tanh}[activation]
    module = nn.Sequential(
        nn.Conv2d(2, 3, 3, stride, padding=1),
        own(),
        nn.Conv2d(3, 4, 3, stride, padding=1),
        own(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 5),
    ).double()
    answers = evaluate(spec, flat, probes, activation, stride)[-1]
    for row, answer in zip(flat, answers, strict=True):
        nn.utils.vector_to_parameters(row, module.parameters())
        torch.testing.assert_close(answer.T, module(probes))


@pytest.mark.parametrize("name", ["probegen", "probes-learned", "probes-fixed"])
def test_the_same_functions_get_the_same_predictions(name: str) -> None:
    row = baselines.get(name)
    module = row.method(**row.variant.fields if row.variant else {}).build(problem(SIREN)).double()
    flat = networks(SIREN)
    scattered = symmetry.scatter(SIREN, flat, symmetry.symmetries(SIREN))
    assert not torch.allclose(flat, scattered)
    torch.testing.assert_close(module(scattered), module(flat), atol=1e-12, rtol=0)
    assert (module(flat[:1]) - module(flat[1:2])).abs().max() > 1e-6


def test_networks_of_unknown_activation_answer_with_each() -> None:
    """Of two networks that differ with one of them alone, the predictions differ."""
    spec = NetworkSpec(CONVOLUTIONS, "various")
    module = ProbeGen(probes=4, side=8).build(problem(spec)).double()
    negative = networks(spec, 1)
    layers = spec.to_layers(negative)
    layers[0] = (layers[0][0], layers[0][1] - 100)  # no ReLU of the first layer is positive
    negative = spec.to_flat(layers)
    layers[0] = (0.1 * layers[0][0], 0.01 * layers[0][1])
    other = spec.to_flat(layers)
    probes = module.probes()
    same, different = (
        (evaluate(spec, negative, probes, one)[-1] - evaluate(spec, other, probes, one)[-1])
        for one in ("relu", "tanh")
    )
    assert float(same.abs().max().detach()) == 0
    assert float(different.abs().max().detach()) > 1e-3
    assert (module(negative) - module(other)).abs().max() > 1e-9


@pytest.mark.parametrize("side", [8, 16, 32])
def test_the_generator_of_images_is_linear_up_to_its_tanh(side: int) -> None:
    generator = image_generator(6, 2, side, width=2).double()
    a, b = torch.randn(2, 3, 6, 1, 1, dtype=torch.float64)
    assert generator(a).shape == (3, 2, side, side)
    linear = generator[:-1]
    torch.testing.assert_close(linear(a + b) - linear(a), linear(b) - linear(0 * b))


def test_fixed_probes_are_not_learned() -> None:
    for spec in (SIREN, NetworkSpec(CONVOLUTIONS)):
        fixed, learned = (Probes(spec, kind, 4, 6) for kind in ("fixed", "learned"))
        assert not list(fixed.parameters())
        assert fixed().abs().max() <= 1
        assert fixed().shape == learned().shape
        learned().sum().backward()
        assert learned.inputs.grad is not None


def test_the_published_sizes() -> None:
    """Parameters of the published code, for INRs of MNIST and for grey CNNs of CIFAR-10."""
    siren = NetworkSpec.mlp(2, 32, 32, 1, activation="sine", omega=30.0)
    layers = (LayerSpec(16, 1, (3, 3)), *[LayerSpec(16, 16, (3, 3))] * 2, LayerSpec(10, 16))
    for spec, outputs, expected in (
        (siren, 10, 303_980),
        (NetworkSpec(layers), 1, 842_658),
    ):
        module = ProbeGen().build(problem(spec, outputs))
        assert sum(parameter.numel() for parameter in module.parameters()) == expected


def test_hidden_probes_read_more_than_the_function() -> None:
    """Sums at a neuron that leads nowhere are read, but not which neuron it is."""
    layers = SIREN.to_layers(networks(SIREN, 1))
    layers[1] = (layers[1][0].clone(), layers[1][1])
    layers[1][0][:, :, 0] = 0
    flat = SIREN.to_flat(layers)
    layers[0] = (layers[0][0].clone(), layers[0][1])
    layers[0][0][:, 0] += 1
    other = SIREN.to_flat(layers)
    asked, read = (
        method.build(problem(SIREN)).double() for method in (ProbeGen(), HiddenProbe(rank=3))
    )
    torch.testing.assert_close(asked(other), asked(flat), atol=1e-12, rtol=0)
    assert (read(other) - read(flat)).abs().max() > 1e-6
    permuted = SIREN.permute(flat, SIREN.random_permutations())
    torch.testing.assert_close(read(permuted), read(flat), atol=1e-12, rtol=0)


@pytest.mark.parametrize("rank", [2, 5, 8])
def test_maps_of_low_rank_start_at_the_scale_of_full_ones(rank: int) -> None:
    layer = LowRankLinear(5, 7, rank)
    product = (layer.left @ layer.right.T).detach()
    assert torch.linalg.matrix_rank(product) == min(rank, 5)
    if rank >= 5:
        assert product.abs().max() <= (6 / 12) ** 0.5 + 1e-6
    x = torch.randn(3, 5)
    torch.testing.assert_close(layer(x), x @ product.T + layer.bias)


def test_what_cannot_be_evaluated_is_skipped() -> None:
    flattened = NetworkSpec(
        (LayerSpec(3, 1, (3, 3)), LayerSpec(4, 3, (9,)), LayerSpec(2, 4)), "relu"
    )
    assert "maps are averaged" in ProbeGen().skip(problem(flattened))
    assert ProbeGen().skip(problem(NetworkSpec(CONVOLUTIONS))) is None
    assert "MLPs alone" in HiddenProbe().skip(problem(NetworkSpec(CONVOLUTIONS)))
    assert "differ" in HiddenProbe().skip(problem(NetworkSpec.mlp(2, 3, 1, activation="various")))
    with pytest.raises(UserError, match="kind is one of generated, learned, fixed"):
        ProbeGen(kind="drawn")
    with pytest.raises(UserError, match="side is a power of 2"):
        ProbeGen(side=14)
