"""Importing published originals: what is read is what the files hold, and a wrong file is named."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmark.datasets import storage
from benchmark.datasets.importers import NfnSirens, import_nfn_sirens
from benchmark.errors import UserError

LAYOUT = NfnSirens(format="nfn-sirens", prefix="rand", side=6, omega=30.0, validation_from=4, test_from=6)


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


def read(source: Path) -> storage.WeightDataset:
    folder = source.parent / "imported"
    import_nfn_sirens(LAYOUT, "small", ["even", "odd"], source, folder)
    storage.verify(folder)
    return storage.read(folder)


def test_networks_splits_and_copies(source: Path) -> None:
    dataset = read(source)
    assert dataset.spec.neurons == (2, 5, 5, 1)
    train, validation, test = (dataset.splits[split] for split in storage.SPLITS)
    assert train.source_index.tolist() == [0, 1, 2, 3] * 2
    assert train.copy.tolist() == [0] * 4 + [1] * 4
    assert validation.source_index.tolist() == [4, 5]
    assert test.source_index.tolist() == [6, 7]
    assert train.labels.tolist() == [0, 1, 0, 1] * 2
    wanted = torch.load(source / "rand_1s/net7.pth", weights_only=True)
    assert torch.equal(test.weights[1], torch.cat([tensor.flatten() for tensor in wanted.values()]))
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
            lambda path: torch.save({k: v * torch.nan for k, v in network().state_dict().items()}, path),
            "NaN or infinite",
        ),
        (lambda path: path.unlink(), "net2.pth is missing"),
        (lambda path: path.rename(path.parent.parent / "rand_1s/net3.pth"), "net2.pth is missing"),
        (lambda path: torch.save(network().state_dict(), path.parent.parent / "rand_1s/net2.pth"), "are both number 2"),
    ],
)
def test_a_wrong_file_is_named(source: Path, harm: Callable[[Path], object], message: str) -> None:
    harm(source / "rand_0s/net2.pth")
    with pytest.raises(UserError, match=message) as caught:
        read(source)
    assert "net2.pth" in str(caught.value)


def test_another_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no networks: it has no folders like rand_0s"):
        read(tmp_path)
    with pytest.raises(UserError, match="No such file"):
        read(tmp_path / "nowhere")
