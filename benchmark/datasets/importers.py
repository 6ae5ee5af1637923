"""Published originals, brought into the one format from the files a user already has."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from benchmark.datasets import storage
from benchmark.datasets.storage import Manifest, Split
from benchmark.errors import UserError
from benchmark.pictures import to_pixels
from nft import siren
from nft.network import NetworkSpec

EXAMPLES = 16
SHARD = 5000  # networks in a file


class NfnSirens(BaseModel):
    """The SIRENs published with NFN: `<prefix>_<label>s/net<index>.pth`, further copies in `<prefix>_aug<number>_<label>s`.

    The index is the image's place in file order: up to `validation_from` for training, up to `test_from` for validation, the rest
    for test. Copies are of training networks alone. side: of the images, in pixels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    format: Literal["nfn-sirens"]
    prefix: str
    side: int = Field(gt=1)
    omega: float = Field(gt=0)
    validation_from: int = Field(gt=0)
    test_from: int = Field(gt=0)

    def split_of(self, index: int) -> str:
        """The split that an image's network belongs to."""
        if index < self.validation_from:
            return "train"
        return "validation" if index < self.test_from else "test"


@dataclass(frozen=True)
class Found:
    """One network's file."""

    copy: int
    index: int
    label: int
    path: Path


def import_nfn_sirens(
    layout: NfnSirens,
    name: str,
    classes: list[str],
    source: Path,
    folder: Path,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Manifest:
    """Read a folder of published SIRENs, checking every file, and write the dataset into `folder`.

    `progress` is told how many networks are done, of how many. Raises UserError naming a file that is missing or not a SIREN.
    """
    files = _find(layout, source, len(classes))
    spec = _spec(layout, files[0].path)
    coordinates = siren.grid(layout.side, layout.side)
    shards: dict[str, list[str]] = {}
    drawings: list[Tensor] = []
    done = 0
    for split in storage.SPLITS:
        mine = [file for file in files if layout.split_of(file.index) == split and (split == "train" or file.copy == 0)]
        if not mine:
            raise UserError(f"{source}: no network of the {split} split: the indices end before its first")
        parts = [mine[start : start + SHARD] for start in range(0, len(mine), SHARD)]
        shards[split] = [storage.shard_path(split, index, len(parts)) for index in range(len(parts))]
        for part, path in zip(parts, shards[split], strict=True):
            weights = torch.stack([_load(file.path, spec) for file in part])
            storage.write_shard(folder / path, spec, classes, _split(part, weights), {"importer": layout.format})
            if split == "test" and not drawings:
                drawings.append(siren.render(spec, weights[:EXAMPLES], coordinates))
            done += len(part)
            progress(done, len(files))
    examples = to_pixels(drawings[0], layout.side, layout.side)
    return storage.seal(folder, name, spec, classes, layout.model_dump(mode="json"), shards, examples)


def _find(layout: NfnSirens, source: Path, classes: int) -> list[Found]:
    pattern = re.compile(rf"{re.escape(layout.prefix)}(?:_aug(\d+))?_(\d+)s")
    files = []
    for folder in _folders(source):
        if (match := pattern.fullmatch(folder.name)) is None:
            continue
        copy, label = (int(match[1]) + 1 if match[1] else 0), int(match[2])
        if label >= classes:
            raise UserError(f"{folder}: label {label}, but there are {classes} classes")
        for path in folder.glob("net*.pth"):
            if (number := re.fullmatch(r"net(\d+)\.pth", path.name)) is not None:
                files.append(Found(copy, int(number[1]), label, path))
    if not files:
        raise UserError(f"{source}: no networks: it has no folders like {layout.prefix}_0s with files like net0.pth")
    files.sort(key=lambda file: (file.copy, file.index))
    for before, after in pairwise(files):
        if (before.copy, before.index) == (after.copy, after.index):
            raise UserError(
                f"{before.path} and {after.path} are both number {after.index}: one has a wrong label or name"
            )
    own = [file.index for file in files if file.copy == 0]
    if own != list(range(len(own))):
        missing = next((index for index, found in enumerate(own) if index != found), 0)
        raise UserError(f"{source}: net{missing}.pth is missing; the splits are by number, so all must be there")
    return files


def _folders(source: Path) -> Iterator[Path]:
    try:
        yield from (path for path in sorted(source.iterdir()) if path.is_dir())
    except OSError as error:
        raise UserError(f"{source}: {error.strerror}") from None


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(f"{path}: cannot be read as tensors ({type(error).__name__}); fetch the file again") from None
    if not isinstance(loaded, dict) or not all(isinstance(tensor, Tensor) for tensor in loaded.values()):
        raise UserError(f"{path}: holds no state_dict of tensors")
    return loaded


def _spec(layout: NfnSirens, path: Path) -> NetworkSpec:
    try:
        return NetworkSpec.from_state_dict(_tensors(path), activation="sine", omega=layout.omega)
    except ValueError as error:
        raise UserError(f"{path}: no MLP: {error}") from None


def _load(path: Path, spec: NetworkSpec) -> Tensor:
    try:
        flat = spec.flatten([_tensors(path)])[0].float()
    except ValueError as error:
        raise UserError(f"{path}: not like the first network: {error}") from None
    if not bool(torch.isfinite(flat).all()):
        raise UserError(f"{path}: a weight is NaN or infinite")
    return flat


def _split(files: list[Found], weights: Tensor) -> Split:
    columns = ([file.label for file in files], [file.index for file in files], [file.copy for file in files])
    labels, index, copy = (torch.tensor(column) for column in columns)
    unknown = torch.full((len(files),), torch.nan)  # the fit's quality is not published with the weights
    return Split(weights, labels, index.int(), copy.int(), unknown)
