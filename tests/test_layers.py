"""Every layer commutes with permutations of hidden neurons, exactly as far as its paper says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from helpers import SPECS
from torch import Tensor, nn

from baselines.equivariant import EquivariantLinear, NeuronLayout
from nft import layers
from nft.network import NetworkSpec
from nft.transformer import NFTEditor, NFTEncoder

CHANNELS = 8
LAYERS: dict[str, Callable[[NetworkSpec], nn.Module]] = {
    "position embedding": lambda spec: layers.PositionEmbedding(spec, CHANNELS),
    "group linear": lambda spec: layers.GroupLinear(spec, CHANNELS, CHANNELS),
    "group norm": lambda spec: layers.GroupNorm(spec, CHANNELS),
    "feed-forward": lambda spec: layers.GroupFeedForward(spec, CHANNELS, 16),
    "attention": lambda spec: layers.WeightSpaceAttention(spec, CHANNELS, 2),
    "attention per layer": lambda spec: layers.WeightSpaceAttention(
        spec, CHANNELS, 2, per_layer=True
    ),
    "attention without cross": lambda spec: layers.WeightSpaceAttention(
        spec, CHANNELS, 2, cross=False
    ),
    "attention without average": lambda spec: layers.WeightSpaceAttention(
        spec, CHANNELS, 2, average=False
    ),
    "block": lambda spec: layers.NFTBlock(spec, CHANNELS, 2),
    "NP": lambda spec: EquivariantLinear(spec, CHANNELS, CHANNELS, hidden_only=False),
    "HNP": lambda spec: EquivariantLinear(spec, CHANNELS, CHANNELS, hidden_only=True),
}


def features(spec: NetworkSpec, name: str = "", batch: int = 3) -> Tensor:
    """Random features for a layer; NFN's have channels for every position of a kernel."""
    if name not in ("NP", "HNP"):
        return torch.randn(batch, spec.tokens, CHANNELS, dtype=torch.float64)
    x = torch.randn(batch, spec.tokens, spec.positions * CHANNELS, dtype=torch.float64)
    used = []
    for layer, (weight, bias) in zip(spec.layers, spec.views(x), strict=True):
        weight[..., layer.positions * CHANNELS :] = 0
        bias[..., CHANNELS:] = 0
        used.append((weight, bias))
    return spec.from_views(used)


def randomise(module: nn.Module) -> nn.Module:
    """Parameters that start as zero or one would hide what they break."""
    module = module.double()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_equivariant(name: str, spec: NetworkSpec, batch: int) -> None:
    layer, x = randomise(LAYERS[name](spec)), features(spec, name, batch)
    permutations = spec.random_permutations(batch)
    after = layer(spec.permute_tokens(x, permutations))
    torch.testing.assert_close(
        after, spec.permute_tokens(layer(x), permutations), atol=1e-5, rtol=0
    )
    # The averaged term says the same to a whole tensor; no other layer does.
    assert torch.allclose(after, layer(x), atol=1e-3) == (name == "attention without cross")


@pytest.mark.parametrize("name", LAYERS)
def test_networks_of_a_batch_do_not_see_each_other(name: str, spec: NetworkSpec) -> None:
    layer, x = randomise(LAYERS[name](spec)), features(spec, name)
    torch.testing.assert_close(layer(x)[1:2], layer(x[1:2]))


@pytest.mark.parametrize("axis", [1, 2], ids=["rows", "columns"])
@pytest.mark.parametrize(
    "name", ["attention", "attention per layer", "attention without average", "block", "NP", "HNP"]
)
def test_equivariance_is_minimal(name: str, axis: int) -> None:
    """Permuting one weight matrix without its neighbours is not treated as a symmetry."""
    spec = SPECS["siren"]
    layer, x = randomise(LAYERS[name](spec)), features(spec, name)

    def false_symmetry(tokens: Tensor) -> Tensor:
        first, (weight, bias), last = spec.views(tokens)
        return spec.from_views([first, (weight.flip(axis), bias), last])

    assert not torch.allclose(layer(false_symmetry(x)), false_symmetry(layer(x)), atol=1e-3)


