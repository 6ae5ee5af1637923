"""The recipe of INRs: how a dataset of INRs is made from images, from one seed, shard by shard in any order.

A mini recipe fits in float64 and rounds the weights to a few significant bits before they are stored. The rounding error is
far below the fit's, the files shrink to a third, and the last bits, in which machines differ, are gone: a rebuild gives the
same fingerprint anywhere. The paper's recipe fits in float32 and keeps what comes out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from benchmark.datasets.recipes import edits
from benchmark.datasets.sources import ImageSource, images
from benchmark.datasets.storage import Columns, Split
from benchmark.runs.environment import can_compile
from benchmark.runs.pictures import to_pixels
from benchmark.seeds import generator
from nft import siren
from nft.network import NetworkSpec

CHUNK = {
    "cpu": 500,
    "cuda": 20_000,
}  # networks fitted together: to fill the cores and spare their caches, or to fill a GPU
COMPILED_FROM = 1000  # steps: shorter fits are over before a compiler is
REFITS = 2  # further starts for a network whose fit is too poor


class Slice(BaseModel):
    """`rows` images from `start` on, in file order, of a source split, and `copies` further networks for each."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    source: Literal["train", "test"]
    start: int = Field(ge=0)
    rows: int = Field(gt=0)
    copies: int = Field(default=0, ge=0)


@dataclass(frozen=True)
class Shard:
    """The networks of one file: `rows` of a source split's images, each fitted as its `copy`-th network."""

    source: Literal["train", "test"]
    rows: range
    copy: int


def shards_of_runs(runs: Mapping[str, int], split: str, rows: int) -> list[Shard]:
    """The files of a split of runs that are numbered through, the splits one after the other, `rows` to a file."""
    names = list(runs)
    first = sum(runs[name] for name in names[: names.index(split)])
    stop = first + runs[split]
    return [
        Shard("train", range(start, min(start + rows, stop)), 0)
        for start in range(first, stop, rows)
    ]


