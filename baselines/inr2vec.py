"""Inr2vec (De Luigi et al., ICLR 2023, arXiv:2302.05438): embeddings of INRs, without labels.

An encoder of the rows of an INR's weights is trained with a decoder that computes what the INR does
from the embedding and a coordinate. DWSNets' table has the encoder alone, trained on labels:
"Inr2Vec (architecture)". The defaults are those of the published code (CVLAB-Unibo/inr2vec), for
INRs of 512 neurons a layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.methods import PREDICTIONS, Method, Problem, TwoStageMethod
from benchmark.tuning.space import Choice, Log
from nft import siren
from nft.layers import Standardize
from nft.network import NetworkSpec


class Rows(nn.Module):
    """The rows of the weights between hidden layers, and the biases that go with them as rows.

    Maps flat weights, standardised by tensor, to `[batch, rows, widest]`. The first and the last
    layer are left out. Rows that are shorter than the widest end in zeros.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.spec: NetworkSpec = problem.spec
        self.standardize = Standardize(problem.spec, problem.mean, problem.std)
        self.widest = max(problem.spec.neurons[1:-1])

    def forward(self, flat: Tensor) -> Tensor:
        layers = self.spec.to_layers(self.standardize(flat).squeeze(-1))[1:-1]
        parts = [part for weight, bias in layers for part in (weight, bias.unsqueeze(1))]
        padded = [functional.pad(part, (0, self.widest - part.shape[-1])) for part in parts]
        return torch.cat(padded, dim=1)


class RowEncoder(nn.Module):
    """Linear layers with batch norm and ReLU on every row, and the maximum over the rows."""

    def __init__(self, sizes: list[int]) -> None:
        super().__init__()
        modules: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes[:-1]):
            modules += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
        self.layers = nn.Sequential(*modules, nn.Linear(*sizes[-2:]))

    def forward(self, rows: Tensor) -> Tensor:
        return self.layers(rows.flatten(0, 1)).unflatten(0, rows.shape[:2]).amax(dim=1)


def encoder_parts(problem: Problem, hidden: int) -> tuple[Rows, RowEncoder]:
    """Make the encoder, from flat weights to embeddings `[batch, 2 * hidden]`."""
    rows, wide = Rows(problem), 2 * hidden
    return rows, RowEncoder([rows.widest, hidden, hidden, wide, wide, wide])


def without_rows(problem: Problem) -> str | None:
    """Return why there are no rows to read, or None."""
    if problem.spec.positions > 1 or len(problem.spec.layers) < 3:
        return "it reads the weights between the hidden layers of MLPs, and here are none"
    return None


class CoordinateEncoding(nn.Module):
    """Coordinates with their sines and cosines, of frequencies that double from 1.

    Maps `[points, inputs]` to `[points, inputs * (1 + 2 * bands)]`.
    """

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", 2.0 ** torch.arange(bands), persistent=False)

    def forward(self, coordinates: Tensor) -> Tensor:
        angles = (coordinates.unsqueeze(-1) * self.frequencies).flatten(1)
        return torch.cat([coordinates, angles.sin(), angles.cos()], dim=1)


class PairLinear(nn.Linear):
    """A linear layer on every pair of an embedding and a point, each of which is multiplied once.

    Maps `[batch, channels]` and `[points, features]` to `[batch, points, outputs]`.
    """

    def forward(self, embeddings: Tensor, points: Tensor) -> Tensor:
        first, second = self.weight.split([embeddings.shape[1], points.shape[1]], dim=1)
        of_points = functional.linear(points, second, self.bias)
        return functional.linear(embeddings, first).unsqueeze(1) + of_points


class ImplicitDecoder(nn.Module):
    """A decoder from embeddings to the values of INRs at points.

    Maps `[batch, channels]` and `[points, inputs]` to `[batch, points, outputs]`. Of its six layers
    the first reads embedding and point, and so does a projection that is added after the third.

    Args:
        channels: Channels of an embedding.
        inputs: Coordinates of a point.
        outputs: Values at a point.
        hidden: Units in each hidden layer.
        bands: Frequencies of the points' encoding.
    """

    def __init__(self, channels: int, inputs: int, outputs: int, hidden: int, bands: int) -> None:
        super().__init__()

        def layers(count: int) -> list[nn.Module]:
            return [part for _ in range(count) for part in (nn.Linear(hidden, hidden), nn.ReLU())]

        size = channels + inputs * (1 + 2 * bands)
        self.encode = CoordinateEncoding(bands)
        self.first, self.skip = PairLinear(size, hidden), PairLinear(size, hidden)
        self.before = nn.Sequential(*layers(2))
        self.after = nn.Sequential(*layers(2), nn.Linear(hidden, outputs))

    def forward(self, embeddings: Tensor, coordinates: Tensor) -> Tensor:
        points = self.encode(coordinates)
        middle = self.before(self.first(embeddings, points).relu())
        return self.after(middle + self.skip(embeddings, points).relu())


