"""The one format: what is read is what was written, or an error that names the file."""

from __future__ import annotations

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from benchmark import arms
from benchmark.datasets import arrival, catalog, hub, listing, storage
from benchmark.datasets.hub import Published
from benchmark.datasets.recipes.inr import Shard
from benchmark.datasets.sources import images
from benchmark.datasets.storage import SPLITS, Split
from benchmark.errors import UserError
from nft import siren
from nft.network import NetworkSpec

SPEC = NetworkSpec.mlp(2, 3, 1, activation="sine", omega=15.0)
COLUMNS = storage.Columns(SPEC, ("a", "b"), "psnr")
EMBEDDED = ["mnist-inr-mini", "fashion-inr-mini"]


def splits(weights: float = 1.0) -> dict[str, Split]:
    rows = 6
    return {
        name: Split(
            weights * torch.randn(rows, SPEC.parameters),
            torch.arange(rows) % 2,
            torch.arange(rows, dtype=torch.int32),
            torch.zeros(rows, dtype=torch.int32),
            torch.full((rows,), 20.0),
        )
        for name in SPLITS
    }


def write(folder: Path, parts: dict[str, list[Split]]) -> storage.Manifest:
    paths = {
        name: [storage.shard_path(name, i, len(shards)) for i in range(len(shards))]
        for name, shards in parts.items()
    }
    for name, shards in parts.items():
        for path, shard in zip(paths[name], shards, strict=True):
            storage.write_shard(folder / path, COLUMNS, shard, {"recipe": "none"})
    return storage.seal(
        folder, "small", COLUMNS, {"seed": 0}, paths, np.zeros((2, 3, 4), dtype=np.uint8)
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "small", {name: [split] for name, split in splits().items()})
    return tmp_path / "small"


def assert_same(split: Split, expected: Split) -> None:
    for column, tensor in split.columns.items():
        assert torch.equal(tensor, getattr(expected, column)), column


def rows(split: Split, part: slice) -> Split:
    return Split(*(tensor[part] for tensor in split.columns.values()))


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    """Whole or in shards, at once or one after the other."""
    written = splits()
    manifest = write(tmp_path / "whole", {name: [split] for name, split in written.items()})
    parts = {
        name: [rows(split, slice(2)), rows(split, slice(2, 6))] for name, split in written.items()
    }
    in_shards = write(tmp_path / "shards", parts)
    assert manifest.fingerprint == in_shards.fingerprint == storage.fingerprint(SPEC, written)
    assert storage.verify(tmp_path / "shards") == in_shards
    dataset = storage.read(tmp_path / "shards")
    assert dataset.spec == SPEC
    assert dataset.examples.shape == (2, 3, 4)
    for name, split in dataset.splits.items():
        assert_same(split, written[name])
        assert split.weights.is_contiguous()
    for shard, expected in zip(
        storage.stream(tmp_path / "shards", "train"), parts["train"], strict=True
    ):
        assert_same(shard, expected)


