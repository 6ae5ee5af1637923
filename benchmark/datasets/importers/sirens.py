"""What importers of SIRENs share: a file for each network, read without running code in it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from benchmark.datasets import state_files
from benchmark.datasets.importers.contract import Layout, Original
from benchmark.datasets.storage import SPLITS, Columns, Split
from benchmark.errors import UserError
from benchmark.runs.pictures import to_pixels
from nft import siren
from nft.network import NetworkSpec

EXAMPLES = 16


@dataclass(frozen=True)
class NetworkFile:
    """The file of one network."""

    copy: int
    index: int
    label: int
    path: Path


class Sirens(Layout):
    """SIRENs, a file for each.

    The index of a network is its image's place in file order. Further copies belong to training
    networks alone.

    side: of the images, in pixels.
    omega, scale: as in `NetworkSpec`.
    validation_from, test_from: the first index of these splits; training comes before.
    """

    side: int = Field(gt=1)
    omega: float = Field(gt=0)
    scale: float = Field(default=1.0, gt=0)
    validation_from: int = Field(gt=0)
    test_from: int = Field(gt=0)

    def split_of(self, index: int) -> str:
        """The split that an image's network belongs to."""
        if index < self.validation_from:
            return "train"
        return "validation" if index < self.test_from else "test"

    @abstractmethod
    def find(self, source: Path, classes: int) -> list[NetworkFile]:
        """List the file of every network under `source`, in the order of copies and indices.

        Raises UserError for what is missing.
        """

    def open(self, source: Path, classes: tuple[str, ...]) -> Original:
        files = self.find(source, len(classes))
        _check_numbers(source, files)
        splits: dict[str, list[NetworkFile]] = {split: [] for split in SPLITS}
        for file in files:
            split = self.split_of(file.index)
            if split == "train" or file.copy == 0:
                splits[split].append(file)
        columns = Columns(self._spec(files[0].path), classes, "psnr")

        def read(part: Sequence[NetworkFile]) -> Split:
            weights = torch.stack([_load(file.path, columns.spec) for file in part])
            labels = torch.tensor([file.label for file in part])
            index = torch.tensor([file.index for file in part]).int()
            copy = torch.tensor([file.copy for file in part]).int()
            # The quality of the fits is not published with the weights.
            return Split(weights, labels, index, copy, torch.full((len(part),), torch.nan))

        return Original(columns, splits, read)

    def examples(self, original: Original) -> np.ndarray:
        # No images are published with the networks: what they draw stands for them.
        weights = original.read(original.splits["test"][:EXAMPLES]).weights
        values = siren.render(original.columns.spec, weights, siren.grid(self.side, self.side))
        return to_pixels(values, self.side, self.side)

    def _spec(self, path: Path) -> NetworkSpec:
        try:
            tensors = state_files.state_dict(path)
            return NetworkSpec.from_state_dict(tensors, "sine", self.omega, self.scale)
        except ValueError as error:
            raise UserError(f"{path}: no MLP: {error}") from None


def label_of(text: str, folder: Path, classes: int) -> int:
    """Parse the label in a folder's name. Raises UserError for one that is no class."""
    if int(text) >= classes:
        raise UserError(f"{folder}: label {text}, but there are {classes} classes")
    return int(text)


def folders(source: Path) -> Iterator[Path]:
    """The folders in a folder, by name. Raises UserError where it cannot be read."""
    try:
        yield from (path for path in sorted(source.iterdir()) if path.is_dir())
    except OSError as error:
        raise UserError(f"{source}: {error.strerror}") from None


def _check_numbers(source: Path, files: Sequence[NetworkFile]) -> None:
    for before, after in pairwise(files):
        if (before.copy, before.index) == (after.copy, after.index):
            raise UserError(
                f"{before.path} and {after.path} are both number {after.index}: "
                "one has a wrong label or name"
            )
    indices = [file.index for file in files if file.copy == 0]
    if indices != list(range(len(indices))):
        gap = next((place for place, index in enumerate(indices) if place != index), 0)
        raise UserError(
            f"{source}: network {gap} is missing; "
            "the splits are by number, so every network must be there"
        )


def _load(path: Path, spec: NetworkSpec) -> Tensor:
    try:
        flat = spec.flatten([state_files.state_dict(path)])[0].float()
    except ValueError as error:
        raise UserError(f"{path}: not like the first network: {error}") from None
    if not bool(torch.isfinite(flat).all()):
        raise UserError(f"{path}: a weight is NaN or infinite")
    return flat
