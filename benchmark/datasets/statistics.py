"""What is published of datasets' weights, and how far a rebuilt dataset is from it.

A dataset that cannot be had can be rebuilt by its recipe. Where somebody published statistics of
its weights, they tell whether the recipe is the one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from functools import cache
from math import sqrt

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from tabulate import tabulate
from torch import Tensor

from benchmark.datasets.listing import HERE, NONE
from benchmark.errors import UserError
from benchmark.record.traces import Statistic
from nft.network import NetworkSpec


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


def get(name: str | None) -> Statistics | None:
    """Look published statistics up by the name that the catalogue gives, if it gives one.

    Returns:
        None where it gives none, and for `NONE`.

    Raises:
        UserError: the name is not in `statistics.toml`.
    """
    if name in (None, NONE):
        return None
    if name not in published():
        known = ", ".join([*published(), NONE])
        raise UserError(f"{HERE / 'statistics.toml'}: {name!r} is not there; known: {known}")
    return published()[name]


def compare(
    statistics: Statistics, spec: NetworkSpec, weights: Iterable[Tensor]
) -> list[Statistic]:
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
    scale = torch.tensor(statistics.std, dtype=torch.float64)
    compared = []
    kinds = (
        ("standard deviation", statistics.std, std, std_error),
        ("mean", statistics.mean, mean, mean_error),
    )
    for kind, known, measured, error in kinds:
        distance = measured - torch.tensor(known, dtype=torch.float64)
        columns = (known, measured, 100 * distance / scale, distance / error)
        compared += [
            Statistic(
                kind=kind,
                tensor=tensor,
                published=theirs,
                measured=float(ours),
                percent=float(percent),
                errors=float(errors),
            )
            for tensor, theirs, ours, percent, errors in zip(
                statistics.tensors, *columns, strict=True
            )
        ]
    return compared


def _moments(spec: NetworkSpec, weights: Tensor) -> Tensor:
    """Compute each tensor's mean and mean square by network: `[networks, 2, tensors]` float64."""
    parts = [part.flatten(1).double() for layer in spec.to_layers(weights) for part in layer]
    means = torch.stack([part.mean(dim=1) for part in parts], dim=1)
    squares = torch.stack([part.square().mean(dim=1) for part in parts], dim=1)
    return torch.stack([means, squares], dim=1)


def table(compared: Sequence[Statistic]) -> str:
    """A table with a row for each statistic."""
    rows = [
        (
            one.name,
            f"{one.published:.5f}",
            f"{one.measured:.5f}",
            f"{one.percent:+.2f}",
            f"{one.errors:+.1f}",
            "" if one.agrees else "too far",
        )
        for one in compared
    ]
    headers = ("statistic", "published", "here", "% of the std", "standard errors", "")
    return tabulate(
        rows,
        headers,
        tablefmt="simple",
        disable_numparse=True,
        colalign=("left", "right", "right", "right", "right", "left"),
    )
