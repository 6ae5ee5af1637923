"""The layers of the Neural Functional Transformer (Zhou et al., NeurIPS 2023, arXiv:2305.13546).

Feature maps are `[batch, tokens, channels]`, with one token per weight and per bias in the order of
the flat vector (`nft.network`). The layers are equivariant to permutations of hidden neurons; the
pooling is invariant. "Section" and "equation" refer to this paper unless NFN (arXiv:2302.14040) is
named.
"""

from __future__ import annotations

from math import pi, sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from nft.network import NetworkSpec


def group_index(spec: NetworkSpec) -> Tensor:
    """Return the index of each token's tensor in W1, b1, W2, b2, ..., as `[tokens]`."""
    return torch.arange(len(spec.group_sizes)).repeat_interleave(torch.tensor(spec.group_sizes))


class Tokens(nn.Module):
    """The tokens of flat weights, as they are.

    Maps `[batch, parameters]` to `[batch, tokens, positions]`.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, flat: Tensor) -> Tensor:
        return self.spec.to_tokens(flat)


class Standardize(nn.Module):
    """A standardisation of flat weights to mean 0 and variance 1 per weight and bias tensor.

    Maps `[batch, parameters]` to tokens `[batch, tokens, positions]`.

    Args:
        spec: The networks that are read.
        mean: `[2 * layers]`, from `NetworkSpec.statistics` of the training networks.
        std: `[2 * layers]`, likewise.
    """

    def __init__(self, spec: NetworkSpec, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.spec = spec
        index = group_index(spec)
        self.register_buffer("mean", mean[index].unsqueeze(-1))
        self.register_buffer("scale", 1 / std.clamp_min(1e-6)[index].unsqueeze(-1))

    def forward(self, flat: Tensor) -> Tensor:
        return (self.spec.to_tokens(flat) - self.mean) * self.scale


class FourierFeatures(nn.Module):
    """Gaussian Fourier features of each token (section 3.4).

    Maps `x` `[..., inputs]` to sin(2 pi B x) and cos(2 pi B x), `[..., 2 * frequencies]`. The
    matrix B is fixed, with normally distributed entries.

    Args:
        inputs: Channels of a token.
        frequencies: Rows of B.
        scale: Standard deviation of B's entries.
    """

    def __init__(self, inputs: int, frequencies: int, scale: float) -> None:
        super().__init__()
        self.register_buffer("frequencies", 2 * pi * scale * torch.randn(inputs, frequencies))

    def forward(self, x: Tensor) -> Tensor:
        # Never autocast: the phases span many turns, of which bfloat16 would lose the fraction.
        with torch.autocast(x.device.type, enabled=False):
            phase = x @ self.frequencies
            return torch.cat((phase.sin(), phase.cos()), dim=-1)


class PositionEmbedding(nn.Module):
    """A learned embedding of each token's tensor and of its input or output neuron (section 3.3).

    The embedding is added to features `[batch, tokens, channels]`. Each weight and bias tensor has
    an embedding of its own. Further embeddings distinguish the input and output neurons, whose
    permutation changes what the network computes. Hidden neurons are not distinguished.
    """

    def __init__(self, spec: NetworkSpec, channels: int) -> None:
        super().__init__()
        inputs, outputs = spec.neurons[0], spec.neurons[-1]
        self.layer = nn.Parameter(torch.randn(2 * len(spec.layers), channels))
        # `forward` prepends a zero row, for tokens that touch neither inputs nor outputs.
        self.neuron = nn.Parameter(torch.randn(inputs + outputs, channels))
        first, last = spec.layers[0], spec.layers[-1]
        sizes = spec.group_sizes
        input_of = torch.arange(first.inputs).repeat(first.outputs) + 1
        output_of = torch.arange(outputs) + inputs + 1
        none = torch.zeros(sum(sizes[1:-2]), dtype=torch.long)
        neuron_index = torch.cat(
            (input_of, none, output_of.repeat_interleave(last.inputs), output_of)
        )
        self.register_buffer("group_index", group_index(spec), persistent=False)
        self.register_buffer("neuron_index", neuron_index, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        neuron = functional.pad(self.neuron, (0, 0, 1, 0))
        return x + (self.layer[self.group_index] + neuron[self.neuron_index])


class GroupLinear(nn.Module):
    """A linear map of channels with separate parameters for each weight and bias tensor.

    Maps `[batch, tokens, inputs]` to `[batch, tokens, outputs]`. The map is pointwise and therefore
    equivariant (NFN, section 3.1).
    """

    def __init__(self, spec: NetworkSpec, inputs: int, outputs: int) -> None:
        super().__init__()
        groups = len(spec.group_sizes)
        self.sizes = spec.group_sizes
        bound = 1 / sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(groups, outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(groups, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(
            [self.one(i, part) for i, part in enumerate(x.split(self.sizes, dim=-2))], dim=-2
        )

    def one(self, group: int, x: Tensor) -> Tensor:
        """Map the tokens of one weight or bias tensor, given by its index."""
        return functional.linear(x, self.weight[group], self.bias[group])


class GroupFeedForward(nn.Module):
    """A feed-forward network of two `GroupLinear` maps with GELU between them.

    Maps `[batch, tokens, channels]` to the same shape.
    """

    def __init__(self, spec: NetworkSpec, channels: int, hidden: int) -> None:
        super().__init__()
        self.expand = GroupLinear(spec, channels, hidden)
        self.contract = GroupLinear(spec, hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        # Group by group, so that the wide hidden features are never concatenated.
        groups = x.split(self.expand.sizes, dim=-2)
        parts = [
            self.contract.one(i, functional.gelu(self.expand.one(i, part)))
            for i, part in enumerate(groups)
        ]
        return torch.cat(parts, dim=-2)


def attention(query: Tensor, key: Tensor, value: Tensor, dropout: float = 0.0) -> Tensor:
    """Compute scaled dot-product attention.

    A CPU computes it as two batched products, with the softmax over the axis before the last. For
    the dozen tokens of a neuron layer, this takes less time than the fused kernels that a GPU uses.

    Args:
        query: `[..., queries, channels]`.
        key: `[..., keys, channels]`.
        value: `[..., keys, channels]`.
        dropout: Probability of dropping an attention weight.

    Returns:
        `[..., queries, channels]`.
    """
    if query.device.type != "cpu":
        return functional.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
    scores = key @ (query * query.shape[-1] ** -0.5).transpose(-2, -1)
    weights = functional.dropout(scores.softmax(dim=-2), dropout)
    return weights.transpose(-2, -1) @ value


class GroupNorm(nn.Module):
    """A layer norm over each token's channels, with gain and bias per weight and bias tensor.

    Maps `[batch, tokens, channels]` to the same shape.
    """

    def __init__(self, spec: NetworkSpec, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(len(spec.group_sizes), channels))
        self.bias = nn.Parameter(torch.zeros(len(spec.group_sizes), channels))
        self.register_buffer("group_index", group_index(spec), persistent=False)
        # Given a weight, torch's layer norm uses a faster kernel on a CPU.
        self.register_buffer("ones", torch.ones(channels), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        normal = functional.layer_norm(x, x.shape[-1:], self.ones)
        return torch.addcmul(self.bias[self.group_index], normal, self.gain[self.group_index])


class WeightSpaceAttention(nn.Module):
    """Weight-space self-attention (section 3.1).

    Maps `[batch, tokens, channels]` to the same shape. The output is the sum of two terms:

    - The cross term (equations 4 and 5): the weights that meet at a layer of neurons attend to each
      other as whole vectors over those neurons. The sequence of neuron layer i consists of the
      columns of W(i), the bias b(i) and the rows of W(i+1). The feature of each concatenates its
      entries over the layer's neurons, so permuting the neurons changes no inner product. Every
      weight is in two sequences, its row's and its column's.
    - The averaged term (equation 6, made tractable as in section 3.1): the weight and bias tensors
      attend to each other through the means of their queries, keys and values. The result is
      broadcast over each tensor.

    Args:
        spec: The networks that are read.
        channels: Channels of a token.
        heads: Attention heads.
        per_layer: Whether each weight and bias tensor has its own projections, including an output
            projection, as networks with layers of different kinds need (CNNs). Otherwise all tokens
            share one projection.
        cross: Whether to include the cross term.
        average: Whether to include the averaged term.
        dropout: Probability of dropping an attention weight of the cross term.

    Raises:
        ValueError: If the heads do not divide the channels, or if both terms are excluded.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        channels: int,
        heads: int,
        *,
        per_layer: bool = False,
        cross: bool = True,
        average: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"{channels} channels do not divide into {heads} heads")
        if not (cross or average):
            raise ValueError(
                "an attention layer without its cross and its averaged term does nothing"
            )
        self.spec, self.heads, self.dropout = spec, heads, dropout
        self.cross, self.average = cross, average
        self.qkv = (
            GroupLinear(spec, channels, 3 * channels)
            if per_layer
            else nn.Linear(channels, 3 * channels)
        )
        self.out = GroupLinear(spec, channels, channels) if per_layer else nn.Identity()
        # One-hot index of each token's weight or bias tensor, [tokens, groups], and the tensors'
        # sizes.
        member = functional.one_hot(group_index(spec)).to(torch.get_default_dtype())
        self.register_buffer("member", member, persistent=False)
        self.register_buffer("sizes", member.sum(dim=0).unsqueeze(-1), persistent=False)

    def extra_repr(self) -> str:
        return (
            f"heads={self.heads}, cross={self.cross}, average={self.average}, "
            f"dropout={self.dropout}"
        )

    def forward(self, x: Tensor) -> Tensor:
        terms = []
        if self.cross:
            terms.append(self._cross(x))
        if self.average:
            terms.append(self._average(x))
        return self.out(sum(terms[1:], terms[0]))

    def _cross(self, x: Tensor) -> Tensor:
        # Per layer, weights are [3, batch, heads, outputs, inputs, channels / heads], and biases
        # the same without inputs.
        layers = [
            (weight.permute(3, 0, 4, 1, 2, 5), bias.permute(2, 0, 3, 1, 4))
            for weight, bias in self.spec.views(self.qkv(x).unflatten(-1, (3, self.heads, -1)))
        ]
        weights: list[list[Tensor]] = [[] for _ in layers]
        biases: list[Tensor] = []
        for index in range(len(layers) + 1):
            # What meets at this neuron layer, each [3, batch, heads, members, neurons, ...].
            sequence = []
            if index > 0:
                weight, bias = layers[index - 1]
                sequence += [weight.transpose(3, 4), bias.unsqueeze(3)]
            if index < len(layers):
                sequence.append(layers[index][0])
            tokens = torch.cat(sequence, dim=3)
            # Each is [batch, heads, members, neurons * channels / heads].
            query, key, value = tokens.flatten(-2)
            dropout = self.dropout if self.training else 0.0
            mixed = attention(query, key, value, dropout)
            mixed = mixed.unflatten(-1, tokens.shape[-2:]).permute(0, 2, 3, 1, 4)
            # Each part is [batch, members, neurons, ...].
            parts = list(mixed.split([part.shape[3] for part in sequence], dim=1))
            if index > 0:
                weights[index - 1].append(parts.pop(0).transpose(1, 2))
                biases.append(parts.pop(0).squeeze(1))
            if index < len(layers):
                weights[index].append(parts.pop(0))
        sums = [
            (rows + columns, bias) for (rows, columns), bias in zip(weights, biases, strict=True)
        ]
        return self.spec.from_views(sums).flatten(-2)

    def _average(self, x: Tensor) -> Tensor:
        # Projections are affine, so the mean of the projections is the projection of the mean.
        means = self.member.T @ x / self.sizes
        if isinstance(self.qkv, GroupLinear):
            projected = torch.einsum("bgc,goc->bgo", means, self.qkv.weight) + self.qkv.bias
        else:
            projected = self.qkv(means)
        query, key, value = projected.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = attention(query, key, value).transpose(1, 2).flatten(-2)
        return self.member @ mixed


