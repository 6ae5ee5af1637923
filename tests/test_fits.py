"""Fits of SIRENs by the kernel: those of torch, up to rounding."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers import ROOT
from torch import Tensor

from benchmark.datasets import catalog
from benchmark.datasets.recipes.inr import InrRecipe, Shard
from benchmark.fits import sirens
from nft import siren
from nft.network import NetworkSpec

ROUNDING = {torch.float32: 3e-7, torch.float64: 1e-14}
"""The root mean square of differences between fitted weights, whose size is about 0.1."""


def problem(
    *sizes: int, side: int = 9, omega: float = 15.0, count: int = 3
) -> tuple[NetworkSpec, Tensor, Tensor, Tensor]:
    """A spec, networks' starts, random targets for them, and coordinates, in float64."""
    spec = NetworkSpec.mlp(*sizes, activation="sine", omega=omega)
    generator = torch.Generator().manual_seed(0)
    start = siren.initialise(spec, count, generator, torch.float64)
    points = siren.grid(side, side, torch.float64)
    if sizes[0] == 1:
        points = torch.linspace(-1, 1, side * side, dtype=torch.float64)[:, None]
    targets = torch.rand(count, len(points), sizes[-1], generator=generator, dtype=torch.float64)
    return spec, start, targets, points


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize(
    ("sizes", "side", "decay", "schedule"),
    [
        ((2, 32, 32, 1), 28, 0.0, "constant"),
        ((2, 10, 10, 1), 14, 1e-2, "cosine"),
        ((1, 12, 12, 1), 13, 0.0, "cosine"),  # points that no vector divides
        ((2, 7, 9, 5, 3), 9, 1e-2, "constant"),  # sizes that fill no block, and another depth
        ((2, 6, 3), 5, 0.0, "cosine"),
    ],
)
def test_the_kernels_fits_are_torchs(
    dtype: torch.dtype, sizes: tuple[int, ...], side: int, decay: float, schedule: siren.Schedule
) -> None:
    spec, start, targets, points = problem(*sizes, side=side)
    course = (100, 1e-3, schedule)
    exact, exact_errors = siren.fit(spec, start, targets, points, *course, weight_decay=decay)
    given = (start.to(dtype), targets.to(dtype), points.to(dtype))
    fitted, errors = sirens.fit(spec, *given, *course, weight_decay=decay)
    assert fitted.dtype == dtype
    assert (fitted - exact).square().mean().sqrt() < ROUNDING[dtype]
    torch.testing.assert_close(errors.double(), exact_errors, rtol=10 * ROUNDING[dtype], atol=0)
    assert (fitted - start).square().mean().sqrt() > 1e-2


OTHER_PROCESSOR = """
import torch
from benchmark.fits import sirens, vectors
from nft import siren
from test_fits import ROUNDING, problem

vectors.BYTES = 96 - vectors.BYTES
spec, start, targets, points = problem(2, 32, 32, 1, side=28)
exact, _ = siren.fit(spec, start, targets, points, 100, 1e-3)
fitted, _ = sirens.fit(spec, start.float(), targets.float(), points.float(), 100, 1e-3)
assert sirens.kernel().vectors.BYTES == vectors.BYTES
assert (fitted - exact).square().mean().sqrt() < ROUNDING[torch.float32]
"""


