"""Augmentation in weight space: an INR whose image is moved, and disturbed weights."""

from __future__ import annotations

from math import pi

import pytest
import torch
from helpers import run_of
from torch import Tensor

from benchmark.datasets import locate
from benchmark.disturbance import disturbed
from benchmark.errors import UserError
from benchmark.runs import augmentation
from benchmark.runs.augmentation import moved, moved_at_random
from nft import siren
from nft.network import NetworkSpec

SPEC = NetworkSpec.mlp(2, 6, 5, 1, activation="sine", omega=30.0)


def networks(count: int = 4) -> Tensor:
    random = torch.Generator().manual_seed(0)
    return siren.initialise(SPEC, count, random, torch.float64)


def test_a_rotated_inr_draws_the_rotated_image() -> None:
    flat, grid = networks(), siren.grid(8, 8, torch.float64)
    none, one = torch.zeros(4, 2), torch.ones(4)
    turned = moved(SPEC, flat, none.double(), one.double() * pi / 2, one.double())
    images, turned_images = (
        siren.render(SPEC, rows, grid).unflatten(1, (8, 8)) for rows in (flat, turned)
    )
    torch.testing.assert_close(turned_images, images.rot90(-1, (1, 2)))
    assert not torch.allclose(turned_images, images)


def test_a_moved_inr_is_the_function_of_moved_coordinates() -> None:
    flat, grid = networks(), siren.grid(8, 8, torch.float64)
    translation = torch.rand(4, 2, dtype=torch.float64) - 0.5
    rotation, scale = torch.rand(2, 4, dtype=torch.float64) + 0.5
    cos, sin = rotation.cos()[:, None], rotation.sin()[:, None]
    rows, columns = grid[:, 0], grid[:, 1]
    turned = torch.stack((cos * rows - sin * columns, sin * rows + cos * columns), dim=-1)
    coordinates = scale[:, None, None] * turned + translation[:, None]
    torch.testing.assert_close(
        siren.render(SPEC, moved(SPEC, flat, translation, rotation, scale), grid),
        siren.render(SPEC, flat, coordinates),
    )


def test_random_moves_stay_in_their_ranges() -> None:
    """They change the first layer by a similarity, and one hidden bias."""
    torch.manual_seed(0)
    flat = networks(400)
    before, after = SPEC.to_layers(flat), SPEC.to_layers(moved_at_random(SPEC, flat))
    matrices = torch.linalg.lstsq(before[0][0], after[0][0]).solution
    scale = torch.linalg.det(matrices).sqrt()
    angle = torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0])
    assert 0.8 < scale.min() < 0.82
    assert 1.18 < scale.max() < 1.2
    assert pi / 4 * 0.97 < angle.abs().max() < pi / 4
    translation = torch.linalg.lstsq(before[0][0], (after[0][1] - before[0][1])[..., None]).solution
    assert 0.24 < translation.abs().max() < 0.25
    changed = torch.stack([(a[1] != b[1]).all(dim=1) for a, b in zip(before, after, strict=True)])
    assert (changed[:2].sum(dim=0) == 1).all()
    assert 0.4 < changed[0].double().mean() < 0.6
    assert not changed[2].any()
    assert all(torch.equal(a[0], b[0]) for a, b in zip(before[1:], after[1:], strict=True))


def test_disturbed_weights_are_shifted_and_some_dropped() -> None:
    torch.manual_seed(0)
    flat = networks(50) + 1
    result, kept = disturbed(SPEC, flat, 0.1, 0.01), None
    for own, before in zip(SPEC.to_layers(result), SPEC.to_layers(flat), strict=True):
        for tensor, one in zip(own, before, strict=True):
            kept = tensor != 0
            several = one[0].numel() > 1
            shift = 0.1 * one.flatten(1).std(dim=1) if several else torch.zeros(50).double()
            expected = (one + shift.view(-1, *[1] * (one.ndim - 1))) / 0.99
            torch.testing.assert_close(tensor[kept], expected[kept])
    assert 0.005 < (result == 0).double().mean() < 0.015


def test_both_keep_the_set_of_neurons(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without disturbance, another order of the neurons draws what the moved INR draws."""
    monkeypatch.setattr(augmentation, "disturbed", lambda spec, flat, *_: flat)
    dataset, _ = locate.load("mnist-inr-own-mini")
    cell = "mini/inr-classification/mnist-inr-own-mini/mlp+augmentation={}/0"
    flat, rows = dataset.splits["train"].weights[:20].double(), torch.arange(20)
    results = []
    for name in ("image", "image-permutation"):
        torch.manual_seed(0)
        changed = augmentation.augmentation(run_of(cell.format(name)), dataset, "head")
        results.append(changed(flat, rows))
    images = [siren.render(dataset.spec, one, siren.grid(5, 5, torch.float64)) for one in results]
    torch.testing.assert_close(*images)
    assert not torch.allclose(*results)


@pytest.mark.parametrize(
    ("task", "method", "role"),
    [
        ("inr-editing/mnist-dilate-mini", "mlp-editor", "head"),
        ("sine-frequency/sine-inr-mini", "mlp", "head"),
        ("inr-classification/mnist-inr-own-mini", "inr2array", "encoder"),
    ],
)
def test_images_move_only_where_their_class_is_learned(task: str, method: str, role: str) -> None:
    run = run_of(f"mini/{task}/{method}+augmentation=image/0")
    dataset, _ = locate.load(run.cell.dataset)
    with pytest.raises(UserError, match="moves the images of INRs"):
        augmentation.augmentation(run, dataset, role)
