"""The recipe of zoos of small CNNs, many trained at once, each with its own hyper-parameters.

The networks and the ranges are those of the Small CNN Zoo (Unterthiner et al. 2020,
arXiv:2002.11448): three convolutions of stride 2, global average pooling, and a dense layer;
activation, initialisation, optimizer, learning rate, L2 penalty, dropout and the share of the
training images are drawn for each. The task is to predict the accuracy on the source's test
images from the weights. Unlike there, dropout acts on the pooled features alone, and SGD has
momentum, since these trainings are shorter.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from benchmark.datasets import cards
from benchmark.datasets.recipes.inr import Shard, round_mantissa
from benchmark.datasets.recipes.runs import RunRecipe
from benchmark.datasets.sources import ImageSource, images
from benchmark.datasets.storage import Columns, Manifest, Split
from benchmark.runs.environment import can_compile
from benchmark.seeds import generator
from nft.network import ACTIVATIONS, VARIOUS, LayerSpec, NetworkSpec

CHUNK = {"cpu": 50, "cuda": 2000}
"""Networks trained together: few enough for a CPU's caches, or enough to fill a GPU."""

GREY = np.array([0.299, 0.587, 0.114])
"""The shares of red, green and blue in luma, ITU-R BT.601."""

KERNEL, STRIDE = 3, 2
OPTIMIZERS = ("sgd", "adam", "rmsprop")
INITIALISATIONS = ("glorot_normal", "he_normal", "normal", "orthogonal", "truncated_normal")

CARD = """\
![how the test accuracies are distributed](accuracies.png)

Every row is a neural network: a small CNN that was trained to classify images of
[{repository}](https://huggingface.co/datasets/{repository}), with hyper-parameters of its own, \
and its accuracy on that
dataset's test images. The task is to tell the accuracy from the weights.

| split | networks | lowest accuracy | median | highest |
| --- | ---: | ---: | ---: | ---: |
{splits}

- **Network**: three convolutions of stride 2 with 3x3 kernels and {channels} channels, the mean \
over what is left of the image,
  and a dense layer; {parameters} parameters. `weights` is one flat vector in the order W1, b1, \
W2, b2, ..., each weight
  `[outputs, inputs, *kernel]` row by row. Half of the networks have ReLU, half tanh \
(`activation`).
- **Images**: grey, averaged down to {side}x{side} pixels, in [0, 1]: the first {train_rows} of \
the train split to train,
  the first {test_rows} of the test split for the accuracy (`target`). `train_accuracy` is that on \
all of the training images.
- **Recipe**: {steps} steps of {batch_size} images in {precision}{rounding}. Drawn for each \
network (`source_index` is its
  number): SGD with momentum, Adam or
  RMSprop; learning rate {learning_rate}, L2 penalty {l2} and standard deviation {initial_std} of \
the two
  initialisations that have one, log-uniform; dropout {dropout}; a share of the training images, \
one of {train_fractions}; one of five
  initialisations. {dropped} networks whose weights stopped being numbers were dropped.
"""


@dataclass(frozen=True)
class HyperParameters:
    """The hyper-parameters of a batch of networks, one row each.

    tanh: whether the activation is that, rather than ReLU.
    initialisation, optimizer: indices into `INITIALISATIONS` and `OPTIMIZERS`.
    """

    tanh: Tensor
    initialisation: Tensor
    initial_std: Tensor
    optimizer: Tensor
    learning_rate: Tensor
    l2: Tensor
    dropout: Tensor
    train_fraction: Tensor

    def rows(self, part: slice) -> HyperParameters:
        """The hyper-parameters of some of the networks."""
        return HyperParameters(*(column[part] for column in vars(self).values()))

    def to(self, device: torch.device) -> HyperParameters:
        """The same on a device."""
        return HyperParameters(*(column.to(device) for column in vars(self).values()))


