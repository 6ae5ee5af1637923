"""Published originals, brought into the one format from the files a user already has."""

from __future__ import annotations

import ast
import pickle
import random
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from benchmark.datasets import cards, storage
from benchmark.datasets.sources import ImageSource
from benchmark.datasets.storage import SPLITS, Columns, Manifest, Split
from benchmark.errors import UserError
from benchmark.runs.pictures import to_pixels
from nft import siren
from nft.network import LayerSpec, NetworkSpec

EXAMPLES = 16
SHARD = 5000  # networks in a file


@dataclass(frozen=True)
class Found:
    """One network's file."""

    copy: int
    index: int
    label: int
    path: Path


@dataclass(frozen=True)
class Original:
    """What a folder holds: its columns, the networks of each split, and how some of them are read."""

    columns: Columns
    splits: dict[str, Sequence[Found] | np.ndarray]
    read: Callable[[Sequence[Found] | np.ndarray], Split]


class Sirens(BaseModel, ABC):
    """SIRENs, a file for each.

    The index is the image's place in file order: up to `validation_from` for training, up to `test_from` for validation, the rest
    for test. Copies are of training networks alone. side: of the images, in pixels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    side: int = Field(gt=1)
    omega: float = Field(gt=0)
    validation_from: int = Field(gt=0)
    test_from: int = Field(gt=0)

    def split_of(self, index: int) -> str:
        """The split that an image's network belongs to."""
        if index < self.validation_from:
            return "train"
        return "validation" if index < self.test_from else "test"

    @abstractmethod
    def find(self, source: Path, classes: int) -> list[Found]:
        """Every network's file under `source`, in the order of copies and indices. Raises UserError for what is missing."""

    def open(self, source: Path, classes: tuple[str, ...]) -> Original:
        files = self.find(source, len(classes))
        for before, after in pairwise(files):
            if (before.copy, before.index) == (after.copy, after.index):
                raise UserError(
                    f"{before.path} and {after.path} are both number {after.index}: one has a wrong label or name"
                )
        own = [file.index for file in files if file.copy == 0]
        if own != list(range(len(own))):
            missing = next((index for index, found in enumerate(own) if index != found), 0)
            raise UserError(
                f"{source}: network {missing} is missing; the splits are by number, so all must be there"
            )
        splits: dict[str, list[Found]] = {split: [] for split in SPLITS}
        for file in files:
            split = self.split_of(file.index)
            if split == "train" or file.copy == 0:
                splits[split].append(file)
        columns = Columns(self._spec(files[0].path), classes, "psnr")

        def read(part: Sequence[Found]) -> Split:
            weights = torch.stack([_load(file.path, columns.spec) for file in part])
            numbers = (
                [file.label for file in part],
                [file.index for file in part],
                [file.copy for file in part],
            )
            labels, index, copy = (torch.tensor(column) for column in numbers)
            unknown = torch.full(
                (len(part),), torch.nan
            )  # the fit's quality is not published with the weights
            return Split(weights, labels, index.int(), copy.int(), unknown)

        return Original(columns, splits, read)

    def _spec(self, path: Path) -> NetworkSpec:
        try:
            return NetworkSpec.from_state_dict(_tensors(path), activation="sine", omega=self.omega)
        except ValueError as error:
            raise UserError(f"{path}: no MLP: {error}") from None


class NfnSirens(Sirens):
    """The SIRENs published with NFN: `<prefix>_<label>s/net<index>.pth`, further copies in `<prefix>_aug<number>_<label>s`."""

    format: Literal["nfn-sirens"]
    prefix: str

    def find(self, source: Path, classes: int) -> list[Found]:
        pattern = re.compile(rf"{re.escape(self.prefix)}(?:_aug(\d+))?_(\d+)s")
        files = []
        for folder in _folders(source):
            if (match := pattern.fullmatch(folder.name)) is None:
                continue
            copy, label = (int(match[1]) + 1 if match[1] else 0), _label(match[2], folder, classes)
            for path in folder.glob("net*.pth"):
                if (number := re.fullmatch(r"net(\d+)\.pth", path.name)) is not None:
                    files.append(Found(copy, int(number[1]), label, path))
        if not files:
            raise UserError(
                f"{source}: no networks: it has no folders like {self.prefix}_0s with files like net0.pth"
            )
        return sorted(files, key=lambda file: (file.copy, file.index))


