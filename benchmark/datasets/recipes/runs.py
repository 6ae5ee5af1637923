"""What recipes share whose networks are numbered through all splits, each a run of its own."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Self

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from benchmark.datasets.recipes.inr import Shard
from benchmark.datasets.sources import ImageSource
from benchmark.datasets.storage import Split
from benchmark.fits import sirens
from benchmark.seeds import generator
from nft import siren
from nft.network import NetworkSpec


class RunRecipe(BaseModel, ABC):
    """Networks of runs: of training, or of the waves that they are fitted to.

    shard_rows: networks in a file.
    runs: networks of each split.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    shard_rows: int = Field(gt=0)
    seed: int = Field(ge=0)
    runs: dict[str, int]

    @property
    def networks(self) -> int:
        """The number of networks in all splits."""
        return sum(self.runs.values())

    def shards(self, split: str) -> list[Shard]:
        """Divide a split into files; the runs are numbered through all splits in turn."""
        names = list(self.runs)
        first = sum(self.runs[name] for name in names[: names.index(split)])
        stop = first + self.runs[split]
        return [
            Shard("train", range(start, min(start + self.shard_rows, stop)), 0)
            for start in range(first, stop, self.shard_rows)
        ]

    def limited(self, networks: int) -> Self:
        """Reduce the recipe to about that many networks in all, in the same proportions."""
        runs = {
            split: max(2, count * networks // self.networks) for split, count in self.runs.items()
        }
        return self.model_copy(update={"runs": runs, "shard_rows": min(self.shard_rows, 500)})

    def digest(self, source: ImageSource | None, shard: Shard) -> str:
        """SHA-256 of all that determines a shard; a file that carries it is not made again."""
        settings = self.model_dump(mode="json", exclude={"runs", "shard_rows"})
        images = [source.model_dump(mode="json")] if source else []
        parts = [settings, *images, shard.rows.start, shard.rows.stop]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class WaveformRecipe(RunRecipe):
    """SIRENs of waves over one coordinate.

    points: number of points where a wave is fitted, evenly spaced.

    The other fields are those of `InrRecipe`.
    """

    points: int = Field(gt=1)
    hidden: tuple[int, ...]
    omega: float = Field(gt=0)
    steps: int = Field(gt=0)
    learning_rate: float = Field(gt=0)

    @property
    def spec(self) -> NetworkSpec:
        return NetworkSpec.mlp(1, *self.hidden, 1, activation="sine", omega=self.omega)

    @property
    def chunk(self) -> dict[str, int]:
        return sirens.CHUNK

    def examples(self, source: ImageSource | None, mirror: Path | None = None) -> None:
        """Return None: these networks draw no images."""

    @abstractmethod
    def coordinates(self, device: torch.device) -> Tensor:
        """Where the waves are fitted, `[points, 1]`, in the type of the fits."""

    @abstractmethod
    def fitted(
        self, rows: range, device: torch.device, progress: Callable[[float], None]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Fit a network to each of some waves.

        Returns:
            The weights `[waves, parameters]`, the targets `[waves, ...]`, and the PSNR `[waves]`.
        """

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
        weights, targets, psnr = self.fitted(shard.rows, device, progress)
        numbers = torch.tensor(shard.rows, dtype=torch.int32)
        networks = Split(
            weights=weights.float().cpu(),
            targets=targets.float(),
            source_index=numbers,
            copy=torch.zeros_like(numbers),
            quality=psnr.float().cpu(),
        )
        return networks, 0

    def trial(self, device: torch.device) -> Callable[[int], None]:
        """A function that takes so many steps of fitting `chunk` waves."""
        points = self.coordinates(device)
        start = siren.initialise(self.spec, self.chunk[device.type], dtype=points.dtype).to(device)
        waves = points.expand(len(start), -1, -1)

        def take(steps: int) -> None:
            sirens.fit(self.spec, start, waves, points, steps, self.learning_rate)[1].sum().item()

        return take

    def drawn(
        self, label: str, waves: range, numbers: int, interval: tuple[float, float]
    ) -> Tensor:
        """Draw numbers of some waves, each from a seed of its own: `[waves, numbers]` float64."""
        low, high = interval
        draws = [
            torch.rand(numbers, generator=generator(label, self.seed, wave), dtype=torch.float64)
            for wave in waves
        ]
        return low + (high - low) * torch.stack(draws)
