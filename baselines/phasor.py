"""The phasor-graded reader (Guven 2026): exactly invariant to all symmetries of a SIREN's neurons.

A hidden neuron with incoming weights w, bias b and outgoing weights u computes the same when it
takes its place in any order, and when

    (w, b, u)  becomes  ((-1)^d w, (-1)^d b + j pi, (-1)^(d + j) u),   d in {0, 1}, j an integer,

where the SIREN's omega is part of w and b. The phase b has infinitely many values, its phasor
(cos b, sin b) only two signs. So every feature of a neuron is multiplied by (-1)^(p d + q j), for
one of four grades (p, q):

    (0, 0)  |w|^2, |u|^2, cos 2b        (1, 0)  w, sin 2b
    (0, 1)  cos b                       (1, 1)  u, sin b

All that follows keeps the grades. Linear maps act within a grade, products of features add their
grades, and what is not neutral passes through an odd function. A weight between the two hidden
layers has grade (1, 1) for the neuron that it comes from and (1, 0) for the one that it goes to.
So it carries features of grade (1, 1) forwards and of (1, 0) backwards, and its square carries the
neutral ones. Pooled over the neurons, the neutral features alone are read.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.errors import UserError
from benchmark.methods import Method, Problem
from benchmark.tuning.space import Choice, Log
from nft.network import NetworkSpec

NEUTRAL, ODD, SHIFTED, BOTH = range(4)
"""The grades (0, 0), (1, 0), (0, 1) and (1, 1): their bits are p and 2 q, and add by `^`."""

GRADES = (NEUTRAL, ODD, SHIFTED, BOTH)
PAIRS = tuple((first, second) for first in GRADES for second in GRADES[first:])

Graded = list[Tensor]
"""Features of a layer's neurons by grade, each `[batch, neurons, channels]`."""


