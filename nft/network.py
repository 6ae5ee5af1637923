"""Network specs: a network's flat vector, its layers, its tokens and its neuron permutations.

A network is one vector of numbers in the order of PyTorch's `state_dict` (W1, b1, W2, b2, ...).
`NetworkSpec` converts between three views of the same numbers:

- flat: `[..., parameters]`, what is stored and what every method receives;
- layers: a list of `(weight, bias)`, with weights `[..., outputs, inputs, *kernel]` and biases
  `[..., outputs]`;
- tokens: `[..., tokens, positions]`, one token per weight and per bias. The positions of a
  convolution's kernel are channels of their weight's token, since a permutation of neurons moves
  them together (NFN, arXiv:2302.14040, section 2.2).

Feature maps inside the models are `[batch, tokens, channels]`, with tokens in the order of the flat
vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nft.state_dicts import Layout

VARIOUS = "various"
ACTIVATIONS = ("sine", "relu", "tanh", "gelu", "sigmoid", "identity", VARIOUS)


@dataclass(frozen=True)
class LayerSpec:
    """One linear or convolutional layer: weight `[outputs, inputs, *kernel]` and bias `[outputs]`.

    A dense layer after a flattened feature map is
    `LayerSpec(outputs, channels, (height * width,))`, since a channel's positions move together. A
    layer without a bias has zeros in its place, so that all methods read it like any other.

    Raises:
        ValueError: If a size is not a positive integer.
    """

    outputs: int
    inputs: int
    kernel: tuple[int, ...] = ()
    bias: bool = True

    def __post_init__(self) -> None:
        sizes = (self.outputs, self.inputs, *self.kernel)
        if not all(isinstance(size, int) and size > 0 for size in sizes):
            raise ValueError(f"a layer's sizes are positive integers, not {sizes}")

    @property
    def positions(self) -> int:
        """Weights between one input and one output neuron: 1, or the kernel's size."""
        return prod(self.kernel)

    @property
    def parameters(self) -> int:
        return self.outputs * (self.inputs * self.positions + 1)


