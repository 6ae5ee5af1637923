"""What a run ran on: commit, versions, processor, and how much memory it took."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
from functools import cache
from pathlib import Path

import torch

from benchmark.errors import UserError
from benchmark.record.schema import EnvironmentPart
from leaderboard.archive import provenance

ROOT = Path(__file__).resolve().parent.parent.parent


def resolve_device(name: str) -> torch.device:
    """The device of that name; "auto" is a GPU where there is one. Raises UserError for one that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UserError(f"device {name!r} is not to be had here; use cpu, cuda (an NVIDIA GPU) or auto") from None
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"runs are made on cpu or cuda, not on {name!r}")
    return device


@cache
def can_compile(device: torch.device) -> bool:
    """Whether `torch.compile` works here: on a CPU it needs a C++ compiler, which many machines lack."""
    try:
        torch.compile(lambda values: values.sin() + 1, dynamic=False)(torch.zeros(2, device=device))
    except Exception:  # whatever is missing, there is a way without
        return False
    return True


def keep_freed_memory() -> None:
    """Have glibc keep large blocks for reuse: returned to the system, every one costs page faults anew, up to half of a step's time.

    Of this process, from now on. Does nothing where the C library is another.
    """
    threshold, trim, largest = -3, -1, 2**30  # M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of malloc.h
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(threshold, largest)
    mallopt(trim, largest)


def usable_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


HARNESS = (
    "benchmark/runner.py",
    "benchmark/training.py",
    "benchmark/encoding.py",
    "benchmark/datasets/arms.py",
    "benchmark/tasks",
    "leaderboard/metrics.py",
)
"""The code that trains and scores every method."""


@cache
def sources_sha256(*paths: str) -> str:
    """SHA-256 over Python and TOML files, or folders of them, named from the project's root."""
    named = [ROOT / name for name in paths]
    files = [file for path in named for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
    return provenance.sha256_of(files)


def describe(device: torch.device, workers: int, suite: str | None = None) -> EnvironmentPart:
    """The environment as a record tells it."""
    commit, clean = checkout()
    gpu = device.type == "cuda"
    return EnvironmentPart(
        commit=commit,
        clean=clean,
        suite_sha256=suite and sources_sha256(f"benchmark/suites/{suite}.toml"),
        harness_sha256=sources_sha256(*HARNESS),
        python=platform.python_version(),
        torch=torch.__version__,
        cuda=torch.version.cuda if gpu else None,
        driver=_driver() if gpu else None,
        system=platform.platform(terse=True),
        processor=torch.cuda.get_device_name(device) if gpu else _processor(),
        device=device.type,
        threads=torch.get_num_threads(),
        workers=workers,
    )


@cache
def checkout() -> tuple[str | None, bool]:
    """The git commit of the code, and whether nothing in it was changed; (None, False) outside a checkout."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD"), not git("status", "--porcelain")
    except (OSError, subprocess.CalledProcessError):
        return None, False


def _driver() -> str | None:
    try:
        return Path("/sys/module/nvidia/version").read_text(encoding="ascii").strip()
    except OSError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


class PeakMemory:
    """The most memory taken since it was made: of the GPU, or of this process (Linux; elsewhere unknown)."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._marked = False
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        else:
            try:
                Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak so far
                self._marked = True
            except OSError:
                pass  # not Linux, or not allowed: the peak would be an earlier run's

    def mebibytes(self) -> float | None:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20
        if not self._marked:
            return None
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))
