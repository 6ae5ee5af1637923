"""What the layers are timed against: the `nfn` package published with the papers.

It has the layers; the block, the encoder and the decoder are put together from them as in the
papers' published experiments: channels first, a tensor per weight and bias, every pixel drawn by a
copy of its SIREN. All have the parameters and the inputs of ours.
"""

from __future__ import annotations

import torch
from nfn.common import WeightSpaceFeatures, network_spec_from_wsfeat
from nfn.layers import (
    CrossAttnEncoder,
    HNPLinear,
    NPAttention,
    NPLinear,
    Pointwise,
    SimpleLayerNorm,
    TupleOp,
)
from torch import Tensor, nn

from nft import siren
from nft.inr2array import Inr2Array
from nft.layers import CrossAttentionPooling, NFTBlock
from nft.network import NetworkSpec


def to_reference(spec: NetworkSpec, x: Tensor) -> WeightSpaceFeatures:
    """Convert features `[batch, tokens, channels]` into the package's.

    These are a contiguous tensor per weight and bias, channels first.
    """
    views = [
        (w.movedim(-1, 1).contiguous(), b.movedim(-1, 1).contiguous()) for w, b in spec.views(x)
    ]
    return WeightSpaceFeatures.from_zipped(views)


def from_reference(spec: NetworkSpec, features: WeightSpaceFeatures) -> Tensor:
    """Convert the package's features back: the inverse of `to_reference`."""
    return spec.from_views(
        [(weight.movedim(1, -1), bias.movedim(1, -1)) for weight, bias in features]
    )


def reference_spec(spec: NetworkSpec) -> object:
    """The package's description of these networks."""
    return network_spec_from_wsfeat(
        to_reference(spec, torch.zeros(1, spec.tokens, 1)), set_all_dims=True
    )


def linear(spec: NetworkSpec, channels: int, *, hidden_only: bool) -> nn.Module:
    """The package's HNP or NP layer."""
    return (HNPLinear if hidden_only else NPLinear)(reference_spec(spec), channels, channels)


def pooling(spec: NetworkSpec, ours: CrossAttentionPooling) -> nn.Module:
    """The package's cross-attention pooling, with the queries of ours."""
    queries, channels = ours.queries.shape
    theirs = CrossAttnEncoder(reference_spec(spec), channels, queries)
    theirs.embeddings = ours.queries
    return theirs


class Block(nn.Module):
    """The NFT block of the published experiments, with the parameters of one of ours."""

    def __init__(self, ours: NFTBlock) -> None:
        super().__init__()
        spec, channels = ours.attention.spec, ours.attention_norm.gain.shape[1]
        hidden, theirs = ours.feed_forward.expand.weight.shape[1], reference_spec(spec)
        self.norms = nn.ModuleList(
            [SimpleLayerNorm(theirs, channels), SimpleLayerNorm(theirs, channels)]
        )
        self.attention = NPAttention(theirs, channels, ours.attention.heads)
        self.expand, self.contract = (
            Pointwise(theirs, channels, hidden),
            Pointwise(theirs, hidden, channels),
        )
        self.gelu = TupleOp(nn.GELU())
        with torch.no_grad():
            for norm, own in zip(
                self.norms, (ours.attention_norm, ours.feed_forward_norm), strict=True
            ):
                for group, module in enumerate(_interleave(norm.w_norms, norm.v_norms)):
                    # Theirs divides by the unbiased standard deviation.
                    module.gamma.copy_(own.gain[group] * (channels / (channels - 1)) ** 0.5)
                    module.beta.copy_(own.bias[group])
            # Their rows are (head, query/key/value, channel); ours have head second.
            qkv = self.attention.to_qkv.linear
            for parameter, own in (
                (qkv.weight, ours.attention.qkv.weight),
                (qkv.bias, ours.attention.qkv.bias),
            ):
                parameter.copy_(
                    own.unflatten(0, (3, ours.attention.heads, -1)).transpose(0, 1).flatten(0, 2)
                )
            pairs = (
                (self.expand, ours.feed_forward.expand),
                (self.contract, ours.feed_forward.contract),
            )
            for pointwise, linear in pairs:
                for group, module in enumerate(
                    _interleave(pointwise.weight_maps, pointwise.bias_maps)
                ):
                    module.weight.copy_(linear.weight[group].reshape(module.weight.shape))
                    module.bias.copy_(linear.bias[group])

    def forward(self, x: WeightSpaceFeatures) -> WeightSpaceFeatures:
        x = x + self.attention(self.norms[0](x))
        return x + self.contract(self.gelu(self.expand(self.norms[1](x))))


class AutoEncoder(nn.Module):
    """The published Inr2Array, with the parameters of one of ours."""

    def __init__(self, ours: Inr2Array, spec: NetworkSpec) -> None:
        super().__init__()
        encoder = ours.encoder
        self.spec, self.embed, self.decoder = spec, encoder.embed, ours.decoder
        self.blocks = nn.Sequential(*(Block(block) for block in encoder.blocks))
        self.pool = pooling(spec, ours.pool)
        side = round(len(ours.pool.queries) ** 0.5)
        height, width = ours.renderer.image
        self.register_buffer("coordinates", siren.grid(height, width))
        row, column = torch.round((side - 1) * (self.coordinates + 1) / 2).long().unbind(-1)
        self.register_buffer("patch", row * side + column)

    def forward(self, flat: Tensor) -> Tensor:
        sirens = self.decoder(self.pool(self.blocks(to_reference(self.spec, self.embed(flat)))))
        copies = sirens[:, self.patch]  # [batch, pixels, parameters]
        batch, pixels, _ = copies.shape
        points = self.coordinates.expand(batch, -1, -1).reshape(batch * pixels, 1, 2)
        return siren.render(self.spec, copies.flatten(0, 1), points).reshape(batch, pixels, -1)


def one_at_a_time(
    spec: NetworkSpec,
    start: Tensor,
    targets: Tensor,
    coordinates: Tensor,
    steps: int,
    learning_rate: float,
) -> tuple[Tensor, Tensor]:
    """Fit networks as `siren.fit` does, but one after the other, as torch modules."""
    weights, errors = [], []
    for row, target in zip(start, targets, strict=True):
        layers: list[nn.Module] = []
        for index, (weight, bias) in enumerate(spec.to_layers(row)):
            linear = nn.Linear(*weight.T.shape)
            linear.weight.data.copy_(weight)
            linear.bias.data.copy_(bias)
            layers += [linear] + [Sine(spec.omega)] * (index < len(spec.layers) - 1)
        network = nn.Sequential(*layers)
        optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
        for _ in range(steps):
            loss = (network(coordinates) - target).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            errors.append((network(coordinates) - target).square().mean())
        weights.append(spec.flatten([network.state_dict()])[0])
    return torch.stack(weights), torch.stack(errors)


class Sine(nn.Module):
    """sin(omega x)."""

    def __init__(self, omega: float) -> None:
        super().__init__()
        self.omega = omega

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.omega * x)


def _interleave(weights: nn.ModuleList, biases: nn.ModuleList) -> list[nn.Module]:
    """Order modules as `NetworkSpec.group_sizes`: W1, b1, W2, b2, ..."""
    return [module for pair in zip(weights, biases, strict=True) for module in pair]
