"""Zoos of CNNs: trained together as each would be alone, and spread as a zoo must be."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from benchmark.datasets import build, catalog, storage
from benchmark.datasets.recipes import zoo
from benchmark.datasets.recipes.zoo import INITIALISATIONS, OPTIMIZERS, HyperParameters, ZooRecipe

ENTRY = catalog.entry("mnist-gs-mini")


@pytest.fixture(autouse=True)
def _eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "can_compile", lambda _: False)


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """Images whose class a few pixels tell, laid out like the Hub."""
    folder = tmp_path / "datasets" / ENTRY.images.repository / ENTRY.images.config
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for split in ("train", "test"):
        labels = np.arange(60) % 3
        encoded = []
        for label in labels:
            pixels = random.integers(0, 60, (28, 28), dtype=np.uint8)
            pixels[8 * label : 8 * label + 8] += 150
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            encoded.append({"bytes": buffer.getvalue(), "path": None})
        pq.write_table(
            pa.table({"image": encoded, "label": labels}),
            folder / f"{split}-00000-of-00001.parquet",
        )
    return tmp_path


def recipe(**changes: object) -> ZooRecipe:
    small = {
        "channels": (3, 4),
        "classes": 3,
        "train_rows": 60,
        "test_rows": 60,
        "steps": 40,
        "shard_rows": 6,
        "runs": {"train": 10, "validation": 3, "test": 4},
    }
    return ZooRecipe.model_validate(ENTRY.recipe.model_dump() | small | changes)


def settings(count: int, **changes: torch.Tensor) -> HyperParameters:
    drawn = vars(recipe().draw(range(count)))
    return HyperParameters(**drawn | changes)


def test_logits_are_those_of_torch_convolutions() -> None:
    zoo_recipe = recipe(side=7)
    weights, pixels = torch.randn(2, zoo_recipe.spec.parameters), torch.rand(2, 5, 7, 7)
    tanh = torch.tensor([False, True])
    logits = zoo_recipe.logits(weights, tanh, pixels)
    for row, activation in enumerate((torch.relu, torch.tanh)):
        (one, one_bias), (two, two_bias), (dense, dense_bias) = zoo_recipe.spec.to_layers(
            weights[row]
        )
        values = activation(
            functional.conv2d(pixels[row].unsqueeze(1), one, one_bias, stride=2, padding=1)
        )
        values = activation(functional.conv2d(values, two, two_bias, stride=2, padding=1))
        expected = functional.linear(values.mean(dim=(2, 3)), dense, dense_bias)
        torch.testing.assert_close(logits[row], expected)


def test_the_published_size() -> None:
    assert catalog.entry("cifar10-gs").recipe.spec.parameters == 4970


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_network_in_a_group_is_trained_as_alone(optimizer: str) -> None:
    """Against torch's own optimizers, on one image, so that every batch is that image."""
    zoo_recipe = recipe()
    values = settings(
        3,
        optimizer=torch.full((3,), OPTIMIZERS.index(optimizer)),
        dropout=torch.zeros(3, dtype=torch.float64),
        learning_rate=torch.tensor([1e-3, 1e-2, 3e-2], dtype=torch.float64),
        l2=torch.tensor([0.0, 1e-2, 1e-3], dtype=torch.float64),
    )
    start = 0.3 * torch.randn(3, zoo_recipe.spec.parameters, dtype=torch.float64)
    image, label = torch.rand(1, 14, 14, dtype=torch.float64), torch.tensor([2])
    trained = zoo_recipe._train(start, values, image, label, range(3), lambda _: None, 12)
    for row in range(3):
        layers = [
            [nn.Parameter(part.clone()) for part in layer]
            for layer in zoo_recipe.spec.to_layers(start[row])
        ]
        rate, l2 = values.learning_rate[row].item(), values.l2[row].item()
        groups = [
            {"params": [weight for weight, _ in layers], "weight_decay": 2 * l2},
            {"params": [bias for _, bias in layers]},
        ]
        alone = {
            "sgd": lambda: torch.optim.SGD(groups, rate, momentum=0.9),  # noqa: B023
            "adam": lambda: torch.optim.Adam(groups, rate),  # noqa: B023
            "rmsprop": lambda: torch.optim.RMSprop(groups, rate, alpha=0.9, eps=1e-7),  # noqa: B023
        }[optimizer]()
        for _ in range(12):
            flat = zoo_recipe.spec.to_flat([tuple(layer) for layer in layers]).unsqueeze(0)
            logits = zoo_recipe.logits(flat, values.tanh[row : row + 1], image.unsqueeze(0))
            alone.zero_grad()
            functional.cross_entropy(logits[0], label).backward()
            alone.step()
        torch.testing.assert_close(
            trained[row], zoo_recipe.spec.to_flat([tuple(layer) for layer in layers])
        )


