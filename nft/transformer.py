"""The Neural Functional Transformer (arXiv:2305.13546): an encoder, a classifier and an editor."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nft.layers import (
    CrossAttentionPooling,
    FourierFeatures,
    GroupLinear,
    NFTBlock,
    PositionEmbedding,
    Standardize,
    Tokens,
    group_index,
)
from nft.network import NetworkSpec


class NFTEncoder(nn.Module):
    """An encoder of flat weights by NFT blocks, equivariant to permutations of hidden neurons.

    Maps `[batch, parameters]` to features `[batch, tokens, channels]`. It computes Gaussian Fourier
    features of the weights, adds position embeddings and applies the blocks.

    Args:
        spec: The networks that are read.
        mean: `[2 * layers]`, from `NetworkSpec.statistics` of the training networks, by which the
            weights are standardised first; None for weights as they are.
        std: `[2 * layers]`, likewise.
        channels: Channels of a token, two for each Fourier frequency.
        blocks: Number of `NFTBlock`s.
        heads: Attention heads.
        fourier_scale: Standard deviation of the Fourier frequencies; with 0 a learned linear map of
            each tensor takes the place of Fourier features.
        **block_options: Further arguments of `NFTBlock`.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        mean: Tensor | None = None,
        std: Tensor | None = None,
        *,
        channels: int,
        blocks: int,
        heads: int,
        fourier_scale: float,
        **block_options: float | bool,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.embed = nn.Sequential(
            Tokens(spec) if mean is None else Standardize(spec, mean, std),
            FourierFeatures(spec.positions, channels // 2, fourier_scale)
            if fourier_scale
            else GroupLinear(spec, spec.positions, channels),
            PositionEmbedding(spec, channels),
        )
        self.blocks = nn.Sequential(
            *(NFTBlock(spec, channels, heads, **block_options) for _ in range(blocks))
        )

    def forward(self, flat: Tensor) -> Tensor:
        return self.blocks(self.embed(flat))


class NFTClassifier(nn.Module):
    """A classifier of flat weights, invariant to permutations of hidden neurons.

    Maps `[batch, parameters]` to logits `[batch, outputs]`. It consists of the encoder,
    cross-attention pooling, and an MLP with one hidden layer.

    Args:
        encoder: The encoder.
        outputs: Number of logits.
        queries: Vectors after pooling.
        hidden: Units of the MLP's hidden layer.
        dropout: Dropout before the last layer.
    """

    def __init__(
        self, encoder: NFTEncoder, outputs: int, *, queries: int, hidden: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.pool = CrossAttentionPooling(encoder.channels, queries)
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.LayerNorm(queries * encoder.channels),
            nn.Linear(queries * encoder.channels, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, outputs),
        )

    def forward(self, flat: Tensor) -> Tensor:
        return self.head(self.pool(self.encoder(flat)))


class NFTEditor(nn.Module):
    """An editor of flat weights, equivariant to permutations of hidden neurons.

    Maps `[batch, parameters]` to edited weights of the same shape. A linear map turns each token's
    features into a change of its weights. A learned factor scales the change of each weight and
    bias tensor. It starts at 0.01, so that training starts near the identity (NFN,
    arXiv:2302.14040, section 4.3).

    Args:
        spec: The networks that are edited.
        encoder: The encoder.
    """

    def __init__(self, spec: NetworkSpec, encoder: NFTEncoder) -> None:
        super().__init__()
        self.spec, self.encoder = spec, encoder
        self.change = GroupLinear(spec, encoder.channels, spec.positions)
        self.scale = nn.Parameter(torch.full((len(spec.group_sizes),), 0.01))
        self.register_buffer("group_index", group_index(spec), persistent=False)

    def forward(self, flat: Tensor) -> Tensor:
        change = self.change(self.encoder(flat)) * self.scale[self.group_index].unsqueeze(-1)
        return flat + self.spec.from_tokens(change)