class ZooRecipe(RunRecipe):
    """A zoo of CNNs that read grey images in [0, 1].

    side: of the images, in pixels.
    channels: of the convolutions.
    train_rows, test_rows: images of the source's splits that are used.
    significant_bits: of each weight's mantissa; 24 is all of float32.
    runs: networks of each of our splits; a network is a training run, so the splits are by run.
    """

    side: int = Field(gt=1)
    channels: tuple[int, ...]
    classes: int = Field(gt=1)
    train_rows: int = Field(gt=0)
    test_rows: int = Field(gt=0)
    steps: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    learning_rate: tuple[float, float]
    l2: tuple[float, float]
    dropout: tuple[float, float]
    initial_std: tuple[float, float]
    train_fractions: tuple[float, ...]
    precision: Literal["float32", "float64"]
    significant_bits: int = Field(ge=4, le=24)

    @property
    def spec(self) -> NetworkSpec:
        convolutions = zip((1, *self.channels), self.channels, strict=False)
        layers = [LayerSpec(outputs, inputs, (KERNEL, KERNEL)) for inputs, outputs in convolutions]
        return NetworkSpec(
            (*layers, LayerSpec(self.classes, self.channels[-1])), activation=VARIOUS
        )

    def columns(self, source: ImageSource) -> Columns:  # noqa: ARG002
        return Columns(self.spec, (), "train_accuracy")

    def card(self, folder: Path, source: ImageSource, manifest: Manifest) -> str:
        """The body of the card of a dataset that this recipe made."""
        lines = []
        for split, accuracy in cards.column(folder, "targets").items():
            low, middle, high = accuracy.min(), accuracy.median(), accuracy.max()
            lines.append(f"| {split} | {len(accuracy):,} | {low:.3f} | {middle:.3f} | {high:.3f} |")

        def between(bounds: tuple[float, float]) -> str:
            return f"{bounds[0]:g} to {bounds[1]:g}"

        return CARD.format(
            splits="\n".join(lines),
            channels=", ".join(map(str, self.channels)),
            side=self.side,
            train_rows=f"{self.train_rows:,}",
            test_rows=f"{self.test_rows:,}",
            steps=f"{self.steps:,}",
            batch_size=self.batch_size,
            precision=self.precision,
            rounding=cards.rounding(self.significant_bits),
            learning_rate=between(self.learning_rate),
            l2=between(self.l2),
            initial_std=between(self.initial_std),
            dropout=between(self.dropout),
            train_fractions=", ".join(f"{fraction:g}" for fraction in self.train_fractions),
            **cards.facts(source, manifest),
        )

    def examples(self, source: ImageSource, mirror: Path | None = None) -> None:
        """Return None: these networks draw nothing.

        Raises UserError for images that are not available.
        """
        self._images(source, mirror)

    def build(
        self,
        source: ImageSource,
        shard: Shard,
        mirror: Path | None = None,
        device: torch.device = torch.device("cpu"),
        progress: Callable[[float], None] = lambda _: None,
    ) -> tuple[Split, int]:
        """Train a shard's networks.

        Args:
            source, mirror: where the images are read (see `sources.images`).
            shard: the file.
            device: where the networks are trained.
            progress: called with the number of networks that are done since the last call.

        Returns:
            The networks, and the number of those that diverged and were dropped.
        """
        (train_images, train_labels), (test_images, test_labels) = (
            (pixels.to(device), labels.to(device))
            for pixels, labels in self._images(source, mirror)
        )
        settings = self.draw(shard.rows)
        start = self.initialise(shard.rows, settings)
        parts, test_accuracy, train_accuracy = [], [], []
        for first in range(0, len(start), CHUNK[device.type]):
            chunk = slice(first, first + CHUNK[device.type])
            own = settings.rows(chunk).to(device)
            weights = self._train(
                start[chunk].to(device),
                own,
                train_images,
                train_labels,
                shard.rows[chunk],
                progress,
                self.steps,
            )
            if self.significant_bits < 24:
                weights = round_mantissa(weights, self.significant_bits)
            parts.append(weights)
            test_accuracy.append(self.accuracy(weights, own.tanh, test_images, test_labels))
            train_accuracy.append(self.accuracy(weights, own.tanh, train_images, train_labels))
        weights = torch.cat(parts).float().cpu()
        finite = torch.isfinite(weights).all(dim=1)
        rows = torch.tensor(shard.rows, dtype=torch.int32)[finite]
        networks = Split(
            weights=weights[finite],
            targets=torch.cat(test_accuracy).float().cpu()[finite],
            source_index=rows,
            copy=torch.zeros_like(rows),
            quality=torch.cat(train_accuracy).float().cpu()[finite],
            activation=torch.where(settings.tanh, *map(ACTIVATIONS.index, ("tanh", "relu")))[
                finite
            ],
        )
        return networks, int((~finite).sum())

    def trial(self, device: torch.device) -> Callable[[int], None]:
        """A function that takes so many steps of training `CHUNK` networks, on images of noise."""
        count = CHUNK[device.type]
        settings = self.draw(range(count))
        start = self.initialise(range(count), settings).to(device)
        settings = settings.to(device)
        noise = torch.rand(100, self.side, self.side, dtype=start.dtype, device=device)
        labels = torch.zeros(100, dtype=torch.long, device=device)

        def take(steps: int) -> None:
            self._train(
                start, settings, noise, labels, range(count), lambda _: None, steps
            ).sum().item()

        return take

    @property
    def chunk(self) -> dict[str, int]:
        return CHUNK

    def draw(self, runs: range) -> HyperParameters:
        """Draw the hyper-parameters of some runs, each from a seed of its own."""
        uniform = torch.stack(
            [
                torch.rand(
                    8,
                    generator=generator("zoo", "hyper-parameters", self.seed, run),
                    dtype=torch.float64,
                )
                for run in runs
            ]
        ).unbind(1)

        def log_uniform(draw: Tensor, bounds: tuple[float, float]) -> Tensor:
            low, high = map(math.log, bounds)
            return (low + draw * (high - low)).exp()

        fractions = torch.tensor(self.train_fractions, dtype=torch.float64)
        return HyperParameters(
            tanh=uniform[0] < 0.5,
            initialisation=(uniform[1] * len(INITIALISATIONS)).long(),
            initial_std=log_uniform(uniform[2], self.initial_std),
            optimizer=(uniform[3] * len(OPTIMIZERS)).long(),
            learning_rate=log_uniform(uniform[4], self.learning_rate),
            l2=log_uniform(uniform[5], self.l2),
            dropout=self.dropout[0] + uniform[6] * (self.dropout[1] - self.dropout[0]),
            train_fraction=fractions[(uniform[7] * len(fractions)).long()],
        )

    def initialise(self, runs: range, settings: HyperParameters) -> Tensor:
        """Draw initial weights `[runs, parameters]`, in the recipe's precision; biases are zero."""
        rows = []
        for place, run in enumerate(runs):
            random = generator("zoo", "initialisation", self.seed, run)
            kind = INITIALISATIONS[int(settings.initialisation[place])]
            std = float(settings.initial_std[place])
            layers = []
            for layer in self.spec.layers:
                weight = _initial(kind, std, layer, random)
                layers.append((weight, torch.zeros(layer.outputs, dtype=torch.float64)))
            rows.append(self.spec.to_flat(layers))
        return torch.stack(rows).to(getattr(torch, self.precision))

    def logits(
        self, weights: Tensor, tanh: Tensor, pixels: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Classify images with many networks at once.

        Args:
            weights: `[networks, parameters]`.
            tanh: `[networks]`, which of them have that activation rather than ReLU.
            pixels: `[networks, images, side, side]`.
            mask: `[networks, images, channels]`, the factors of dropout for the pooled features.

        Returns:
            Logits `[networks, images, classes]`.
        """
        values = pixels.unsqueeze(-1)
        *convolutions, (dense, dense_bias) = self.spec.to_layers(weights)
        tanh = tanh[:, None, None]
        for kernel, bias in convolutions:
            side = -(-values.shape[2] // STRIDE)
            padded = functional.pad(values, (0, 0, 1, 1, 1, 1))
            stop = STRIDE * side
            # Channels last, and one matrix product per network: half the time of grouped
            # convolutions in float64.
            patches = torch.cat(
                [
                    padded[:, :, row : row + stop : STRIDE, column : column + stop : STRIDE]
                    for row in range(KERNEL)
                    for column in range(KERNEL)
                ],
                dim=-1,
            ).flatten(1, 3)
            sums = torch.baddbmm(
                bias.unsqueeze(1), patches, kernel.permute(0, 3, 4, 2, 1).flatten(1, 3)
            )
            values = torch.where(tanh, sums.tanh(), sums.relu()).unflatten(
                1, (pixels.shape[1], side, side)
            )
        features = values.mean(dim=(2, 3))
        if mask is not None:
            features = features * mask
        return torch.baddbmm(dense_bias.unsqueeze(1), features, dense.transpose(1, 2))

    def accuracy(self, weights: Tensor, tanh: Tensor, pixels: Tensor, labels: Tensor) -> Tensor:
        """`[networks]`, each network's accuracy on images `[images, side, side]`."""
        hits = torch.zeros(len(weights), device=weights.device)
        with torch.inference_mode():
            for batch, classes in zip(pixels.split(200), labels.split(200), strict=True):
                logits = self.logits(weights, tanh, batch.expand(len(weights), -1, -1, -1))
                hits += (logits.argmax(dim=2) == classes).sum(dim=1)
        return hits / len(labels)

    def _train(
        self,
        start: Tensor,
        settings: HyperParameters,
        pixels: Tensor,
        labels: Tensor,
        runs: range,
        progress: Callable[[float], None],
        steps: int,
    ) -> Tensor:
        loss_of = (
            torch.compile(self._loss, dynamic=False) if can_compile(start.device) else self._loss
        )
        weights = start.clone().requires_grad_(True)
        first, second = torch.zeros_like(start), torch.zeros_like(start)
        adam, rmsprop = (
            settings.optimizer[:, None] == OPTIMIZERS.index(name) for name in ("adam", "rmsprop")
        )
        rate, l2 = settings.learning_rate[:, None].to(start), settings.l2[:, None].to(start)
        decay = torch.where(adam, *start.new_tensor([0.999, 0.9]))
        available = (settings.train_fraction * len(labels)).clamp(min=1)[:, None]
        ones = [
            (torch.ones_like(kernel), torch.zeros_like(bias))
            for kernel, bias in self.spec.to_layers(start[:1])
        ]
        penalised = self.spec.to_flat(ones)  # weights, not biases
        keep = (1 - settings.dropout)[:, None, None]
        random = generator("zoo", "training", self.seed, runs.start)
        shape = (len(start), self.batch_size)
        for step in range(1, 1 + steps):
            rows = (
                torch.rand(shape, generator=random, dtype=torch.float64).to(start.device)
                * available
            ).long()
            uniform = torch.rand(
                *shape, self.channels[-1], generator=random, dtype=torch.float64
            ).to(start.device)
            mask = ((uniform < keep) / keep).to(start)
            loss = loss_of(weights, settings.tanh, pixels[rows], labels[rows], mask)
            (gradient,) = torch.autograd.grad(loss, weights)
            with torch.no_grad():
                gradient = gradient + 2 * l2 * penalised * weights
                first.lerp_(gradient, 0.1)
                second += (1 - decay) * (gradient.square() - second)
                adam_step = first / (1 - 0.9**step) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
                rmsprop_step = gradient / (second.sqrt() + 1e-7)
                sgd_step = first / 0.1  # momentum 0.9
                weights -= rate * torch.where(
                    adam, adam_step, torch.where(rmsprop, rmsprop_step, sgd_step)
                )
            progress(len(start) / self.steps)
        return weights.detach()

    def _loss(
        self, weights: Tensor, tanh: Tensor, pixels: Tensor, labels: Tensor, mask: Tensor
    ) -> Tensor:
        """The sum of the networks' mean cross-entropies: each has the gradient of its own alone."""
        logits = self.logits(weights, tanh, pixels, mask)
        return (
            functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")
            / labels.shape[1]
        )

    def _images(self, source: ImageSource, mirror: Path | None) -> list[tuple[Tensor, Tensor]]:
        """Read the images `[rows, side, side]` and labels of the source's train and test split."""
        splits = []
        for split, rows in (("train", self.train_rows), ("test", self.test_rows)):
            pixels, labels = images(source, split, range(rows), mirror)
            grey = pixels.astype(np.float64) @ GREY / 255
            blocks = grey.reshape(
                rows, self.side, grey.shape[1] // self.side, self.side, grey.shape[2] // self.side
            )
            tensor = torch.from_numpy(blocks.mean(axis=(2, 4))).to(getattr(torch, self.precision))
            splits.append((tensor, torch.from_numpy(labels.astype(np.int64))))
        return splits


def _initial(kind: str, std: float, layer: LayerSpec, random: torch.Generator) -> Tensor:
    """Draw a weight `[outputs, inputs, *kernel]` as Keras does.

    std: the standard deviation of the two kinds that have one.
    """
    shape = (layer.outputs, layer.inputs, *layer.kernel)
    fan_in, fan_out = layer.inputs * layer.positions, layer.outputs * layer.positions
    weight = torch.empty(shape, dtype=torch.float64)
    if kind == "orthogonal":
        return torch.nn.init.orthogonal_(weight, generator=random)
    if kind == "normal":
        return weight.normal_(0, std, generator=random)
    if kind == "glorot_normal":
        std = math.sqrt(2 / (fan_in + fan_out))
    elif kind == "he_normal":
        std = math.sqrt(2 / fan_in)
    if kind != "truncated_normal":
        # As Keras has it, so that the draw has the standard deviation after it was truncated.
        std /= 0.87962566103423978
    return torch.nn.init.trunc_normal_(weight, 0, std, -2 * std, 2 * std, generator=random)
