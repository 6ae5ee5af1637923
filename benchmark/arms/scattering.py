"""Exact random changes of a dataset's neurons, by the symmetries of each network's activation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from benchmark.arms.contract import Arm
from benchmark.datasets.storage import WeightDataset
from benchmark.errors import UserError
from benchmark.seeds import generator
from nft import symmetry
from nft.network import NetworkSpec

LARGEST_RESIDUAL = 1e-5  # of an output's spread; rounding to float32 leaves 2e-6
CHECKED = 64  # networks of each split whose functions are compared


class ScatteringArm(Arm):
    """An arm that changes neurons by some of their symmetries.

    Attributes:
        kinds: The symmetries; None for all that a network's activation has.
    """

    @property
    @abstractmethod
    def kinds(self) -> Sequence[str] | None: ...

    def weights(self, dataset: WeightDataset, split: str) -> Tensor:
        random = generator(dataset.name, self.name, split)
        stored, activations = dataset.splits[split].weights, dataset.activations(split)
        groups = list(_groups(dataset.spec, activations))
        known = {kind for spec, _ in groups for kind in symmetry.symmetries(spec)}
        if missing := sorted(set(self.kinds or ()) - known):
            raise UserError(
                f"{dataset.name}: networks of activation {dataset.spec.activation!r} have no "
                f"{missing[0]} symmetry; arm {self.name!r} is not for them"
            )
        changed = scattered(dataset.spec, stored.double(), activations, self.kinds, random).float()
        for spec, rows in groups:
            part = rows[:CHECKED]
            residual = symmetry.residual(spec, stored[part], changed[part])
            if residual > LARGEST_RESIDUAL:
                raise UserError(
                    f"{dataset.name}: arm {self.name!r} changes the networks' functions by "
                    f"{residual:.1e} of their spread; at most {LARGEST_RESIDUAL:g} is rounding"
                )
        return changed


def scattered(
    spec: NetworkSpec,
    flat: Tensor,
    activations: np.ndarray,
    kinds: Sequence[str] | None = None,
    random: torch.Generator | None = None,
) -> Tensor:
    """Change neurons at random, each network's by those symmetries that its own activation has.

    Args:
        spec: The networks' spec.
        flat: `[networks, parameters]`.
        activations: Names of the networks' activations, `[networks]`.
        kinds: The symmetries; None for all that there are.
        random: Source of random numbers; torch's global one by default.
    """
    changed = flat.clone()
    for own, rows in _groups(spec, activations):
        chosen = [kind for kind in symmetry.symmetries(own) if kinds is None or kind in kinds]
        changed[rows] = symmetry.scatter(own, flat[rows], chosen, random)
    return changed


def canonical(spec: NetworkSpec, flat: Tensor, activations: np.ndarray) -> Tensor:
    """Bring networks to their canonical form, each to that of its own activation."""
    changed = flat.clone()
    for own, rows in _groups(spec, activations):
        changed[rows] = symmetry.canonical(own, flat[rows])
    return changed


def has_more_than_order(spec: NetworkSpec, activations: np.ndarray) -> bool:
    """Whether any network has a symmetry beside the order of its neurons."""
    return any(len(symmetry.symmetries(own)) > 1 for own, _ in _groups(spec, activations))


def _groups(spec: NetworkSpec, activations: np.ndarray) -> Iterator[tuple[NetworkSpec, Tensor]]:
    """Yield the spec with each activation that occurs, and the rows of its networks."""
    for activation in np.unique(activations):
        rows = torch.from_numpy(np.flatnonzero(activations == activation))
        yield replace(spec, activation=str(activation)), rows
