"""What is published of datasets' weights, and how far a rebuilt dataset is from it.

A dataset that cannot be had can be rebuilt by its recipe. Where somebody published statistics of
its weights, they tell whether the recipe is the one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from math import sqrt
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from tabulate import tabulate
from torch import Tensor

from benchmark.datasets.listing import HERE
from benchmark.errors import UserError
from nft.network import NetworkSpec

NONE = "none published"
"""What the catalogue says of a paper's dataset of which no statistics are published."""

PERCENT, ERRORS = 3.0, 3.0
"""How far a standard deviation, in percent, and a mean, in standard errors, may be off."""


class Statistics(BaseModel):
    """Published statistics of a dataset's training networks, one of `statistics.toml`.

    networks: how many were measured.
    source: where the numbers are.
    tensors, mean, std: the tensors of weights and biases in the order W1, b1, W2, b2, ..., and the
        mean and standard deviation of each, over all networks and elements.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    title: str
    networks: int = Field(gt=0)
    source: str
    tensors: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @model_validator(mode="after")
    def _fits(self) -> Statistics:
        if not len(self.tensors) == len(self.mean) == len(self.std):
            raise ValueError("there is one mean and one standard deviation for each tensor")
        return self


@cache
def published() -> dict[str, Statistics]:
    """All published statistics, by name."""
    data = tomllib.loads((HERE / "statistics.toml").read_text(encoding="utf-8"))
    return {name: Statistics.model_validate(entry) for name, entry in data.items()}


def get(name: str) -> Statistics | None:
    """Look published statistics up by the name that the catalogue gives; None for `NONE`.

    Raises UserError for a name that is not in `statistics.toml`.
    """
    if name == NONE:
        return None
    if name not in published():
        known = ", ".join([*published(), NONE])
        raise UserError(f"{HERE / 'statistics.toml'}: {name!r} is not there; known: {known}")
    return published()[name]


@dataclass(frozen=True)
class Comparison:
    """One statistic, published and measured.

    kind: "standard deviation" or "mean".
    scale: what a difference is a percentage of: the published standard deviation.
    error: the standard error of the difference, by how networks differ. Networks of the same images
        differ less, so it is rather too large.
    """

    kind: Literal["standard deviation", "mean"]
    tensor: str
    published: float
    measured: float
    scale: float
    error: float

    @property
    def name(self) -> str:
        return f"{self.kind} of {self.tensor}"

    @property
    def agrees(self) -> bool:
        """Whether the two are as near as two builds of one recipe are expected to be."""
        if self.kind == "mean":
            return abs(self.errors) <= ERRORS
        return abs(self.percent) <= PERCENT

    @property
    def percent(self) -> float:
        """The difference in percent of the standard deviation."""
        return 100 * (self.measured - self.published) / self.scale

    @property
    def errors(self) -> float:
        """The difference in standard errors."""
        return (self.measured - self.published) / self.error


def compare(
    statistics: Statistics, spec: NetworkSpec, weights: Iterable[Tensor]
) -> list[Comparison]:
    """Hold networks against published statistics.

    Args:
        statistics: the published ones.
        spec: of the networks.
        weights: the networks, `[networks, parameters]`, in one or more parts.

    Returns:
        The standard deviation of each tensor, then the mean of each.
    """
    moments = torch.cat([_moments(spec, part) for part in weights])
    count = len(moments)
    mean, square = moments.mean(dim=0)
    std = (square - mean**2).sqrt()
    # By network: the mean, and the mean square about the mean of all.
    about = moments[:, 1] - 2 * mean * moments[:, 0] + mean**2
    factor = sqrt(1 / count + 1 / statistics.networks)
    std_error = about.std(dim=0) / (2 * std) * factor
    mean_error = moments[:, 0].std(dim=0) * factor
    kinds = (
        ("standard deviation", statistics.std, std, std_error),
        ("mean", statistics.mean, mean, mean_error),
    )
    return [
        Comparison(kind, tensor, known, float(value), scale, float(error))
        for kind, knowns, values, errors in kinds
        for tensor, known, value, scale, error in zip(
            statistics.tensors, knowns, values, statistics.std, errors, strict=True
        )
    ]


def _moments(spec: NetworkSpec, weights: Tensor) -> Tensor:
    """Compute each tensor's mean and mean square by network: `[networks, 2, tensors]` float64."""
    parts = [part.flatten(1).double() for layer in spec.to_layers(weights) for part in layer]
    means = torch.stack([part.mean(dim=1) for part in parts], dim=1)
    squares = torch.stack([part.square().mean(dim=1) for part in parts], dim=1)
    return torch.stack([means, squares], dim=1)


def table(comparisons: Sequence[Comparison], style: str = "simple") -> str:
    """A table with a row for each statistic."""
    rows = [
        (
            comparison.name,
            f"{comparison.published:.5f}",
            f"{comparison.measured:.5f}",
            f"{comparison.percent:+.2f}",
            f"{comparison.errors:+.1f}",
            "" if comparison.agrees else "too far",
        )
        for comparison in comparisons
    ]
    headers = ("statistic", "published", "here", "% of the std", "standard errors", "")
    return tabulate(
        rows,
        headers,
        tablefmt=style,
        disable_numparse=True,
        colalign=("left", "right", "right", "right", "right", "left"),
    )
