"""Inr2Array: arrays learned from weights without labels, and classifiers of these arrays.

(Zhou et al., arXiv:2305.13546, section 4.) The autoencoder is in `nft/inr2array.py`. This file
contains the paper's encoder, its ablations, its three array sizes, and the encoder of NFN layers to
which the paper compares it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from baselines.equivariant import EquivariantLinear
from baselines.nfn import input_tokens
from baselines.nft import EncoderSizes, nft_encoder
from benchmark.methods import Problem, TwoStageMethod, Variant
from benchmark.tuning.space import Log
from nft.inr2array import AdditiveHyperNetwork, ArrayClassifier, HyperNetwork, PerceiverPooling
from nft.inr2array import Inr2Array as Autoencoder
from nft.layers import CrossAttentionPooling, FourierFeatures, GroupNorm, PositionEmbedding


class NFNBlock(nn.Module):
    """A pre-norm residual block of an HNP layer and ReLU.

    Maps `[batch, tokens, channels]` to the same shape.
    """

    def __init__(self, problem: Problem, channels: int) -> None:
        super().__init__()
        self.norm = GroupNorm(problem.spec, channels)
        self.linear = EquivariantLinear(problem.spec, channels, channels, hidden_only=True)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.linear(self.norm(x)).relu()


class NFNEncoder(nn.Sequential):
    """An encoder of the NFT encoder's input encodings, followed by NFN blocks."""

    def __init__(self, problem: Problem, sizes: EncoderSizes) -> None:
        super().__init__(
            input_tokens(problem, sizes.normalize),
            FourierFeatures(problem.spec.positions, sizes.channels // 2, sizes.fourier_scale),
            PositionEmbedding(problem.spec, sizes.channels),
            *(NFNBlock(problem, sizes.channels) for _ in range(sizes.blocks)),
        )
        self.channels = sizes.channels


@dataclass(frozen=True)
class Inr2Array(TwoStageMethod):
    """An NFT encoder with a 4x4 array and a hypernetwork decoder; then a classifier of the arrays.

    The classifier is trained on frozen arrays. `layers` of the encoder are "nft" or "nfn". `cross`
    and `average` select the terms of weight-space attention. `side` is the side of the array.
    `perceiver` selects the published code's pooling, rather than bare cross-attention.
    `classifier` is the paper's "transformer", or an "mlp", which needs fewer steps.
    """

    name = "inr2array"
    title = "Inr2Array (NFT)"
    paper = "arXiv:2305.13546"
    mini = {
        "normalize": True,
        "perceiver": False,
        "place_scale": 0.02,
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
    space = {
        "encoder_learning_rate": Log(3e-4, 3e-2),
        "fourier_scale": Log(0.03, 3.0),
        "learning_rate": Log(1e-4, 1e-2),
        "weight_decay": Log(1e-3, 1.0),
    }
    variants = (
        Variant(
            "inr2array-mlp", "Inr2Array (NFT), MLP on the arrays", {"classifier": "mlp"}, mini={}
        ),
        Variant("inr2array-nfn", "Inr2Array (NFN)", {"layers": "nfn"}, mini={}),
        Variant("inr2array-no-cross", "Inr2Array without the cross term", {"cross": False}),
        Variant("inr2array-no-average", "Inr2Array without the averaged term", {"average": False}),
        Variant("inr2array-2x2", "Inr2Array, 2x2", {"side": 2}),
        Variant("inr2array-8x8", "Inr2Array, 8x8", {"side": 8}),
    )

    layers: Literal["nft", "nfn"] = "nft"
    normalize: bool = False
    channels: int = 256
    blocks: int = 6
    heads: int = 4
    ff_factor: int = 4
    fourier_scale: float = 3.0
    cross: bool = True
    average: bool = True
    side: int = 4
    perceiver: bool = True
    decoder_hidden: int = 256
    additive: bool = False
    classifier: Literal["transformer", "mlp"] = "transformer"
    width: int = 512
    place_scale: float = 1.0
    classifier_blocks: int = 12
    classifier_feed_forward: int = 2048
    classifier_dropout: float = 0.1
    weight_decay: float = 0.1

    def build_encoder(self, problem: Problem) -> nn.Module:
        height, width = problem.image
        return Autoencoder(
            self.features(problem),
            problem.spec,
            side=self.side,
            height=height,
            width=width,
            hidden=self.decoder_hidden,
            pooling=PerceiverPooling if self.perceiver else CrossAttentionPooling,
            decoder=AdditiveHyperNetwork if self.additive else HyperNetwork,
        )

    def features(self, problem: Problem) -> nn.Module:
        """Make the encoder without its pooling."""
        if self.layers == "nfn":
            return NFNEncoder(problem, self)
        return nft_encoder(problem, self, cross=self.cross, average=self.average)

    def build(self, problem: Problem) -> nn.Module:
        if self.classifier == "mlp":
            size = self.side**2 * self.channels
            return nn.Sequential(
                nn.Flatten(),
                nn.BatchNorm1d(size, affine=False),
                nn.Linear(size, self.width),
                nn.ReLU(),
                nn.Linear(self.width, problem.outputs),
            )
        return ArrayClassifier(
            self.side**2,
            self.channels,
            problem.outputs,
            width=self.width,
            place_scale=self.place_scale,
            blocks=self.classifier_blocks,
            heads=self.heads,
            feed_forward=self.classifier_feed_forward,
            dropout=self.classifier_dropout,
        )

    def skip(self, problem: Problem) -> str | None:
        if problem.spec.activation != "sine":
            return "Inr2Array reads SIRENs, which these networks are not"
        if problem.image is None:
            return "Inr2Array reads SIRENs that draw images, and the dataset names none"
        return None
