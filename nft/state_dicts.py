"""State dicts as people have them: which entries make which layer, and their numbers as float32.

A layer is the entries `NAME.weight` and `NAME.bias`, or the first alone, wherever they stand.
Layers are in the order of the state_dict, which is that of computing in most modules. Files often
lose it: safetensors sorts names. Then layers of one naming are in the order of their numbers, and
of all other orders only one may fit the shapes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import islice
from math import prod

import torch
from torch import Tensor

SEARCH = 100_000
"""Beginnings of orders of layers that are tried: seconds' worth."""

NORM = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
"""What a batch norm has, each optional but the running mean and variance."""


@dataclass(frozen=True)
class Entry:
    """One layer as a state_dict holds it.

    Attributes:
        name: Name of its module, without what all names have in common.
        shape: Shape of its weight.
        inputs: Neurons or channels that it reads. It is a multiple of `shape[1]` for a grouped
            convolution, and a divisor for a dense layer after a flattened feature map.
        bias: Whether it has a bias, its own or that of a batch norm.
        norm: Name of the batch norm that is folded into it, or None.
        epsilon: What that adds to the variance.
    """

    name: str
    shape: tuple[int, ...]
    inputs: int
    bias: bool
    norm: str | None = None
    epsilon: float = 0.0

    @property
    def groups(self) -> int:
        """Groups of a convolution; 1 for all other layers."""
        return max(1, self.inputs // self.shape[1])

    @property
    def kernel(self) -> tuple[int, ...]:
        """Positions between two neurons, as in `LayerSpec`."""
        if len(self.shape) > 2 or self.shape[1] == self.inputs:
            return self.shape[2:]
        return (self.shape[1] // self.inputs,)

    @property
    def axes(self) -> int:
        """Axes of the weight `[outputs, inputs, *kernel]`."""
        return 2 + len(self.kernel)


@dataclass(frozen=True)
class Layout:
    """Where a network's layers are in its state_dict, in the order of computing.

    Attributes:
        prefix: What the names of all read entries begin with; others are left out.
        head: What the names of all modules have in common, with the prefix.
        entries: The layers.
    """

    prefix: str
    head: str
    entries: tuple[Entry, ...]

    @classmethod
    def of(
        cls,
        state_dict: Mapping[str, Tensor],
        *,
        prefix: str = "",
        order: Sequence[str] | None = None,
        epsilons: Mapping[str, float] | float | None = None,
        inputs: int | None = None,
    ) -> Layout:
        """Find the layers of a state_dict.

        Args:
            state_dict: Names and tensors.
            prefix: As in `Layout`.
            order: Names of all its modules in the order of computing.
            epsilons: Of batch norms, by name or for all; None where there must be no batch norm.
            inputs: Of the first layer, where it is a grouped convolution.

        Raises:
            ValueError: If an entry belongs to no layer, or the order is not known.
        """
        modules = _modules(state_dict, prefix)
        if not modules:
            raise ValueError(f"no entry's name begins with {prefix!r}" if prefix else "no entries")
        head = _head(modules)
        for name, tensors in modules.items():
            _check_names(name, tensors.keys(), folds=epsilons is not None)
        for name, tensors in modules.items():
            _check_shapes(name, tensors)
        keys = [name for name in state_dict if name.startswith(prefix)]
        steps = _order(modules, prefix, order, is_sorted=keys == sorted(keys))
        entries: list[Entry] = []
        for name in steps:
            tensors, bare = modules[name], name.removeprefix(head)
            if "running_mean" in tensors:
                epsilon = epsilons[name] if isinstance(epsilons, Mapping) else epsilons
                entries[-1:] = [_normed(entries[-1:], bare, tensors, float(epsilon or 0.0))]
            else:
                shape = tuple(tensors["weight"].shape)
                before = entries[-1].shape[0] if entries else inputs
                entries.append(Entry(bare, shape, _inputs(shape, before), "bias" in tensors))
        return cls(prefix, head, tuple(entries))

    def read(self, state_dict: Mapping[str, Tensor], dtype: torch.dtype) -> Iterator[Tensor]:
        """Read the numbers of a network: of each layer a weight and a bias.

        Args:
            state_dict: Of a network with this layout; its names may have another head.
            dtype: Of the result.

        Yields:
            For each layer the weight `[outputs, inputs, *kernel]`, and the bias `[outputs]`, which
            is zero where there is none.

        Raises:
            ValueError: If a name, a shape or a type differs, or a number is not finite.
        """
        modules = _modules(state_dict, self.prefix)
        head = _head(modules)
        bare = {name.removeprefix(head): tensors for name, tensors in modules.items()}
        norms = [entry.norm for entry in self.entries if entry.norm is not None]
        wanted = [*(entry.name for entry in self.entries), *norms]
        if missing := [name for name in wanted if name not in bare]:
            raise ValueError(f"it has no {missing[0]!r}, but {', '.join(modules)}")
        if strangers := [name for name in bare if name not in wanted]:
            raise ValueError(f"it has {head + strangers[0]!r} too, which the spec does not know")
        for entry in self.entries:
            name = head + entry.name
            weight, bias = _layer(name, entry, bare[entry.name])
            if entry.norm is not None:
                norm = bare[entry.norm]
                _check_norm(head + entry.norm, len(weight), norm)
                weight, bias = _fold(weight, bias, norm, entry.epsilon)
            weight = _dense(entry, weight).reshape(entry.shape[0], entry.inputs, *entry.kernel)
            for part, tensor in (("weight", weight), ("bias", bias)):
                tensor = tensor.to(dtype)
                if not tensor.is_meta and not bool(torch.isfinite(tensor).all()):
                    raise ValueError(f"{name}.{part} holds NaN or infinite numbers")
                yield tensor

    def write(self, layers: Sequence[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
        """Make the state_dict of layers, the inverse of `read`; batch norms stay folded.

        Raises:
            ValueError: If there is a number that the state_dict has no place for.
        """
        state_dict = {}
        for entry, (weight, bias) in zip(self.entries, layers, strict=True):
            name, batch = self.head + entry.name, weight.shape[: weight.ndim - entry.axes]
            if entry.groups > 1:
                weight = _grouped(name, entry, weight)
            state_dict[f"{name}.weight"] = weight.reshape(*batch, *entry.shape)
            if entry.bias:
                state_dict[f"{name}.bias"] = bias
            elif bool((bias != 0).any()):
                raise ValueError(f"{name} has no bias, but the weights give it one")
        return state_dict


def _modules(state_dict: Mapping[str, Tensor], prefix: str) -> dict[str, dict[str, Tensor]]:
    """Group entries by module, in the order in which modules come first."""
    modules: dict[str, dict[str, Tensor]] = {}
    for name, tensor in state_dict.items():
        if not isinstance(tensor, Tensor):
            raise ValueError(
                f"{name} is {type(tensor).__name__}, not a tensor: is it a state_dict?"
            )
        if name.startswith(prefix):
            module, _, part = name.rpartition(".")
            modules.setdefault(module, {})[part] = tensor
    return modules


def _head(modules: Mapping[str, object]) -> str:
    """Return the beginning, up to a dot, that all names of several modules have in common."""
    names = [name.split(".") for name in modules]
    if len(names) < 2:
        return ""
    count = next(
        (place for place, parts in enumerate(zip(*names, strict=False)) if len(set(parts)) > 1),
        min(map(len, names)) - 1,
    )
    return "".join(f"{part}." for part in names[0][:count])


def _check_names(name: str, parts: Set[str], *, folds: bool) -> None:
    """Raise ValueError for what is neither a layer nor a batch norm that can be folded."""
    if _is_norm(parts):
        if not folds:
            raise ValueError(
                f"{name} is a batch norm: fold it into the layer before by "
                "fold_batch_norm=1e-5, its epsilon, if it comes before the activation"
            )
    elif strangers := sorted(set(parts) - {"weight", "bias"}):
        raise ValueError(
            f"{name}.{strangers[0]} belongs to no linear or convolutional layer, whose entries are "
            f"NAME.weight and NAME.bias: rename it, or take it out (of a weight norm or another "
            "parametrization: remove_parametrizations; of a buffer: persistent=False)"
        )


def _check_shapes(name: str, tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError for what has a layer's names, and is none."""
    if _is_norm(tensors.keys()):
        _check_norm(name, tensors["running_mean"].numel(), tensors)
        return
    if "weight" not in tensors:
        raise ValueError(f"{name}.bias has no {name}.weight beside it")
    weight, *bias = (tuple(tensors[part].shape) for part in ("weight", "bias") if part in tensors)
    if len(weight) < 2 or bias not in ([], [weight[:1]]):
        raise ValueError(
            f"{name} is no weight and its bias, but of shapes "
            f"{' and '.join(map(str, [weight, *bias]))}: only linear layers, convolutions and "
            "batch norms with running statistics can be read"
        )


def _is_norm(parts: Set[str]) -> bool:
    return {"running_mean", "running_var"} <= parts <= NORM


def _order(
    modules: Mapping[str, Mapping[str, Tensor]],
    prefix: str,
    order: Sequence[str] | None,
    *,
    is_sorted: bool,
) -> list[str]:
    """Return the names of the modules in the order of computing."""
    names = list(modules)
    if order is not None:
        asked = [prefix + name if prefix + name in modules else name for name in order]
        if sorted(asked) != sorted(names):
            raise ValueError(
                f"order names {', '.join(order)}, but the modules are {', '.join(names)}"
            )
        return asked
    if not is_sorted:
        return names
    kinds: dict[str, list[str]] = {}
    for name in sorted(names, key=_natural):
        kinds.setdefault(re.sub(r"\d+", "#", name), []).append(name)
    found: list[list[str]] = []
    for exact in (True, False):  # flattened feature maps and groups only where there must be some
        left = iter(range(SEARCH))
        chains = _chains(modules, list(kinds.values()), None, exact=exact, left=left)
        if found := list(islice(chains, 2)):
            break
    if len(found) != 1:
        what = "more than one order" if found else "no order"
        raise ValueError(
            f"the names are sorted, and {what} of {', '.join(names)} fits their shapes: give their "
            "names in the order of computing, as order=[...]"
        )
    return found[0]


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key that has 2 before 10."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _chains(
    modules: Mapping[str, Mapping[str, Tensor]],
    kinds: list[list[str]],
    before: int | None,
    *,
    exact: bool,
    left: Iterator[int],
) -> Iterator[list[str]]:
    """Yield every order in which each module fits the one before, and each kind keeps its own.

    Raises ValueError where there are more beginnings to try than `left`.
    """
    if next(left, None) is None:
        names = ", ".join(name for kind in kinds for name in kind)
        raise ValueError(
            f"the names are sorted, and there are too many orders of {names} to try: give their "
            "names in the order of computing, as order=[...]"
        )
    if not any(kinds):
        yield []
    for place, kind in enumerate(kinds):
        if kind and (after := _after(modules[kind[0]], before, exact=exact)) is not None:
            rest = [*kinds[:place], kind[1:], *kinds[place + 1 :]]
            others = _chains(modules, rest, after, exact=exact, left=left)
            yield from ([kind[0], *chain] for chain in others)


def _after(tensors: Mapping[str, Tensor], before: int | None, *, exact: bool) -> int | None:
    """Return the outputs of a module that can follow so many outputs, or None if it cannot."""
    if "running_mean" in tensors:
        return before if len(tensors["running_mean"]) == before else None
    outputs, inputs = tensors["weight"].shape[:2]
    if before is None or inputs == before:
        return outputs
    reads = _inputs(tuple(tensors["weight"].shape), before)
    return outputs if reads == before and not exact else None


def _inputs(shape: tuple[int, ...], before: int | None) -> int:
    """Return the neurons or channels that a layer reads, given those that there are."""
    outputs, inputs, *kernel = shape
    if before is None or inputs == before:
        return inputs
    if not kernel and inputs % before == 0:
        return before  # a dense layer after a flattened feature map
    if kernel and before % inputs == 0 and outputs % (before // inputs) == 0:
        return before  # a grouped convolution
    return inputs


def _normed(
    before: Sequence[Entry], norm: str, tensors: Mapping[str, Tensor], epsilon: float
) -> Entry:
    """Return the layer before a batch norm, with it."""
    size = len(tensors["running_mean"])
    if not before or before[0].norm is not None or before[0].shape[0] != size:
        raise ValueError(
            f"the batch norm {norm} of {size} channels follows no layer of as many: it cannot be "
            "folded"
        )
    layer = before[0]
    return Entry(layer.name, layer.shape, layer.inputs, True, norm, epsilon)


def _layer(name: str, entry: Entry, tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return a layer's weight and bias, or raise ValueError where they are not as in the layout."""
    own = entry.bias and entry.norm is None
    parts = {"weight": entry.shape} | ({"bias": entry.shape[:1]} if own else {})
    if entry.norm is not None and "bias" in tensors:
        parts["bias"] = entry.shape[:1]
    if set(parts) != set(tensors):
        has, wants = ("no bias", "one") if own else ("a bias", "none")
        raise ValueError(f"{name} has {has} where the spec has {wants}")
    for part, shape in parts.items():
        tensor = tensors[part]
        if tuple(tensor.shape) != shape:
            raise ValueError(
                f"{name}.{part} has shape {tuple(tensor.shape)}, where the spec has {shape}"
            )
        if not tensor.is_floating_point():
            raise ValueError(
                f"{name}.{part} holds {str(tensor.dtype).removeprefix('torch.')}, not "
                "floating-point numbers: dequantize the network first"
            )
    weight = tensors["weight"]
    return weight, tensors.get("bias", weight.new_zeros(len(weight)))


def _check_norm(name: str, outputs: int, tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless a batch norm has a number for each of so many outputs."""
    if missing := {"running_mean", "running_var"} - tensors.keys():
        raise ValueError(f"{name}.{min(missing)} is missing, without which it cannot be folded")
    for part, tensor in tensors.items():
        if part != "num_batches_tracked" and tuple(tensor.shape) != (outputs,):
            raise ValueError(f"{name}.{part} has shape {tuple(tensor.shape)}, and not {(outputs,)}")


def _fold(
    weight: Tensor, bias: Tensor, norm: Mapping[str, Tensor], epsilon: float
) -> tuple[Tensor, Tensor]:
    """Fold a batch norm, as it is in evaluation mode, into the layer before it, in float64."""
    mean, variance = norm["running_mean"].double(), norm["running_var"].double()
    factor = (variance + epsilon).rsqrt()
    if "weight" in norm:
        factor = factor * norm["weight"].double()
    moved = (bias.double() - mean) * factor
    if "bias" in norm:
        moved = moved + norm["bias"].double()
    return weight.double() * factor.reshape(-1, *[1] * (weight.ndim - 1)), moved


def _dense(entry: Entry, weight: Tensor) -> Tensor:
    """Return the weight of a grouped convolution between all channels, with zeros elsewhere."""
    if entry.groups == 1:
        return weight
    outputs, inputs = entry.shape[0] // entry.groups, entry.shape[1]
    dense = weight.new_zeros(entry.shape[0], entry.inputs, *entry.shape[2:])
    for group in range(entry.groups):
        rows = slice(group * outputs, (group + 1) * outputs)
        dense[rows, group * inputs : (group + 1) * inputs] = weight[rows]
    return dense


def _grouped(name: str, entry: Entry, weight: Tensor) -> Tensor:
    """Return the weight `[..., outputs, inputs / groups, *kernel]`, the inverse of `_dense`."""
    batch = weight.shape[: weight.ndim - entry.axes]
    flat = weight.reshape(prod(batch), entry.shape[0], entry.inputs, *entry.shape[2:])
    outputs, inputs = entry.shape[0] // entry.groups, entry.shape[1]
    blocks = [
        flat[:, group * outputs : (group + 1) * outputs, group * inputs : (group + 1) * inputs]
        for group in range(entry.groups)
    ]
    within = torch.cat(blocks, dim=1)
    if int((within != 0).sum()) != int((flat != 0).sum()):
        raise ValueError(
            f"{name} is a grouped convolution, but the weights connect channels of different groups"
        )
    return within