class PhasorFeatures(nn.Module):
    """The features of each hidden neuron by grade, and the weights between the hidden layers.

    Maps flat weights `[batch, parameters]` of SIRENs with two hidden layers to the features of the
    first, those of the second, and weights `[batch, second, first]`. The last bias is left out, as
    published. Features are divided by their usual sizes, which follow from the root mean square of
    each weight tensor. Nothing is subtracted from them: that would end their grades.

    Args:
        spec: The networks' spec.
        mean: `[6]`, from `NetworkSpec.statistics` of the training networks.
        std: `[6]`, likewise.
    """

    def __init__(self, spec: NetworkSpec, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.spec = spec
        inputs, first, second, outputs = spec.neurons
        sizes = (mean.square() + std.square()).sqrt()[::2]
        self.register_buffer("sizes", sizes.clamp_min(1e-6))
        self.sums = (inputs, second, first, outputs)
        self.channels = (
            (4, inputs + 1, 1, 1),
            (4, 1, 1, outputs + 1),
        )

    def forward(self, flat: Tensor) -> tuple[Graded, Graded, Tensor]:
        (first, phase), (middle, later_phase), (last, _) = self.spec.to_layers(flat)
        first, middle, last = (
            weight / size for weight, size in zip((first, middle, last), self.sizes, strict=True)
        )
        outgoing = last.transpose(1, 2)
        # Squared weights over their number, so that their sums are of size one.
        norms = [
            (part.square().sum(dim=axis) / count).unsqueeze(-1)
            for part, axis, count in zip(
                (first, middle, middle, outgoing), (2, 1, 2, 2), self.sums, strict=True
            )
        ]
        cos, sin, cos2, sin2 = _phasors(self.spec.omega * phase)
        one = [torch.cat((norms[0], cos2, norms[1], torch.ones_like(cos)), dim=-1)]
        one += [torch.cat((first, sin2), dim=-1), cos, sin]
        cos, sin, cos2, sin2 = _phasors(self.spec.omega * later_phase)
        two = [torch.cat((norms[2], norms[3], cos2, torch.ones_like(cos)), dim=-1)]
        two += [sin2, cos, torch.cat((sin, outgoing), dim=-1)]
        return one, two, middle


def _phasors(phase: Tensor) -> tuple[Tensor, ...]:
    phase = phase.unsqueeze(-1)
    return phase.cos(), phase.sin(), (2 * phase).cos(), (2 * phase).sin()


class GradedLinear(nn.Module):
    """A linear map within each grade, with a bias for the neutral features alone.

    The features may be the first grades alone.
    """

    def __init__(self, inputs: tuple[int, ...], channels: int) -> None:
        super().__init__()
        self.maps = nn.ModuleList(
            nn.Linear(size, channels, bias=grade == NEUTRAL) for grade, size in enumerate(inputs)
        )

    def forward(self, x: Graded) -> Graded:
        return [own(part) for own, part in zip(self.maps, x, strict=True)]


class GradedProducts(nn.Module):
    """Features, and linear maps of all products of two of them that fall into their grade.

    Args:
        channels: Of the features.
        grades: How many of the first grades are computed.
    """

    def __init__(self, channels: int, grades: int) -> None:
        super().__init__()
        self.grades = grades
        self.pairs = [pair for pair in PAIRS if pair[0] ^ pair[1] < grades]
        self.maps = nn.ModuleList(nn.Linear(channels, channels, bias=False) for _ in self.pairs)

    def forward(self, x: Graded) -> Graded:
        sums = x[: self.grades]
        for own, (first, second) in zip(self.maps, self.pairs, strict=True):
            sums[first ^ second] = sums[first ^ second] + own(x[first] * x[second])
        return sums


class GradedMessages(nn.Module):
    """What the two hidden layers tell each other through the weights between them.

    Each is a mean over the senders, weighted by the weights or their squares, of mapped features,
    times a learned factor that starts at zero.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(channels, channels, bias=False) for _ in range(4))
        self.factors = nn.Parameter(torch.zeros(4))

    def forward(self, one: Graded, two: Graded, weights: Tensor) -> tuple[Graded, Graded]:
        squares = weights.square()
        routes = (
            (weights, one[BOTH]),
            (squares, one[NEUTRAL]),
            (weights.transpose(1, 2), two[ODD]),
            (squares.transpose(1, 2), two[NEUTRAL]),
        )
        forwards, neutral_forwards, backwards, neutral_backwards = (
            factor * (carrier @ own(x)) / carrier.shape[2]
            for factor, own, (carrier, x) in zip(self.factors, self.maps, routes, strict=True)
        )
        one, two = list(one), list(two)
        two[ODD], two[NEUTRAL] = two[ODD] + forwards, two[NEUTRAL] + neutral_forwards
        one[BOTH], one[NEUTRAL] = one[BOTH] + backwards, one[NEUTRAL] + neutral_backwards
        return one, two


def activate(x: Graded) -> Graded:
    """Apply GELU to neutral features, and to the others the tanh, which is odd."""
    return [functional.gelu(x[NEUTRAL]), *(part.tanh() for part in x[1:])]


class PhasorBlock(nn.Module):
    """A round of messages, then products, linear maps and activations in each layer.

    Args:
        channels: Of the features.
        grades: How many of the first grades are computed; the last block's neutral ones are read.
    """

    def __init__(self, channels: int, grades: int = len(GRADES)) -> None:
        super().__init__()
        sizes = (channels,) * grades
        self.messages = GradedMessages(channels)
        self.products = GradedProducts(channels, grades)  # of both layers
        self.one, self.two = GradedLinear(sizes, channels), GradedLinear(sizes, channels)

    def forward(self, one: Graded, two: Graded, weights: Tensor) -> tuple[Graded, Graded]:
        one, two = self.messages(one, two, weights)
        one, two = self.one(self.products(one)), self.two(self.products(two))
        return activate(one), activate(two)


class PhasorReader(nn.Module):
    """Graded features, blocks, and an MLP on the mean and maximum of what is neutral.

    Maps flat weights `[batch, parameters]` to `[batch, outputs]`.
    """

    def __init__(
        self, features: PhasorFeatures, channels: int, blocks: int, dropout: float, outputs: int
    ) -> None:
        super().__init__()
        self.features = features
        self.one, self.two = (GradedLinear(sizes, channels) for sizes in features.channels)
        self.blocks = nn.ModuleList(PhasorBlock(channels) for _ in range(blocks - 1))
        self.blocks.append(PhasorBlock(channels, grades=1))
        self.head = nn.Sequential(
            nn.Linear(4 * channels, 2 * channels),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * channels, channels),
            nn.GELU(),
            nn.Linear(channels, outputs),
        )

    def forward(self, flat: Tensor) -> Tensor:
        # Never autocast: bfloat16 would lose the fraction of a phase, which omega multiplies.
        with torch.autocast(flat.device.type, enabled=False):
            one, two, weights = self.features(flat)
        one, two = self.one(one), self.two(two)
        for block in self.blocks:
            one, two = block(one, two, weights)
        neutral = one[NEUTRAL], two[NEUTRAL]
        pooled = [part for x in neutral for part in (x.mean(dim=1), x.amax(dim=1))]
        return self.head(torch.cat(pooled, dim=1))


@dataclass(frozen=True)
class Phasor(Method):
    """Features of neurons by how a SIREN's symmetries change their sign, in layers that keep it.

    The defaults are those of the published code (ITheClixs/project-siren-gap), whose rule for the
    size is to have about 1,873,162 parameters: 186 channels for two hidden layers of 32. Other than
    there, features are divided by what follows from the tensors' root mean squares, not by the mean
    of each over the training networks; and what the last block would compute and nobody reads, the
    features that are not neutral, is left out.
    """

    name = "phasor"
    title = "Phasor-graded reader"
    paper = "github:ITheClixs/project-siren-gap"
    symmetries = ("permutation", "sign", "phase")
    mini = {"channels": 48, "learning_rate": 3e-3}
    space = {
        "learning_rate": Log(1e-4, 1e-2),
        "weight_decay": Log(1e-3, 1.0),
        "channels": Choice(32, 48, 64),
        "blocks": Choice(1, 2, 3),
        "dropout": Choice(0.0, 0.1, 0.3),
    }

    channels: int = 186
    blocks: int = 2
    dropout: float = 0.1
    learning_rate: float = 1e-3
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.blocks < 1:
            raise UserError(f"{self.name}: blocks is a number from 1 on, not {self.blocks}")

    def build(self, problem: Problem) -> nn.Module:
        features = PhasorFeatures(problem.spec, problem.mean, problem.std)
        return PhasorReader(features, self.channels, self.blocks, self.dropout, problem.outputs)

    def skip(self, problem: Problem) -> str | None:
        spec = problem.spec
        if spec.activation != "sine" or len(spec.layers) != 3 or spec.positions > 1:
            return "it reads SIRENs of two hidden layers alone"
        return None
