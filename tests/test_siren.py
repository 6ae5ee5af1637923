"""SIRENs: initialisation, rendering and fitting, many at once."""

from __future__ import annotations

from math import sqrt

import pytest
import torch
from torch import nn

from benchmark.runs.environment import can_compile
from nft import siren
from nft.network import NetworkSpec

SPEC = NetworkSpec.mlp(2, 16, 16, 3, activation="sine", omega=30.0)


def test_initialisation_is_the_papers() -> None:
    flat = siren.initialise(SPEC, 2000, torch.Generator().manual_seed(0))
    bounds = [1 / 2, sqrt(6 / 16) / 30, sqrt(6 / 16) / 30]
    for layer, (weight, bias), bound in zip(SPEC.layers, SPEC.to_layers(flat), bounds, strict=True):
        for tensor, limit in ((weight, bound), (bias, 1 / sqrt(layer.inputs))):
            assert tensor.abs().max() <= limit
            assert tensor.std().item() == pytest.approx(limit / sqrt(3), rel=0.02)
            assert tensor.mean().item() == pytest.approx(0, abs=0.02 * limit)


def test_rendering_is_the_network() -> None:
    flat, points = siren.initialise(SPEC, 3), torch.rand(10, 2) * 2 - 1
    for row, image in zip(flat, siren.render(SPEC, flat, points), strict=True):
        values = points
        for index, (weight, bias) in enumerate(SPEC.to_layers(row)):
            values = nn.functional.linear(values, weight, bias)
            values = torch.sin(30 * values) if index < 2 else values
        torch.testing.assert_close(image, values)
    own_points = points + torch.zeros(3, 1, 1)
    torch.testing.assert_close(
        siren.render(SPEC, flat, own_points), siren.render(SPEC, flat, points)
    )


def test_the_grid_is_in_the_order_of_pixels() -> None:
    grid = siren.grid(3, 2).reshape(3, 2, 2)
    assert torch.equal(grid[:, 0, 0], torch.tensor([-1.0, 0.0, 1.0]))
    assert torch.equal(grid[0, :, 1], torch.tensor([-1.0, 1.0]))


def test_fitting_reaches_the_image_and_neighbours_do_not_matter() -> None:
    points = siren.grid(8, 8, torch.float64)
    targets = torch.rand(4, 64, 3, dtype=torch.float64) * 2 - 1
    start = siren.initialise(SPEC, 4, dtype=torch.float64)
    together, errors = siren.fit(SPEC, start, targets, points, 150, 5e-3)
    alone, _ = siren.fit(SPEC, start[2:3], targets[2:3], points, 150, 5e-3)
    torch.testing.assert_close(together[2:3], alone, rtol=0, atol=1e-9)
    before = (siren.render(SPEC, start, points) - targets).square().mean(dim=(1, 2))
    assert (errors < before / 10).all()
    torch.testing.assert_close(
        errors, (siren.render(SPEC, together, points) - targets).square().mean(dim=(1, 2))
    )


def test_psnr() -> None:
    assert siren.psnr(torch.tensor([4.0, 0.04])).tolist() == pytest.approx([0, 20])


def test_other_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="sine"):
        siren.initialise(NetworkSpec.mlp(2, 3, 1), 1)


def test_compiled_fits_are_the_same_fits() -> None:
    if not can_compile(torch.device("cpu")):
        pytest.skip("torch.compile does not work here")
    start, targets = siren.initialise(SPEC, 3), torch.rand(3, 9, 3)
    fits = [
        siren.fit(SPEC, start, targets, siren.grid(3, 3), 30, 1e-3, compiled=compiled)
        for compiled in (False, True)
    ]
    torch.testing.assert_close(*[weights for weights, _ in fits], atol=1e-5, rtol=1e-4)
