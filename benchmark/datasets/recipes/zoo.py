"""Zoos of small CNNs, many trained at once, each with hyper-parameters of its own.

The networks and the ranges are those of the Small CNN Zoo (Unterthiner et al. 2020, arXiv:2002.11448): three convolutions of stride
2, the mean over what is left of the image, and a dense layer; activation, initialisation, optimizer, learning rate, L2
penalty, dropout and the share of the training images are drawn for each. What is predicted from the weights is the
accuracy on the source's test images. Unlike there, dropout acts on the mean features alone, and SGD has
momentum, since these trainings are shorter.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional

from benchmark.datasets.recipes.inr import Shard, fewer_runs, round_mantissa, shards_of_runs
from benchmark.datasets.sources import ImageSource, images
from benchmark.datasets.storage import Columns, Split
from benchmark.runs.environment import can_compile
from benchmark.seeds import generator
from nft.network import LayerSpec, NetworkSpec

CHUNK = {
    "cpu": 50,
    "cuda": 2000,
}  # networks trained together: few enough for a CPU's caches, enough to fill a GPU
GREY = np.array([0.299, 0.587, 0.114])  # luma, ITU-R BT.601
KERNEL, STRIDE = 3, 2
OPTIMIZERS = ("sgd", "adam", "rmsprop")
INITIALISATIONS = ("glorot_normal", "he_normal", "normal", "orthogonal", "truncated_normal")


@dataclass(frozen=True)
class HyperParameters:
    """Of a batch of networks, one row each; `optimizer`, `initialisation` are indices, `tanh` is whether it is that or ReLU."""

    tanh: Tensor
    initialisation: Tensor
    initial_std: Tensor
    optimizer: Tensor
    learning_rate: Tensor
    l2: Tensor
    dropout: Tensor
    train_fraction: Tensor

    def rows(self, part: slice) -> HyperParameters:
        """Of some of the networks."""
        return HyperParameters(*(column[part] for column in vars(self).values()))


class ZooRecipe(BaseModel):
    """A zoo of CNNs with `channels` in their convolutions, reading `side` x `side` grey images in [0, 1].

    train_rows, test_rows: images of the source's splits that are used. runs: networks of each of our splits; a network is a
    training run, so the splits are by run. significant_bits: what is kept of each weight's mantissa; 24 keeps float32 whole.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
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
    shard_rows: int = Field(gt=0)
    seed: int = Field(ge=0)
    runs: dict[str, int]

    @property
    def spec(self) -> NetworkSpec:
        convolutions = zip((1, *self.channels), self.channels, strict=False)
        layers = [LayerSpec(outputs, inputs, (KERNEL, KERNEL)) for inputs, outputs in convolutions]
        return NetworkSpec(
            (*layers, LayerSpec(self.classes, self.channels[-1])), activation="various"
        )

    def columns(self, source: ImageSource) -> Columns:  # noqa: ARG002
        return Columns(self.spec, (), "train_accuracy")

    @property
    def networks(self) -> int:
        """Of all splits together."""
        return sum(self.runs.values())

    def shards(self, split: str) -> list[Shard]:
        """The files of a split; the runs are numbered through, the splits one after the other."""
        return shards_of_runs(self.runs, split, self.shard_rows)

    def limited(self, networks: int) -> ZooRecipe:
        """The same with about that many networks in all, in the same proportions."""
        return self.model_copy(
            update={
                "runs": fewer_runs(self.runs, networks),
                "shard_rows": min(self.shard_rows, 500),
            }
        )

    def digest(self, source: ImageSource, shard: Shard) -> str:
        """SHA-256 of all that determines a shard; a file that carries it is not made again."""
        made_of = self.model_dump(mode="json", exclude={"runs", "shard_rows"})
        parts = [made_of, source.model_dump(mode="json"), shard.rows.start, shard.rows.stop]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def examples(self, source: ImageSource, mirror: Path | None = None) -> None:
        """None: these networks draw nothing. Raises UserError for images that cannot be had."""
        self._images(source, mirror)

    def build(
        self,
        source: ImageSource,
        shard: Shard,
        mirror: Path | None = None,
        device: torch.device = torch.device("cpu"),
        progress: Callable[[float], None] = lambda _: None,
    ) -> tuple[Split, int]:
        """Train a shard's networks. Returns them, and how many diverged and were dropped; `progress` as for `InrRecipe.build`."""
        (train_images, train_labels), (test_images, test_labels) = (
            (pixels.to(device), labels.to(device))
            for pixels, labels in self._images(source, mirror)
        )
        settings = self.draw(shard.rows)
        start = self.initialise(shard.rows, settings)
        trained, test_accuracy, train_accuracy = [], [], []
        for first in range(0, len(start), CHUNK[device.type]):
            part = slice(first, first + CHUNK[device.type])
            mine = HyperParameters(
                *(column.to(device) for column in vars(settings.rows(part)).values())
            )
            runs = shard.rows[part]
            weights = self._train(
                start[part].to(device), mine, train_images, train_labels, runs, progress, self.steps
            )
            if self.significant_bits < 24:
                weights = round_mantissa(weights, self.significant_bits)
            trained.append(weights)
            test_accuracy.append(self.accuracy(weights, mine.tanh, test_images, test_labels))
            train_accuracy.append(self.accuracy(weights, mine.tanh, train_images, train_labels))
        weights = torch.cat(trained).float().cpu()
        kept = torch.isfinite(weights).all(dim=1)
        rows = torch.tensor(shard.rows, dtype=torch.int32)[kept]
        networks = Split(
            weights=weights[kept],
            targets=torch.cat(test_accuracy).float().cpu()[kept],
            source_index=rows,
            copy=torch.zeros_like(rows),
            quality=torch.cat(train_accuracy).float().cpu()[kept],
        )
        return networks, int((~kept).sum())

    def trial(self, device: torch.device) -> Callable[[int], None]:
        """Takes that many training steps of one chunk, of `CHUNK` networks, on images of noise."""
        count = CHUNK[device.type]
        settings = self.draw(range(count))
        start = self.initialise(range(count), settings).to(device)
        mine = HyperParameters(*(column.to(device) for column in vars(settings).values()))
        noise = torch.rand(100, self.side, self.side, dtype=start.dtype, device=device)
        labels = torch.zeros(100, dtype=torch.long, device=device)

        def take(steps: int) -> None:
            self._train(
                start, mine, noise, labels, range(count), lambda _: None, steps
            ).sum().item()

        return take

    @property
    def chunk(self) -> dict[str, int]:
        return CHUNK

    def draw(self, runs: range) -> HyperParameters:
        """The hyper-parameters of the given runs, each from a seed of its own."""
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
        """Initial weights `[runs, parameters]`, in the recipe's precision; biases are zero."""
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
        self, weights: Tensor, tanh: Tensor, pixels: Tensor, kept: Tensor | None = None
    ) -> Tensor:
        """`[networks, images, classes]` of networks `[networks, parameters]` on images `[networks, images, side, side]`.

        tanh: `[networks]`, which of them have that activation rather than ReLU. kept: `[networks, images, channels]`, what
        dropout leaves of the mean features.
        """
        values = pixels.unsqueeze(-1)
        *convolutions, (dense, dense_bias) = self.spec.to_layers(weights)
        tanh = tanh[:, None, None]
        for kernel, bias in convolutions:
            side = -(-values.shape[2] // STRIDE)
            padded = functional.pad(values, (0, 0, 1, 1, 1, 1))
            stop = STRIDE * side
            # Channels last and one matrix product per network: half the time of grouped convolutions in float64.
            patches = torch.cat(
                [
                    padded[:, :, row : row + stop : STRIDE, column : column + stop : STRIDE]
                    for row in range(KERNEL)
                    for column in range(KERNEL)
                ],
                dim=-1,
            ).flatten(1, 3)
            made = torch.baddbmm(
                bias.unsqueeze(1), patches, kernel.permute(0, 3, 4, 2, 1).flatten(1, 3)
            )
            values = torch.where(tanh, made.tanh(), made.relu()).unflatten(
                1, (pixels.shape[1], side, side)
            )
        features = values.mean(dim=(2, 3))
        if kept is not None:
            features = features * kept
        return torch.baddbmm(dense_bias.unsqueeze(1), features, dense.transpose(1, 2))

    def accuracy(self, weights: Tensor, tanh: Tensor, pixels: Tensor, labels: Tensor) -> Tensor:
        """`[networks]`: the share of images `[images, side, side]` that each network gets right."""
        right = torch.zeros(len(weights), device=weights.device)
        with torch.inference_mode():
            for some, wanted in zip(pixels.split(200), labels.split(200), strict=True):
                guesses = self.logits(weights, tanh, some.expand(len(weights), -1, -1, -1)).argmax(
                    dim=2
                )
                right += (guesses == wanted).sum(dim=1)
        return right / len(labels)

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
            kept = ((uniform < keep) / keep).to(start)
            loss = loss_of(weights, settings.tanh, pixels[rows], labels[rows], kept)
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
        self, weights: Tensor, tanh: Tensor, pixels: Tensor, labels: Tensor, kept: Tensor
    ) -> Tensor:
        """Each network's mean cross-entropy, summed: the gradient of each is that of its own."""
        logits = self.logits(weights, tanh, pixels, kept)
        return (
            functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")
            / labels.shape[1]
        )

    def _images(self, source: ImageSource, mirror: Path | None) -> list[tuple[Tensor, Tensor]]:
        """Images `[rows, side, side]` and labels of the source's train and test split."""
        found = []
        for split, rows in (("train", self.train_rows), ("test", self.test_rows)):
            pixels, labels = images(source, split, range(rows), mirror)
            grey = pixels.astype(np.float64) @ GREY / 255
            blocks = grey.reshape(
                rows, self.side, grey.shape[1] // self.side, self.side, grey.shape[2] // self.side
            )
            tensor = torch.from_numpy(blocks.mean(axis=(2, 4))).to(getattr(torch, self.precision))
            found.append((tensor, torch.from_numpy(labels.astype(np.int64))))
        return found


def _initial(kind: str, std: float, layer: LayerSpec, random: torch.Generator) -> Tensor:
    """A weight `[outputs, inputs, *kernel]` as Keras would draw it; `std` is of the two kinds that have one."""
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
        std /= 0.87962566103423978  # Keras: so that the truncated draw has the standard deviation that is asked for
    return torch.nn.init.trunc_normal_(weight, 0, std, -2 * std, 2 * std, generator=random)
