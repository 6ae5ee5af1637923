"""INR classification: which class the image belongs to that a SIREN encodes (NFN, arXiv:2302.14040, section 4.2)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from benchmark.datasets.storage import Split, WeightDataset

name = "inr-classification"
title = "INR classification"
metric = "accuracy"


def outputs(dataset: WeightDataset) -> int:
    return len(dataset.classes)


def targets(split: Split) -> Tensor:
    return split.targets


def loss(predictions: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of logits `[batch, classes]` against labels `[batch]`."""
    return functional.cross_entropy(predictions, labels)


def score(predictions: Tensor, labels: Tensor) -> float:
    """Accuracy, a fraction of 1; higher is better."""
    return (predictions.argmax(dim=1) == labels).to(torch.float64).mean().item()
