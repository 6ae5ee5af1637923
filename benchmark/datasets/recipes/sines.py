"""INRs of sine waves, whose frequency is to be told from their weights (Navon et al., arXiv:2301.12780): a recipe without images."""

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

from benchmark.datasets.recipes.inr import CHUNK, Shard, fewer_runs, round_mantissa, shards_of_runs
from benchmark.datasets.sources import ImageSource
from benchmark.datasets.storage import Columns, Split
from benchmark.seeds import generator
from nft import siren
from nft.network import NetworkSpec


class SineRecipe(BaseModel):
    """SIRENs of sin(b x) for x from -pi to pi, with b uniform in `frequency`, all from one common initialisation.

    points: where the wave is fitted, evenly spaced. runs: networks of each split, each of its own frequency. Otherwise as `InrRecipe`.
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
        return CHUNK

    @property
    def networks(self) -> int:
        """Of all splits together."""
        return sum(self.runs.values())

    def shards(self, split: str) -> list[Shard]:
        """The files of a split; the waves are numbered through, the splits one after the other."""
        return shards_of_runs(self.runs, split, self.shard_rows)

    def limited(self, networks: int) -> SineRecipe:
        """The same with about that many networks in all, in the same proportions."""
        return self.model_copy(
            update={
                "runs": fewer_runs(self.runs, networks),
                "shard_rows": min(self.shard_rows, 500),
            }
        )

    def digest(self, source: ImageSource | None, shard: Shard) -> str:  # noqa: ARG002
        """SHA-256 of all that determines a shard; a file that carries it is not made again."""
        made_of = self.model_dump(mode="json", exclude={"runs", "shard_rows"})
        return hashlib.sha256(
            json.dumps([made_of, shard.rows.start, shard.rows.stop], sort_keys=True).encode()
        ).hexdigest()

    def examples(self, source: ImageSource | None, mirror: Path | None = None) -> None:
        """None: these networks draw no images."""

    def build(
        self,
        source: ImageSource | None,  # noqa: ARG002
        shard: Shard,
        mirror: Path | None = None,  # noqa: ARG002
        device: torch.device = torch.device("cpu"),
        progress: Callable[[float], None] = lambda _: None,
    ) -> tuple[Split, int]:
        """Fit a shard's networks. Returns them, and that none was dropped."""
        frequencies = self.frequencies(shard.rows)
        dtype = getattr(torch, self.precision)
        points = torch.linspace(-1, 1, self.points, dtype=dtype, device=device).unsqueeze(-1)
        waves = torch.sin(frequencies.to(points)[:, None, None] * pi * points)
        start = siren.initialise(
            self.spec, 1, generator("sines", "initialisation", self.seed), dtype
        ).to(device)
        share = len(shard.rows) / self.steps
        fitted, _ = siren.fit(
            self.spec,
            start.expand(len(waves), -1),
            waves,
            points,
            self.steps,
            self.learning_rate,
            "cosine",
            lambda: progress(share),
        )
        if self.significant_bits < 24:
            fitted = round_mantissa(fitted, self.significant_bits)
        errors = (siren.render(self.spec, fitted, points) - waves).square().mean(dim=(1, 2))
        numbers = torch.tensor(shard.rows, dtype=torch.int32)
        networks = Split(
            weights=fitted.float().cpu(),
            targets=frequencies.float(),
            source_index=numbers,
            copy=torch.zeros_like(numbers),
            quality=siren.psnr(errors).float().cpu(),
        )
        return networks, 0

    def frequencies(self, waves: range) -> Tensor:
        """Of the given waves, each from a seed of its own: float64."""
        low, high = self.frequency
        draws = [
            torch.rand(1, generator=generator("sines", self.seed, wave), dtype=torch.float64)
            for wave in waves
        ]
        return low + (high - low) * torch.cat(draws)

    def trial(self, device: torch.device) -> Callable[[int], None]:
        """Takes that many steps of fitting `CHUNK` waves."""
        dtype = getattr(torch, self.precision)
        points = torch.linspace(-1, 1, self.points, dtype=dtype, device=device).unsqueeze(-1)
        start = siren.initialise(self.spec, CHUNK[device.type], dtype=dtype).to(device)
        waves = points.expand(len(start), -1, -1)

        def take(steps: int) -> None:
            siren.fit(self.spec, start, waves, points, steps, self.learning_rate)[1].sum().item()

        return take