def test_processors_with_longer_or_shorter_vectors_fit_alike() -> None:
    command = [sys.executable, "-c", OTHER_PROCESSOR]
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    done = subprocess.run(
        command, env=os.environ | paths, capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr


def test_a_fit_ends_where_it_is_good_enough() -> None:
    spec, start, targets, points = problem(2, 16, 16, 1)
    course = (200, 2e-3, "constant")
    whole = sirens.fit(spec, start, targets, points, *course)[1]
    limit = 1.2 * float(whole.median())
    fitted, errors = sirens.fit(spec, start, targets, points, *course, stop_error=limit)
    exact, exact_errors = siren.fit(spec, start, targets, points, *course, stop_error=limit)
    torch.testing.assert_close(fitted, exact, atol=1e-10, rtol=0)
    torch.testing.assert_close(errors, exact_errors)
    stopped = errors <= limit
    assert stopped.sum() >= 2
    assert (errors[stopped] > 0.9 * limit).all()


def test_torch_fits_where_numba_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, start, targets, points = problem(2, 8, 8, 1, count=20)
    fits, counts = [], []
    for kernel in (sirens.kernel(), None):
        monkeypatch.setattr(sirens, "kernel", lambda kernel=kernel: kernel)
        done: list[float] = []
        fits.append(sirens.fit(spec, start, targets, points, 30, 1e-3, "cosine", done.append)[0])
        counts.append(sum(done))
    torch.testing.assert_close(*fits, atol=1e-12, rtol=0)
    assert counts == pytest.approx([20, 20])


def test_an_interrupted_fit_leaves_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, start, targets, points = problem(2, 8, 8, 1, count=50)
    code, begun = sirens.kernel(), []
    original = code.fit
    monkeypatch.setattr(code, "fit", lambda *given: begun.append(1) or original(*given))

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sirens.fit(spec, start, targets, points, 20_000, 1e-3, progress=interrupt)
    assert len(begun) < 50


def tiny(**changes: object) -> InrRecipe:
    listed = catalog.entry("mnist-inr-dws-rebuilt").recipe
    return InrRecipe.model_validate(listed.model_dump() | {"hidden": (8, 8), "steps": 60} | changes)


def test_networks_of_dws_put_out_half_of_their_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is, the image in [0, 1] less 0.5; rendered and judged they are the image."""
    source = catalog.entry("mnist-inr-dws-rebuilt").images
    pixels = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 3), dtype=np.uint8)
    pixels[...] = pixels[:, :1, :1]  # each of one shade
    place = "benchmark.datasets.recipes.inr.images"
    monkeypatch.setattr(place, lambda *_: (pixels, np.zeros(3, dtype=np.int64)))
    recipe = tiny()
    networks, dropped = recipe.build(source, Shard("train", range(3), 0))
    assert dropped == 0
    drawn = siren.render(recipe.spec, networks.weights, siren.grid(28, 28))
    shades = torch.from_numpy(pixels[:, 0, 0, 0] / 127.5 - 1).float()
    torch.testing.assert_close(drawn.mean(dim=(1, 2)), shades, atol=0.1, rtol=0)
    error = (drawn - shades[:, None, None]).square().mean(dim=(1, 2))
    torch.testing.assert_close(networks.quality, siren.psnr(error), atol=1e-3, rtol=0)
    raw = siren.render(tiny(scale=1.0).spec, networks.weights, siren.grid(28, 28))
    torch.testing.assert_close(2 * raw, drawn)
    # A decay of the weights, and an end at a PSNR, change the fit as they should.
    build = (source, Shard("train", range(3), 0))
    decayed = tiny(weight_decay=1.0).build(*build)[0]
    assert decayed.weights.norm() < networks.weights.norm()
    stopped = tiny(stop_psnr=30.0, steps=1000).build(*build)[0]
    assert ((stopped.quality >= 30) & (stopped.quality < 32)).all()


def test_the_starts_of_dws() -> None:
    spec = NetworkSpec.mlp(2, 16, 16, 1, activation="sine", omega=30.0, scale=2.0)
    flat = siren.initialise(spec, 2000, torch.Generator().manual_seed(0), scheme="dws")
    bounds = [(3**0.5 / 30, 0), ((6 / 16) ** 0.5 / 30, 0), (1 / 4, 1 / 4)]
    for tensors, limits in zip(spec.to_layers(flat), bounds, strict=True):
        for tensor, limit in zip(tensors, limits, strict=True):
            assert tensor.abs().max() <= limit
            assert tensor.std().item() == pytest.approx(limit / 3**0.5, rel=0.04)


def test_a_scale_is_part_of_a_spec() -> None:
    spec = NetworkSpec.mlp(2, 4, 1, activation="sine", omega=3.0, scale=2.0)
    assert NetworkSpec.from_json(spec.to_json()) == spec
    plain = NetworkSpec.mlp(2, 4, 1, activation="sine", omega=3.0)
    assert "scale" not in plain.to_json()
    assert NetworkSpec.from_json(plain.to_json()) == plain
