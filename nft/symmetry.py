"""The exact symmetries of a network's hidden neurons, and a canonical form that undoes them.

A hidden neuron has incoming weights w, a bias b and outgoing weights u. Beside the order of the
neurons, which `NetworkSpec.permute` changes, its activation f leaves free

- sign, where f is odd (sine, tanh): f(-z) = -f(z), so (w, b, u) and (-w, -b, -u) are the same;
- phase, where f is sin(omega z): b and b + k pi / omega with (-1)^k u are the same;
- scale, where f is homogeneous (ReLU): f(c z) = c f(z) for c > 0, so (w, b, u) and
  (c w, c b, u / c) are the same.

Sign and phase together are, for each neuron of a SIREN, the infinite dihedral group. All functions
take flat weights `[batch, parameters]`. What is given by neuron is one tensor `[batch, neurons]`
for each hidden layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log, pi

import torch
from torch import Tensor
from torch.nn import functional

from nft.network import NetworkSpec

SYMMETRIES = {
    "sine": ("permutation", "sign", "phase"),
    "tanh": ("permutation", "sign"),
    "relu": ("permutation", "scale"),
}
"""By activation; other activations have the permutations alone."""

LARGEST_FACTOR = 4.0
"""Random scales lie between its inverse and it, uniform in their logarithm."""

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "gelu": functional.gelu,
    "sigmoid": torch.sigmoid,
    "identity": lambda values: values,
}


def symmetries(spec: NetworkSpec) -> tuple[str, ...]:
    """Return the symmetries that the spec's activation leaves to its hidden neurons.

    A phase moves biases, so networks without them lack it.
    """
    kinds = SYMMETRIES.get(spec.activation, ("permutation",))
    if all(layer.bias for layer in spec.layers[:-1]):
        return kinds
    return tuple(kind for kind in kinds if kind != "phase")


def flip(spec: NetworkSpec, flat: Tensor, signs: Sequence[Tensor]) -> Tensor:
    """Multiply neurons by signs of 1 and -1, where the activation is odd.

    Raises:
        ValueError: If the activation is not odd, or the signs do not fit.
    """
    _require(spec, "sign")
    return _rescale(spec, flat, signs, signs)


def shift(spec: NetworkSpec, flat: Tensor, turns: Sequence[Tensor]) -> Tensor:
    """Add whole multiples of pi to the phases of a SIREN's neurons.

    Args:
        spec: The SIRENs' spec.
        flat: `[batch, parameters]`.
        turns: Whole numbers, how many times pi, for each hidden layer.

    Raises:
        ValueError: If the network is not a SIREN, its omega is 0, or the turns do not fit.
    """
    _require(spec, "phase")
    if spec.omega == 0:
        raise ValueError("networks with sines need omega, the factor inside the sine: give it")
    signs = [1 - 2 * (part % 2) for part in turns]
    layers = spec.to_layers(_rescale(spec, flat, [torch.ones_like(part) for part in signs], signs))
    return spec.to_flat(
        [
            (weight, bias + part.to(bias) * (pi / spec.omega))
            for (weight, bias), part in zip(layers, turns, strict=False)
        ]
        + layers[-1:]
    )


def scale(spec: NetworkSpec, flat: Tensor, factors: Sequence[Tensor]) -> Tensor:
    """Multiply neurons by positive factors, where the activation is homogeneous.

    Raises:
        ValueError: If the activation is not homogeneous, a factor is not positive, or they do not
            fit.
    """
    _require(spec, "scale")
    if any(bool((part <= 0).any()) for part in factors):
        raise ValueError("a neuron's scale is a positive factor")
    return _rescale(spec, flat, factors, [1 / part for part in factors])


def scatter(
    spec: NetworkSpec,
    flat: Tensor,
    kinds: Sequence[str],
    generator: torch.Generator | None = None,
) -> Tensor:
    """Change each neuron at random by the symmetries that are named; the functions stay the same.

    Args:
        spec: The networks' spec.
        flat: `[batch, parameters]`.
        kinds: Of "permutation", "sign", "phase" (by -1, 0 or 1 times pi) and "scale" (between 1/4
            and 4).
        generator: Source of random numbers; torch's global one by default.

    Raises:
        ValueError: If the activation lacks one of the symmetries.
    """
    for kind in kinds:
        _require(spec, kind)

    def draw() -> list[Tensor]:
        count = len(flat)
        parts = [torch.rand(count, size, generator=generator) for size in spec.neurons[1:-1]]
        return [part.to(flat) for part in parts]

    if "permutation" in kinds:
        flat = spec.permute(flat, spec.random_permutations(len(flat), generator))
    if "sign" in kinds:
        flat = flip(spec, flat, [1.0 - 2.0 * (part < 0.5) for part in draw()])
    if "phase" in kinds:
        flat = shift(spec, flat, [(3 * part).floor() - 1 for part in draw()])
    if "scale" in kinds:
        reach = 2 * log(LARGEST_FACTOR)
        flat = scale(spec, flat, [((part - 0.5) * reach).exp() for part in draw()])
    return flat


def canonical(spec: NetworkSpec, flat: Tensor) -> Tensor:
    """Bring each neuron to a form that its sign, phase or scale does not change.

    For sines the phase omega b comes to lie in [0, pi/2], by a multiple of pi and a sign. For tanh
    the bias is not negative. For ReLU the incoming weights and the bias have norm one. The order of
    the neurons stays, so the map commutes with permutations. It is exact, and differentiable
    almost everywhere. Where a sine's phase is a multiple of pi/2, where a tanh's bias is zero and
    where a ReLU neuron has no incoming weights, it jumps or is not defined: neurons that differ
    little on both sides of such a place have canonical forms that differ by a sign. A neuron there
    is left as it is.

    Returns:
        Weights of the same shape; unchanged for other activations.
    """
    if spec.activation == "sine" and "phase" in symmetries(spec):
        phases = [spec.omega * bias for _, bias in spec.to_layers(flat)[:-1]]
        flat = shift(spec, flat, [-(phase.detach() / pi).round() for phase in phases])
    if spec.activation in ("sine", "tanh"):
        biases = [bias.detach() for _, bias in spec.to_layers(flat)[:-1]]
        return flip(spec, flat, [1.0 - 2.0 * (bias < 0).to(flat) for bias in biases])
    if spec.activation == "relu":
        return _normalise(spec, flat)
    return flat


def residual(spec: NetworkSpec, first: Tensor, second: Tensor) -> float:
    """Measure how far two batches of weights are from the same functions.

    Both are evaluated in float64 on the same random inputs, convolutions on small feature maps
    without stride, where the symmetries are those of the network itself.

    Args:
        spec: The networks' spec.
        first: `[batch, parameters]`.
        second: Weights of the same shape.

    Returns:
        The largest difference of an output, in standard deviations of the first's outputs.
    """
    random = torch.Generator().manual_seed(0)
    inputs = torch.rand(16, spec.neurons[0], 4, 4, generator=random, dtype=torch.float64)
    outputs = [
        torch.stack([_evaluate(spec, row, 2 * inputs - 1) for row in flat.double()])
        for flat in (first, second)
    ]
    spread = outputs[0].std(dim=(0, 1), correction=0).mean().clamp_min(1e-300)
    return float((outputs[0] - outputs[1]).abs().max() / spread)


def _evaluate(spec: NetworkSpec, flat: Tensor, values: Tensor) -> Tensor:
    """Evaluate one network: feature maps `[points, inputs, 4, 4]` to outputs `[points, outputs]`.

    A dense layer reads the mean of each map, or as many times that mean as it has positions.
    """
    layers = spec.to_layers(flat)
    for index, (weight, bias) in enumerate(layers):
        if len(spec.layers[index].kernel) == 2:
            values = functional.conv2d(values, weight, bias, padding="same")
        else:
            means = values.flatten(2).mean(dim=2)
            whole = weight.reshape(*weight.shape[:2], -1).sum(dim=2)
            values = functional.linear(means, whole, bias)[..., None, None]
        if index < len(layers) - 1:
            values = _activate(spec, values)
    return values.flatten(2).mean(dim=2)


def _activate(spec: NetworkSpec, values: Tensor) -> Tensor:
    if spec.activation == "sine":
        return torch.sin(spec.omega * values)
    return ACTIVATIONS[spec.activation](values)


def _normalise(spec: NetworkSpec, flat: Tensor) -> Tensor:
    """Give each neuron incoming weights and a bias of norm one, from the first layer on."""
    for index in range(len(spec.layers) - 1):
        weight, bias = spec.to_layers(flat)[index]
        rows = torch.cat([weight.flatten(2), bias.unsqueeze(-1)], dim=2)
        norms = rows.square().sum(dim=2).sqrt()
        factors = [flat.new_ones(len(flat), size) for size in spec.neurons[1:-1]]
        factors[index] = 1 / torch.where(norms > 0, norms, 1.0)
        flat = scale(spec, flat, factors)
    return flat


def _rescale(
    spec: NetworkSpec, flat: Tensor, incoming: Sequence[Tensor], outgoing: Sequence[Tensor]
) -> Tensor:
    """Multiply what goes into each neuron, and what comes out of it."""
    hidden = list(spec.neurons[1:-1])
    if [part.shape[-1] for part in incoming] != hidden:
        sizes = [part.shape[-1] for part in incoming]
        raise ValueError(f"numbers for {sizes} neurons do not fit hidden layers of {hidden}")
    layers = []
    ends = [None, *outgoing], [*incoming, None]
    for (weight, bias), before, after in zip(spec.to_layers(flat), *ends, strict=True):
        middle = weight.flatten(3) if weight.ndim > 3 else weight.unsqueeze(-1)
        if before is not None:
            middle = middle * before.to(flat)[..., None, :, None]
        if after is not None:
            middle, bias = middle * after.to(flat)[..., None, None], bias * after.to(flat)
        layers.append((middle.reshape(weight.shape), bias))
    return spec.to_flat(layers)


def _require(spec: NetworkSpec, kind: str) -> None:
    if kind not in symmetries(spec):
        known = ", ".join(symmetries(spec))
        raise ValueError(
            f"networks of activation {spec.activation!r} have no {kind} symmetry, only {known}"
        )
