"""Networks as a user has them: small MLPs trained on two moons, as files and a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nft.network import NetworkSpec

SPEC = NetworkSpec.mlp(2, 8, 8, 1)
FEW = """\
note = "A few steps."

[tasks.regression]
datasets = []
seeds = [0]

[tasks.regression.protocol]
steps = 3
batch_size = 8
warmup_steps = 1
evaluations = 1
clip = 1.0

[tasks.classification]
datasets = []
seeds = [0]

[tasks.classification.protocol]
steps = 3
batch_size = 8
warmup_steps = 1
evaluations = 1
clip = 1.0
"""


def moons(count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Points `[count, 2]` of two interleaved half circles, and which one each is of."""
    labels = torch.randint(2, (count,), generator=random)
    angles = np.pi * torch.rand(count, generator=random)
    points = torch.stack((angles.cos(), angles.sin()), 1)
    points = torch.where(labels[:, None] == 0, points, torch.tensor([1.0, 0.5]) - points)
    return points + 0.1 * torch.randn(count, 2, generator=random), labels


def train(rates: Tensor, steps: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Train an MLP with each learning rate, all at once: weights, and accuracies on new points."""
    points, labels = moons(64, random)
    weights = torch.randn(len(rates), SPEC.parameters, generator=random).mul(0.5).requires_grad_()
    for _ in range(steps):
        errors = nn.functional.binary_cross_entropy_with_logits(
            _logits(weights, points), labels.float().expand(len(rates), -1), reduction="sum"
        )
        (gradient,) = torch.autograd.grad(errors / len(points), weights)
        weights = (weights - rates[:, None] * gradient).detach().requires_grad_()
    points, labels = moons(200, random)
    right = (_logits(weights, points) > 0) == (labels > 0)
    return weights.detach(), right.float().mean(1)


def _logits(weights: Tensor, points: Tensor) -> Tensor:
    values = points.T.expand(len(weights), -1, -1)
    layers = SPEC.to_layers(weights)
    for index, (weight, bias) in enumerate(layers):
        values = weight @ values + bias[..., None]
        values = values.relu() if index < len(layers) - 1 else values
    return values[:, 0]


def zoo(folder: Path, count: int) -> tuple[Path, Path]:
    """Write networks, in the two formats, and their table. Returns the folder and the table."""
    random = torch.Generator().manual_seed(0)
    rates = 10 ** (2 * torch.rand(count, generator=random) - 1.5)
    weights, accuracies = train(rates, 60, random)
    (folder / "networks").mkdir(parents=True)
    files = []
    for index, row in enumerate(weights):
        state = {f"net.{name}": part.clone() for name, part in SPEC.to_state_dict(row).items()}
        files.append(f"{index:03d}.{'pt' if index % 2 else 'safetensors'}")
        path = folder / "networks" / files[-1]
        torch.save(state, path) if index % 2 else save_file(state, path)
    rows = {
        "file": files,
        "accuracy": accuracies.numpy(),
        "learning rate": rates.numpy(),
        "speed": np.where(rates > rates.median(), "fast", "slow"),
        "run": np.arange(count) // 3,
        "note": [None, *["by hand"] * (count - 1)],
    }
    pd.DataFrame(rows).to_csv(folder / "table.csv", index=False)
    return folder / "networks", folder / "table.csv"
