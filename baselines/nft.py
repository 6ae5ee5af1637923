"""The Neural Functional Transformer as a classifier and an editor (Zhou et al., arXiv:2305.13546).

The layers are in `nft/layers.py`, the model in `nft/transformer.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import nn

from baselines.editing import draws_nothing, equivariant_editor
from benchmark.methods import Method, Problem
from benchmark.tuning.space import Choice, Log
from nft.layers import GroupLinear
from nft.transformer import NFTClassifier, NFTEncoder


class EncoderSizes(Protocol):
    """The fields of a method that say how its NFT encoder reads weights, and how large it is."""

    normalize: bool
    channels: int
    blocks: int
    heads: int
    ff_factor: int
    fourier_scale: float


def nft_encoder(problem: Problem, sizes: EncoderSizes, **options: float | bool) -> NFTEncoder:
    """Make the encoder that classifier, editor and Inr2Array share; options are `NFTEncoder`'s."""
    statistics = (problem.mean, problem.std) if sizes.normalize else ()
    return NFTEncoder(
        problem.spec,
        *statistics,
        channels=sizes.channels,
        blocks=sizes.blocks,
        heads=sizes.heads,
        ff_factor=sizes.ff_factor,
        fourier_scale=sizes.fourier_scale,
        **options,
    )


@dataclass(frozen=True)
class NFT(Method):
    """NFT blocks over all weights, cross-attention pooling, and an MLP head."""

    name = "nft"
    title = "NFT"
    paper = "arXiv:2305.13546"
    mini = {
        "normalize": True,
        "channels": 32,
        "blocks": 2,
        "ff_factor": 2,
        "fourier_scale": 0.3,
        "queries": 4,
        "hidden": 256,
        "dropout": 0.0,
        "learning_rate": 4e-3,
    }
    space = {
        "learning_rate": Log(3e-4, 3e-2),
        "fourier_scale": Log(0.03, 3.0),
        "dropout": Choice(0.0, 0.1, 0.2),
        "blocks": Choice(1, 2, 3),
    }

    normalize: bool = False
    channels: int = 256
    blocks: int = 4
    heads: int = 4
    ff_factor: int = 4
    fourier_scale: float = 3.0
    queries: int = 16
    hidden: int = 1000
    dropout: float = 0.1

    def build(self, problem: Problem) -> nn.Module:
        encoder = nft_encoder(
            problem,
            self,
            per_layer=problem.spec.positions > 1,  # a CNN's layers differ in kind (appendix B)
            dropout=self.dropout,
        )
        return NFTClassifier(
            encoder,
            problem.outputs,
            queries=self.queries,
            hidden=self.hidden,
            dropout=self.dropout,
        )


@dataclass(frozen=True)
class NFTEditor(Method):
    """NFT blocks, and a linear map from each weight's features to its change."""

    name = "nft-editor"
    title = "NFT"
    paper = "arXiv:2305.13546"
    tasks = ("inr-editing",)
    edits = True
    mini = {
        "normalize": True,
        "channels": 32,
        "blocks": 2,
        "ff_factor": 2,
        "fourier_scale": 0.3,
        "learning_rate": 4e-3,
    }
    space = {
        "learning_rate": Log(3e-4, 3e-2),
        "weight_decay": Log(1e-3, 1.0),
        "fourier_scale": Log(0.03, 3.0),
    }

    normalize: bool = False
    channels: int = 128
    blocks: int = 4
    heads: int = 4
    ff_factor: int = 4
    fourier_scale: float = 3.0
    sets: int = 1

    def build(self, problem: Problem) -> nn.Module:
        encoder = nft_encoder(problem, self)
        head = GroupLinear(problem.spec, self.channels, self.sets)
        return equivariant_editor(problem, encoder, head, self.sets)

    def skip(self, problem: Problem) -> str | None:
        return draws_nothing(problem)