def encoder(spec: NetworkSpec) -> nn.Module:
    flat = torch.zeros(2, spec.parameters)
    return NFTEncoder(
        spec, *spec.statistics(flat), channels=CHANNELS, blocks=1, heads=2, fourier_scale=0.3
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [("NP", True), ("attention", True), ("HNP", False), ("position embedding", False)],
)
@pytest.mark.parametrize("end", ["inputs", "outputs"])
def test_input_and_output_neurons(name: str, end: str, expected: bool) -> None:
    """Inputs and outputs are exchangeable to NP and bare attention, not to HNP and embeddings."""
    spec = SPECS["siren"]
    layer, x = randomise(LAYERS[name](spec)), features(spec, name)
    assert (
        torch.allclose(layer(flip(spec, x, end)), flip(spec, layer(x), end), atol=1e-6) == expected
    )


@pytest.mark.parametrize("end", ["inputs", "outputs"])
def test_the_encoder_tells_inputs_and_outputs_apart(end: str) -> None:
    spec = SPECS["siren"]
    model, flat = randomise(encoder(spec)), torch.randn(2, spec.parameters, dtype=torch.float64)
    flipped = spec.from_tokens(flip(spec, spec.to_tokens(flat), end))
    assert not torch.allclose(model(flipped), flip(spec, model(flat), end), atol=1e-3)


def flip(spec: NetworkSpec, tokens: Tensor, end: str) -> Tensor:
    """The network's inputs or its outputs in reverse order."""
    (first, first_bias), *middle, (last, last_bias) = spec.views(tokens)
    if end == "inputs":
        first = first.flip(2)
    else:
        last, last_bias = last.flip(1), last_bias.flip(1)
    return spec.from_views([(first, first_bias), *middle, (last, last_bias)])


@pytest.mark.parametrize("hidden_only", [True, False])
def test_layout_sorts_and_restores(spec: NetworkSpec, hidden_only: bool) -> None:
    layout, x = NeuronLayout(spec, hidden_only=hidden_only), features(spec, "HNP")
    assert torch.equal(layout.scatter(*layout.gather(x)), x)
    pooled = layout.pool(x)
    assert pooled.shape == (3, layout.pooled * CHANNELS)
    torch.testing.assert_close(
        pooled, layout.pool(spec.permute_tokens(x, spec.random_permutations(3)))
    )


def test_editing_commutes_with_permutations(spec: NetworkSpec) -> None:
    flat = torch.randn(3, spec.parameters, dtype=torch.float64)
    encoder = NFTEncoder(
        spec, *spec.statistics(flat), channels=8, blocks=2, heads=2, fourier_scale=0.3
    )
    editor = NFTEditor(spec, encoder).double()
    torch.testing.assert_close(editor(flat), flat, atol=0.2, rtol=0)
    assert not torch.allclose(editor(flat), flat, atol=1e-4)
    permutations = spec.random_permutations(3)
    after = editor(spec.permute(flat, permutations))
    torch.testing.assert_close(after, spec.permute(editor(flat), permutations), atol=1e-5, rtol=0)


def test_pooling_is_invariant(spec: NetworkSpec) -> None:
    pool, x = layers.CrossAttentionPooling(CHANNELS, 4).double(), features(spec)
    pooled = pool(x)
    assert pooled.shape == (3, 4, CHANNELS)
    torch.testing.assert_close(
        pool(spec.permute_tokens(x, spec.random_permutations(3))), pooled, atol=1e-5, rtol=0
    )


def test_standardising_gives_unit_tensors(spec: NetworkSpec) -> None:
    flat = 5 + 3 * torch.randn(50, spec.parameters, dtype=torch.float64)
    tokens = layers.Standardize(spec, *spec.statistics(flat)).double()(flat)
    again = spec.from_tokens(tokens)
    mean, std = spec.statistics(again)
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-6, rtol=0)
    torch.testing.assert_close(std, torch.ones_like(std), atol=1e-5, rtol=0)


def test_the_encoder_compiles_whole(spec: NetworkSpec) -> None:
    torch._dynamo.reset()
    flat = torch.randn(3, spec.parameters)
    encoder = NFTEncoder(
        spec,
        *spec.statistics(flat),
        channels=8,
        blocks=2,
        heads=2,
        fourier_scale=0.3,
        per_layer="cnn" in str(spec),
    )
    compiled = torch.compile(encoder, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(flat), encoder(flat))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"heads": 3}, "do not divide"), ({"heads": 2, "cross": False, "average": False}, "nothing")],
)
def test_attention_refuses_what_makes_no_sense(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layers.WeightSpaceAttention(SPECS["siren"], CHANNELS, **options)
