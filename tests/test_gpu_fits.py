"""Fits of SIRENs by the GPU's kernel: those of torch, up to rounding."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import ROOT
from test_fits import problem
from torch import Tensor

from benchmark.fits import gpu, sirens
from nft import siren

ROUNDING = 1e-6
"""The root mean square of differences between fitted weights, whose size is about 0.1: its products
are of two numbers of 11 bits each."""

CASES = [
    ((2, 32, 32, 1), 0.0, "constant", 0.0),
    ((2, 32, 32, 3), 1e-2, "cosine", 0.0),
    ((1, 32, 32, 1), 0.0, "cosine", 0.0),
    ((2, 32, 32, 1), 0.0, "constant", 0.08),  # which some networks reach, and others do not
]

Case = tuple[tuple[int, ...], float, siren.Schedule, float]


@pytest.fixture(scope="module")
def emulation(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The kernel without a GPU: a function that compiles its launch."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("needs a C++ compiler")

    def compiled(inputs: int, outputs: int) -> gpu.Launch:
        library = tmp_path_factory.mktemp("kernel") / "kernel.so"
        given = gpu.definitions(inputs, outputs, 0) | {"KERNEL": f'"{gpu.SOURCE}"'}
        options = [f"-D{name}={value}" for name, value in given.items()]
        header = Path(ROOT, "tests", "cuda_emulation.h")
        flags = ["-std=c++20", "-O1", "-shared", "-fPIC", "-x", "c++"]
        command = [compiler, *flags, *options, "-o", str(library), str(header)]
        subprocess.run(command, check=True, capture_output=True)
        call = ctypes.CDLL(str(library)).launch

        def launch(networks: int, arguments: list[Any]) -> None:
            kinds = {int: ctypes.c_int, float: ctypes.c_double}
            call(
                networks,
                *(
                    ctypes.c_void_p(each.data_ptr())
                    if isinstance(each, Tensor)
                    else kinds[type(each)](each)
                    for each in arguments
                ),
            )

        return launch

    return compiled


@pytest.mark.parametrize(("sizes", "decay", "schedule", "stop"), CASES)
def test_the_kernels_fits_are_torchs(
    sizes: tuple[int, ...], decay: float, schedule: siren.Schedule, stop: float, emulation: Any
) -> None:
    spec, start, targets, points = problem(*sizes, side=7)
    course = (20, 1e-3, schedule)
    kept = {"weight_decay": decay, "stop_error": stop}
    exact, exact_errors = siren.fit(spec, start, targets, points, *course, **kept)
    done: list[float] = []
    fitted, errors = gpu.fit(
        emulation(sizes[0], sizes[-1]),
        spec,
        *(each.float() for each in (start, targets, points)),
        *course,
        done.append,
        decay,
        stop,
    )
    assert (fitted - exact).square().mean().sqrt() < ROUNDING
    torch.testing.assert_close(errors.double(), exact_errors, rtol=1e-5, atol=0)
    assert (fitted - start).square().mean().sqrt() > 3e-3
    assert sum(done) == len(start)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("sizes", "decay", "schedule", "stop"), CASES)
def test_a_gpus_fits_are_torchs(
    sizes: tuple[int, ...], decay: float, schedule: siren.Schedule, stop: float
) -> None:
    spec, start, targets, points = problem(*sizes, side=28, count=500)
    course = (100, 1e-3, schedule)
    kept = {"weight_decay": decay, "stop_error": stop}
    exact, exact_errors = siren.fit(spec, start, targets, points, *course, **kept)
    given = [each.float().cuda() for each in (start, targets, points)]
    assert gpu.kernel(spec, given[0])
    fitted, errors = sirens.fit(spec, *given, *course, **kept)
    assert (fitted.cpu() - exact).square().mean().sqrt() < ROUNDING
    torch.testing.assert_close(errors.cpu().double(), exact_errors, rtol=1e-4, atol=0)
