"""The recipe of INRs, fitted to images: from one seed, shard by shard in any order.

A mini recipe fits in float64 and rounds the weights to a few significant bits before they are
stored. The rounding error is far below the fit's, the files shrink to a third, and the last bits,
in which machines differ, are gone: a rebuild gives the same fingerprint anywhere. The paper's
recipe fits in float32 and stores the weights whole, and its last bits differ between machines.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from benchmark.datasets import cards
from benchmark.datasets.recipes import edits
from benchmark.datasets.sources import ImageSource, images
from benchmark.datasets.storage import Columns, Manifest, Split
from benchmark.fits import sirens
from benchmark.runs.pictures import to_pixels
from benchmark.seeds import generator
from nft import siren
from nft.network import NetworkSpec

REFITS = 2
"""Further starts for a network whose fit is too poor."""

CARD = """\
![the first test images, and what their networks draw](renderings.png)

Every row is a neural network: a SIREN that draws one image of \
[{repository}](https://huggingface.co/datasets/{repository}),
and {target}.

| split | networks | median PSNR | worst PSNR |
| --- | ---: | ---: | ---: |
{splits}

- **Network**: {sizes} neurons, sin({omega:g} x) between its layers, {parameters} parameters. \
`weights` is one flat vector in
  the order W1, b1, W2, b2, ..., each weight matrix row by row, a row per output neuron.
- **Images**: averaged down to {side}x{side} pixels, scaled to [-1, 1]; coordinates (row, column) \
span [-1, 1]^2. `source_index` is
  the image's row in its source split (validation images are rows of the train split); `copy` \
tells apart the networks of one image;
  `psnr` is in dB over a range of 2.{scale}
- **Recipe**: {start}; {steps} Adam steps at {learning_rate:g}, {schedule}{decay}{stop}, in \
{precision}{rounding}. {dropped} networks
  whose fit stayed below {minimum} dB were dropped. The neurons are stored as fitted (`aligned`); \
the benchmark permutes the hidden
  neurons of each network at random when it reads them.
"""

START = {
    "common": "all networks start from one common initialisation",
    "independent": "each network starts from an initialisation of its own",
}
DWS = ", that of DWSNets' code (sqrt(6 / inputs) / omega in all sine layers, whose biases are zero)"

EDIT_TARGETS: dict[edits.Edit, str] = {
    "dilate": "that image after a dilation (`target_image`: the largest value of each 3x3 "
    "neighbourhood). The task is to change the weights so that the network draws it",
    "contrast": "that image with more contrast (`target_image`: the lightness of CIE L*a*b* "
    "equalised by OpenCV's CLAHE, clip limit 1, 3x3 tiles). The task is to change the weights so "
    "that the network draws it",
}
"""What a card says of the targets, by edit."""


class Slice(BaseModel):
    """Images of a source split, in file order, and the networks of each.

    start, rows: the first image, and how many.
    copies: further networks for each image.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    source: Literal["train", "test"]
    start: int = Field(ge=0)
    rows: int = Field(gt=0)
    copies: int = Field(default=0, ge=0)


@dataclass(frozen=True)
class Shard:
    """The networks of one file: `rows` of a source split, each fitted as its `copy`-th network."""

    source: Literal["train", "test"]
    rows: range
    copy: int


class InrRecipe(BaseModel):
    """SIRENs of images.

    side, channels: the images are averaged down to side x side pixels, grey (1) or RGB (3), and
        scaled to [-1, 1].
    initialisation: "common", one for all, or "independent", one for each network.
    starts: the number of common initialisations, which the images take in turn; None for one.
    scheme: of the initial weights, as in `siren.initialise`; None is "siren".
    scale: as in `NetworkSpec`; None is 1. The error that is minimised is that of the outputs, and
        the images are divided by it. With 2 they are images in [0, 1] less 0.5.
    steps, learning_rate, schedule: of Adam.
    weight_decay: of Adam, coupled: added to the gradient.
    stop_psnr: that of a network whose fit ends early.
    minimum_psnr: a network below it is fitted again from other starts (independent
        initialisations only), and dropped if that does not help.
    significant_bits: of each weight's mantissa; 24 is all of float32.
    shard_rows: networks in a file.
    edit: the target of each network is its image after that change, rather than a label.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    side: int = Field(gt=1)
    channels: Literal[1, 3]
    hidden: tuple[int, ...]
    omega: float = Field(gt=0)
    initialisation: Literal["common", "independent"]
    starts: int | None = Field(default=None, gt=1)
    steps: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    schedule: siren.Schedule
    precision: Literal["float32", "float64"]
    minimum_psnr: float
    significant_bits: int = Field(ge=4, le=24)
    shard_rows: int = Field(gt=0)
    seed: int = Field(ge=0)
    splits: dict[str, Slice]
    # Those that came later are None where they are not used, so that a recipe's digest stays.
    edit: edits.Edit | None = None
    scheme: siren.Scheme | None = None
    scale: float | None = Field(default=None, gt=0)
    weight_decay: float | None = Field(default=None, gt=0)
    stop_psnr: float | None = None

    @property
    def _origin(self) -> str:
        """Where the networks start, in words."""
        if self.starts:
            return f"the networks start from {self.starts} common initialisations in turn"
        return START[self.initialisation]

    @property
    def spec(self) -> NetworkSpec:
        sizes = (2, *self.hidden, self.channels)
        return NetworkSpec.mlp(*sizes, activation="sine", omega=self.omega, scale=self.scale or 1.0)

    def columns(self, source: ImageSource) -> Columns:
        if self.edit:
            return Columns(self.spec, (), "psnr", self.side**2 * self.channels)
        return Columns(self.spec, source.classes, "psnr")

    @property
    def chunk(self) -> dict[str, int]:
        """The number of networks fitted together, by device."""
        return sirens.CHUNK

    @property
    def networks(self) -> int:
        """The number of networks in all splits."""
        return sum(part.rows * (1 + part.copies) for part in self.splits.values())

    def shards(self, split: str) -> list[Shard]:
        """Divide a split into files: first all images once, then their further copies."""
        part = self.splits[split]
        stop = part.start + part.rows
        starts = range(part.start, stop, self.shard_rows)
        return [
            Shard(part.source, range(start, min(start + self.shard_rows, stop)), copy)
            for copy in range(1 + part.copies)
            for start in starts
        ]

    def limited(self, networks: int) -> InrRecipe:
        """Reduce the recipe to about that many networks in all.

        The splits keep their proportions; there are no further copies.
        """
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
        settings = self.model_dump(mode="json", exclude={"splits", "shard_rows"}, exclude_none=True)
        place = [shard.source, shard.rows.start, shard.rows.stop, shard.copy]
        parts = [settings, source.model_dump(mode="json"), place]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def card(self, folder: Path, source: ImageSource, manifest: Manifest) -> str:
        """The body of the card of a dataset that this recipe made."""
        return CARD.format(
            splits=cards.psnr_rows(cards.column(folder, "quality")),
            target=EDIT_TARGETS[self.edit]
            if self.edit
            else "the class of that image. The task is to tell the class from the weights",
            omega=self.omega,
            side=self.side,
            start=self._origin + (DWS if self.scheme == "dws" else ""),
            scale=f" The image is {self.scale:g} times what the network puts out."
            if self.scale
            else "",
            decay=f", weight decay {self.weight_decay:g}" if self.weight_decay else "",
            stop=f", at most to {self.stop_psnr:g} dB" if self.stop_psnr else "",
            steps=f"{self.steps:,}",
            learning_rate=self.learning_rate,
            schedule="with cosine decay" if self.schedule == "cosine" else "constant",
            precision=self.precision,
            rounding=cards.rounding(self.significant_bits),
            minimum=f"{self.minimum_psnr:g}",
            **cards.facts(source, manifest),
        )

    def build(
        self,
        source: ImageSource,
        shard: Shard,
        mirror: Path | None = None,
        device: torch.device = torch.device("cpu"),
        progress: Callable[[float], None] = lambda _: None,
    ) -> tuple[Split, int]:
        """Fit a shard's networks.

        Args:
            source, mirror: where the images are read (see `sources.images`).
            shard: the file.
            device: where the networks are fitted.
            progress: called with the number of networks that are done since the last call.

        Returns:
            The networks, and the number of those that were dropped.
        """
        pixels, labels = images(source, shard.source, shard.rows, mirror)
        dtype = getattr(torch, self.precision)
        targets = self.targets(pixels).to(device, dtype)
        coordinates = siren.grid(self.side, self.side, dtype, device)
        starts = self._starts(shard, 0, dtype).to(device)
        weights, error = self._fit(starts, targets, coordinates, progress)
        for attempt in range(1, 1 + REFITS * (self.initialisation == "independent")):
            poor = self._is_poor(error).nonzero()[:, 0]
            if len(poor):
                start = self._starts(shard, attempt, dtype).to(device)[poor]
                weights[poor], error[poor] = self._fit(start, targets[poor], coordinates)
        good = (~self._is_poor(error)).cpu()
        rows = torch.tensor(shard.rows, dtype=torch.int32)[good]
        networks = Split(
            weights=weights.cpu()[good].float(),
            targets=(
                self._edits(pixels) if self.edit else torch.from_numpy(labels.astype(np.int64))
            )[good],
            source_index=rows,
            copy=torch.full_like(rows, shard.copy),
            quality=siren.psnr(error.cpu()[good]).float(),
        )
        return networks, int((~good).sum())

    def _edits(self, pixels: np.ndarray) -> Tensor:
        """Average images down and edit them: `[n, side * side * channels]` uint8."""
        assert self.edit is not None
        small = to_pixels(self.targets(pixels), self.side, self.side)
        edit = np.stack([edits.apply(self.edit, image) for image in small])
        return torch.from_numpy(edit.reshape(len(small), -1))

    def _starts(self, shard: Shard, attempt: int, dtype: torch.dtype) -> Tensor:
        """Draw the initial weights of a shard's networks, from named seeds."""
        count = len(shard.rows)
        scheme = self.scheme or "siren"
        if self.initialisation == "common":
            place = generator("recipe", "initialisation", self.seed)
            common = siren.initialise(self.spec, self.starts or 1, place, dtype, scheme)
            return common[torch.tensor(shard.rows) % len(common)]
        numbers = (shard.source, shard.rows.start, shard.copy, attempt)
        place = generator("recipe", "initialisation", self.seed, *numbers)
        return siren.initialise(self.spec, count, place, dtype, scheme)

    def _fit(
        self,
        start: Tensor,
        targets: Tensor,
        coordinates: Tensor,
        progress: Callable[[float], None] = lambda _: None,
        steps: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Fit networks; returns their weights, and the mean squared errors of what they draw."""
        scale = self.spec.scale
        range_of_outputs = 2 / scale
        weights, error = sirens.fit(
            replace(self.spec, scale=1.0),
            start,
            targets / scale,
            coordinates,
            steps or self.steps,
            self.learning_rate,
            self.schedule,
            progress,
            weight_decay=self.weight_decay or 0.0,
            stop_error=range_of_outputs**2 / 10 ** (self.stop_psnr / 10) if self.stop_psnr else 0.0,
        )
        if self.significant_bits == 24:
            return weights, error * scale**2
        weights = round_mantissa(weights, self.significant_bits)
        difference = siren.render(self.spec, weights, coordinates) - targets
        return weights, difference.square().mean(dim=(1, 2))

    def _is_poor(self, error: Tensor) -> Tensor:
        return ~(siren.psnr(error) >= self.minimum_psnr)  # NaN is poor too

    def trial(self, device: torch.device) -> Callable[[int], None]:
        """A function that takes so many steps of fitting `chunk` networks, to black images."""
        dtype, count = getattr(torch, self.precision), self.chunk[device.type]
        start = siren.initialise(self.spec, count, dtype=dtype).to(device)
        coordinates = siren.grid(self.side, self.side, dtype, device)
        targets = torch.zeros(count, self.side**2, self.channels, dtype=dtype, device=device)

        def take(steps: int) -> None:
            self._fit(start, targets, coordinates, steps=steps)[1].sum().item()  # waits for it

        return take

    def examples(
        self, source: ImageSource, mirror: Path | None = None, count: int = 16
    ) -> np.ndarray:
        """The images that the first test networks are fitted to.

        Returns:
            `[count, side, side]` or `[count, side, side, 3]` uint8.
        """
        part = self.splits["test"]
        pixels, _ = images(source, part.source, range(part.start, part.start + count), mirror)
        return to_pixels(self.targets(pixels), self.side, self.side)

    def targets(self, pixels: np.ndarray) -> Tensor:
        """Average images down, and scale them.

        Args:
            pixels: `[n, height, width, 3]`, 0 to 255.

        Returns:
            `[n, side * side, channels]` float64 in [-1, 1].
        """
        count, height, width = pixels.shape[:3]
        blocks = pixels.reshape(
            count, self.side, height // self.side, self.side, width // self.side, -1
        )
        means = torch.from_numpy(blocks.astype(np.float64)).mean(dim=(2, 4))
        return means.reshape(count, self.side**2, -1)[..., : self.channels] / 127.5 - 1


def round_mantissa(values: Tensor, bits: int) -> Tensor:
    """Round to `bits` significant binary digits, to nearest."""
    mantissa, exponent = torch.frexp(values)
    return torch.ldexp((mantissa * 2**bits).round() / 2**bits, exponent)
