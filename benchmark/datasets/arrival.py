"""The way of a dataset from the Hub into the cache: one process at a time, whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from benchmark.datasets import hub
from benchmark.datasets.hub import Published
from benchmark.errors import UserError


def bring(published: Published, folder: Path, check: Callable[[Path], object]) -> None:
    """Download a dataset into a folder of the cache, where it is not there already.

    Args:
        published: its place on the Hub.
        folder: where it is to be.
        check: raises UserError where what arrived is damaged, or another dataset.

    Raises:
        UserError: it is not available, or does not pass the check, or the cache takes nothing.
    """
    if _is_there(folder):
        return
    download = folder.with_name(f"{folder.name}.arriving")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{folder.name}.lock")):  # another may be fetching it
            if not _is_there(folder):
                _download(published, download, check)
                download.replace(folder)
    except OSError as error:
        raise UserError(
            f"{folder}: {error.strerror or error}; name another cache in NFT_BENCHMARK_CACHE"
        ) from None


def _is_there(folder: Path) -> bool:
    return (folder / "manifest.json").is_file()


def _download(published: Published, folder: Path, check: Callable[[Path], object]) -> None:
    hub.fetch(published, folder)
    try:
        check(folder)
    except UserError:
        # Wrong bytes must not be taken for what an interrupted download left.
        shutil.rmtree(folder)
        raise
