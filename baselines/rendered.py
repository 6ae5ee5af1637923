"""Readers of the images that INRs render: what there is to see, whatever the weights look like.

They evaluate the networks, and are not compared with methods that read weights alone. A reader of
weights that knew every symmetry could reach what they reach.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmark.methods import FittedModule, Method, Problem
from benchmark.tuning.space import Choice, Log
from nft import siren
from nft.network import NetworkSpec


class Rendering(nn.Module):
    """Renders SIRENs: flat weights `[batch, parameters]` to `[batch, outputs, height, width]`."""

    def __init__(self, spec: NetworkSpec, image: tuple[int, int]) -> None:
        super().__init__()
        self.spec, self.image = spec, image
        self.register_buffer("grid", siren.grid(*image), persistent=False)

    def forward(self, flat: Tensor) -> Tensor:
        pixels = siren.render(self.spec, flat, self.grid.to(flat.dtype))
        return pixels.transpose(1, 2).unflatten(2, self.image)


class NearestImage(FittedModule):
    """The label of the training network whose image is nearest in squared error."""

    def __init__(self, rendering: Rendering, outputs: int) -> None:
        super().__init__()
        self.rendering, self.outputs = rendering, outputs
        self.images, self.labels = torch.zeros(1, 1), torch.zeros(1, dtype=torch.long)

    def fit(self, weights: Tensor, targets: Tensor, seed: int) -> None:  # noqa: ARG002
        self.images, self.labels = self.rendering(weights).flatten(1), targets

    def forward(self, flat: Tensor) -> Tensor:
        images = self.rendering(flat).flatten(1)
        known = self.images.to(images).expand(-1, images.shape[1])
        nearest = torch.cdist(images, known).argmin(dim=1).to(self.labels.device)
        return nn.functional.one_hot(self.labels[nearest], self.outputs).to(images)


@dataclass(frozen=True)
class RenderedReader(Method):
    """A method that reads the rendered image, and so ignores how its weights came about."""

    tasks = ("inr-classification",)
    reads_functions = True
    symmetries = ("permutation", "sign", "phase", "duplicate", "dead")

    def skip(self, problem: Problem) -> str | None:
        draws = problem.image is not None and problem.spec.activation == "sine"
        return None if draws else "these networks draw no images"

    def build(self, problem: Problem) -> nn.Module:
        assert problem.image is not None  # or it was skipped
        return self.reader(Rendering(problem.spec, problem.image), problem)

    @abstractmethod
    def reader(self, rendering: Rendering, problem: Problem) -> nn.Module:
        """Make the module that reads what is rendered."""


@dataclass(frozen=True)
class RenderedCNN(RenderedReader):
    """Two convolutions, each followed by ReLU and pooling, and an MLP on the rendered image."""

    name = "rendered-cnn"
    title = "CNN on the rendered image"
    paper = "none"
    mini = {}
    space = {
        "learning_rate": Log(3e-4, 1e-2),
        "dropout": Choice(0.0, 0.2, 0.5),
        "channels": Choice(16, 32),
    }

    channels: int = 16
    hidden: int = 128
    dropout: float = 0.2
    learning_rate: float = 2e-3

    def reader(self, rendering: Rendering, problem: Problem) -> nn.Module:
        height, width = (side // 4 for side in rendering.image)
        colours = problem.spec.layers[-1].outputs
        return nn.Sequential(
            rendering,
            nn.Conv2d(colours, self.channels, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(self.channels, 2 * self.channels, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(2 * self.channels * height * width, self.hidden),
            nn.ReLU(),
            nn.Dropout(self.dropout),
            nn.Linear(self.hidden, problem.outputs),
        )


@dataclass(frozen=True)
class RenderedNearest(RenderedReader):
    """The nearest training image by squared error; nothing is learned."""

    name = "rendered-nearest"
    title = "Nearest rendered image"
    paper = "none"
    mini = {}

    def reader(self, rendering: Rendering, problem: Problem) -> nn.Module:
        return NearestImage(rendering, problem.outputs)