def fewer_runs(runs: Mapping[str, int], networks: int) -> dict[str, int]:
    """About that many in all, in the same proportions."""
    whole = sum(runs.values())
    return {split: max(2, count * networks // whole) for split, count in runs.items()}


class InrRecipe(BaseModel):
    """SIRENs of images.

    side, channels: the images are averaged down to side x side pixels, grey (1) or RGB (3), scaled to [-1, 1]. initialisation:
    "common", one for all, or "independent", one for each network. steps, learning_rate, schedule: of Adam. minimum_psnr: a network
    below it is fitted again from other starts, and dropped if that does not help (independent initialisations only).
    significant_bits: what is kept of each weight's mantissa; 24 keeps float32 whole. shard_rows: networks in a file. edit: the target
    of each network is its image after that change, rather than a label.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    side: int = Field(gt=1)
    channels: Literal[1, 3]
    hidden: tuple[int, ...]
    omega: float = Field(gt=0)
    initialisation: Literal["common", "independent"]
    steps: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    schedule: siren.Schedule
    precision: Literal["float32", "float64"]
    minimum_psnr: float
    significant_bits: int = Field(ge=4, le=24)
    shard_rows: int = Field(gt=0)
    seed: int = Field(ge=0)
    splits: dict[str, Slice]
    edit: edits.Edit | None = None

    @property
    def spec(self) -> NetworkSpec:
        return NetworkSpec.mlp(2, *self.hidden, self.channels, activation="sine", omega=self.omega)

    def columns(self, source: ImageSource) -> Columns:
        if self.edit:
            return Columns(self.spec, (), "psnr", self.side**2 * self.channels)
        return Columns(self.spec, source.classes, "psnr")

    @property
    def chunk(self) -> dict[str, int]:
        """Networks fitted together, by device."""
        return CHUNK

    @property
    def networks(self) -> int:
        """Of all splits together."""
        return sum(part.rows * (1 + part.copies) for part in self.splits.values())

    def shards(self, split: str) -> list[Shard]:
        """The files of a split: first all images once, then their further copies."""
        part = self.splits[split]
        stop = part.start + part.rows
        starts = range(part.start, stop, self.shard_rows)
        return [
            Shard(part.source, range(start, min(start + self.shard_rows, stop)), copy)
            for copy in range(1 + part.copies)
            for start in starts
        ]

    def limited(self, networks: int) -> InrRecipe:
        """The same of about that many networks in all, in the same proportions, without further copies."""
        images = sum(part.rows for part in self.splits.values())
        splits = {
            name: part.model_copy(
                update={
                    "rows": min(part.rows, max(16, part.rows * networks // images)),
                    "copies": 0,
                }
            )
            for name, part in self.splits.items()
        }
        return self.model_copy(update={"splits": splits, "shard_rows": min(self.shard_rows, 500)})

    def digest(self, source: ImageSource, shard: Shard) -> str:
        """SHA-256 of all that determines a shard; a file that carries it is not made again."""
        place = [shard.source, shard.rows.start, shard.rows.stop, shard.copy]
        made_of = [
            self.model_dump(mode="json", exclude={"splits", "shard_rows"}, exclude_none=True),
            source.model_dump(mode="json"),
            place,
        ]
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()

    def build(
        self,
        source: ImageSource,
        shard: Shard,
        mirror: Path | None = None,
        device: torch.device = torch.device("cpu"),
        progress: Callable[[float], None] = lambda _: None,
    ) -> tuple[Split, int]:
        """Fit a shard's networks. Returns them, and how many were dropped; `progress` is told how many more are done."""
        pixels, labels = images(source, shard.source, shard.rows, mirror)
        dtype = getattr(torch, self.precision)
        targets = self.targets(pixels).to(device, dtype)
        coordinates = siren.grid(self.side, self.side, dtype, device)
        weights, errors = [], []
        starts = self._starts(shard, 0, dtype).to(device)
        chunk = CHUNK[device.type]
        for start, target in zip(starts.split(chunk), targets.split(chunk), strict=True):
            share = len(target) / self.steps
            fitted, error = self._fit(
                start, target, coordinates, lambda share=share: progress(share)
            )
            weights.append(fitted)
            errors.append(error)
        fitted, error = torch.cat(weights), torch.cat(errors)
        for attempt in range(1, 1 + REFITS * (self.initialisation == "independent")):
            poor = self._is_poor(error).nonzero()[:, 0]
            if len(poor):
                start = self._starts(shard, attempt, dtype).to(device)[poor]
                fitted[poor], error[poor] = self._fit(
                    start, targets[poor], coordinates, lambda: None
                )
        kept = (~self._is_poor(error)).cpu()
        rows = torch.tensor(shard.rows, dtype=torch.int32)[kept]
        networks = Split(
            weights=fitted.cpu()[kept].float(),
            targets=(
                self._edited(pixels) if self.edit else torch.from_numpy(labels.astype(np.int64))
            )[kept],
            source_index=rows,
            copy=torch.full_like(rows, shard.copy),
            quality=siren.psnr(error.cpu()[kept]).float(),
        )
        return networks, int((~kept).sum())

    def _edited(self, pixels: np.ndarray) -> Tensor:
        """The edited images `[n, side * side * channels]` uint8: changed after they were averaged down."""
        assert self.edit is not None
        made = to_pixels(self.targets(pixels), self.side, self.side)
        changed = np.stack([edits.apply(self.edit, image) for image in made])
        return torch.from_numpy(changed.reshape(len(made), -1))

    def _starts(self, shard: Shard, attempt: int, dtype: torch.dtype) -> Tensor:
        """Initial weights of the shard's networks, from named seeds."""
        count = len(shard.rows)
        if self.initialisation == "common":
            start = siren.initialise(
                self.spec, 1, generator("recipe", "initialisation", self.seed), dtype
            )
            return start.expand(count, -1)
        place = (shard.source, shard.rows.start, shard.copy, attempt)
        return siren.initialise(
            self.spec, count, generator("recipe", "initialisation", self.seed, *place), dtype
        )

    def _fit(
        self, start: Tensor, targets: Tensor, coordinates: Tensor, progress: Callable[[], None]
    ) -> tuple[Tensor, Tensor]:
        fitted, error = siren.fit(
            self.spec,
            start,
            targets,
            coordinates,
            self.steps,
            self.learning_rate,
            self.schedule,
            progress,
            compiled=self.steps >= COMPILED_FROM and can_compile(start.device),
        )
        if self.significant_bits == 24:
            return fitted, error
        rounded = round_mantissa(fitted, self.significant_bits)
        return rounded, (siren.render(self.spec, rounded, coordinates) - targets).square().mean(
            dim=(1, 2)
        )

    def _is_poor(self, error: Tensor) -> Tensor:
        return ~(siren.psnr(error) >= self.minimum_psnr)  # NaN is poor too

    def trial(self, device: torch.device) -> Callable[[int], None]:
        """Takes that many steps of fitting `CHUNK` networks to nothing in particular."""
        dtype, count = getattr(torch, self.precision), CHUNK[device.type]
        start = siren.initialise(self.spec, count, dtype=dtype).to(device)
        coordinates = siren.grid(self.side, self.side, dtype, device)
        targets = torch.zeros(count, self.side**2, self.channels, dtype=dtype, device=device)
        compiled = self.steps >= COMPILED_FROM and can_compile(device)

        def take(steps: int) -> None:
            fit = (self.spec, start, targets, coordinates, steps, self.learning_rate)
            siren.fit(*fit, compiled=compiled)[1].sum().item()  # waits for the device

        return take

    def examples(
        self, source: ImageSource, mirror: Path | None = None, count: int = 16
    ) -> np.ndarray:
        """What the first test networks are fitted to: `[count, side, side]` or `[count, side, side, 3]` uint8."""
        part = self.splits["test"]
        pixels, _ = images(source, part.source, range(part.start, part.start + count), mirror)
        return to_pixels(self.targets(pixels), self.side, self.side)

    def targets(self, pixels: np.ndarray) -> Tensor:
        """Images `[n, height, width, 3]` in 0 to 255, averaged down: `[n, side * side, channels]` float64 in [-1, 1]."""
        count, height, width = pixels.shape[:3]
        blocks = pixels.reshape(
            count, self.side, height // self.side, self.side, width // self.side, -1
        )
        averaged = torch.from_numpy(blocks.astype(np.float64)).mean(dim=(2, 4))
        return averaged.reshape(count, self.side**2, -1)[..., : self.channels] / 127.5 - 1


def round_mantissa(values: Tensor, bits: int) -> Tensor:
    """Round to `bits` significant binary digits, to nearest."""
    mantissa, exponent = torch.frexp(values)
    return torch.ldexp((mantissa * 2**bits).round() / 2**bits, exponent)
