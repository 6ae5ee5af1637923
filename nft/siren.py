"""Batches of SIRENs (Sitzmann et al. 2020, arXiv:2006.09661): initialise, render and fit them.

A SIREN is an MLP whose hidden layers compute sin(omega * (W x + b)); its last layer is linear. The
functions take flat weights `[batch, parameters]` and a `NetworkSpec` with `activation="sine"`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi, sqrt
from typing import Literal

import torch
from torch import Tensor

from nft.network import NetworkSpec

Schedule = Literal["cosine", "constant"]
Scheme = Literal["siren", "dws"]


def initialise(
    spec: NetworkSpec,
    count: int,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float32,
    scheme: Scheme = "siren",
) -> Tensor:
    """Draw the weights of fresh SIRENs, `[count, parameters]`.

    With the scheme "siren", the first layer's weights are uniform in +-1/inputs, those of later
    layers in +-sqrt(6/inputs)/omega (SIREN paper, section 3.2). Biases are uniform in
    +-1/sqrt(inputs), PyTorch's default. With "dws" the weights of all layers but the last are
    uniform in +-sqrt(6/inputs)/omega and their biases are zero, and the last layer is PyTorch's
    default, +-1/sqrt(inputs) for both (the public code of DWSNets, arXiv:2301.12780, its class
    `INR`). All are drawn in float64 and then rounded, so that every dtype starts alike.

    Raises:
        ValueError: If the spec is not that of a SIREN.
    """
    _check(spec)
    layers = []
    last = len(spec.layers) - 1
    for index, layer in enumerate(spec.layers):
        bound = sqrt(6 / layer.inputs) / spec.omega
        if scheme == "siren" and index == 0:
            bound = 1 / layer.inputs
        elif scheme == "dws" and index == last:
            bound = 1 / sqrt(layer.inputs)
        weight = torch.rand(
            count, layer.outputs, layer.inputs, generator=generator, dtype=torch.float64
        )
        bias = torch.rand(count, layer.outputs, generator=generator, dtype=torch.float64)
        bias = (2 * bias - 1) / sqrt(layer.inputs)
        if scheme == "dws" and index < last:
            bias = torch.zeros_like(bias)
        layers.append(((2 * weight - 1) * bound, bias))
    return spec.to_flat(layers).to(dtype)


def grid(
    height: int, width: int, dtype: torch.dtype = torch.float32, device: torch.device | None = None
) -> Tensor:
    """Return coordinates (row, column) that span [-1, 1]^2, `[height * width, 2]`.

    They are in the order of an image's pixels.
    """
    rows = torch.linspace(-1, 1, height, dtype=dtype, device=device)
    columns = torch.linspace(-1, 1, width, dtype=dtype, device=device)
    return torch.cartesian_prod(rows, columns)


def render(spec: NetworkSpec, flat: Tensor, coordinates: Tensor) -> Tensor:
    """Render every SIREN at the given coordinates, in their precision, as its scale has it.

    Args:
        spec: The SIRENs' spec.
        flat: `[batch, parameters]`.
        coordinates: `[points, inputs]`, or `[batch, points, inputs]` with separate points for each
            SIREN.

    Returns:
        `[batch, points, outputs]`.

    Raises:
        ValueError: If the weights do not fit the spec, or the spec is not that of a SIREN.
    """
    _check(spec)
    # Never autocast: bfloat16 would lose the fraction of a phase, which omega multiplies.
    with torch.autocast(flat.device.type, enabled=False):
        flat = flat.to(coordinates.dtype)
        # The kernels run along the last axis, so it is the points': `[batch, neurons, points]`.
        values = coordinates.transpose(-1, -2).expand(flat.shape[0], -1, -1)
        layers = spec.to_layers(flat)
        for index, (weight, bias) in enumerate(layers):
            values = torch.baddbmm(bias.unsqueeze(-1), weight, values)
            if index < len(layers) - 1:
                values = torch.sin(spec.omega * values)
        if spec.scale != 1:
            values = spec.scale * values
        return values.transpose(-1, -2)


def fit(
    spec: NetworkSpec,
    start: Tensor,
    targets: Tensor,
    coordinates: Tensor,
    steps: int,
    learning_rate: float,
    schedule: Schedule = "cosine",
    progress: Callable[[], None] = lambda: None,
    *,
    compiled: bool = False,
    weight_decay: float = 0.0,
    stop_error: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Fit every SIREN to its own targets.

    Adam (betas 0.9 and 0.999) minimises the mean squared error. Each SIREN has its own error, so
    the result does not depend on the rest of the batch.

    Args:
        spec: The SIRENs' spec.
        start: Initial weights, `[batch, parameters]`.
        targets: `[batch, points, outputs]`.
        coordinates: As in `render`.
        steps: Number of steps.
        learning_rate: Initial learning rate.
        schedule: "cosine" for half a cosine to zero, or "constant".
        progress: Function that is called after every step.
        compiled: Whether to use `torch.compile`, which takes half a minute once and makes each step
            about three times as fast.
        weight_decay: Factor of the weights that is added to their gradient.
        stop_error: Mean squared error at which a SIREN is left as it is.

    Returns:
        The fitted weights, and their mean squared errors `[batch]`.
    """
    weights = start.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([weights], lr=learning_rate, weight_decay=weight_decay)
    mean_errors = torch.compile(_errors, dynamic=False) if compiled else _errors
    for step in range(steps):
        if schedule == "cosine":
            optimizer.param_groups[0]["lr"] = learning_rate * (1 + cos(pi * step / steps)) / 2
        errors = mean_errors(spec, weights, targets, coordinates)
        # The sum's gradient for each network's weights is that of its own error.
        (weights.grad,) = torch.autograd.grad(errors.sum(), weights)
        good = errors.detach() <= stop_error if stop_error else None
        kept = weights[good].detach() if stop_error else None
        optimizer.step()
        if stop_error:
            weights.data[good] = kept
        progress()
    fitted = weights.detach()
    with torch.no_grad():
        return fitted, _errors(spec, fitted, targets, coordinates)


def psnr(mean_squared_error: Tensor, value_range: float = 2.0) -> Tensor:
    """Compute the peak signal-to-noise ratio in dB.

    Args:
        mean_squared_error: Errors of any shape.
        value_range: Span of the values; 2 for images scaled to [-1, 1].

    Returns:
        Ratios of the same shape.
    """
    return 10 * torch.log10(value_range**2 / mean_squared_error)


def _errors(spec: NetworkSpec, weights: Tensor, targets: Tensor, coordinates: Tensor) -> Tensor:
    """Compute each network's mean squared error."""
    return (render(spec, weights, coordinates) - targets).square().mean(dim=(1, 2))


def _check(spec: NetworkSpec) -> None:
    if spec.activation != "sine" or spec.omega <= 0:
        raise ValueError("a SIREN's spec has activation 'sine' and a positive omega")
