"""Inr2Array: an array that no permutation changes, and an image painted patch by patch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import baselines
from benchmark.datasets import listing, storage
from benchmark.methods import Problem
from nft import siren
from nft.inr2array import AdditiveHyperNetwork, HyperNetwork, Inr2Array, PatchRenderer
from nft.network import NetworkSpec
from nft.transformer import NFTEncoder

SPEC = NetworkSpec.mlp(2, 6, 5, 3, activation="sine", omega=15.0)
DECODERS = [HyperNetwork, AdditiveHyperNetwork]


def make(
    side: int = 4, decoder: type[nn.Module] = HyperNetwork, size: int = 14, cross: bool = True
) -> Inr2Array:
    flat = siren.initialise(SPEC, 50)
    encoder = NFTEncoder(
        SPEC, *SPEC.statistics(flat), channels=16, blocks=2, heads=2, fourier_scale=0.3, cross=cross
    )
    return Inr2Array(encoder, SPEC, side=side, height=size, width=size, hidden=16, decoder=decoder)


@pytest.mark.parametrize("side", [2, 4, 8])
@pytest.mark.parametrize("decoder", DECODERS)
def test_array_and_image_are_invariant(side: int, decoder: type[nn.Module]) -> None:
    model, flat = make(side, decoder).double(), siren.initialise(SPEC, 3, dtype=torch.float64)
    permuted = SPEC.permute(flat, SPEC.random_permutations(3))
    array = model.encode(flat)
    assert array.shape == (3, side * side, 16)
    assert model(flat).shape == (3, 14 * 14, 3)
    torch.testing.assert_close(model.encode(permuted), array, atol=1e-5, rtol=0)
    torch.testing.assert_close(model(permuted), model(flat), atol=1e-5, rtol=0)
    other = siren.initialise(SPEC, 3, dtype=torch.float64)
    assert not torch.allclose(model.encode(other), array, atol=1e-3)


@pytest.mark.parametrize(
    ("side", "height", "width"), [(2, 5, 7), (4, 14, 14), (8, 28, 28), (4, 32, 32), (1, 3, 3)]
)
def test_each_pixel_is_painted_by_the_nearest_siren(side: int, height: int, width: int) -> None:
    """Against the definition, one pixel at a time."""
    sirens = siren.initialise(SPEC, 2 * side * side).reshape(2, side * side, -1)
    image = PatchRenderer(SPEC, side, height, width)(sirens).reshape(2, height, width, 3)
    for row in range(height):
        for column in range(width):
            place = round((side - 1) * row / (height - 1)) * side + round(
                (side - 1) * column / (width - 1)
            )
            point = siren.grid(height, width).reshape(height, width, 2)[row, column]
            expected = siren.render(SPEC, sirens[:, place], point.expand(1, 2))[:, 0]
            torch.testing.assert_close(image[:, row, column], expected, atol=1e-5, rtol=1e-5)


def test_no_siren_is_evaluated_everywhere() -> None:
    renderer = PatchRenderer(SPEC, 8, 64, 64)
    assert renderer.coordinates.shape[0] * renderer.coordinates.shape[1] < 1.5 * 64 * 64


def test_an_array_larger_than_its_image_is_refused() -> None:
    with pytest.raises(ValueError, match="more places than an image of 6x6"):
        PatchRenderer(SPEC, 8, 6, 6)


@pytest.mark.parametrize("decoder", DECODERS)
def test_decoded_networks_start_as_sirens(decoder: type[nn.Module]) -> None:
    """The drawings of a fresh decoder's networks have about the spread of a fresh SIREN's."""
    torch.manual_seed(0)
    spec = NetworkSpec.mlp(2, 32, 32, 1, activation="sine", omega=30.0)
    decoded = decoder(spec, 64, 64)(torch.randn(20, 64))
    points = siren.grid(28, 28)
    spreads = [
        siren.render(spec, flat, points).std().item()
        for flat in (decoded, siren.initialise(spec, 20))
    ]
    assert spreads[0] == pytest.approx(spreads[1], rel=0.9)


@pytest.mark.parametrize("decoder", DECODERS)
def test_encoder_and_decoder_compile_whole(decoder: type[nn.Module]) -> None:
    torch._dynamo.reset()
    model, flat = make(decoder=decoder), siren.initialise(SPEC, 2)
    array = model.encode(flat)
    for function, argument in ((model.encode, flat), (model.decode, array)):
        compiled = torch.compile(function, fullgraph=True, backend="eager")
        torch.testing.assert_close(compiled(argument), function(argument))


def test_training_in_bfloat16_reaches_the_same_loss() -> None:
    """After 50 steps on real INRs, the loss on others is within 1 % of float32's."""
    dataset = storage.read(listing.EMBEDDED / "fashion-inr-mini")
    flat = dataset.splits["train"].weights[:1600]
    others = dataset.splits["validation"].weights[:200]
    points = siren.grid(14, 14)
    images, other_images = (
        siren.render(dataset.spec, weights, points) for weights in (flat, others)
    )
    method = baselines.get("inr2array").make("mini", "inr-classification", dataset.name)
    losses = {}
    for bf16 in (False, True):
        torch.manual_seed(0)
        model = method.build_encoder(
            Problem(dataset.spec, 10, *dataset.spec.statistics(flat), (14, 14))
        )
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        for step in range(50):
            optimizer.param_groups[0]["lr"] = 1e-3 * (1 - step / 50)
            rows = torch.randint(len(flat), (16,))
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = (model(flat[rows]) - images[rows]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            losses[bf16] = (model(others) - other_images).square().mean().item()
    assert losses[False] < 0.9 * (images.mean(dim=0) - other_images).square().mean().item()
    assert losses[True] == pytest.approx(losses[False], rel=0.01)
