"""The recipe of INRs of sine waves (Navon et al., arXiv:2301.12780), which has no images.

The task is to predict a wave's frequency from the weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from math import pi
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from benchmark.datasets import cards
from benchmark.datasets.recipes.inr import Shard, fewer_runs, round_mantissa, shards_of_runs
from benchmark.datasets.sources import ImageSource
from benchmark.datasets.storage import Columns, Manifest, Split
from benchmark.fits import sirens
from benchmark.seeds import generator
from nft import siren
from nft.network import NetworkSpec

CARD = """\
Every row is a neural network: a SIREN that computes sin(b x) for x from -pi to pi, and b \
(`target`), which is uniform in {low:g} to
{high:g}. The task is to tell b from the weights.

| split | networks | median PSNR | worst PSNR |
| --- | ---: | ---: | ---: |
{splits}

- **Network**: {sizes} neurons, sin({omega:g} x) between its layers, {parameters} parameters; its \
input is x / pi. `weights` is one
  flat vector in the order W1, b1, W2, b2, ..., each weight matrix row by row. `psnr` is in dB \
over a range of 2.
- **Recipe**: all networks start from one common initialisation; {steps} Adam steps at \
{learning_rate:g} with cosine decay, on {points}
  points, in
  {precision}{rounding}. The neurons are stored as fitted (`aligned`); the benchmark permutes the \
hidden neurons of each network at
  random when it reads them.
"""


class SineRecipe(BaseModel):
    """SIRENs of sin(b x) for x from -pi to pi, all from one common initialisation.

    frequency: the interval from which b is drawn, uniformly.
    points: number of points where a wave is fitted, evenly spaced.
    runs: networks of each split, each of its own frequency.

    The other fields are those of `InrRecipe`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    frequency: tuple[float, float]
    points: int = Field(gt=1)
    hidden: tuple[int, ...]
    omega: float = Field(gt=0)
    steps: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    precision: Literal["float32", "float64"]
    significant_bits: int = Field(ge=4, le=24)
    shard_rows: int = Field(gt=0)
    seed: int = Field(ge=0)
    runs: dict[str, int]

    @property
    def spec(self) -> NetworkSpec:
        return NetworkSpec.mlp(1, *self.hidden, 1, activation="sine", omega=self.omega)

    def columns(self, source: ImageSource | None) -> Columns:  # noqa: ARG002
        return Columns(self.spec, (), "psnr")

    @property
    def chunk(self) -> dict[str, int]:
        return sirens.CHUNK

    @property
    def networks(self) -> int:
        """The number of networks in all splits."""
        return sum(self.runs.values())

    def shards(self, split: str) -> list[Shard]:
        """Divide a split into files; the waves are numbered through all splits in turn."""
        return shards_of_runs(self.runs, split, self.shard_rows)

    def limited(self, networks: int) -> SineRecipe:
        """Reduce the recipe to about that many networks in all, in the same proportions."""
        return self.model_copy(
            update={
                "runs": fewer_runs(self.runs, networks),
                "shard_rows": min(self.shard_rows, 500),
            }
        )

    def digest(self, source: ImageSource | None, shard: Shard) -> str:  # noqa: ARG002
        """SHA-256 of all that determines a shard; a file that carries it is not made again."""
        settings = self.model_dump(mode="json", exclude={"runs", "shard_rows"})
        parts = [settings, shard.rows.start, shard.rows.stop]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def card(self, folder: Path, source: ImageSource | None, manifest: Manifest) -> str:
        """The body of the card of a dataset that this recipe made."""
        return CARD.format(
            splits=cards.psnr_rows(cards.column(folder, "quality")),
            low=self.frequency[0],
            high=self.frequency[1],
            omega=self.omega,
            steps=f"{self.steps:,}",
            learning_rate=self.learning_rate,
            points=self.points,
            precision=self.precision,
            rounding=cards.rounding(self.significant_bits),
            **cards.facts(source, manifest),
        )

    def examples(self, source: ImageSource | None, mirror: Path | None = None) -> None:
        """Return None: these networks draw no images."""

    def build(
        self,
        source: ImageSource | None,  # noqa: ARG002
        shard: Shard,
        mirror: Path | None = None,  # noqa: ARG002
        device: torch.device = torch.device("cpu"),
        progress: Callable[[float], None] = lambda _: None,
    ) -> tuple[Split, int]:
        """Fit a shard's networks.

        Args:
            source, mirror: unused.
            shard: the file.
            device: where the networks are fitted.
            progress: called with the number of networks that are done since the last call.

        Returns:
            The networks, and 0, since none is dropped.
        """
        frequencies = self.frequencies(shard.rows)
        dtype = getattr(torch, self.precision)
        points = torch.linspace(-1, 1, self.points, dtype=dtype, device=device).unsqueeze(-1)
        waves = torch.sin(frequencies.to(points)[:, None, None] * pi * points)
        start = siren.initialise(
            self.spec, 1, generator("sines", "initialisation", self.seed), dtype
        ).to(device)
        weights, _ = sirens.fit(
            self.spec,
            start.expand(len(waves), -1),
            waves,
            points,
            self.steps,
            self.learning_rate,
            "cosine",
            progress,
        )
        if self.significant_bits < 24:
            weights = round_mantissa(weights, self.significant_bits)
        errors = (siren.render(self.spec, weights, points) - waves).square().mean(dim=(1, 2))
        numbers = torch.tensor(shard.rows, dtype=torch.int32)
        networks = Split(
            weights=weights.float().cpu(),
            targets=frequencies.float(),
            source_index=numbers,
            copy=torch.zeros_like(numbers),
            quality=siren.psnr(errors).float().cpu(),
        )
        return networks, 0

    def frequencies(self, waves: range) -> Tensor:
        """Draw the frequencies of some waves, each from a seed of its own: float64."""
        low, high = self.frequency
        draws = [
            torch.rand(1, generator=generator("sines", self.seed, wave), dtype=torch.float64)
            for wave in waves
        ]
        return low + (high - low) * torch.cat(draws)

    def trial(self, device: torch.device) -> Callable[[int], None]:
        """A function that takes so many steps of fitting `chunk` waves."""
        dtype = getattr(torch, self.precision)
        points = torch.linspace(-1, 1, self.points, dtype=dtype, device=device).unsqueeze(-1)
        start = siren.initialise(self.spec, self.chunk[device.type], dtype=dtype).to(device)
        waves = points.expand(len(start), -1, -1)

        def take(steps: int) -> None:
            sirens.fit(self.spec, start, waves, points, steps, self.learning_rate)[1].sum().item()

        return take