@dataclass(frozen=True)
class NetworkSpec:
    """The layers of a feed-forward network, and the activation between them.

    Attributes:
        layers: The layers' shapes, at least two.
        activation: One of `ACTIVATIONS`; "various" where it differs between networks.
        omega: The factor inside a SIREN's sines; 0 for other activations.
        scale: The factor between a SIREN's outputs and the image that they stand for, whose values
            are in [-1, 1]. It is 2 for outputs that are an image in [0, 1] less 0.5.
        layout: Where the layers are in a state_dict, for a spec that was read from one. It is no
            part of what the spec says, and not stored.

    Raises:
        ValueError: If there are fewer than two layers, a layer does not fit the one before it, or
            the activation is unknown.
    """

    layers: tuple[LayerSpec, ...]
    activation: str = "relu"
    omega: float = 0.0
    scale: float = 1.0
    layout: Layout | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.layers) < 2:
            raise ValueError(
                "a network needs at least two layers, since only hidden neurons can be permuted"
            )
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"unknown activation {self.activation!r}; known: {', '.join(ACTIVATIONS)}"
            )
        for index, (before, after) in enumerate(
            zip(self.layers, self.layers[1:], strict=False), start=1
        ):
            if before.outputs != after.inputs:
                raise ValueError(
                    f"layer {index} has {before.outputs} outputs, "
                    f"but layer {index + 1} has {after.inputs} inputs"
                )

    @classmethod
    def mlp(
        cls, *sizes: int, activation: str = "relu", omega: float = 0.0, scale: float = 1.0
    ) -> NetworkSpec:
        """Make the spec of a fully connected network from the sizes of its neuron layers.

        For example, `NetworkSpec.mlp(2, 32, 32, 1, activation="sine", omega=30.0)`.
        """
        layers = tuple(LayerSpec(outputs, inputs) for inputs, outputs in pairwise(sizes))
        return cls(layers, activation, omega, scale)

    @classmethod
    def from_state_dict(
        cls,
        state_dict: Mapping[str, Tensor],
        activation: str = "relu",
        omega: float = 0.0,
        scale: float = 1.0,
        *,
        prefix: str = "",
        order: Sequence[str] | None = None,
        fold_batch_norm: float | None = None,
    ) -> NetworkSpec:
        """Read the layers' shapes from a `state_dict`.

        Layers are pairs of entries `NAME.weight` and `NAME.bias`, or the first alone. A dense layer
        after a flattened feature map is recognised by the number of its inputs, a multiple of the
        channels before it; a grouped convolution by a divisor of them. It becomes one between all
        channels, with zeros. That neurons can be permuted is assumed: a state_dict does not say
        what happens between its layers, and `from_module` checks it.

        Args:
            state_dict: Names and tensors of one network.
            activation, omega, scale: As in `NetworkSpec`.
            prefix: What the names of the network's entries begin with; others are left out.
            order: Names of all modules with entries, in the order of computing. By default it is
                that of the state_dict; if that is sorted by name, it is that of the names' numbers
                and of the shapes.
            fold_batch_norm: The epsilon of batch norms (PyTorch's default is 1e-5), which are
                folded into the layers before them as in evaluation mode. This is exact for one
                that comes before the activation. None refuses batch norms.

        Raises:
            ValueError: If an entry belongs to no layer, or the order of the layers is not known.
        """
        layout = Layout.of(state_dict, prefix=prefix, order=order, epsilons=fold_batch_norm)
        return cls.from_layout(layout, activation, omega, scale)

    @classmethod
    def from_module(
        cls,
        module: nn.Module,
        example: Tensor,
        activation: str = "relu",
        omega: float = 0.0,
        scale: float = 1.0,
    ) -> NetworkSpec:
        """Read the layers' shapes from a module, and check that its neurons can be permuted.

        The neurons of each hidden layer are permuted in a copy, and changed by the activation's
        other symmetries, and its outputs are compared. Batch norms are folded as in
        `from_state_dict`. The module stays as it is.

        Args:
            module: The network.
            example: A batch of its inputs, on which its outputs depend on every layer.
            activation, omega, scale: As in `NetworkSpec`.

        Raises:
            ValueError: If the module has parameters of other kinds, or its function changes:
                layers that are skipped, concatenated, used twice or registered in another order,
                a feature map that is flattened channels last, a wrong activation.
        """
        from nft import modules  # which needs this one

        return modules.spec_of(module, example, activation, omega, scale)

    @classmethod
    def from_layout(
        cls, layout: Layout, activation: str = "relu", omega: float = 0.0, scale: float = 1.0
    ) -> NetworkSpec:
        """Make the spec of networks whose state_dicts have a layout."""
        return cls(_layers_of(layout), activation, omega, scale, layout)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> NetworkSpec:
        """Read a spec from the data that `to_json` returns.

        Raises:
            ValueError: If a value is not one of a network spec.
            KeyError: If an entry is missing.
        """
        layers = tuple(
            LayerSpec(
                layer["outputs"],
                layer["inputs"],
                tuple(layer.get("kernel", ())),
                layer.get("bias", True),
            )
            for layer in data["layers"]
        )
        omega, scale = float(data.get("omega", 0.0)), float(data.get("scale", 1.0))
        return cls(layers, data["activation"], omega, scale)

    def to_json(self) -> dict[str, Any]:
        """Convert the spec to JSON data."""
        layers = [
            {"outputs": la.outputs, "inputs": la.inputs, "kernel": list(la.kernel)}
            | ({} if la.bias else {"bias": False})
            for la in self.layers
        ]
        data = {"layers": layers, "activation": self.activation, "omega": self.omega}
        # Without what is as ever, for the fingerprints of datasets that have it so.
        return data | ({"scale": self.scale} if self.scale != 1 else {})

    def flatten(
        self, state_dicts: Sequence[Mapping[str, Tensor]], dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Flatten the `state_dict`s of networks of this spec to `[networks, parameters]`.

        Args:
            state_dicts: Of networks with the names that the spec was read from, in any order. What
                all names begin with may differ ("module." of a wrapped network). A spec that was
                read from none takes the names of the first network.
            dtype: Of the result; the networks may have any floating-point type.

        Raises:
            ValueError: If there is no network, or one does not fit the spec: another name, shape or
                type, or numbers that are not finite. It is named by its place.
        """
        if not len(state_dicts):
            raise ValueError("there are no networks to flatten")
        rows, layout = [], self.layout
        for number, state_dict in enumerate(state_dicts):
            try:
                layout = layout or self._layout_of(state_dict)
                rows.append(torch.cat([part.flatten() for part in layout.read(state_dict, dtype)]))
            except ValueError as error:
                raise ValueError(f"network {number} does not fit the spec: {error}") from None
        return torch.stack(rows)

    def _layout_of(self, state_dict: Mapping[str, Tensor]) -> Layout:
        layout = Layout.of(state_dict)
        if _layers_of(layout) != self.layers:
            shapes = ", ".join(f"{name} {tuple(part.shape)}" for name, part in state_dict.items())
            raise ValueError(shapes)
        return layout

    def to_state_dict(self, flat: Tensor) -> dict[str, Tensor]:
        """Convert flat weights `[..., parameters]` to a `state_dict`, the inverse of `flatten`.

        Its tensors have the leading axes of `flat`; it is that of one network without them. Names
        and shapes are those that the spec was read from, else "0.weight", "0.bias", and so on.
        Batch norms stay folded, so it belongs to a network without them.

        Raises:
            ValueError: If the last axis does not fit the spec, or a number has no place: a bias of
                a layer without one, a weight between groups of a convolution.
        """
        layers = self.to_layers(flat)
        if self.layout is not None:
            return self.layout.write(layers)
        state_dict = {}
        for index, (layer, (weight, bias)) in enumerate(zip(self.layers, layers, strict=True)):
            state_dict[f"{index}.weight"] = weight
            if layer.bias:
                state_dict[f"{index}.bias"] = bias
            elif bool((bias != 0).any()):
                raise ValueError(f"layer {index + 1} has no bias, but the weights give it one")
        return state_dict

    @property
    def neurons(self) -> tuple[int, ...]:
        """Sizes of the layers of neurons (or channels), from the input to the output."""
        return (self.layers[0].inputs, *(layer.outputs for layer in self.layers))

    @cached_property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @cached_property
    def tokens(self) -> int:
        return sum(self.group_sizes)

    @cached_property
    def positions(self) -> int:
        """Channels of the token view: the size of the largest kernel, or 1 for an MLP."""
        return max(layer.positions for layer in self.layers)

    @cached_property
    def group_sizes(self) -> tuple[int, ...]:
        """Tokens of each weight and bias tensor, in the order W1, b1, W2, b2, and so on."""
        return tuple(
            size for layer in self.layers for size in (layer.outputs * layer.inputs, layer.outputs)
        )

    def check(self, flat: Tensor) -> None:
        """Check that the last axis of `flat` is one network's parameters.

        Raises:
            ValueError: If its size differs from `parameters`.
        """
        if flat.shape[-1] != self.parameters:
            raise ValueError(
                f"this network has {self.parameters} parameters, "
                f"but the vector holds {flat.shape[-1]}"
            )

    def to_layers(self, flat: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Convert flat weights `[..., parameters]` to layers.

        Returns:
            Pairs of a weight `[..., outputs, inputs, *kernel]` and a bias `[..., outputs]`.

        Raises:
            ValueError: If the last axis does not fit the spec.
        """
        self.check(flat)
        layers, start = [], 0
        for layer in self.layers:
            middle, stop = start + layer.parameters - layer.outputs, start + layer.parameters
            shape = (layer.outputs, layer.inputs, *layer.kernel)
            layers.append((flat[..., start:middle].unflatten(-1, shape), flat[..., middle:stop]))
            start = stop
        return layers

    def to_flat(self, layers: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Convert layers to flat weights, the inverse of `to_layers`."""
        parts = []
        for layer, (weight, bias) in zip(self.layers, layers, strict=True):
            parts += [weight.flatten(-2 - len(layer.kernel)), bias]
        return torch.cat(parts, dim=-1)

    def to_tokens(self, flat: Tensor) -> Tensor:
        """Convert flat weights `[..., parameters]` to tokens `[..., tokens, positions]`.

        Positions that a token lacks are zero.

        Raises:
            ValueError: If the last axis does not fit the spec.
        """
        if self.positions == 1:
            self.check(flat)
            return flat.unsqueeze(-1)
        parts = []
        for layer, (weight, bias) in zip(self.layers, self.to_layers(flat), strict=True):
            weight = weight.reshape(*flat.shape[:-1], layer.outputs * layer.inputs, layer.positions)
            parts.append(functional.pad(weight, (0, self.positions - layer.positions)))
            parts.append(functional.pad(bias.unsqueeze(-1), (0, self.positions - 1)))
        return torch.cat(parts, dim=-2)

    def from_tokens(self, tokens: Tensor) -> Tensor:
        """Convert tokens to flat weights, the inverse of `to_tokens`."""
        if self.positions == 1:
            return tokens.squeeze(-1)
        parts = []
        for index, group in enumerate(tokens.split(self.group_sizes, dim=-2)):
            positions = 1 if index % 2 else self.layers[index // 2].positions
            parts.append(group[..., :positions].flatten(-2))
        return torch.cat(parts, dim=-1)

    def views(self, features: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Split features `[batch, tokens, *rest]` by layer.

        Returns:
            Pairs of weight features `[batch, outputs, inputs, *rest]` and bias features
            `[batch, outputs, *rest]`.
        """
        groups = features.split(self.group_sizes, dim=1)
        return [
            (groups[2 * index].unflatten(1, (layer.outputs, layer.inputs)), groups[2 * index + 1])
            for index, layer in enumerate(self.layers)
        ]

    def from_views(self, layers: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Join features by layer to `[batch, tokens, *rest]`, the inverse of `views`."""
        return torch.cat(
            [part for weight, bias in layers for part in (weight.flatten(1, 2), bias)], dim=1
        )

    def random_permutations(
        self, count: int | None = None, generator: torch.Generator | None = None
    ) -> list[Tensor]:
        """Draw one uniform permutation for each layer of hidden neurons.

        Args:
            count: Number of networks, or None for a single one.
            generator: Source of random numbers; torch's global one by default.

        Returns:
            For each hidden layer `[neurons]`, or `[count, neurons]` with `count`.
        """
        shape = () if count is None else (count,)
        hidden = self.neurons[1:-1]
        return [torch.rand(*shape, size, generator=generator).argsort(dim=-1) for size in hidden]

    def permute(self, flat: Tensor, permutations: Sequence[Tensor]) -> Tensor:
        """Permute hidden neurons, which leaves the network's function unchanged.

        Neuron `permutation[j]` of a layer becomes neuron j.

        Args:
            flat: `[..., parameters]`.
            permutations: For each hidden layer `[neurons]`, or `[batch, neurons]` to permute every
                network of `[batch, parameters]` differently.

        Returns:
            Flat weights of the same shape as `flat`.

        Raises:
            ValueError: If the permutations do not fit the hidden layers.
        """
        return self.from_tokens(self.permute_tokens(self.to_tokens(flat), permutations))

    def permute_tokens(self, tokens: Tensor, permutations: Sequence[Tensor]) -> Tensor:
        """Permute hidden neurons in tokens or features `[..., tokens, channels]`, as in `permute`.

        Raises:
            ValueError: If the permutations do not fit the hidden layers.
        """
        index = self._token_order(permutations).to(tokens.device)
        if index.ndim == 1:
            return tokens.index_select(-2, index)
        return tokens.gather(-2, index.unsqueeze(-1).expand(*index.shape, tokens.shape[-1]))

    def _token_order(self, permutations: Sequence[Tensor]) -> Tensor:
        """Return the source index of each token, `[tokens]` or `[batch, tokens]`."""
        hidden = self.neurons[1:-1]
        if [permutation.shape[-1] for permutation in permutations] != list(hidden):
            sizes = [permutation.shape[-1] for permutation in permutations]
            raise ValueError(
                f"permutations of {sizes} neurons do not fit hidden layers of {list(hidden)}"
            )
        batch = torch.broadcast_shapes(*(permutation.shape[:-1] for permutation in permutations))
        ends = [torch.arange(self.neurons[0]), *permutations, torch.arange(self.neurons[-1])]
        parts, start = [], 0
        for layer, columns, rows in zip(self.layers, ends, ends[1:], strict=False):
            weights = (rows.unsqueeze(-1) * layer.inputs + columns.unsqueeze(-2)).flatten(-2)
            parts += [start + weights, start + layer.outputs * layer.inputs + rows]
            start += layer.outputs * (layer.inputs + 1)
        return torch.cat([part.expand(*batch, part.shape[-1]) for part in parts], dim=-1)

    def statistics(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the mean and standard deviation of each weight and bias tensor over all networks.

        Each tensor, rather than each parameter, has one pair. Standardisation by them therefore
        commutes with permutations of hidden neurons.

        Args:
            flat: `[networks, parameters]`.

        Returns:
            Means and standard deviations, `[2 * layers]` each, in the order of `group_sizes`.
        """
        parts = [part for layer in self.to_layers(flat) for part in layer]
        mean = torch.stack([part.mean() for part in parts])
        std = torch.stack([part.std(correction=0) for part in parts])
        return mean, std


def _layers_of(layout: Layout) -> tuple[LayerSpec, ...]:
    return tuple(
        LayerSpec(entry.shape[0], entry.inputs, entry.kernel, entry.bias)
        for entry in layout.entries
    )
