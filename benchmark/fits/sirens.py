"""Fits of many SIRENs: each alone by a kernel, or in batches by torch."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from types import ModuleType

import torch
from torch import Tensor

from benchmark.fits import gpu
from benchmark.runs.environment import can_compile
from nft import siren
from nft.network import NetworkSpec

CHUNK = {"cpu": 16, "cuda": 20_000}
"""Networks that torch fits together: so few that they stay in a core's cache, or as many as fill a
GPU."""

COMPILED_FROM = 1000
"""Steps from which torch's fits are compiled: shorter ones end before the compiler does."""


def fit(
    spec: NetworkSpec,
    start: Tensor,
    targets: Tensor,
    coordinates: Tensor,
    steps: int,
    learning_rate: float,
    schedule: siren.Schedule = "cosine",
    progress: Callable[[float], None] = lambda _: None,
    *,
    weight_decay: float = 0.0,
    stop_error: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Fit every SIREN to its own targets, as `siren.fit` does.

    On a CPU a kernel does it, a network on each of torch's threads, and on a GPU another, where
    they can; else torch. All differ by rounding.

    Args:
        spec, start, targets, steps, learning_rate, schedule, weight_decay, stop_error: as in
            `siren.fit`.
        coordinates: `[points, inputs]`.
        progress: called with the number of networks that are done since the last call.

    Returns:
        The fitted weights, and their mean squared errors `[batch]`.
    """
    given = (spec, start, targets, coordinates, steps, learning_rate, schedule)
    if start.device.type == "cpu" and spec.scale == 1 and kernel():
        return _by_the_kernel(*given, progress, weight_decay, stop_error)
    if start.device.type == "cuda" and (launch := gpu.kernel(spec, start)):
        return gpu.fit(launch, *given, progress, weight_decay, stop_error)
    return _by_torch(*given, progress, weight_decay, stop_error)


@cache
def kernel() -> ModuleType | None:
    """The kernel; None where numba is missing."""
    try:
        from benchmark.fits import kernel
    except ImportError:
        return None
    return kernel


def _by_the_kernel(
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
    code = kernel()
    course = code.Course(steps, learning_rate, weight_decay, schedule == "cosine", stop_error)
    points = coordinates.numpy()

    def one(weights: Tensor, target: Tensor) -> tuple[Tensor, float]:
        problem = code.problem(spec.neurons, spec.omega, points, target.numpy())
        fitted, error = code.fit(weights.numpy(), problem, course)
        return torch.from_numpy(fitted), error

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        fits = [pool.submit(one, *pair) for pair in zip(start, targets, strict=True)]
        try:
            for done in fits:
                done.result()
                progress(1)
        except BaseException:  # also an interruption: what has begun ends, the rest is left
            pool.shutdown(cancel_futures=True)
            raise
    weights, errors = zip(*(done.result() for done in fits), strict=True)
    return torch.stack(weights), torch.tensor(errors, dtype=start.dtype)


def _by_torch(
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
    size = CHUNK[start.device.type]
    compiled = steps >= COMPILED_FROM and can_compile(start.device)
    parts = [
        siren.fit(
            spec,
            weights,
            target,
            coordinates,
            steps,
            learning_rate,
            schedule,
            lambda share=len(target) / steps: progress(share),
            compiled=compiled,
            weight_decay=weight_decay,
            stop_error=stop_error,
        )
        for weights, target in zip(start.split(size), targets.split(size), strict=True)
    ]
    weights, errors = zip(*parts, strict=True)
    return torch.cat(weights), torch.cat(errors)
