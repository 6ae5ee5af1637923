"""Importing published originals: what is read is what the files hold, and a wrong file is named."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import make_zoo
from torch import nn

from benchmark.datasets import catalog, importers, storage
from benchmark.datasets.importers import CnnZoo, DwsSirens, Importer, NfnSirens, import_original
from benchmark.errors import UserError

LAYOUT = NfnSirens(
    format="nfn-sirens", prefix="rand", side=6, omega=30.0, validation_from=4, test_from=6
)


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 5), nn.Linear(5, 5), nn.Linear(5, 1))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Eight networks, label by parity, and one further copy of the first four."""
    for copy, count in ((None, 8), (0, 4)):
        for index in range(count):
            middle = "" if copy is None else f"_aug{copy}"
            path = tmp_path / f"published/rand{middle}_{index % 2}s/net{index}.pth"
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(network().state_dict(), path)
    (tmp_path / "published/other_1s").mkdir()
    return tmp_path / "published"


def read(source: Path, layout: Importer = LAYOUT) -> storage.WeightDataset:
    folder = source.parent / "imported"
    images = catalog.entry("mnist-inr").images.model_copy(update={"classes": ("even", "odd")})
    import_original(layout, "small", "Small", images, source, folder)
    storage.verify(folder)
    assert (
        "(renderings.png)" in (folder / "README.md").read_text()
        or "(accuracies.png)" in (folder / "README.md").read_text()
    )
    return storage.read(folder)


def test_networks_splits_and_copies(source: Path) -> None:
    dataset = read(source)
    assert dataset.spec.neurons == (2, 5, 5, 1)
    train, validation, test = (dataset.splits[split] for split in storage.SPLITS)
    assert train.source_index.tolist() == [0, 1, 2, 3] * 2
    assert train.copy.tolist() == [0] * 4 + [1] * 4
    assert validation.source_index.tolist() == [4, 5]
    assert test.source_index.tolist() == [6, 7]
    assert train.targets.tolist() == [0, 1, 0, 1] * 2
    expected = torch.load(source / "rand_1s/net7.pth", weights_only=True)
    assert torch.equal(
        test.weights[1], torch.cat([tensor.flatten() for tensor in expected.values()])
    )
    assert dataset.examples.shape == (2, 6, 6)


class Hostile:
    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return exec, ("raise SystemExit('code in a file was run')",)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: path.write_bytes(pickle.dumps(Hostile())), "cannot be read as tensors"),
        (lambda path: path.write_bytes(path.read_bytes()[:100]), "cannot be read as tensors"),
        (lambda path: torch.save([1, 2], path), "holds no state_dict"),
        (lambda path: torch.save(nn.Linear(2, 3).state_dict(), path), "not like the first network"),
        (
            lambda path: torch.save(
                {k: v * torch.nan for k, v in network().state_dict().items()}, path
            ),
            "NaN or infinite",
        ),
        (lambda path: path.unlink(), "network 2 is missing"),
        (lambda path: path.rename(path.parent.parent / "rand_1s/net3.pth"), "network 2 is missing"),
        (
            lambda path: torch.save(
                network().state_dict(), path.parent.parent / "rand_1s/net2.pth"
            ),
            "are both number 2",
        ),
    ],
)
def test_a_wrong_file_is_named(source: Path, harm: Callable[[Path], object], message: str) -> None:
    harm(source / "rand_0s/net2.pth")
    with pytest.raises(UserError, match=message) as caught:
        read(source)
    assert "net2.pth" in str(caught.value) or "network 2" in str(caught.value)


def test_another_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no networks: it has no folders like rand_0s"):
        read(tmp_path)
    with pytest.raises(UserError, match="No such file"):
        read(tmp_path / "nowhere")


DWS = DwsSirens(format="dws-sirens", side=6, omega=30.0, validation_from=4, test_from=6)


