"""Recipes: how a dataset of INRs is made from images, from one seed, the same on every machine.

The fits run in float64 and the weights are rounded to a few significant bits before they are stored. The rounding error
is far below the fit's, the files shrink to a third, and the last bits, in which machines differ, are gone: a rebuild gives
the same fingerprint.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from benchmark.datasets.sources import ImageSource, images
from benchmark.datasets.storage import Split
from benchmark.seeds import generator
from nft import siren
from nft.network import NetworkSpec

CHUNK = 500  # networks fitted together: enough to fill two cores, small enough for their caches


class Slice(BaseModel):
    """`rows` images from `start` on, in file order, of a source split."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    source: Literal["train", "test"]
    start: int = Field(ge=0)
    rows: int = Field(gt=0)


class InrRecipe(BaseModel):
    """One SIREN per image, all fitted from one common initialisation.

    side: the images are averaged down to side x side pixels and scaled to [-1, 1]. steps, learning_rate: of Adam, with half a
    cosine to zero. significant_bits: what is kept of each weight's mantissa.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    side: int = Field(gt=1)
    hidden: tuple[int, ...]
    omega: float = Field(gt=0)
    steps: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    significant_bits: int = Field(ge=4, le=24)
    seed: int = Field(ge=0)
    splits: dict[str, Slice]

    @property
    def spec(self) -> NetworkSpec:
        return NetworkSpec.mlp(2, *self.hidden, 1, activation="sine", omega=self.omega)

    def build(
        self,
        source: ImageSource,
        split: str,
        mirror: Path | None = None,
        limit: int | None = None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> Split:
        """Fit the networks of a split of `source`, or only its first `limit`; `progress` is told how many more are done."""
        part = self.splits[split]
        rows = range(part.start, part.start + min(part.rows, limit or part.rows))
        pixels, labels = images(source, part.source, rows, mirror)
        targets = self.targets(pixels)
        coordinates = siren.grid(self.side, self.side, torch.float64)
        start = siren.initialise(self.spec, 1, generator("recipe", "initialisation", self.seed), torch.float64)
        weights, errors = [], []
        for chunk in targets.split(CHUNK):
            fitted, _ = siren.fit(
                self.spec, start.expand(len(chunk), -1), chunk, coordinates, self.steps, self.learning_rate
            )
            rounded = round_mantissa(fitted, self.significant_bits)
            weights.append(rounded)
            errors.append((siren.render(self.spec, rounded, coordinates) - chunk).square().mean(dim=(1, 2)))
            progress(len(chunk))
        return Split(
            weights=torch.cat(weights).float(),
            labels=torch.from_numpy(labels.astype(np.int64)),
            source_index=torch.tensor(rows, dtype=torch.int32),
            copy=torch.zeros(len(rows), dtype=torch.int32),
            psnr=siren.psnr(torch.cat(errors)).float(),
        )

    def examples(self, source: ImageSource, mirror: Path | None = None, count: int = 16) -> np.ndarray:
        """What the first test networks are fitted to: `[count, side, side]` uint8."""
        part = self.splits["test"]
        pixels, _ = images(source, part.source, range(part.start, part.start + count), mirror)
        scaled = (self.targets(pixels) + 1) * 127.5
        return scaled.round().to(torch.uint8).reshape(-1, self.side, self.side).numpy()

    def targets(self, pixels: np.ndarray) -> Tensor:
        """Grey images `[n, height, width]` in 0 to 255, averaged down: `[n, side * side, 1]` float64 in [-1, 1]."""
        count, height, width = pixels.shape
        blocks = pixels.reshape(count, self.side, height // self.side, self.side, width // self.side)
        averaged = torch.from_numpy(blocks.astype(np.float64)).mean(dim=(2, 4))
        return averaged.reshape(count, -1, 1) / 127.5 - 1


def round_mantissa(values: Tensor, bits: int) -> Tensor:
    """Round to `bits` significant binary digits, to nearest."""
    mantissa, exponent = torch.frexp(values)
    return torch.ldexp((mantissa * 2**bits).round() / 2**bits, exponent)
