"""MixUp of networks: between two of a batch lies a third, with the labels of both.

(Shamsian et al., ICML 2024, arXiv:2402.04081.) Weights and one-hot labels are mixed by the same
share. Neurons of the same place need not do the same in two networks, so the paper also puts those
of one network in a random order, or aligns the two by weight matching.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from benchmark.datasets.storage import WeightDataset
from benchmark.matching import matched
from benchmark.runs.plan import Run
from benchmark.tasks.contract import Task
from nft.network import VARIOUS, NetworkSpec
from nft.symmetry import canonical

SWEEPS = 3  # of weight matching, after the first
FITTED_AT_ONCE = "MixUp mixes the batches of training steps, and this method has none"

Mixing = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""A function of weights `[batch, parameters]` and labels `[batch]` to as many mixed weights and
the mixed labels `[batch, classes]`.
"""


def obstacle(run: Run, dataset: WeightDataset) -> str | None:
    """Return why a run that asks for MixUp cannot have it, or None."""
    if not _asked(run):
        return None
    if dataset.manifest.columns.target != "label":
        return f"MixUp mixes the labels of classes, and {run.cell.task} has none"
    if len(run.method.stages) > 1:
        return "MixUp mixes labels, and a method of two stages first learns without them"
    if dataset.spec.activation == VARIOUS:
        return "MixUp mixes weights, and between networks of two activations lies none of either"
    return None


def mixing(run: Run, task: Task) -> Mixing | None:
    """Return how a run has networks mixed; None for not at all.

    A network's partner is the one before it in the batch, whose order is random. As in the paper's
    code, each pair has a share of its own, uniform between 0 and 1.
    """
    if not _asked(run):
        return None
    spec, kind, classes = task.dataset.spec, run.method.augmentation, task.outputs

    def mix(flat: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        share = torch.rand(len(flat), 1).to(flat)
        weights = between(flat, partners(spec, kind, flat), share)
        one_hot = functional.one_hot(labels, classes).to(flat)
        mixed = between(one_hot, one_hot.roll(1, 0), share)
        return canonical(spec, weights) if run.method.canonical else weights, mixed

    return mix


def partners(spec: NetworkSpec, kind: str, flat: Tensor) -> Tensor:
    """Return what each network of a batch is mixed with, `[batch, parameters]`.

    Args:
        spec: The networks.
        kind: "mixup" for the network before it, as it is; "mixup-permuted" for that in a random
            order of its neurons; "mixup-aligned" for that matched to the network.
        flat: `[batch, parameters]`.
    """
    before = flat.roll(1, 0)
    if kind == "mixup-permuted":
        return spec.permute(before, spec.random_permutations(len(before)))
    if kind == "mixup-aligned":
        return matched(spec, before, flat, SWEEPS)
    return before


def between(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """Mix two batches, `[batch, ...]`, by the share `[batch, 1]` of the first."""
    return share * first + (1 - share) * second


def _asked(run: Run) -> bool:
    return run.method.augmentation.startswith("mixup")
