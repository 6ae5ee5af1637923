"""Inr2Array: permutation-invariant arrays from INR weights (arXiv:2305.13546, section 4).

An equivariant encoder and cross-attention pooling map an INR's weights to an array of latent
vectors. A hypernetwork decodes each vector into a SIREN, which renders the pixels nearest to its
place in the image. The autoencoder is trained without labels to reconstruct the INR's image.
"""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from nft import siren
from nft.layers import CrossAttentionPooling
from nft.network import NetworkSpec


class PerceiverPooling(nn.Module):
    """A pooling of tokens by a cross-attention with projections, norms and a feed-forward network.

    Maps `[batch, tokens, channels]` to `[batch, queries, channels]`, whatever the order of the
    tokens. It is the first block of a Perceiver (Jaegle et al. 2021, arXiv:2103.03206), with which
    the published code of Inr2Array pools.

    Args:
        channels: Channels of a token and of a query.
        queries: Learned queries.
    """

    def __init__(self, channels: int, queries: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(queries, channels))
        self.query_norm, self.token_norm = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.to_query = nn.Linear(channels, channels, bias=False)
        self.to_key_value = nn.Linear(channels, 2 * channels, bias=False)
        self.out = nn.Linear(channels, channels)
        self.norm = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, 8 * channels)  # 4 times the channels, and as many gates
        self.contract = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        query = self.to_query(self.query_norm(self.queries)).expand(len(x), -1, -1)
        key, value = self.to_key_value(self.token_norm(x)).chunk(2, dim=-1)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        pooled = self.queries + self.out(mixed)
        values, gates = self.expand(self.norm(pooled)).chunk(2, dim=-1)
        return pooled + self.contract(values * functional.gelu(gates))


