"""Where a dataset is found: with the project, in the cache, in a folder laid out like the Hub, or on the Hub."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmark.datasets import hub, listing, storage
from benchmark.datasets.catalog import Entry, entry
from benchmark.datasets.storage import WeightDataset
from benchmark.errors import UserError


@dataclass(frozen=True)
class Located:
    """A dataset's folder, and what a record says of where it is from."""

    folder: Path
    origin: str


def cache_folder() -> Path:
    """What NFT_BENCHMARK_CACHE names, or a folder in the user's cache."""
    if named := os.environ.get("NFT_BENCHMARK_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nft-benchmark"


def mirror_folder(given: Path | None = None) -> Path | None:
    """The folder laid out like the Hub that is given, or that NFT_BENCHMARK_HUB_MIRROR names.

    Raises UserError for one that is not there.
    """
    named = given or (
        os.environ.get("NFT_BENCHMARK_HUB_MIRROR") and Path(os.environ["NFT_BENCHMARK_HUB_MIRROR"])
    )
    if not named:
        return None
    if not (named / "datasets").is_dir():
        raise UserError(
            f"{named}: no folder laid out like the Hub: it has no datasets/<owner>/<name>"
        )
    return named


def local(wanted: Entry) -> Located | None:
    """A copy on this machine, with the project or in the cache; None where there is none."""
    if wanted.embedded:
        return Located(listing.EMBEDDED / wanted.name, "embedded")
    folder = cache_folder() / "datasets" / wanted.name
    if not (folder / "manifest.json").is_file():
        return None
    if wanted.fingerprint is None:
        return Located(folder, "built here, unpinned")
    return Located(folder, _pinned(wanted) or "built here")


def pull(wanted: Entry, mirror: Path | None = None) -> Located:
    """A dataset's folder, brought into the cache if need be. Raises UserError where it cannot be had, and says how it can."""
    if (found := local(wanted)) is not None:
        return found
    folder = cache_folder() / "datasets" / wanted.name
    place = _pinned(wanted)
    if wanted.published is None or place is None:
        if wanted.recipe is None:
            command, remark = (
                f"import {wanted.name} FOLDER",
                "with the files that its authors published",
            )
        else:
            command, remark = f"build {wanted.name}", "which first says how long that takes"
        raise UserError(
            f"{wanted.name} is not published yet; make it: python -m benchmark datasets {command} ({remark})"
        )
    mirror = mirror_folder(mirror)
    copy = mirror and mirror / "datasets" / wanted.published.repository
    if copy and (copy / "manifest.json").is_file():
        return Located(copy, place)
    folder.parent.mkdir(parents=True, exist_ok=True)
    arriving = folder.with_name(f"{wanted.name}.arriving")
    hub.fetch(wanted.published, arriving)
    try:
        manifest = storage.verify(arriving)
        _check_fingerprint(wanted, manifest.fingerprint, arriving)
    except UserError:
        shutil.rmtree(
            arriving
        )  # wrong bytes: nothing of them may be taken for what an interrupted download left
        raise
    arriving.replace(folder)
    return Located(folder, place)


def load(name: str, mirror: Path | None = None) -> tuple[WeightDataset, str]:
    """Read and verify a dataset. Returns it, and where it is from. Raises UserError where it cannot be had, is damaged or another."""
    wanted = entry(name)
    found = pull(wanted, mirror)
    dataset = storage.read(
        found.folder, None if found.origin == "embedded" else cache_folder() / "unpacked"
    )
    _check_fingerprint(wanted, dataset.manifest.fingerprint, found.folder)
    return dataset, found.origin


def fingerprint(name: str) -> str | None:
    """Of the weights that a run would read now; None where there is no copy on this machine."""
    wanted = entry(name)
    found = local(wanted)
    return wanted.fingerprint or (found and storage.read_manifest(found.folder).fingerprint)


def _check_fingerprint(wanted: Entry, fingerprint: str, folder: Path) -> None:
    if wanted.fingerprint is not None and fingerprint != wanted.fingerprint:
        raise UserError(
            f"{folder}: not the catalogue's {wanted.name}: its fingerprint differs; restore or rebuild it"
        )


def _pinned(wanted: Entry) -> str | None:
    return wanted.published and f"{wanted.published.repository}@{wanted.published.revision}"