def test_a_cached_read_is_mapped_and_sees_changes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = storage.read(folder, tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(storage, "_sha256", lambda path: pytest.fail(f"{path} was read again"))
        patch.setattr(storage, "_read_shard", lambda *_: pytest.fail("a shard was unpacked again"))
        second = storage.read(folder, tmp_path / "cache")
    for name, split in second.splits.items():
        assert_same(split, first.splits[name])
    second.splits["train"].weights[0, 0] = 99.0  # a reader's own copy
    assert_same(storage.read(folder, tmp_path / "cache").splits["train"], first.splits["train"])
    damage(folder / "data/test-00000-of-00001.parquet", "changed")
    with pytest.raises(UserError, match="damaged or changed"):
        storage.read(folder, tmp_path / "cache")
    for array in (tmp_path / "cache").rglob("weights.npy"):
        array.write_bytes(b"")  # a damaged cache is made again
    write(folder, {name: [split] for name, split in first.splits.items()})
    assert_same(storage.read(folder, tmp_path / "cache").splits["test"], first.splits["test"])


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_datasets_open_with_the_datasets_library(name: str, tmp_path: Path) -> None:
    from datasets import ClassLabel, load_dataset

    opened = load_dataset(str(listing.EMBEDDED / name), cache_dir=str(tmp_path))
    dataset = storage.read(listing.EMBEDDED / name)
    assert {split: rows.num_rows for split, rows in opened.items()} == {
        "train": 8000,
        "validation": 1000,
        "test": 2000,
    }
    assert isinstance(opened["test"].features["label"], ClassLabel)
    row = opened["test"].with_format("torch")[5]
    assert torch.equal(row["weights"], dataset.splits["test"].weights[5])
    assert int(row["label"]) == int(dataset.splits["test"].targets[5])


@pytest.mark.parametrize(
    "kind", ["[mf]*-inr-mini", "*-gs-mini", "sine-*", "*-dilate-*", "*-contrast-*"]
)
def test_embedded_datasets_are_small(kind: str) -> None:
    files = [
        path
        for folder in listing.EMBEDDED.glob(kind)
        for path in folder.rglob("*")
        if path.is_file()
    ]
    assert 0 < sum(path.stat().st_size for path in files) <= 6e6


def numbers() -> dict[str, Split]:
    """Networks with a number as their target."""
    return {name: replace(split, targets=torch.rand(6)) for name, split in splits().items()}


def seal_numbers(folder: Path, parts: dict[str, Split]) -> storage.Manifest:
    columns = storage.Columns(SPEC, (), "train_accuracy")
    paths = {name: [storage.shard_path(name, 0, 1)] for name in SPLITS}
    for name, split in parts.items():
        storage.write_shard(folder / paths[name][0], columns, split, {})
    return storage.seal(folder, "numbers", columns, {}, paths, None)


def test_a_target_may_be_a_number(tmp_path: Path) -> None:
    from datasets import load_dataset

    written = numbers()
    manifest = seal_numbers(tmp_path / "zoo", written)
    dataset = storage.read(tmp_path / "zoo")
    for name, split in dataset.splits.items():
        assert_same(split, written[name])
    assert dataset.examples is None
    changed = seal_numbers(
        tmp_path / "other", written | {"test": replace(written["test"], targets=torch.zeros(6))}
    )
    assert changed.fingerprint != manifest.fingerprint
    opened = load_dataset(str(tmp_path / "zoo"), cache_dir=str(tmp_path / "cache"))["test"]
    assert opened["target"] == written["test"].targets.tolist()
    assert "train_accuracy" in opened.features


def test_a_number_that_is_none_is_refused(tmp_path: Path) -> None:
    parts = numbers()
    parts["test"].targets[3] = torch.nan
    with pytest.raises(UserError, match="a target is NaN or infinite"):
        seal_numbers(tmp_path, parts)


@pytest.mark.parametrize("name", EMBEDDED)
def test_splits_share_no_image(name: str) -> None:
    dataset = storage.read(listing.EMBEDDED / name)
    train, validation = (
        set(dataset.splits[split].source_index.tolist()) for split in ("train", "validation")
    )
    assert not train & validation
    assert dataset.manifest.recipe["splits"]["test"]["source"] == "test"


def test_the_recipe_rebuilds_the_embedded_networks() -> None:
    """Real images, the whole recipe, and the very bits of the stored weights."""
    entry, stored = (
        catalog.entry("fashion-inr-mini"),
        storage.read(listing.EMBEDDED / "fashion-inr-mini"),
    )
    train, mirror = rows(stored.splits["train"], slice(16)), Path(__file__).parent / "data"
    rebuilt, dropped = entry.recipe.build(entry.images, Shard("train", range(16), 0), mirror)
    assert dropped == 0
    torch.testing.assert_close(rebuilt.quality, train.quality)
    assert_same(replace(rebuilt, quality=train.quality), train)
    # The stored PSNR is that of the stored weights against the images.
    pixels, _ = images(entry.images, "train", range(16), mirror)
    drawn = siren.render(
        entry.recipe.spec, train.weights.double(), siren.grid(14, 14, torch.float64)
    )
    errors = (drawn - entry.recipe.targets(pixels)).square().mean(dim=(1, 2))
    torch.testing.assert_close(siren.psnr(errors).float(), train.quality)


def test_arms_change_the_weights_and_not_the_functions() -> None:
    dataset = storage.read(listing.EMBEDDED / "mnist-inr-mini")
    points = siren.grid(5, 5)
    aligned, permuted = (
        arms.get(name).weights(dataset, "validation") for name in ("aligned", "permuted")
    )
    assert torch.equal(permuted, arms.get("permuted").weights(dataset, "validation"))
    assert (aligned != permuted).any(dim=1).float().mean() > 0.99
    images = [siren.render(dataset.spec, weights, points) for weights in (aligned, permuted)]
    torch.testing.assert_close(*images, atol=1e-5, rtol=0)
    with pytest.raises(UserError, match="unknown arm 'scrambled'"):
        arms.get("scrambled")


def damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(
        data[:middle]
        if how == "cut"
        else data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    )


@pytest.mark.parametrize("how", ["cut", "changed"])
@pytest.mark.parametrize(
    "file", ["data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"]
)
def test_a_damaged_file_is_named(folder: Path, file: str, how: str) -> None:
    damage(folder / file, how)
    with pytest.raises(UserError, match=f"{file}: damaged or changed"):
        storage.read(folder)


def replace_test_split(folder: Path, table: pa.Table) -> None:
    """Put a table in the test split's place, with a manifest that vouches for its bytes."""
    path = folder / "data/test-00000-of-00001.parquet"
    pq.write_table(table, path)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["test"][0]["sha256"] = storage._sha256(path)
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("weights", "labels", "message"),
    [
        (
            [[float("nan")] + [0.0] * 12] * 6,
            [0] * 6,
            "network 0 has a weight that is NaN or infinite",
        ),
        ([[0.0] * 13] * 6, [7] * 6, "a label of 'label' lies outside 0 to 1"),
        ([[0.0] * 12] * 6, [0] * 6, "column 'weights' must be"),
        ([[0.0] * 13] * 5, [0] * 5, "5 networks where the manifest says 6"),
        ([[0.0] * 13] * 6, [0] * 6, "fingerprint is not that of the data"),
    ],
)
def test_malformed_data_is_named(
    folder: Path, weights: list[list[float]], labels: list[int], message: str
) -> None:
    rows = len(labels)
    columns = {
        "weights": pa.array(weights, pa.list_(pa.float32(), len(weights[0]))),
        "label": pa.array(labels, pa.int64()),
        "source_index": pa.array([0] * rows, pa.int32()),
        "copy": pa.array([0] * rows, pa.int32()),
        "psnr": pa.array([20.0] * rows, pa.float32()),
    }
    replace_test_split(folder, pa.table(columns))
    with pytest.raises(UserError, match=message):
        storage.read(folder)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (
            "files",
            {"train": [{"path": "../../etc/passwd", "rows": 1, "sha256": "0" * 64}]},
            "inside the dataset's folder",
        ),
        ("fingerprint", "zz", "fingerprint"),
        ("spec", {"layers": []}, "spec"),
        ("format", 9, "format"),
        ("surprise", 1, "surprise"),
    ],
)
def test_a_hostile_manifest_is_refused(
    folder: Path, field: str, value: object, message: str
) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(UserError, match=message):
        storage.read(folder)


