"""Modules whose neurons are checked: permuted in a copy, and the outputs compared.

Everything is computed in float64, so that what moves the outputs is no rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Tensor, nn

from nft import symmetry
from nft.network import NetworkSpec
from nft.state_dicts import Layout

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
LAYERS = (nn.Linear, *CONVOLUTIONS)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
LARGEST_CHANGE = 1e-4
"""Of the largest output. Float64 leaves 1e-12; a module that computes in float32 inside, 1e-6."""


def spec_of(
    module: nn.Module, example: Tensor, activation: str, omega: float, scale: float
) -> NetworkSpec:
    """Read and check a module (see `NetworkSpec.from_module`).

    Raises:
        ValueError: If the module cannot be read, or its function changes.
    """
    _check_kinds(module)
    epsilons = {name: part.eps for name, part in module.named_modules() if isinstance(part, NORMS)}
    state_dict = module.state_dict()
    first = next((part for part in module.modules() if isinstance(part, LAYERS)), None)
    inputs = first.in_channels if _is_grouped(first) else None
    layout = Layout.of(state_dict, epsilons=epsilons, inputs=inputs)
    spec = NetworkSpec.from_layout(layout, activation, omega, scale)
    flat = spec.flatten([state_dict], torch.float64)[0]
    outputs = _outputs(module, spec, example)
    before = _evaluate(deepcopy(module).double().eval(), example)
    if not bool(torch.isfinite(before).all()) or not bool(before.any()):
        raise ValueError("the outputs for this example are zero or not finite: give another one")
    _check_same(
        before,
        outputs(flat),
        "folding its batch norms into the layers before them",
        "one comes after an activation or elsewhere, and cannot be folded",
    )
    random = torch.Generator().manual_seed(0)
    for place in range(len(spec.layers) - 1):
        _check_layer(spec, flat, place, before, outputs, random)
    for kind in symmetry.symmetries(spec)[1:]:
        _check_same(
            before,
            outputs(symmetry.scatter(spec, flat[None], [kind], random)[0]),
            f"the {kind} symmetry of {_activation(spec)}",
            "name the activation that the module has, or gelu, whose neurons are only permuted",
        )
    return spec


def _check_kinds(module: nn.Module) -> None:
    """Raise ValueError for a part with parameters that no spec describes."""
    for name, part in module.named_modules():
        if isinstance(part, (*LAYERS, *NORMS)):
            continue
        if next(part.parameters(recurse=False), None) is not None:
            kind = type(part).__name__
            raise ValueError(
                f"{name or 'the module itself'} is {kind} with parameters of its own: only linear "
                "layers, convolutions (not transposed ones) and batch norms can be read"
            )


def _is_grouped(part: nn.Module | None) -> bool:
    return isinstance(part, CONVOLUTIONS) and part.groups > 1


def _outputs(module: nn.Module, spec: NetworkSpec, example: Tensor) -> Callable[[Tensor], Tensor]:
    """Return the map from flat weights to the outputs of a copy of the module that has them."""
    copy, layout = deepcopy(module).double().eval(), spec.layout
    parts = [copy.get_submodule(layout.head + entry.name) for entry in layout.entries]
    for entry in layout.entries:
        if entry.norm is not None:
            parent, _, child = (layout.head + entry.norm).rpartition(".")
            setattr(copy.get_submodule(parent), child, nn.Identity())
    for part in parts:
        if _is_grouped(part):
            part.groups = 1

    def outputs(flat: Tensor) -> Tensor:
        for part, entry, (weight, bias) in zip(
            parts, layout.entries, spec.to_layers(flat), strict=True
        ):
            whole = entry.shape if entry.groups == 1 else weight.shape
            part.weight = nn.Parameter(weight.reshape(whole))
            part.bias = nn.Parameter(bias) if entry.bias else None
        return _evaluate(copy, example)

    return outputs


def _evaluate(module: nn.Module, example: Tensor) -> Tensor:
    inputs = example.double() if example.is_floating_point() else example
    with torch.no_grad():
        outputs = module(inputs)
    if not isinstance(outputs, Tensor):
        raise ValueError(f"the module returns {type(outputs).__name__}, not a tensor of outputs")
    return outputs


def _check_layer(
    spec: NetworkSpec,
    flat: Tensor,
    place: int,
    before: Tensor,
    outputs: Callable[[Tensor], Tensor],
    random: torch.Generator,
) -> None:
    """Permute the neurons between a layer and the next."""
    size = spec.neurons[place + 1]
    if size == 1:
        return
    names = [spec.layout.head + entry.name for entry in spec.layout.entries[place : place + 2]]
    permutation = torch.randperm(size, generator=random)
    if torch.equal(permutation, torch.arange(size)):
        permutation = permutation.roll(1)
    whole = [torch.arange(neurons) for neurons in spec.neurons[1:-1]]
    whole[place] = permutation
    permuted = spec.permute(flat, whole)
    _check_same(
        before,
        outputs(permuted),
        f"permuting the neurons between {names[0]!r} and {names[1]!r}",
        "something else reads them or comes between (layers that are skipped, concatenated, used "
        "twice or registered in another order than that of computing, channels flattened last)",
    )
    # Were the next layer as it was, the outputs should move: else the check shows nothing.
    layers = spec.to_layers(permuted)
    layers[place + 1] = spec.to_layers(flat)[place + 1]
    if _change(before, outputs(spec.to_flat(layers))) <= LARGEST_CHANGE:
        raise ValueError(
            f"the outputs for this example do not depend on the neurons of {names[0]!r}, so "
            "nothing shows that they can be permuted: give another example"
        )


def _check_same(before: Tensor, after: Tensor, what: str, remedy: str) -> None:
    if (change := _change(before, after)) > LARGEST_CHANGE:
        raise ValueError(f"{what} moves the outputs by {change:.2g} of the largest: {remedy}")


def _change(before: Tensor, after: Tensor) -> float:
    return float((after - before).abs().max() / before.abs().max())


def _activation(spec: NetworkSpec) -> str:
    return f"sin({spec.omega:g} z)" if spec.activation == "sine" else spec.activation