class CrossAttentionPooling(nn.Module):
    """A permutation-invariant pooling of tokens by cross-attention (section 3.2).

    Maps `[batch, tokens, channels]` to `[batch, queries, channels]`. Learned queries attend to all
    tokens, which are both keys and values.
    """

    def __init__(self, channels: int, queries: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(queries, channels))

    def forward(self, x: Tensor) -> Tensor:
        queries = self.queries.expand(x.shape[0], -1, -1)
        return functional.scaled_dot_product_attention(queries, x, x)


class NFTBlock(nn.Module):
    """A pre-norm residual block: weight-space attention, then a feed-forward network (section 3.3).

    Maps `[batch, tokens, channels]` to the same shape. The feed-forward network acts on each token,
    with GELU and with separate parameters for each weight and bias tensor.

    Args:
        spec: The networks that are read.
        channels: Channels of a token.
        heads: Attention heads.
        ff_factor: Hidden channels of the feed-forward network, as a multiple of `channels`.
        dropout: Dropout of the attention, and of both residual branches.
        per_layer: As in `WeightSpaceAttention`.
        cross: As in `WeightSpaceAttention`.
        average: As in `WeightSpaceAttention`.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        channels: int,
        heads: int,
        ff_factor: int = 4,
        *,
        dropout: float = 0.0,
        per_layer: bool = False,
        cross: bool = True,
        average: bool = True,
    ) -> None:
        super().__init__()
        self.attention_norm = GroupNorm(spec, channels)
        self.attention = WeightSpaceAttention(
            spec,
            channels,
            heads,
            per_layer=per_layer,
            cross=cross,
            average=average,
            dropout=dropout,
        )
        self.feed_forward_norm = GroupNorm(spec, channels)
        self.feed_forward = GroupFeedForward(spec, channels, ff_factor * channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.attention_norm(x)))
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
