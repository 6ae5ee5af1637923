"""The folders that datasets lie in: the cache, and a mirror of the Hub."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import UserError
from benchmark.record.paths import absolute


@dataclass(frozen=True)
class Copy:
    """A dataset's folder, and what a record says of its origin."""

    folder: Path
    origin: str


def cache_folder() -> Path:
    """The folder that NFT_BENCHMARK_CACHE names, or one in the user's cache.

    Raises UserError for a user without a home.
    """
    if name := os.environ.get("NFT_BENCHMARK_CACHE"):
        return absolute(name)
    if name := os.environ.get("XDG_CACHE_HOME"):
        return absolute(name) / "nft-benchmark"
    try:
        return Path.home() / ".cache" / "nft-benchmark"
    except RuntimeError:
        raise UserError(
            "this account has no home for a cache: name a folder in NFT_BENCHMARK_CACHE"
        ) from None


def mirror_folder(mirror: Path | None = None) -> Path | None:
    """Check a folder laid out like the Hub: the argument, or what NFT_BENCHMARK_HUB_MIRROR names.

    Returns None where neither names one. Raises UserError for a folder that is not laid out so.
    """
    variable = os.environ.get("NFT_BENCHMARK_HUB_MIRROR")
    if not (named := mirror or variable):
        return None
    folder = absolute(named)
    if not (folder / "datasets").is_dir():
        raise UserError(
            f"{folder}: no folder laid out like the Hub: it has no datasets/<owner>/<name>"
        )
    return folder
