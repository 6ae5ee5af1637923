"""The recipe of SIRENs of waves a sin(b x), by the public code of DWSNets (arXiv:2301.12780).

That code (AvivNavon/DWSNets, experiments/ssl/inr_trainer.py) made the networks of the paper's
section on self-supervised learning, one call a network.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from math import pi
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from benchmark.datasets import cards
from benchmark.datasets.recipes.inr import Shard, fewer_runs, shards_of_runs
from benchmark.datasets.sources import ImageSource
from benchmark.datasets.storage import Columns, Manifest, Split
from benchmark.fits import sirens
from benchmark.seeds import generator
from nft import siren
from nft.network import NetworkSpec

TARGETS = ("amplitude", "frequency")

CARD = """\
Every row is a neural network: a SIREN that computes a sin(b x) less {offset:g}, for x from -pi to \
pi, and a and b (`amplitude`,
`frequency`), which are uniform in {low:g} to {high:g}. The task is to tell them from the weights.

| split | networks | median PSNR | worst PSNR |
| --- | ---: | ---: | ---: |
{splits}

- **Network**: {sizes} neurons, sin({omega:g} x) between its layers, {parameters} parameters. \
`weights` is one flat vector in the
  order W1, b1, W2, b2, ..., each weight matrix row by row. `psnr` is in dB over a range of 2 a.
- **Recipe**: each network starts from an initialisation of its own, that of DWSNets' code \
(uniform within sqrt(6 / inputs) /
  omega in all sine layers, whose biases are zero); at most {steps} Adam steps at \
{learning_rate:g} with weight decay {weight_decay:g}, on
  {points} points, until the mean squared error is {stop_error:g}. The neurons are stored as \
fitted (`aligned`); the benchmark permutes
  the hidden neurons of each network at random when it reads them.
"""


class WaveRecipe(BaseModel):
    """SIRENs of a sin(b x) for x from -pi to pi, each from an initialisation of its own.

    range: the interval from which a and b are drawn, uniformly.
    offset: what is added to a network's output.
    points: number of points where a wave is fitted, evenly spaced from -pi on.
    steps, learning_rate, weight_decay: of Adam; the last is coupled, added to the gradient.
    stop_error: the mean squared error at which a fit ends early; that code takes one more step.
    shard_rows: networks in a file.
    runs: networks of each split, each of its own wave.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    range: tuple[float, float]
    offset: float
    points: int = Field(gt=1)
    hidden: tuple[int, ...]
    omega: float = Field(gt=0)
    steps: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    weight_decay: float | None = Field(gt=0)
    stop_error: float = Field(ge=0)
    shard_rows: int = Field(gt=0)
    seed: int = Field(ge=0)
    runs: dict[str, int]

    @property
    def spec(self) -> NetworkSpec:
        return NetworkSpec.mlp(1, *self.hidden, 1, activation="sine", omega=self.omega)

    def columns(self, source: ImageSource | None) -> Columns:  # noqa: ARG002
        return Columns(self.spec, (), "psnr", several=dict.fromkeys(TARGETS, ()))

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

    def limited(self, networks: int) -> WaveRecipe:
        """Reduce the recipe to about that many networks in all, in the same proportions."""
        return self.model_copy(update={"runs": fewer_runs(self.runs, networks)})

    def digest(self, source: ImageSource | None, shard: Shard) -> str:  # noqa: ARG002
        """SHA-256 of all that determines a shard; a file that carries it is not made again."""
        settings = self.model_dump(mode="json", exclude={"runs", "shard_rows"})
        parts = [settings, shard.rows.start, shard.rows.stop]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def card(self, folder: Path, source: ImageSource | None, manifest: Manifest) -> str:
        """The body of the card of a dataset that this recipe made."""
        return CARD.format(
            splits=cards.psnr_rows(cards.column(folder, "quality")),
            low=self.range[0],
            high=self.range[1],
            offset=self.offset,
            omega=self.omega,
            steps=f"{self.steps:,}",
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay or 0.0,
            points=f"{self.points:,}",
            stop_error=self.stop_error,
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
        waves = self.waves(shard.rows)
        amplitude, frequency = waves.unsqueeze(-1).unbind(dim=1)
        values = amplitude * torch.sin(frequency * self._points()) - self.offset
        starts = [
            siren.initialise(
                self.spec, 1, generator("waves", "start", self.seed, wave), scheme="dws"
            )
            for wave in shard.rows
        ]
        weights, errors = sirens.fit(
            self.spec,
            torch.cat(starts).to(device),
            values.float().unsqueeze(-1).to(device),
            self._points().float().unsqueeze(-1).to(device),
            self.steps,
            self.learning_rate,
            "constant",
            progress,
            weight_decay=self.weight_decay or 0.0,
            stop_error=self.stop_error,
        )
        numbers = torch.tensor(shard.rows, dtype=torch.int32)
        networks = Split(
            weights=weights.cpu(),
            targets=waves.float(),
            source_index=numbers,
            copy=torch.zeros_like(numbers),
            quality=siren.psnr(errors.cpu() / waves[:, 0] ** 2).float(),
        )
        return networks, 0

    def waves(self, rows: range) -> Tensor:
        """Draw a and b of some waves, each from a seed of its own: `[waves, 2]` float64."""
        low, high = self.range
        draws = [
            torch.rand(2, generator=generator("waves", self.seed, wave), dtype=torch.float64)
            for wave in rows
        ]
        return low + (high - low) * torch.stack(draws)

    def _points(self) -> Tensor:
        """Where the waves are fitted: `[points]` float64, from -pi on."""
        return pi * (2 * torch.arange(self.points, dtype=torch.float64) / self.points - 1)

    def trial(self, device: torch.device) -> Callable[[int], None]:
        """A function that takes so many steps of fitting `chunk` waves."""
        points = self._points().float().unsqueeze(-1).to(device)
        start = siren.initialise(self.spec, self.chunk[device.type], scheme="dws").to(device)
        waves = points.expand(len(start), -1, -1)

        def take(steps: int) -> None:
            sirens.fit(self.spec, start, waves, points, steps, self.learning_rate)[1].sum().item()

        return take
