"""Building datasets: shard by shard, resumable, in any order, and poor fits are counted."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from filelock import FileLock
from helpers import CPU, Command, hold_after, start, wait_for
from PIL import Image
from scripts import HANGS

from benchmark.datasets import build, catalog, listing, storage
from benchmark.datasets.recipes.inr import InrRecipe, Shard, Slice
from benchmark.datasets.sources import images
from benchmark.errors import UserError
from benchmark.runs.pictures import sheet, to_pixels

MIRROR = Path(__file__).parent / "data"
SPLITS = {
    "train": Slice(source="train", start=0, rows=7, copies=1),
    "validation": Slice(source="train", start=7, rows=4),
    "test": Slice(source="train", start=11, rows=5),
}


def entry(**changes: object) -> catalog.Entry:
    """A tiny dataset of the images that the tests have, independently initialised."""
    listed = catalog.entry("fashion-inr-mini")
    data = listed.recipe.model_dump() | {
        "splits": SPLITS,
        "shard_rows": 4,
        "steps": 20,
        "initialisation": "independent",
    }
    tiny = InrRecipe.model_validate(data | changes)
    return listed.model_copy(update={"name": "tiny", "recipe": tiny, "fingerprint": None})


@pytest.fixture(autouse=True)
def _few_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    original = InrRecipe.examples
    monkeypatch.setattr(
        InrRecipe, "examples", lambda self, source, mirror: original(self, source, mirror, 3)
    )


def make(folder: Path, tiny: catalog.Entry) -> storage.Manifest:
    return build.build(tiny, folder, MIRROR)


def test_a_build_is_whole(tmp_path: Path) -> None:
    tiny, done = entry(), []
    manifest = build.build(tiny, tmp_path, MIRROR, progress=done.append)
    assert sum(done) == pytest.approx(tiny.recipe.networks)
    assert tiny.recipe.networks == 7 * 2 + 4 + 5
    assert [file.rows for file in manifest.files["train"]] == [4, 3, 4, 3]
    dataset = storage.read(tmp_path)
    train = dataset.splits["train"]
    assert train.copy.tolist() == [0] * 7 + [1] * 7
    assert train.source_index.tolist() == list(range(7)) * 2
    assert torch.equal(train.targets[:7], train.targets[7:])
    assert not torch.allclose(train.weights[:7], train.weights[7:], atol=1e-2)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert manifest.fingerprint in card
    assert "an initialisation of its own" in card


def test_the_order_of_shards_does_not_matter() -> None:
    tiny = entry()
    shards = tiny.recipe.shards("train")
    forwards = [tiny.recipe.build(tiny.images, shard, MIRROR)[0].weights for shard in shards]
    backwards = [
        tiny.recipe.build(tiny.images, shard, MIRROR)[0].weights for shard in reversed(shards)
    ]
    for one, other in zip(forwards, reversed(backwards), strict=True):
        assert torch.equal(one, other)


def test_an_interrupted_build_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = make(tmp_path / "whole", entry())
    original, fitted = InrRecipe.build, []

    def interrupted(self: InrRecipe, images: object, shard: Shard, *rest: object) -> object:
        fitted.append(shard)
        if len(fitted) == 4:
            raise KeyboardInterrupt
        return original(self, images, shard, *rest)

    monkeypatch.setattr(InrRecipe, "build", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "resumed", entry())
    assert make(tmp_path / "resumed", entry()).fingerprint == whole.fingerprint
    assert len(fitted) == 1 + sum(len(entry().recipe.shards(split)) for split in SPLITS)
    # Another recipe's shards are not taken for this one's.
    with pytest.raises(UserError, match="resumed holds shards of another build; remove it, or"):
        make(tmp_path / "resumed", entry(steps=25))


def test_a_shard_that_was_damaged_meanwhile_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed bit in its body, which its footer does not tell."""
    whole = make(tmp_path / "whole", entry())
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(storage, "seal", partial(stop, KeyboardInterrupt()))
        make(tmp_path / "resumed", entry())
    path = tmp_path / "resumed" / storage.shard_path("train", 0, len(whole.files["train"]))
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)
    assert make(tmp_path / "resumed", entry()).fingerprint == whole.fingerprint
    assert not (tmp_path / "resumed" / build.JOURNAL).exists()


def test_a_build_takes_no_folder_that_is_not_its_own(tmp_path: Path) -> None:
    make(tmp_path / "more", entry())
    for name in ("manifest.json", "README.md"):
        (tmp_path / "more" / name).unlink()
    stray = tmp_path / "more" / storage.shard_path("train", 0, 77)
    stray.write_bytes(b"")
    with pytest.raises(UserError, match="holds shards of another build"):
        make(tmp_path / "more", entry())
    with (
        FileLock(tmp_path / "more" / ".lock"),
        pytest.raises(UserError, match="more: another process builds there"),
    ):
        make(tmp_path / "more", entry())
    with pytest.raises(UserError, match=r"/proc/none: .* choose another --output"):
        make(Path("/proc/none"), entry())