def test_sirens_published_with_dwsnets(tmp_path: Path) -> None:
    source = tmp_path / "published"
    states = {}
    for kind, count in (("training", 6), ("testing", 3)):
        for index in range(count):
            path = source / f"mnist_png_{kind}_{index % 2}_{index}/checkpoints/model_final.pth"
            path.parent.mkdir(parents=True)
            states[kind, index] = network().state_dict()
            torch.save(states[kind, index], path)
    dataset = read(source, DWS)
    train, validation, test = (dataset.splits[split] for split in storage.SPLITS)
    assert [len(split.targets) for split in (train, validation, test)] == [4, 2, 3]
    assert test.targets.tolist() == [0, 1, 0]
    assert torch.equal(
        test.weights[2], torch.cat([tensor.flatten() for tensor in states["testing", 2].values()])
    )
    folder = tmp_path / "imported"
    assert importers.verify(DWS, "small", folder) == dataset.manifest, "it is not made again"
    with pytest.raises(UserError, match="holds a dataset already, small or another import"):
        importers.verify(DWS.model_copy(update={"omega": 20.0}), "small", folder)
    (source / "mnist_png_testing_1_1/checkpoints/model_final.pth").unlink()
    with pytest.raises(
        UserError, match=r"mnist_png_testing_1_1.checkpoints.model_final\.pth: cannot be read"
    ):
        read(source, DWS)
    with pytest.raises(UserError, match="no folders like mnist_png_training_0_1"):
        read(tmp_path, DWS)


ZOO = CnnZoo(format="cnn-zoo", order="order.csv")


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    source = tmp_path / "zoo"
    make_zoo(source)
    return source


def test_a_published_zoo(zoo: Path) -> None:
    """The networks of the last step, in the published order and splits, as PyTorch has them."""
    dataset = read(zoo, ZOO)
    assert [len(dataset.splits[split].targets) for split in storage.SPLITS] == [8, 2, 10]
    assert [layer.kernel for layer in dataset.spec.layers] == [(3, 3), ()]
    weights, metrics = np.load(zoo / "weights.npy"), pd.read_csv(zoo / "metrics.csv.gz")
    final = [row for row in pd.read_csv(zoo / "order.csv", header=None)[0] if row % 2]
    test = dataset.splits["test"]
    assert test.source_index.tolist() == final[10:]
    others = list(range(10))
    random.Random(0).shuffle(others)
    assert dataset.splits["validation"].source_index.tolist() == [
        final[place] for place in others[8:]
    ]
    row = final[10]
    assert test.targets[0].item() == pytest.approx(metrics.test_accuracy[row])
    names = metrics["config.activation"][test.source_index.numpy()]
    assert dataset.activations("test").tolist() == names.tolist()
    (kernel, bias), (dense, dense_bias) = dataset.spec.to_layers(test.weights[0])
    parts = np.split(weights[row], [36, 40, 48])
    assert torch.equal(kernel, torch.from_numpy(parts[0].reshape(3, 3, 1, 4)).permute(3, 2, 0, 1))
    assert torch.equal(dense, torch.from_numpy(parts[2].reshape(4, 2)).T)
    assert torch.equal(
        torch.cat([bias, dense_bias]), torch.from_numpy(np.concatenate([parts[1], parts[3]]))
    )


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda zoo: (zoo / "order.csv").unlink(), "order.csv: not found; put it there, from"),
        (
            lambda zoo: (zoo / "weights.npy").write_bytes(pickle.dumps(Hostile())),
            "cannot be read as an array",
        ),
        (
            lambda zoo: np.save(zoo / "weights.npy", np.array([Hostile()])),
            "cannot be read as an array",
        ),
        (
            lambda zoo: np.save(zoo / "weights.npy", np.zeros((39, 50), np.float32)),
            "39 networks in weights.npy, 40 rows",
        ),
        (
            lambda zoo: np.save(zoo / "weights.npy", np.zeros((40, 51), np.float32)),
            "layout.csv: describes 50 parameters",
        ),
        (
            lambda zoo: np.save(zoo / "weights.npy", np.full((40, 50), np.nan)),
            "has a weight that is NaN",
        ),
        (
            lambda zoo: (zoo / "metrics.csv.gz").write_bytes(b"no table"),
            "metrics.csv.gz: cannot be read as a table",
        ),
        (
            lambda zoo: (zoo / "layout.csv").write_text("varname,start_idx\n"),
            "layout.csv: no column end_idx, shape",
        ),
        (
            lambda zoo: (zoo / "layout.csv").write_text(
                "varname,start_idx,end_idx,shape\na/kernel:0,0,50,exit()\n"
            ),
            "no layout of convolutions",
        ),
    ],
)
def test_a_wrong_zoo_is_named(zoo: Path, harm: Callable[[Path], object], message: str) -> None:
    harm(zoo)
    with pytest.raises(UserError, match=message):
        read(zoo, ZOO)
