"""The Neural Functional Transformer: an encoder of weight-space attention blocks, and heads on top of it."""

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
    group_index,
)
from nft.network import NetworkSpec


class NFTEncoder(nn.Module):
    """Flat weights `[batch, parameters]` to features `[batch, tokens, channels]`, equivariant to hidden neurons.

    Standardised weights, their Gaussian Fourier features (`channels / 2` frequencies of standard deviation
    `fourier_scale`), position embeddings, then `blocks` NFT blocks. `mean` and `std` come from
    `NetworkSpec.statistics`; further options are those of `NFTBlock`.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        mean: Tensor,
        std: Tensor,
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
            Standardize(spec, mean, std),
            FourierFeatures(spec.positions, channels // 2, fourier_scale),
            PositionEmbedding(spec, channels),
        )
        self.blocks = nn.Sequential(
            *(NFTBlock(spec, channels, heads, **block_options) for _ in range(blocks))
        )

    def forward(self, flat: Tensor) -> Tensor:
        return self.blocks(self.embed(flat))


class NFTClassifier(nn.Module):
    """Flat weights `[batch, parameters]` to logits `[batch, outputs]`, invariant to hidden neurons.

    The encoder, cross-attention pooling to `queries` vectors, and an MLP with one hidden layer.
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
    """Flat weights `[batch, parameters]` to edited ones, equivariant to hidden neurons.

    The encoder, a map of each token's features to a change of its weights, and for each weight and bias tensor a learned
    factor that starts at 0.01, so that training starts near the identity (NFN, arXiv:2302.14040, section 4.3).
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