def stop(error: BaseException, *_: object) -> None:
    raise error


def test_poor_fits_are_fitted_again_or_dropped_and_counted() -> None:
    tiny = entry()
    shard = tiny.recipe.shards("train")[0]
    psnr = tiny.recipe.build(tiny.images, shard, MIRROR)[0].quality
    between = entry(minimum_psnr=float(psnr.sort().values[:2].mean()))
    again, dropped = between.recipe.build(between.images, shard, MIRROR)
    assert len(again.quality) + dropped == 4
    assert (again.quality >= between.recipe.minimum_psnr).all()
    assert int((again.quality == psnr[: len(again.quality)]).sum()) < 4
    none, dropped = entry(minimum_psnr=99.0).recipe.build(tiny.images, shard, MIRROR)
    assert (len(none.quality), dropped) == (0, 4)


def test_targets_average_blocks_of_pixels() -> None:
    grey = entry(side=2).recipe
    pixels = np.zeros((1, 4, 4, 3), dtype=np.uint8)
    pixels[0, :2, 2:] = 255
    pixels[0, 2:, :2] = [[[255] * 3, [0] * 3], [[255] * 3, [0] * 3]]
    assert grey.targets(pixels)[0, :, 0].tolist() == [-1.0, 1.0, 0.0, -1.0]
    colour = InrRecipe.model_validate(grey.model_dump() | {"channels": 3})
    pixels[..., 1] = 255
    assert colour.targets(pixels)[0, 0].tolist() == [-1.0, 1.0, -1.0]
    assert colour.spec.neurons == (2, 10, 10, 3)


