"""The fit of SIRENs on a GPU, each from the first step to the last by a block of threads.

`siren.cu` is compiled by NVRTC, which comes with PyTorch, when it is first used.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import cos, pi
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nft import siren
from nft.network import NetworkSpec

SOURCE = Path(__file__).with_name("siren.cu")

WARPS = 3
"""Warps that fit a SIREN."""

BLOCKS = 4
"""SIRENs that a processor fits at a time, where its shared memory holds so many."""

CAPABILITY = (8, 0)
"""The first GPUs with the products that the kernel is made of."""

CHUNK = 528
"""SIRENs of a launch: those that an H100 fits at a time, so that it ends within seconds."""

HIDDEN = 32

RESERVED = 1024
"""Bytes of shared memory that CUDA takes for each block."""

Launch = Callable[[int, list[Any]], None]
"""Fit so many SIRENs, given the kernel's arguments."""


def kernel(spec: NetworkSpec, start: Tensor) -> Launch | None:
    """The kernel for these SIRENs on their GPU; None where there is none.

    There is for float32, two hidden layers of 32 neurons, and up to two inputs and three outputs.
    """
    inputs, *hidden, outputs = spec.neurons
    fits = hidden == [HIDDEN, HIDDEN] and inputs <= 2 and outputs <= 3 and spec.scale == 1
    if not fits or start.dtype != torch.float32:
        return None
    if torch.cuda.get_device_capability(start.device) < CAPABILITY:
        return None
    with torch.cuda.device(start.device):
        return _compiled(inputs, outputs, torch.cuda.current_device())


def fit(
    launch: Launch,
    spec: NetworkSpec,
    start: Tensor,
    targets: Tensor,
    coordinates: Tensor,
    steps: int,
    learning_rate: float,
    schedule: siren.Schedule,
    progress: Callable[[float], None],
    weight_decay: float,
    stop_error: float,
) -> tuple[Tensor, Tensor]:
    """Fit every SIREN to its own targets by the kernel, as `sirens.fit` does.

    Raises:
        ValueError: If there are not as many targets as SIRENs.
    """
    if len(targets) != len(start):
        raise ValueError(f"{len(start)} SIRENs are fitted to {len(targets)} targets")
    rates, roots = [], []  # with Adam's corrections of its moments
    for step in range(steps):
        rate = learning_rate
        if schedule == "cosine":
            rate *= (1 + cos(pi * step / steps)) / 2
        rates.append(rate / (1 - 0.9 ** (step + 1)))
        roots.append((1 - 0.999 ** (step + 1)) ** 0.5)
    coordinates, targets = (each.to(start).contiguous() for each in (coordinates, targets))
    course = [coordinates, start.new_tensor(rates), start.new_tensor(roots)]
    # As in torch's fits, an error of zero is no reason to stop where none is asked for.
    stop = float(stop_error or -1)
    numbers = [len(coordinates), steps, spec.omega, float(weight_decay), stop]
    weights, errors = start.clone().contiguous(), start.new_empty(len(start))
    for first in range(0, len(start), CHUNK):
        part = slice(first, first + CHUNK)
        count = len(weights[part])
        launch(count, [weights[part], errors[part], targets[part], *course, *numbers])
        progress(count)
    return weights, errors


def definitions(inputs: int, outputs: int, shared_memory: int) -> dict[str, int]:
    """What the compiler is told, by name, for processors with that much shared memory in bytes."""
    parameters = HIDDEN * (inputs + 1) + HIDDEN * (HIDDEN + 1) + outputs * (HIDDEN + 1)
    packed, scratch = 2 * 512 * 4, WARPS * 1280
    small = 3 * parameters + HIDDEN * (inputs + 2) + WARPS
    size = 4 * (packed + -(-small // 4) * 4 + scratch)
    return {
        "INPUTS": inputs,
        "OUTPUTS": outputs,
        "WARPS": WARPS,
        "BLOCKS": max(1, min(BLOCKS, shared_memory // (size + RESERVED))),
        "BYTES": size,
    }


@cache
def _compiled(inputs: int, outputs: int, device: int) -> Launch | None:
    source = SOURCE.read_text(encoding="utf-8")
    try:
        processor = torch.cuda.get_device_properties(device)
        given = definitions(inputs, outputs, processor.shared_memory_per_multiprocessor)
        options = [f"-D{name}={value}" for name, value in given.items()]
        compiled: Any = torch.cuda._compile_kernel(source, "fit", nvcc_options=options)
        compiled.set_shared_memory_config(given["BYTES"])
    except Exception:  # whatever is missing, torch's way is there
        return None

    def launch(networks: int, arguments: list[Any]) -> None:
        with torch.cuda.device(device):
            compiled((networks, 1, 1), (32 * WARPS, 1, 1), arguments, shared_mem=given["BYTES"])
            torch.cuda.synchronize()  # an interruption comes through between two chunks

    return launch
