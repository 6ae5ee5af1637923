"""What a run ran on: commit, versions, processor, and how much memory it took."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path

import torch

from benchmark.errors import UserError
from benchmark.record.git import GitError, git
from benchmark.record.schema import EnvironmentPart
from benchmark.record.sources import ROOT


def resolve_device(name: str) -> torch.device:
    """The device of that name; "auto" is a GPU where there is one.

    Raises UserError for one that is not available.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    # By its name: torch knows kinds of devices whose modules are not installed.
    if name.partition(":")[0] not in ("cpu", "cuda"):
        raise UserError(f"runs are made on cpu or cuda, or auto, not on {name[:80]!r}")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UserError(
            f"device {name[:80]!r} is not available on this machine; "
            "use cpu, cuda (an NVIDIA GPU) or auto"
        ) from None
    return device


@cache
def can_compile(device: torch.device) -> bool:
    """Whether `torch.compile` works here: on a CPU it needs a C++ compiler."""
    try:
        torch.compile(lambda values: values.sin() + 1, dynamic=False)(torch.zeros(2, device=device))
    except Exception:  # whatever is missing, there is a way without
        return False
    return True


def keep_freed_memory() -> None:
    """Have glibc keep this process's large blocks for reuse.

    Returned to the system, every one costs page faults anew, up to half of a step's time. Does
    nothing where the C library is another.
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


def versions(libraries: Sequence[str] = ()) -> dict[str, str]:
    """The versions of the libraries that compute: torch, numpy, and those that a method names."""
    return {name: metadata.version(name) for name in ("torch", "numpy", *libraries)}


def describe(device: torch.device, workers: int, libraries: Sequence[str] = ()) -> EnvironmentPart:
    """The environment as a record tells it."""
    commit, reason = checkout()
    gpu = device.type == "cuda"
    return EnvironmentPart(
        commit=commit,
        clean=reason is None,
        python=platform.python_version(),
        versions=versions(libraries),
        cuda=torch.version.cuda if gpu else None,
        driver=_driver() if gpu else None,
        system=platform.platform(terse=True),
        processor=torch.cuda.get_device_name(device) if gpu else processor(),
        capability=None if gpu else torch.backends.cpu.get_cpu_capability(),
        device=device.type,
        threads=torch.get_num_threads(),
        workers=workers,
    )


CODE = ("nft", "baselines", "benchmark", "leaderboard")


@cache
def checkout() -> tuple[str | None, str | None]:
    """The git commit of the code, and why its results are not ranked, in git's own words.

    The reason is None where they may be. The commit is None where git tracks no such code here:
    outside a checkout, in another project's, or where git refuses. Untracked files count only where
    code can be, and there whatever anybody tells git to ignore.
    """
    try:
        top = git(ROOT, "rev-parse", "--show-toplevel")
        if Path(top).resolve() != ROOT:
            return None, f"{ROOT} is not a checkout of its own, but inside that of {top}"
        git(ROOT, "ls-files", "--error-unmatch", "benchmark/__main__.py")
        commit = git(ROOT, "rev-parse", "HEAD")
        changes = git(ROOT, "status", "--porcelain", "--untracked-files=no")
        strangers = git(ROOT, "ls-files", "--others", "--", *CODE)
    except GitError as error:
        return None, str(error)
    code = [name for name in strangers.splitlines() if name.endswith((".py", ".toml"))]
    if changes or code:
        first = changes.splitlines()[0][3:] if changes else code[0]
        return commit, f"the checkout has uncommitted changes, {first} among them"
    return commit, None


def _driver() -> str | None:
    try:
        return Path("/sys/module/nvidia/version").read_text(encoding="ascii").strip()
    except OSError:
        return None


def processor() -> str:
    """The processor's model."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


class PeakMemory:
    """The peak memory since it was made: of the GPU, or of this process (on Linux alone)."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._marked = False
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        else:
            try:
                Path("/proc/self/clear_refs").write_text(
                    "5", encoding="ascii"
                )  # forget the peak so far
                self._marked = True
            except OSError:
                pass  # not Linux, or not allowed: the peak would be an earlier run's

    def mebibytes(self) -> float | None:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20
        if not self._marked:
            return None
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return next(
            int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")
        )