@pytest.mark.parametrize("kind", INITIALISATIONS)
def test_initialisations_have_the_spread_that_is_asked_for(kind: str) -> None:
    wide = recipe(channels=(40, 40))
    index = torch.full((4,), INITIALISATIONS.index(kind))
    start = wide.initialise(
        range(4), settings(4, initialisation=index, initial_std=torch.full((4,), 0.2))
    )
    kernel, bias = wide.spec.to_layers(start)[1]
    assert not bias.any()
    fan = 40 * 9
    expected = {
        "glorot_normal": fan**-0.5,
        "he_normal": (2 / fan) ** 0.5,
        "normal": 0.2,
        "orthogonal": fan**-0.5,
        "truncated_normal": 0.2 * 0.8796,
    }[kind]
    assert kernel.std().item() == pytest.approx(expected, rel=0.02)
    assert not torch.equal(start[0], start[1])


def test_a_zoo_is_whole_spread_and_the_same_again(mirror: Path, tmp_path: Path) -> None:
    entry = ENTRY.model_copy(update={"name": "tiny", "recipe": recipe(), "fingerprint": None})
    done: list[float] = []
    manifest = build.build(entry, tmp_path / "once", mirror, progress=done.append)
    assert sum(done) == pytest.approx(17)
    assert [len(manifest.files[split]) for split in storage.SPLITS] == [2, 1, 1]
    dataset = storage.read(tmp_path / "once")
    runs = [set(dataset.splits[split].source_index.tolist()) for split in storage.SPLITS]
    assert sum(map(len, runs)) == len(set.union(*runs)) == 17 - manifest.dropped
    targets = torch.cat([dataset.splits[split].targets for split in storage.SPLITS])
    assert 0 <= targets.min() < 0.5 < targets.max() <= 1
    assert (tmp_path / "once/accuracies.png").stat().st_size > 1000
    card = (tmp_path / "once/README.md").read_text(encoding="utf-8")
    assert manifest.fingerprint in card
    assert "3, 4 channels" in card
    # The stored accuracy is that of the stored weights on the test images.
    zoo_recipe, test = recipe(), dataset.splits["test"]
    (_, _), (pixels, labels) = zoo_recipe._images(ENTRY.images, mirror)
    tanh = zoo_recipe.draw(zoo_recipe.shards("test")[0].rows).tanh
    again = zoo_recipe.accuracy(test.weights.double(), tanh[test.source_index - 13], pixels, labels)
    torch.testing.assert_close(again.float(), test.targets)
    assert build.build(entry, tmp_path / "twice", mirror).fingerprint == manifest.fingerprint


def test_networks_that_diverge_are_dropped_and_counted(mirror: Path) -> None:
    wild = recipe(learning_rate=(1e30, 1e31), l2=(1.0, 2.0))
    networks, dropped = wild.build(ENTRY.images, wild.shards("train")[0], mirror)
    assert dropped > 0
    assert len(networks.targets) + dropped == 6
    assert torch.isfinite(networks.weights).all()