def test_an_estimate_is_the_time_of_a_step_for_all_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that each step moves by a quarter of a second."""
    seconds = 0.0

    def trial(self: InrRecipe, device: torch.device) -> Callable[[int], None]:
        def take(steps: int) -> None:
            nonlocal seconds
            seconds += steps / 4

        return take

    monkeypatch.setattr(InrRecipe, "trial", trial)
    monkeypatch.setattr(build, "time", SimpleNamespace(perf_counter=lambda: seconds))
    for name in ("mnist-inr-mini", "mnist-inr"):
        recipe = catalog.entry(name).recipe
        groups = recipe.networks / recipe.chunk["cpu"]
        estimate = build.estimate(catalog.entry(name), CPU)
        assert estimate == pytest.approx(groups * recipe.steps / 4)


def test_a_trial_takes_steps() -> None:
    entry().recipe.trial(CPU)(2)


def test_a_limited_recipe_keeps_the_proportions() -> None:
    paper = catalog.entry("mnist-inr").recipe
    few = paper.limited(600)
    assert {split: part.rows for split, part in few.splits.items()} == {
        "train": 450,
        "validation": 50,
        "test": 100,
    }
    assert few.networks == 600
    assert few.shards("train")[0] == Shard("train", range(450), 0)


def test_too_few_images_are_named() -> None:
    tiny = entry(splits=SPLITS | {"test": Slice(source="train", start=11, rows=9)})
    with pytest.raises(UserError, match="16 images, but the recipe asks for number 19"):
        tiny.recipe.build(tiny.images, tiny.recipe.shards("test")[-1], MIRROR)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[images.mnist]", "[images.mnist", r"not TOML: .*line 6"),
        ("[images.mnist]", "[images.mnist]\n[pictures.mnist]", "pictures: Extra inputs"),
        (
            "[recipes.inr-mini]\nside = 14",
            "[recipes.inr-mini]\nside = 1",
            "recipe inr-mini: side: ",
        ),
        ("[recipes.zoo-mini]\nside = 14", "[recipes.zoo-mini]", "recipe zoo-mini: side: Field req"),
        (
            "points = 200\n",
            "points = 200\nside = 3\n",
            "sine-inr-mini: recipe sines-mini: side: Ex",
        ),
        ('[datasets.mnist-inr-mini]\ntitle = "MNIST INRs, mini"\n', "[datasets.x]\n", "x: title: "),
        (
            "[datasets.mnist-inr-mini]\n",
            "[datasets.mnist-inr-mini]\nfingerprnt = 1\n",
            "datasets.mnist-inr-mini: fingerprnt: Extra inputs",
        ),
        ('"inr-colour"\n', '"inr-color"\n', "recipe: 'inr-color' is not there; known: inr-mini"),
    ],
)
def test_what_is_wrong_in_the_catalogue_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, message: str
) -> None:
    path = tmp_path / "catalog.toml"
    text = listing.CATALOG.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    monkeypatch.setattr(listing, "CATALOG", path)
    monkeypatch.setattr(listing, "catalog_data", listing.catalog_data.__wrapped__)
    with pytest.raises(UserError, match=f"^{path}: .*{message}") as caught:
        catalog.catalog.__wrapped__()
    assert "\n" not in str(caught.value)


INRS = [name for name, entry in catalog.catalog().items() if isinstance(entry.recipe, InrRecipe)]


@pytest.mark.parametrize("name", INRS)
def test_the_catalogue_is_consistent(name: str) -> None:
    splits = catalog.entry(name).recipe.splits
    tested = "train" if name == "mnist-dilate" else "test"  # as NFN's code has it
    assert splits["test"].source == tested
    images = {
        (part.source, index)
        for part in splits.values()
        for index in range(part.start, part.start + part.rows)
    }
    assert len(images) == sum(part.rows for part in splits.values()), "splits share images"
    assert not splits["validation"].copies
    assert not splits["test"].copies


def test_lossy_images_are_not_taken_for_lossless_ones(tmp_path: Path) -> None:
    """CIFAR-10 saved as JPEG is another dataset, and only the one whose name says so reads it."""
    listed = catalog.entry("cifar10-inr").images
    jpegs = []
    for shade in (10, 200):
        buffer = io.BytesIO()
        Image.new("RGB", (32, 32), (shade, 0, 0)).save(buffer, "JPEG")
        jpegs.append({"bytes": buffer.getvalue(), "path": None})
    folder = tmp_path / "datasets" / listed.repository / listed.config
    folder.mkdir(parents=True)
    pq.write_table(
        pa.table({"img": jpegs, "label": [0, 1]}), folder / "train-00000-of-00001.parquet"
    )
    with pytest.raises(UserError, match="holds JPEG images"):
        images(listed, "train", range(2), tmp_path)
    pixels, labels = images(catalog.entry("cifar10-jpeg-inr").images, "train", range(2), tmp_path)
    assert pixels.shape == (2, 32, 32, 3)
    assert abs(int(pixels[1, 5, 5, 0]) - 200) < 5
    assert labels.tolist() == [0, 1]


@pytest.mark.parametrize("channels", [1, 3])
def test_sheets_show_what_they_are_given(channels: int) -> None:
    values = torch.linspace(-1, 1, 2 * 6 * channels).reshape(2, 6, channels)
    tiles = to_pixels(values, 2, 3)
    assert tiles.shape == (2, 2, 3) + ((3,) if channels == 3 else ())
    assert (int(tiles.min()), int(tiles.max())) == (0, 255)
    picture = np.asarray(sheet([("one", tiles), ("two", 255 - tiles)], zoom=2))
    assert (picture[:4:2, 90:96:2] == tiles[0]).all()
    assert (picture[6:10:2, 98:104:2] == 255 - tiles[1]).all()


@pytest.fixture(scope="module")
def many_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many images as the mini recipe's splits reach into, laid out like the Hub."""
    source = catalog.entry("fashion-inr-mini").images
    folder = tmp_path_factory.mktemp("hub") / "datasets" / source.repository / source.config
    folder.mkdir(parents=True)
    shades = np.random.default_rng(0).integers(0, 256, (256, 28), dtype=np.uint8)
    encoded = []
    for shade in shades:
        buffer = io.BytesIO()
        Image.fromarray(np.tile(shade, (28, 1))).save(buffer, "PNG")
        encoded.append({"bytes": buffer.getvalue(), "path": None})
    for split, rows in (("train", 9000), ("test", 300)):
        table = pa.table(
            {"image": [encoded[row % 256] for row in range(rows)], "label": [0] * rows}
        )
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")
    return folder.parents[3]


def test_a_build_that_was_stopped_twice_ends_with_the_same_fingerprint(
    many_images: Path, tmp_path: Path, command: Command
) -> None:
    """Killed after its first shard, and interrupted after its second."""

    def build_of(name: str) -> list[str]:
        places = ["--output", str(tmp_path / name), "--hub-mirror", str(many_images)]
        return ["datasets", "build", "fashion-inr-mini", "--limit", "1100", *places]

    held = hold_after(tmp_path / "held", "benchmark.datasets.storage", "write_shard")
    shards = [tmp_path / "stopped" / storage.shard_path("train", number, 2) for number in (0, 1)]
    for shard, how in zip(shards, (signal.SIGKILL, signal.SIGINT), strict=True):
        stopped = start(*build_of("stopped"), **held)
        wait_for(shard.exists, stopped)
        os.killpg(stopped.pid, how)
        _, errors = stopped.communicate(timeout=HANGS)
        assert "Traceback" not in errors
        assert not (tmp_path / "stopped/manifest.json").exists()
    assert stopped.returncode == 130
    assert "the same command goes on" in errors
    before = [shard.stat().st_mtime_ns for shard in shards]
    prints = []
    for name in ("stopped", "whole"):
        status, output, errors = command(*build_of(name))
        assert status == 0, errors
        prints.append(output.split()[-1])
    assert prints[0] == prints[1]
    assert [shard.stat().st_mtime_ns for shard in shards] == before
    assert storage.read_manifest(tmp_path / "whole").name == "fashion-inr-mini-first-1100"
