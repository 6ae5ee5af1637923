"""The recipe of SIRENs of waves a sin(b x), by the public code of DWSNets (arXiv:2301.12780).

That code (AvivNavon/DWSNets, experiments/ssl/inr_trainer.py) made the networks of the paper's
section on self-supervised learning, one call a network.
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor

from benchmark.datasets import cards
from benchmark.datasets.recipes.runs import WaveformRecipe
from benchmark.datasets.sources import ImageSource
from benchmark.datasets.storage import Columns, Manifest
from benchmark.fits import sirens
from benchmark.seeds import generator
from nft import siren

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


class WaveRecipe(WaveformRecipe):
    """SIRENs of a sin(b x) for x from -pi to pi, each from an initialisation of its own.

    range: the interval from which a and b are drawn, uniformly.
    offset: what is added to a network's output.
    weight_decay: of Adam, coupled: added to the gradient.
    stop_error: the mean squared error at which a fit ends early; that code takes one more step.

    The other fields are those of `WaveformRecipe`.
    """

    range: tuple[float, float]
    offset: float
    weight_decay: float | None = Field(gt=0)
    stop_error: float = Field(ge=0)

    def columns(self, source: ImageSource | None) -> Columns:  # noqa: ARG002
        return Columns(self.spec, (), "psnr", several=dict.fromkeys(TARGETS, ()))

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

    def coordinates(self, device: torch.device) -> Tensor:
        return self._points().float().unsqueeze(-1).to(device)

    def fitted(
        self, rows: range, device: torch.device, progress: Callable[[float], None]
    ) -> tuple[Tensor, Tensor, Tensor]:
        waves = self.waves(rows)
        amplitude, frequency = waves.unsqueeze(-1).unbind(dim=1)
        values = amplitude * torch.sin(frequency * self._points()) - self.offset
        starts = [
            siren.initialise(
                self.spec, 1, generator("waves", "start", self.seed, wave), scheme="dws"
            )
            for wave in rows
        ]
        weights, errors = sirens.fit(
            self.spec,
            torch.cat(starts).to(device),
            values.float().unsqueeze(-1).to(device),
            self.coordinates(device),
            self.steps,
            self.learning_rate,
            "constant",
            progress,
            weight_decay=self.weight_decay or 0.0,
            stop_error=self.stop_error,
        )
        return weights, waves, siren.psnr(errors.cpu() / waves[:, 0] ** 2)

    def waves(self, rows: range) -> Tensor:
        """Draw a and b of some waves, `[waves, 2]` float64."""
        return self.drawn("waves", rows, len(TARGETS), self.range)

    def _points(self) -> Tensor:
        """Where the waves are fitted: `[points]` float64, from -pi on."""
        return pi * (2 * torch.arange(self.points, dtype=torch.float64) / self.points - 1)
