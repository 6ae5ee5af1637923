"""Inr2Array: an INR's weights to an array of latent vectors that no permutation of neurons changes (arXiv:2305.13546, section 4).

An equivariant encoder and cross-attention pooling make the array; a hypernetwork turns each of its vectors into a SIREN,
and every SIREN paints the pixels nearest to its place in the image. Trained to redraw what the INR draws, without labels.
"""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn

from nft import siren
from nft.layers import CrossAttentionPooling
from nft.network import NetworkSpec


class HyperNetwork(nn.Module):
    """Latent vectors `[..., inputs]` to SIRENs `[..., parameters]`, by one MLP for each weight and bias tensor.

    The last layers start small, with biases of the size of a SIREN's own weights (Sitzmann et al. 2020, arXiv:2006.09661,
    supplement 9), so that training starts from networks that behave like SIRENs.
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
    """Latent vectors `[..., inputs]` to SIRENs `[..., parameters]`: one learned SIREN, changed by one MLP.

    The MLP's output is scaled, tensor by tensor, by a learned factor that starts as the spread of the SIREN's own entries.
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
        spread = [
            part.std(correction=0) if part.numel() > 1 else part.abs().mean() for part in tensors
        ]
        self.scale = nn.Parameter(torch.stack(spread))
        sizes = torch.tensor([part.numel() for part in tensors])
        self.register_buffer(
            "tensor_of", torch.arange(len(tensors)).repeat_interleave(sizes), persistent=False
        )

    def forward(self, latents: Tensor) -> Tensor:
        return torch.addcmul(self.siren, self.mlp(latents), self.scale[self.tensor_of])


class PatchRenderer(nn.Module):
    """SIRENs in a square, `[batch, side * side, parameters]`, to one image `[batch, height * width, outputs]`.

    Each pixel is painted by the SIREN whose place is nearest, at the pixel's coordinates in the whole image. The places span
    the image from edge to edge, so the outermost SIRENs have smaller patches. Every SIREN is evaluated at its own pixels
    alone, at as many as the largest patch has.
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
                f"an array of {side}x{side} has more places than an image of {height}x{width} can use"
            )
        starts = counts.cumsum(0) - counts
        slots = torch.arange(int(counts.max()))
        # A patch with fewer pixels than the largest evaluates its last one again, to no effect.
        pixels = order[starts.unsqueeze(1) + torch.minimum(slots, counts.unsqueeze(1) - 1)]
        place = torch.empty_like(patch)
        place[order] = torch.arange(len(order)) - starts[patch[order]]
        self.register_buffer(
            "coordinates", coordinates[pixels], persistent=False
        )  # [side * side, slots, 2]
        self.register_buffer(
            "source", patch * len(slots) + place, persistent=False
        )  # [height * width]

    def forward(self, sirens: Tensor) -> Tensor:
        batch, places, _ = sirens.shape
        coordinates = self.coordinates.expand(batch, -1, -1, -1).flatten(0, 1)
        values = siren.render(self.spec, sirens.flatten(0, 1), coordinates)
        return values.reshape(batch, places * self.coordinates.shape[1], -1).index_select(
            1, self.source
        )


class Inr2Array(nn.Module):
    """Flat INR weights `[batch, parameters]` to an image `[batch, height * width, outputs]`, by way of an array.

    encoder: flat weights to features `[batch, tokens, channels]`, equivariant to hidden neurons, with an attribute
    `channels`. spec: of the INRs that are read and of the SIRENs that are decoded. side: of the array, 4 in the paper.
    decoder: `HyperNetwork` or `AdditiveHyperNetwork`, with MLPs of `hidden` units. Raises ValueError where the array has more places
    than the image has pixels.
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
        decoder: type[HyperNetwork] | type[AdditiveHyperNetwork] = HyperNetwork,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.pool = CrossAttentionPooling(encoder.channels, side * side)
        self.decoder = decoder(spec, encoder.channels, hidden)
        self.renderer = PatchRenderer(spec, side, height, width)

    def encode(self, flat: Tensor) -> Tensor:
        """The latent array, `[batch, side * side, channels]`, row by row; invariant to permutations of hidden neurons."""
        return self.pool(self.encoder(flat))

    def decode(self, array: Tensor) -> Tensor:
        """The image that an array stands for, `[batch, height * width, outputs]`."""
        return self.renderer(self.decoder(array))

    def forward(self, flat: Tensor) -> Tensor:
        return self.decode(self.encode(flat))


class ArrayClassifier(nn.Module):
    """Arrays `[batch, places, channels]` to logits `[batch, outputs]`: a Transformer encoder, pre-norm, GELU (appendix C).

    A learned embedding tells the places apart; the logits are read from the first token.
    """

    def __init__(
        self,
        places: int,
        channels: int,
        outputs: int,
        *,
        width: int,
        blocks: int,
        heads: int,
        feed_forward: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.project = nn.Linear(channels, width)
        self.place = nn.Parameter(
            0.02 * torch.randn(places, width)
        )  # as in ViT: not to drown the array itself
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