class HyperNetwork(nn.Module):
    """A decoder from latent vectors to SIRENs, with one MLP for each weight and bias tensor.

    Maps `[..., inputs]` to `[..., parameters]`. The last layers start small, with biases of the
    size of a SIREN's own weights (Sitzmann et al. 2020, arXiv:2006.09661, supplement 9), so that
    training starts from networks that behave like SIRENs.

    Args:
        spec: The SIRENs that are decoded.
        inputs: Channels of a latent vector.
        hidden: Units in each of an MLP's two hidden layers.
    """

    def __init__(self, spec: NetworkSpec, inputs: int, hidden: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList()
        for layer in spec.layers:
            for size, bound in (
                (layer.outputs * layer.inputs, 1 / layer.inputs),
                (layer.outputs, 1 / hidden),
            ):
                last = nn.Linear(hidden, size)
                nn.init.normal_(last.weight, std=sqrt(2 / hidden) / 100)
                nn.init.uniform_(last.bias, -bound, bound)
                self.heads.append(
                    nn.Sequential(
                        nn.Linear(inputs, hidden),
                        nn.ReLU(),
                        nn.Linear(hidden, hidden),
                        nn.ReLU(),
                        last,
                    )
                )

    def forward(self, latents: Tensor) -> Tensor:
        return torch.cat([head(latents) for head in self.heads], dim=-1)


class AdditiveHyperNetwork(nn.Module):
    """A decoder from latent vectors to SIRENs that adds an MLP's output to one learned SIREN.

    Maps `[..., inputs]` to `[..., parameters]`. A learned factor scales each tensor of the MLP's
    output. It starts as the spread of the learned SIREN's entries in that tensor.

    Args:
        spec: The SIRENs that are decoded.
        inputs: Channels of a latent vector.
        hidden: Units in each of the MLP's two hidden layers.
    """

    def __init__(self, spec: NetworkSpec, inputs: int, hidden: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(inputs, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, spec.parameters),
        )
        start = siren.initialise(spec, 1)[0]
        self.siren = nn.Parameter(start)
        tensors = [part for layer in spec.to_layers(start) for part in layer]
        spread = [part.std() if part.numel() > 1 else part.abs().mean() for part in tensors]
        self.scale = nn.Parameter(torch.stack(spread))
        sizes = torch.tensor([part.numel() for part in tensors])
        self.register_buffer(
            "tensor_of", torch.arange(len(tensors)).repeat_interleave(sizes), persistent=False
        )

    def forward(self, latents: Tensor) -> Tensor:
        return torch.addcmul(self.siren, self.mlp(latents), self.scale[self.tensor_of])


class PatchRenderer(nn.Module):
    """A renderer of one image from a square of SIRENs, one for each patch.

    Maps `[batch, side * side, parameters]` to `[batch, height * width, outputs]`. The nearest SIREN
    renders each pixel, at the pixel's coordinates in the whole image. The places of the SIRENs span
    the image from edge to edge, so the outermost SIRENs have smaller patches. Every SIREN is
    evaluated at its own pixels only, at as many points as the largest patch has pixels.

    Args:
        spec: The SIRENs that are rendered.
        side: SIRENs along each side of the square.
        height: Height of the image in pixels.
        width: Width of the image in pixels.

    Raises:
        ValueError: If a SIREN has no pixel to render.
    """

    def __init__(self, spec: NetworkSpec, side: int, height: int, width: int) -> None:
        super().__init__()
        self.spec, self.image = spec, (height, width)
        coordinates = siren.grid(height, width)
        row, column = torch.round((side - 1) * (coordinates + 1) / 2).long().unbind(-1)
        patch = row * side + column
        order = patch.argsort(stable=True)
        counts = torch.bincount(patch, minlength=side * side)
        if int(counts.min()) == 0:
            raise ValueError(
                f"an array of {side}x{side} has more places than "
                f"an image of {height}x{width} can use"
            )
        starts = counts.cumsum(0) - counts
        slots = torch.arange(int(counts.max()))
        # Smaller patches repeat their last pixel, whose extra values are never selected.
        pixels = order[starts.unsqueeze(1) + torch.minimum(slots, counts.unsqueeze(1) - 1)]
        place = torch.empty_like(patch)
        place[order] = torch.arange(len(order)) - starts[patch[order]]
        # Coordinates are [side * side, slots, 2], and sources [height * width].
        self.register_buffer("coordinates", coordinates[pixels], persistent=False)
        self.register_buffer("source", patch * len(slots) + place, persistent=False)

    def forward(self, sirens: Tensor) -> Tensor:
        batch, places, _ = sirens.shape
        coordinates = self.coordinates.expand(batch, -1, -1, -1).flatten(0, 1)
        values = siren.render(self.spec, sirens.flatten(0, 1), coordinates)
        return values.reshape(batch, places * self.coordinates.shape[1], -1).index_select(
            1, self.source
        )


class Inr2Array(nn.Module):
    """An autoencoder that maps an INR's weights to an array and reconstructs the image from it.

    Maps flat weights `[batch, parameters]` to images `[batch, height * width, outputs]`.

    Args:
        encoder: A map from flat weights to features `[batch, tokens, channels]`, equivariant to
            permutations of hidden neurons, with an attribute `channels`.
        spec: The INRs that are encoded, and the SIRENs that are decoded.
        side: Side of the array; 4 in the paper.
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        hidden: Units in each hidden layer of the decoder's MLPs.
        pooling: `CrossAttentionPooling` or `PerceiverPooling`.
        decoder: `HyperNetwork` or `AdditiveHyperNetwork`.

    Raises:
        ValueError: If the array has more places than the image can use.
    """

    def __init__(
        self,
        encoder: nn.Module,
        spec: NetworkSpec,
        *,
        side: int,
        height: int,
        width: int,
        hidden: int,
        pooling: type[CrossAttentionPooling] | type[PerceiverPooling] = CrossAttentionPooling,
        decoder: type[HyperNetwork] | type[AdditiveHyperNetwork] = HyperNetwork,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.pool = pooling(encoder.channels, side * side)
        self.decoder = decoder(spec, encoder.channels, hidden)
        self.renderer = PatchRenderer(spec, side, height, width)

    def encode(self, flat: Tensor) -> Tensor:
        """Encode flat weights as arrays `[batch, side * side, channels]`, in row-major order.

        The arrays are invariant to permutations of hidden neurons.
        """
        return self.pool(self.encoder(flat))

    def decode(self, array: Tensor) -> Tensor:
        """Reconstruct the images `[batch, height * width, outputs]` from their arrays."""
        return self.renderer(self.decoder(array))

    def forward(self, flat: Tensor) -> Tensor:
        return self.decode(self.encode(flat))


class ArrayClassifier(nn.Module):
    """A classifier of arrays: a pre-norm Transformer encoder with GELU (appendix C).

    Maps `[batch, places, channels]` to logits `[batch, outputs]`. A learned embedding distinguishes
    the places. The logits are computed from the first token.

    Args:
        places: Vectors of an array.
        channels: Channels of a vector.
        outputs: Number of logits.
        width: Channels of the Transformer.
        place_scale: Standard deviation of the places' embedding at the start.
        blocks: Number of the Transformer's blocks.
        heads: Attention heads.
        feed_forward: Hidden units of the feed-forward networks.
        dropout: Dropout of the blocks.
    """

    def __init__(
        self,
        places: int,
        channels: int,
        outputs: int,
        *,
        width: int,
        place_scale: float,
        blocks: int,
        heads: int,
        feed_forward: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.project = nn.Linear(channels, width)
        self.place = nn.Parameter(place_scale * torch.randn(places, width))
        block = nn.TransformerEncoderLayer(
            width,
            heads,
            feed_forward,
            dropout,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.blocks = nn.TransformerEncoder(block, blocks, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, outputs))

    def forward(self, array: Tensor) -> Tensor:
        return self.head(self.blocks(self.project(array) + self.place)[:, 0])