class Inr2VecAutoencoder(nn.Module):
    """The encoder and the decoder, from flat weights to images `[batch, height * width, outputs]`.

    Args:
        encoder: A map from flat weights to embeddings.
        decoder: A map from embeddings and coordinates to values.
        image: Height and width of the image in pixels.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, image: tuple[int, int]) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.register_buffer("coordinates", siren.grid(*image), persistent=False)

    def encode(self, flat: Tensor) -> Tensor:
        """Encode flat weights as embeddings `[batch, channels]`."""
        return self.encoder(flat)

    def forward(self, flat: Tensor) -> Tensor:
        return self.decoder(self.encode(flat), self.coordinates)


@dataclass(frozen=True)
class Inr2Vec(TwoStageMethod):
    """The encoder of inr2vec with an implicit decoder; then an MLP on the embeddings.

    The paper's INRs share one initialisation, without which rows of two of them have little in
    common. Its classifier also learns from embeddings that exchange entries with others of their
    class, which is left out here, where the task trains every head alike.
    """

    name = "inr2vec"
    title = "Inr2Vec"
    paper = "arXiv:2302.05438"
    symmetries = ()
    mini = {
        "hidden": 64,
        "decoder_hidden": 64,
        "classifier_hidden": 128,
        "encoder_learning_rate": 3e-3,
        "learning_rate": 1e-3,
    }
    space = {
        "encoder_learning_rate": Log(3e-4, 3e-2),
        "learning_rate": Log(1e-4, 1e-2),
        "weight_decay": Log(1e-3, 1.0),
        "dropout": Choice(0.0, 0.2, 0.5),
    }

    learning_rate: float = 1e-4
    hidden: int = 512
    decoder_hidden: int = 512
    bands: int = 10
    classifier_hidden: int = 512
    dropout: float = 0.5

    def build_encoder(self, problem: Problem) -> nn.Module:
        inputs, outputs = problem.spec.neurons[0], problem.spec.neurons[-1]
        decoder = ImplicitDecoder(2 * self.hidden, inputs, outputs, self.decoder_hidden, self.bands)
        encoder = nn.Sequential(*encoder_parts(problem, self.hidden))
        return Inr2VecAutoencoder(encoder, decoder, problem.image)

    def build(self, problem: Problem) -> nn.Module:
        modules: list[nn.Module] = []
        sizes = [2 * self.hidden, self.classifier_hidden, self.classifier_hidden // 2]
        for inputs, outputs in pairwise(sizes):
            modules += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
            modules += [nn.Dropout(self.dropout)]
        return nn.Sequential(*modules, nn.Linear(sizes[-1], problem.outputs))

    def skip(self, problem: Problem) -> str | None:
        if problem.spec.activation != "sine" or problem.image is None:
            return "it learns to draw what SIRENs draw, and here are none that draw images"
        return without_rows(problem)


@dataclass(frozen=True)
class Inr2VecArchitecture(Method):
    """The encoder of inr2vec and a linear map.

    The maximum is invariant to the order of rows, but the entries of a row are in the order of
    other neurons, so that no permutation of a network is a symmetry.
    """

    name = "inr2vec-architecture"
    title = "Inr2Vec (architecture)"
    paper = "arXiv:2302.05438"
    tasks = (*(task for task in PREDICTIONS if task != "generalization"), "sine-embedding")
    symmetries = ()
    mini = {"hidden": 64, "learning_rate": 1e-3}
    space = {
        "learning_rate": Log(1e-4, 1e-2),
        "weight_decay": Log(1e-3, 1.0),
        "hidden": Choice(32, 64, 128),
    }

    learning_rate: float = 1e-4
    hidden: int = 512

    def build(self, problem: Problem) -> nn.Module:
        return nn.Sequential(
            *encoder_parts(problem, self.hidden), nn.Linear(2 * self.hidden, problem.outputs)
        )

    def skip(self, problem: Problem) -> str | None:
        return without_rows(problem)
