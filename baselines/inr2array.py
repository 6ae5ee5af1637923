"""Inr2Array: an array made from the weights without labels, and a Transformer that classifies it (Zhou et al., arXiv:2305.13546).

The autoencoder is in `nft/inr2array.py`; this file is how the benchmark runs it, with the paper's encoder, its ablations, its
three array sizes, and the encoder of NFN layers that the paper compares with.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from baselines.nfn import EquivariantLinear
from benchmark.methods import PAPER, Problem, TwoStageMethod
from nft.inr2array import AdditiveHyperNetwork, ArrayClassifier, HyperNetwork, Inr2Array
from nft.layers import FourierFeatures, GroupNorm, PositionEmbedding, Standardize
from nft.transformer import NFTEncoder

MINI = {
    "channels": 32,
    "blocks": 2,
    "ff_factor": 2,
    "fourier_scale": 0.3,
    "decoder_hidden": 64,
    "encoder_learning_rate": 4e-3,
    "width": 64,
    "classifier_blocks": 1,
    "classifier_feed_forward": 128,
    "classifier_dropout": 0.0,
    "learning_rate": 2e-3,
}


@dataclass(frozen=True)
class Inr2ArrayNFT(TwoStageMethod):
    """NFT encoder, a 4x4 array, a hypernetwork decoder; then a Transformer on the frozen arrays."""

    name = "inr2array"
    title = "Inr2Array (NFT)"
    encoder = "inr2array"
    paper = "arXiv:2305.13546"
    suites = {"mini": MINI, "mini-ablations": MINI} | PAPER

    channels: int = 256
    blocks: int = 6
    heads: int = 4
    ff_factor: int = 4
    fourier_scale: float = 3.0
    side: int = 4
    decoder_hidden: int = 256
    additive: bool = False
    width: int = 512
    classifier_blocks: int = 12
    classifier_feed_forward: int = 2048
    classifier_dropout: float = 0.1
    weight_decay: float = 0.1

    cross = True
    average = True

    def build_encoder(self, problem: Problem) -> nn.Module:
        height, width = problem.image
        return Inr2Array(
            self.features(problem),
            problem.spec,
            side=self.side,
            height=height,
            width=width,
            hidden=self.decoder_hidden,
            decoder=AdditiveHyperNetwork if self.additive else HyperNetwork,
        )

    def features(self, problem: Problem) -> nn.Module:
        """The encoder before its pooling."""
        return NFTEncoder(
            problem.spec,
            problem.mean,
            problem.std,
            channels=self.channels,
            blocks=self.blocks,
            heads=self.heads,
            ff_factor=self.ff_factor,
            fourier_scale=self.fourier_scale,
            cross=self.cross,
            average=self.average,
        )

    def build(self, problem: Problem) -> nn.Module:
        return ArrayClassifier(
            self.side**2,
            self.channels,
            problem.outputs,
            width=self.width,
            blocks=self.classifier_blocks,
            heads=self.heads,
            feed_forward=self.classifier_feed_forward,
            dropout=self.classifier_dropout,
        )

    def skip(self, problem: Problem) -> str | None:
        return None if problem.spec.activation == "sine" else "Inr2Array reads SIRENs, which these networks are not"


@dataclass(frozen=True)
class Inr2ArrayMLP(Inr2ArrayNFT):
    """The same arrays read by an MLP, which needs fewer steps than a Transformer: how much of a result is the classifier's."""

    name = "inr2array-mlp"
    title = "Inr2Array (NFT), MLP on the arrays"
    suites = {"mini": MINI | {"learning_rate": 1e-3, "weight_decay": 0.01, "width": 256}}

    def build(self, problem: Problem) -> nn.Module:
        size = self.side**2 * self.channels
        return nn.Sequential(
            nn.Flatten(),
            nn.BatchNorm1d(size, affine=False),
            nn.Linear(size, self.width),
            nn.ReLU(),
            nn.Linear(self.width, problem.outputs),
        )


class NFNBlock(nn.Module):
    """Pre-norm residual block of an HNP layer and ReLU, `[batch, tokens, channels]` to the same."""

    def __init__(self, problem: Problem, channels: int) -> None:
        super().__init__()
        self.norm = GroupNorm(problem.spec, channels)
        self.linear = EquivariantLinear(problem.spec, channels, channels, hidden_only=True)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.linear(self.norm(x)).relu()


class NFNEncoder(nn.Sequential):
    """The NFT encoder's encodings, followed by NFN blocks."""

    def __init__(self, problem: Problem, channels: int, blocks: int, fourier_scale: float) -> None:
        super().__init__(
            Standardize(problem.spec, problem.mean, problem.std),
            FourierFeatures(problem.spec.positions, channels // 2, fourier_scale),
            PositionEmbedding(problem.spec, channels),
            *(NFNBlock(problem, channels) for _ in range(blocks)),
        )
        self.channels = channels


@dataclass(frozen=True)
class Inr2ArrayNFN(Inr2ArrayNFT):
    """The same with NFN layers in the encoder: the paper's comparison of encoders."""

    name = "inr2array-nfn"
    title = "Inr2Array (NFN)"
    encoder = "inr2array-nfn"

    def features(self, problem: Problem) -> nn.Module:
        return NFNEncoder(problem, self.channels, self.blocks, self.fourier_scale)


@dataclass(frozen=True)
class Inr2ArrayWithoutCross(Inr2ArrayNFT):
    """Ablation: weight-space attention without its cross term."""

    name = "inr2array-no-cross"
    encoder = name
    title = "Inr2Array without the cross term"
    suites = {"mini-ablations": MINI}
    cross = False


@dataclass(frozen=True)
class Inr2ArrayWithoutAverage(Inr2ArrayNFT):
    """Ablation: weight-space attention without its averaged term."""

    name = "inr2array-no-average"
    encoder = name
    title = "Inr2Array without the averaged term"
    suites = {"mini-ablations": MINI}
    average = False


@dataclass(frozen=True)
class Inr2Array2x2(Inr2ArrayNFT):
    """Ablation: a 2x2 array."""

    name = "inr2array-2x2"
    encoder = name
    title = "Inr2Array, 2x2"
    suites = {"mini-ablations": MINI | {"side": 2}}

    side: int = 2


@dataclass(frozen=True)
class Inr2Array8x8(Inr2ArrayNFT):
    """Ablation: an 8x8 array."""

    name = "inr2array-8x8"
    encoder = name
    title = "Inr2Array, 8x8"
    suites = {"mini-ablations": MINI | {"side": 8}}

    side: int = 8