def test_missing_files_are_named(folder: Path, tmp_path: Path) -> None:
    (folder / "data/validation-00000-of-00001.parquet").unlink()
    with pytest.raises(UserError, match=r"validation-00000-of-00001\.parquet: No such file"):
        storage.read(folder)
    with pytest.raises(UserError, match="no dataset in"):
        storage.read(tmp_path / "nowhere")


# Caches that are shared, read-only, or mounted elsewhere.


def test_pulls_at_once_fetch_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = Published(repository="someone/fashion", revision="a" * 40)
    fetched: list[Path] = []

    def fetch(_: Published, folder: Path) -> None:
        fetched.append(folder)
        folder.mkdir()  # fails where another is at it
        time.sleep(0.1)
        (folder / "manifest.json").write_text("{}")

    monkeypatch.setattr(hub, "fetch", fetch)
    with ThreadPoolExecutor(4) as pool:
        arguments = published, tmp_path / "cache/fashion", lambda _: None
        for future in [pool.submit(arrival.bring, *arguments) for _ in range(4)]:
            future.result()
    assert len(fetched) == 1


def test_a_cache_that_takes_nothing_costs_time_alone(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    source = listing.EMBEDDED / "sine-inr-mini"
    dataset = storage.read(source, tmp_path / "file/unpacked")
    assert_same(dataset.splits["test"], storage.read(source).splits["test"])


def test_a_cache_is_known_under_another_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    shutil.copytree(listing.EMBEDDED / "sine-inr-mini", tmp_path / "here/sine")
    storage.read(tmp_path / "here/sine", tmp_path / "here/unpacked")
    (tmp_path / "there").symlink_to(tmp_path / "here")

    def verified(*_: object) -> None:
        raise AssertionError("it was verified already")

    monkeypatch.setattr(storage, "_verify", verified)
    storage.read(tmp_path / "there/sine", tmp_path / "there/unpacked")