class DwsSirens(Sirens):
    """The MNIST INRs published with DWSNets: `mnist_png_{training,testing}_<label>_<number>/checkpoints/model_final.pth`.

    The published code draws its validation split anew each time; here it is the last training networks by number. Test networks
    are numbered from `test_from` on.
    """

    format: Literal["dws-sirens"]

    def find(self, source: Path, classes: int) -> list[Found]:
        pattern = re.compile(r"\w+_(training|testing)_(\d+)_(\d+)")
        files = []
        for folder in _folders(source):
            if (match := pattern.fullmatch(folder.name)) is None:
                continue
            index = int(match[3]) + (self.test_from if match[1] == "testing" else 0)
            path = folder / "checkpoints" / "model_final.pth"
            files.append(Found(0, index, _label(match[2], folder, classes), path))
        if not files:
            raise UserError(f"{source}: no networks: it has no folders like mnist_png_training_0_1")
        return sorted(files, key=lambda file: file.index)


class CnnZoo(BaseModel):
    """A dataset of the Small CNN Zoo: `weights.npy`, `metrics.csv.gz`, `layout.csv`; beside them the order that NFN published.

    order: the file of that order (in NFN's repository under experiments/predict_gen_data_splits). Of the networks in that order, those
    of the last step count; half of them are the test split, and the others are shuffled and split 80 to 20.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    format: Literal["cnn-zoo"]
    order: str
    step: int = 86

    def open(self, source: Path, classes: tuple[str, ...]) -> Original:  # noqa: ARG002
        weights = self._weights(source / "weights.npy")
        metrics = self._table(
            source / "metrics.csv.gz", ["step", "test_accuracy", "train_accuracy"]
        )
        layout = self._table(source / "layout.csv", ["varname", "start_idx", "end_idx", "shape"])
        order = self._table(source / self.order, [0], header=None)[0].to_numpy()
        if len(metrics) != len(weights) or sorted(order) != list(range(len(weights))):
            raise UserError(
                f"{source}: {len(weights)} networks in weights.npy, {len(metrics)} rows in metrics.csv.gz, {len(order)} in "
                f"{self.order}: they are not of the same zoo"
            )
        spec, columns_of = self._spec(source / "layout.csv", layout, weights.shape[1])
        final = order[metrics["step"].to_numpy()[order] == self.step]
        half = len(final) // 2
        others = list(range(half))
        random.Random(0).shuffle(others)  # noqa: S311, the published order is Python's own
        train = int(0.8 * half)
        splits = {
            "train": final[others[:train]],
            "validation": final[others[train:]],
            "test": final[half:],
        }
        targets, quality = (
            metrics[name].to_numpy(np.float32) for name in ("test_accuracy", "train_accuracy")
        )

        def read(rows: np.ndarray) -> Split:
            flat = torch.from_numpy(
                np.ascontiguousarray(weights[rows][:, columns_of], dtype=np.float32)
            )
            if not bool(torch.isfinite(flat).all()):
                row = int(rows[int((~torch.isfinite(flat)).any(dim=1).nonzero()[0])])
                raise UserError(
                    f"{source / 'weights.npy'}: network {row} has a weight that is NaN or infinite"
                )
            index = torch.from_numpy(rows.astype(np.int32))
            return Split(
                flat,
                torch.from_numpy(targets[rows]),
                index,
                torch.zeros_like(index),
                torch.from_numpy(quality[rows]),
            )

        return Original(Columns(spec, (), "train_accuracy"), splits, read)

    def _weights(self, path: Path) -> np.ndarray:
        try:
            weights = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: cannot be read as an array ({error})") from None
        if weights.ndim != 2 or weights.dtype.kind != "f":
            raise UserError(
                f"{path}: holds {weights.dtype} of shape {weights.shape}, not a row of numbers per network"
            )
        return weights

    def _table(
        self, path: Path, wanted: list[str] | list[int], header: int | None = 0
    ) -> pd.DataFrame:
        try:
            table = pd.read_csv(path, header=header)
        except FileNotFoundError:
            where = ", from experiments/predict_gen_data_splits of NFN's repository" * (
                path.name == self.order
            )
            raise UserError(f"{path}: not found; put it there{where}") from None
        except (OSError, ValueError, pd.errors.ParserError) as error:
            raise UserError(f"{path}: cannot be read as a table ({error})") from None
        if missing := [str(name) for name in wanted if name not in table.columns]:
            raise UserError(f"{path}: no column {', '.join(missing)}")
        return table

    def _spec(
        self, path: Path, layout: pd.DataFrame, parameters: int
    ) -> tuple[NetworkSpec, np.ndarray]:
        """The networks' spec, and where each of their parameters lies in a row of weights.npy (TensorFlow's order)."""
        kernels, biases = [], []
        try:
            for row in layout.itertuples():
                shape = ast.literal_eval(row.shape)
                places = np.arange(row.start_idx, row.end_idx).reshape(shape)
                (kernels if "kernel" in row.varname else biases).append(places)
            layers, flat = [], []
            for kernel, bias in zip(kernels, biases, strict=True):
                outputs_first = np.moveaxis(
                    kernel, (-1, -2), (0, 1)
                )  # from [*kernel, inputs, outputs]
                layers.append(
                    LayerSpec(
                        *map(int, outputs_first.shape[:2]), tuple(map(int, outputs_first.shape[2:]))
                    )
                )
                flat += [outputs_first.reshape(-1), bias.reshape(-1)]
            spec, order = NetworkSpec(tuple(layers), activation="various"), np.concatenate(flat)
        except (ValueError, TypeError, SyntaxError) as error:
            raise UserError(
                f"{path}: no layout of convolutions and dense layers ({error})"
            ) from None
        if sorted(order) != list(range(parameters)):
            raise UserError(
                f"{path}: tells of {len(order)} parameters, but weights.npy has {parameters}"
            )
        return spec, order


Importer = Annotated[NfnSirens | DwsSirens | CnnZoo, Field(discriminator="format")]


def import_original(
    layout: Importer,
    name: str,
    title: str,
    images: ImageSource,
    source: Path,
    folder: Path,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Manifest:
    """Read a folder of published networks, checking every one, and write the dataset into `folder`.

    `progress` is told how many networks are done, of how many. Raises UserError naming a file that is missing or wrong.
    """
    original = layout.open(source, images.classes)
    shards: dict[str, list[str]] = {}
    done, total = 0, sum(map(len, original.splits.values()))
    for split, mine in original.splits.items():
        if not len(mine):
            raise UserError(f"{source}: no network of the {split} split")
        parts = [mine[start : start + SHARD] for start in range(0, len(mine), SHARD)]
        shards[split] = [
            storage.shard_path(split, index, len(parts)) for index in range(len(parts))
        ]
        for part, path in zip(parts, shards[split], strict=True):
            storage.write_shard(
                folder / path, original.columns, original.read(part), {"importer": layout.format}
            )
            done += len(part)
            progress(done, total)
    examples = None
    if isinstance(
        layout, Sirens
    ):  # no images are published with the networks: what they draw stands for them
        first = original.read(original.splits["test"][:EXAMPLES]).weights
        drawn = siren.render(original.columns.spec, first, siren.grid(layout.side, layout.side))
        examples = to_pixels(drawn, layout.side, layout.side)
    manifest = storage.seal(
        folder, name, original.columns, layout.model_dump(mode="json"), shards, examples
    )
    cards.write(folder, title, images, manifest, None)
    return manifest


def _label(text: str, folder: Path, classes: int) -> int:
    if int(text) >= classes:
        raise UserError(f"{folder}: label {text}, but there are {classes} classes")
    return int(text)


def _folders(source: Path) -> Iterator[Path]:
    try:
        yield from (path for path in sorted(source.iterdir()) if path.is_dir())
    except OSError as error:
        raise UserError(f"{source}: {error.strerror}") from None


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(
            f"{path}: cannot be read as tensors ({type(error).__name__}); fetch the file again"
        ) from None
    if not isinstance(loaded, dict) or not all(
        isinstance(tensor, Tensor) for tensor in loaded.values()
    ):
        raise UserError(f"{path}: holds no state_dict of tensors")
    return loaded


def _load(path: Path, spec: NetworkSpec) -> Tensor:
    try:
        flat = spec.flatten([_tensors(path)])[0].float()
    except ValueError as error:
        raise UserError(f"{path}: not like the first network: {error}") from None
    if not bool(torch.isfinite(flat).all()):
        raise UserError(f"{path}: a weight is NaN or infinite")
    return flat
