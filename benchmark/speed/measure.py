"""Timing of contestants that compute the same: interleaved in one process, by their medians."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

MINIMUM_SECONDS = 2.0
"""The least time for each contestant."""

REPEATS = 7
"""The least number of calls of each contestant."""


@dataclass(frozen=True)
class Case:
    """One computation at one size.

    contestants: by name, each a function that does all of it once.
    compulsory_bytes: the least that must move through memory: inputs, outputs and parameters, each
        once, and their gradients.
    """

    name: str
    size: Mapping[str, int]
    contestants: Mapping[str, Callable[[], object]]
    compulsory_bytes: int


@dataclass(frozen=True)
class Timing:
    """The times of a case.

    seconds: the median of each contestant.
    flops: of one call of the first contestant.
    kept: bytes that the forward pass of each keeps for the backward pass.
    """

    name: str
    size: Mapping[str, int]
    seconds: Mapping[str, float]
    flops: int
    compulsory_bytes: int
    kept: Mapping[str, int]


def backward(
    module: torch.nn.Module, inputs: Iterable[Tensor], run: Callable[[], Iterable[Tensor]]
) -> Callable[[], object]:
    """A function that runs forward, and backward to every input and parameter."""
    leaves = [*inputs, *module.parameters()]
    seeds: list[Tensor] = []

    def call() -> None:
        for tensor in leaves:
            tensor.grad = None
        outputs = list(run())
        if not seeds:
            seeds.extend(torch.randn_like(output) for output in outputs)
        torch.autograd.backward(outputs, seeds)

    return call


def traffic(module: torch.nn.Module, *tensors: Tensor) -> int:
    """Compulsory bytes of a forward and a backward pass: everything, and its gradient."""
    return 2 * sum(
        tensor.numel() * tensor.element_size() for tensor in (*tensors, *module.parameters())
    )


def time_case(case: Case, device: torch.device, minimum_seconds: float = MINIMUM_SECONDS) -> Timing:
    """Time the contestants of a case, in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in case.contestants}
    residuals = {
        name: residual_bytes(call)
        for name, call in case.contestants.items()
        if "compiled" not in name
    }
    for call in case.contestants.values():  # compiles, and warms up
        call()
        call()
    while (
        min(map(sum, seconds.values())) < minimum_seconds
        or min(map(len, seconds.values())) < REPEATS
    ):
        for name, call in case.contestants.items():
            synchronize(device)
            start = time.perf_counter()
            call()
            synchronize(device)
            seconds[name].append(time.perf_counter() - start)
    with FlopCounterMode(display=False) as counter:
        next(iter(case.contestants.values()))()
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    return Timing(
        case.name, case.size, medians, counter.get_total_flops(), case.compulsory_bytes, residuals
    )


def residual_bytes(call: Callable[[], object]) -> int:
    """Bytes that a call's forward pass keeps for its backward pass, each storage once."""
    storages: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        call()
    return sum(storages.values())


def ceilings(device: torch.device) -> dict[str, float]:
    """Measure the best rates of a device.

    These are FLOP/s of a large matrix product, and bytes/s, read and written, of a large copy.
    """
    size = 2048 if device.type == "cpu" else 8192
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    left, right = torch.randn(2, size, size, device=device, dtype=dtype)
    source = torch.randn(2**26, device=device)
    target = torch.empty_like(source)
    product = _best(lambda: left @ right, device)
    copy = _best(lambda: target.copy_(source), device)
    return {"flops_per_second": 2 * size**3 / product, "bytes_per_second": 2 * source.nbytes / copy}


def _best(call: Callable[[], object], device: torch.device, seconds: float = 1.5) -> float:
    """Call a function for so many seconds, and return the shortest time."""
    times: list[float] = []
    while sum(times) < seconds:
        synchronize(device)
        start = time.perf_counter()
        call()
        synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times)


def synchronize(device: torch.device) -> None:
    """Wait until a device has done its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
