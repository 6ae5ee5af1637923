"""The recipe of INRs of sine waves (Navon et al., arXiv:2301.12780), which has no images.

The task is to predict a wave's frequency from the weights.
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from benchmark.datasets import cards
from benchmark.datasets.recipes.inr import round_mantissa
from benchmark.datasets.recipes.runs import WaveformRecipe
from benchmark.datasets.sources import ImageSource
from benchmark.datasets.storage import Columns, Manifest
from benchmark.fits import sirens
from benchmark.seeds import generator
from nft import siren

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


class SineRecipe(WaveformRecipe):
    """SIRENs of sin(b x) for x from -pi to pi, all from one common initialisation.

    frequency: the interval from which b is drawn, uniformly.

    The other fields are those of `InrRecipe` and `WaveformRecipe`.
    """

    frequency: tuple[float, float]
    precision: Literal["float32", "float64"]
    significant_bits: int = Field(ge=4, le=24)

    def columns(self, source: ImageSource | None) -> Columns:  # noqa: ARG002
        return Columns(self.spec, (), "psnr")

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

    def coordinates(self, device: torch.device) -> Tensor:
        dtype = getattr(torch, self.precision)
        return torch.linspace(-1, 1, self.points, dtype=dtype, device=device).unsqueeze(-1)

    def fitted(
        self, rows: range, device: torch.device, progress: Callable[[float], None]
    ) -> tuple[Tensor, Tensor, Tensor]:
        frequencies, points = self.frequencies(rows), self.coordinates(device)
        waves = torch.sin(frequencies.to(points)[:, None, None] * pi * points)
        start = siren.initialise(
            self.spec, 1, generator("sines", "initialisation", self.seed), points.dtype
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
        return weights, frequencies, siren.psnr(errors)

    def frequencies(self, waves: range) -> Tensor:
        """Draw the frequencies of some waves, `[waves]` float64."""
        return self.drawn("sines", waves, 1, self.frequency)[:, 0]
