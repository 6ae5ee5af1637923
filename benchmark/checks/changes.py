"""Changes of networks that leave their functions as they are: what an audit tries on a method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from itertools import pairwise
from math import log
from typing import ClassVar

import torch
from torch import Tensor

from nft import symmetry
from nft.network import NetworkSpec

TURNS = 40  # the largest winding of a phase, in multiples of pi


class Change(ABC):
    """A symmetry of networks, with a pair of networks that differ by it.

    Attributes:
        name: Its name in tables and in a method's claims.
        has_shares: Whether a share of the neurons can be changed, rather than one.
    """

    name: ClassVar[str]
    has_shares: ClassVar[bool] = True

    def applies(self, spec: NetworkSpec) -> bool:
        """Return whether networks of this spec have the symmetry."""
        return self.name in symmetry.symmetries(spec)

    def spec(self, spec: NetworkSpec) -> NetworkSpec:
        """Return the spec of the pair, where it differs."""
        return spec

    @abstractmethod
    def pair(
        self, spec: NetworkSpec, flat: Tensor, share: float, random: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Make two batches of networks with the same functions.

        Args:
            spec: The networks' spec.
            flat: `[batch, parameters]`.
            share: The share of each layer's hidden neurons that is changed.
            random: Source of random numbers.

        Returns:
            Weights of the spec that `spec` returns, before and after.
        """


class Permutation(Change):
    """The order of hidden neurons."""

    name = "permutation"

    def pair(
        self, spec: NetworkSpec, flat: Tensor, share: float, random: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        orders = []
        for size in spec.neurons[1:-1]:
            chosen = torch.rand(len(flat), size, generator=random).argsort(dim=1)
            chosen = chosen[:, : max(2, round(share * size))]
            # A rotation of the chosen neurons leaves none of them in its place.
            order = torch.arange(size).expand(len(flat), -1).clone()
            orders.append(order.scatter(1, chosen, chosen.roll(1, dims=1)))
        return flat, spec.permute(flat, orders)


class Sign(Change):
    """The sign of neurons whose activation is odd."""

    name = "sign"

    def pair(
        self, spec: NetworkSpec, flat: Tensor, share: float, random: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        signs = [1.0 - 2.0 * part.to(flat) for part in _chosen(spec, flat, share, random)]
        return flat, symmetry.flip(spec, flat, signs)


class Phase(Change):
    """The phase of a SIREN's neurons, by up to 40 times pi either way."""

    name = "phase"

    def pair(
        self, spec: NetworkSpec, flat: Tensor, share: float, random: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        turns = []
        for part in _chosen(spec, flat, share, random):
            size = torch.randint(1, TURNS + 1, part.shape, generator=random)
            sign = 1 - 2 * torch.randint(2, part.shape, generator=random)
            turns.append((part * size * sign).to(flat))
        return flat, symmetry.shift(spec, flat, turns)


class Scale(Change):
    """The scale of neurons whose activation is homogeneous, between 1/4 and 4."""

    name = "scale"

    def pair(
        self, spec: NetworkSpec, flat: Tensor, share: float, random: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        factors = []
        for part in _chosen(spec, flat, share, random):
            draw = 2 * torch.rand(part.shape, generator=random, dtype=flat.dtype) - 1
            factors.append((part * draw * log(symmetry.LARGEST_FACTOR)).exp())
        return flat, symmetry.scale(spec, flat, factors)


class Widening(Change):
    """A further neuron in each hidden layer; the pair differs in what that neuron is."""

    has_shares = False

    def applies(self, spec: NetworkSpec) -> bool:  # noqa: ARG002
        return True

    def spec(self, spec: NetworkSpec) -> NetworkSpec:
        layers = [replace(layer, outputs=layer.outputs + 1) for layer in spec.layers[:-1]]
        layers.append(spec.layers[-1])
        later = [replace(layer, inputs=layer.inputs + 1) for layer in layers[1:]]
        return replace(spec, layers=(layers[0], *later))


class Duplicate(Widening):
    """A neuron twice with half of its outgoing weights each, against one that leads nowhere."""

    name = "duplicate"

    def pair(
        self,
        spec: NetworkSpec,
        flat: Tensor,
        share: float,  # noqa: ARG002
        random: torch.Generator,
    ) -> tuple[Tensor, Tensor]:
        dead = _widened(spec, flat, _strangers(spec, flat, random), 0.0)
        return dead, _widened(spec, flat, None, 0.5)


class Dead(Widening):
    """A neuron that leads nowhere, with other incoming weights."""

    name = "dead"

    def pair(
        self,
        spec: NetworkSpec,
        flat: Tensor,
        share: float,  # noqa: ARG002
        random: torch.Generator,
    ) -> tuple[Tensor, Tensor]:
        strangers = (_strangers(spec, flat, random) for _ in range(2))
        first, second = (_widened(spec, flat, rows, 0.0) for rows in strangers)
        return first, second


CHANGES: tuple[Change, ...] = (Permutation(), Sign(), Phase(), Scale(), Duplicate(), Dead())


def _chosen(spec: NetworkSpec, flat: Tensor, share: float, random: torch.Generator) -> list[Tensor]:
    """Choose a share of each layer's hidden neurons, at least one: `[batch, neurons]`, 0 or 1."""
    chosen = []
    for size in spec.neurons[1:-1]:
        places = torch.rand(len(flat), size, generator=random).argsort(dim=1)
        chosen.append((places < max(1, round(share * size))).long())
    return chosen


def _strangers(
    spec: NetworkSpec, flat: Tensor, random: torch.Generator
) -> list[tuple[Tensor, Tensor]]:
    """Draw incoming weights and a bias for a new neuron of each hidden layer, of usual size."""
    rows = []
    for weight, bias in spec.to_layers(flat)[:-1]:
        draws = (
            torch.randn(part[:, 0].shape, generator=random, dtype=flat.dtype) * part.std()
            for part in (weight, bias)
        )
        rows.append((next(draws), next(draws)))
    return rows


def _widened(
    spec: NetworkSpec, flat: Tensor, rows: list[tuple[Tensor, Tensor]] | None, share: float
) -> Tensor:
    """Add a neuron to each hidden layer.

    Args:
        spec: The networks' spec.
        flat: `[batch, parameters]`.
        rows: The new neurons' incoming weights and biases; None for those of the first neuron.
        share: The share of the first neuron's outgoing weights that the new one takes over.

    Returns:
        Weights of `Widening.spec(spec)`.
    """
    layers = [list(layer) for layer in spec.to_layers(flat)]
    for index, (layer, following) in enumerate(pairwise(layers)):
        weight, bias = layer
        row, own_bias = (weight[:, 0], bias[:, 0]) if rows is None else rows[index]
        if missing := weight.shape[2] - row.shape[1]:
            # What comes from the new neuron of the layer before; that one leads nowhere.
            row = torch.cat([row, torch.zeros_like(row[:, :missing])], dim=1)
        layer[:] = (
            torch.cat([weight, row.unsqueeze(1)], dim=1),
            torch.cat([bias, own_bias.unsqueeze(1)], dim=1),
        )
        first = following[0][:, :, :1]
        rest = following[0][:, :, 1:]
        following[0] = torch.cat([first * (1 - share), rest, first * share], dim=2)
    widened = Widening.spec(Dead(), spec)
    return widened.to_flat([tuple(layer) for layer in layers])
