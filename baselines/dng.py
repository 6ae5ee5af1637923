"""DNG-Encoder (Wu et al., TMLR 2026, arXiv:2607.02166): a network is read in the order it computes.

A graph network that reads all layers at once has to find out what passes through them. The
DNG-Encoder (of dynamic neural graphs) walks from the inputs to the outputs instead, as the network
itself does when it computes

    a_i = activation(sum over j of W_ij a_j + b_i).

Every neuron has a state, which stands for a_i. The inputs' are learned. Later ones come from a
recurrent cell, shared by all layers, that reads two things: the neuron's bias, and a sum of
messages over its incoming weights, each the product of features of the weight and of the state that
it comes from. Only the states of the outputs are read.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.methods import Method, Problem
from benchmark.tuning.space import Choice, Log
from nft.layers import FourierFeatures
from nft.network import NetworkSpec


class Messages(nn.Module):
    """Sums over incoming weights of features of the weight times those of a state (equation 4).

    Args:
        features: Features of a weight.
        channels: Of a state.
    """

    def __init__(self, features: int, channels: int) -> None:
        super().__init__()
        self.weights = nn.Linear(features, channels)
        self.states = nn.Linear(channels, channels)

    def forward(self, weights: Tensor, states: Tensor) -> Tensor:
        """Map weights and states to messages.

        Args:
            weights: `[batch, outputs, inputs, 1, features]`.
            states: `[batch, inputs, channels]`.

        Returns:
            `[batch, outputs, channels]`.
        """
        return torch.einsum("boic,bic->boc", self.weights(weights.squeeze(3)), self.states(states))


class KernelMessages(nn.Module):
    """The same where two neurons have a kernel of weights between them (equation 5).

    Each position of the kernel is a head with its own feature of the state. An MLP maps the heads
    of a kernel to its message. A layer of fewer positions has zeros for the features of the others.

    Args:
        features: Features of a weight.
        channels: Of a state.
        positions: Heads.
        size: Channels of a head.
    """

    def __init__(self, features: int, channels: int, positions: int, size: int) -> None:
        super().__init__()
        self.positions = positions
        self.weights = nn.Linear(features, size)
        self.states = nn.Linear(channels, positions * size)
        self.kernel = nn.Sequential(
            nn.Linear(positions * size, channels), nn.ReLU(), nn.Linear(channels, channels)
        )

    def forward(self, weights: Tensor, states: Tensor) -> Tensor:
        """Map weights `[batch, outputs, inputs, positions, features]` as `Messages` does."""
        missing = self.positions - weights.shape[3]
        heads = self.weights(functional.pad(weights, (0, 0, 0, missing))).flatten(3)
        return self.kernel(heads * self.states(states).unsqueeze(1)).sum(dim=2)


class DNGEncoder(nn.Module):
    """The states of the outputs, `[batch, outputs * channels]`, of flat weights.

    Args:
        spec: The networks' spec.
        frequencies: Of the Fourier features of weights and biases.
        scale: Standard deviation of these frequencies.
        channels: Of a state.
        head: Channels of a position, where layers have kernels.
        dropout: Of the states.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        frequencies: int,
        scale: float,
        channels: int,
        head: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.spec = spec
        features = 2 * frequencies
        self.fourier = FourierFeatures(1, frequencies, scale)
        self.inputs = nn.Parameter(torch.randn(spec.neurons[0], channels))
        kernels = spec.positions > 1
        self.messages = nn.ModuleList(
            KernelMessages(features, channels, spec.positions, head)
            if kernels
            else Messages(features, channels)
            for _ in spec.layers
        )
        self.biases = nn.ModuleList(nn.Linear(features, channels) for _ in spec.layers)
        self.cell = nn.GRUCell(channels, channels)
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in spec.layers)
        self.dropout = nn.Dropout(dropout)

    def forward(self, flat: Tensor) -> Tensor:
        states = self.inputs.repeat(len(flat), 1, 1)
        walk = zip(self.spec.to_layers(flat), self.messages, self.biases, self.norms, strict=True)
        for (weight, bias), messages, biases, norm in walk:
            weight = weight.reshape(*weight.shape[:3], -1)
            received = messages(self.fourier(weight.unsqueeze(-1)), states)
            own = biases(self.fourier(bias.unsqueeze(-1)))
            # The sum takes the place of the cell's memory, and the bias that of its input.
            updated = self.cell(own.flatten(0, 1), received.flatten(0, 1))
            states = self.dropout(norm(updated.unflatten(0, own.shape[:2])))
        return states.flatten(1)


@dataclass(frozen=True)
class DNG(Method):
    """A recurrent cell that walks a network's layers, and an MLP on the states of the outputs.

    The defaults are those of the published code (dddiowww/DNG) for classifying INRs; for CNNs it
    has a Fourier scale of 1, heads of 1,024 without dropout, a learning rate of 1e-3 and no weight
    decay. Other than there, no embedding tells the activation of a CNN, which weights do not.
    """

    name = "dng-encoder"
    title = "DNG-Encoder"
    paper = "arXiv:2607.02166"
    mini = {
        "frequencies": 32,
        "channels": 64,
        "head": 16,
        "dropout": 0.1,
        "learning_rate": 2e-3,
    }
    space = {
        "learning_rate": Log(1e-4, 1e-2),
        "weight_decay": Log(1e-4, 1e-1),
        "scale": Log(0.3, 10.0),
        "channels": Choice(32, 64, 128),
        "dropout": Choice(0.0, 0.2, 0.5),
    }

    frequencies: int = 128
    scale: float = 3.0  # of the frequencies
    channels: int = 128
    head: int = 32  # channels of a position of a CNN's kernels
    state_dropout: float = 0.0
    hidden: int = 128
    dropout: float = 0.5  # of the MLP
    learning_rate: float = 1e-4
    weight_decay: float = 5e-4

    def build(self, problem: Problem) -> nn.Module:
        encoder = DNGEncoder(
            problem.spec,
            self.frequencies,
            self.scale,
            self.channels,
            self.head,
            self.state_dropout,
        )
        return nn.Sequential(
            encoder,
            nn.Linear(problem.spec.neurons[-1] * self.channels, self.hidden),
            nn.ReLU(),
            nn.Dropout(self.dropout),
            nn.Linear(self.hidden, self.hidden),
            nn.ReLU(),
            nn.Dropout(self.dropout),
            nn.Linear(self.hidden, problem.outputs),
        )
