"""Where a dataset lies: with the project, in the cache, in a mirror of the Hub, or on the Hub."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmark.datasets import catalog, hub, listing, storage
from benchmark.datasets.catalog import Entry
from benchmark.datasets.storage import Manifest, WeightDataset
from benchmark.errors import UserError


@dataclass(frozen=True)
class Copy:
    """A dataset's folder, and what a record says of its origin."""

    folder: Path
    origin: str


def cache_folder() -> Path:
    """The folder that NFT_BENCHMARK_CACHE names, or one in the user's cache."""
    if name := os.environ.get("NFT_BENCHMARK_CACHE"):
        return Path(name)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nft-benchmark"


def mirror_folder(mirror: Path | None = None) -> Path | None:
    """Check a folder laid out like the Hub: the argument, or what NFT_BENCHMARK_HUB_MIRROR names.

    Returns None where neither names one. Raises UserError for a folder that is not laid out so.
    """
    variable = os.environ.get("NFT_BENCHMARK_HUB_MIRROR")
    folder = mirror or (variable and Path(variable))
    if not folder:
        return None
    if not (folder / "datasets").is_dir():
        raise UserError(
            f"{folder}: no folder laid out like the Hub: it has no datasets/<owner>/<name>"
        )
    return folder


def local(entry: Entry) -> Copy | None:
    """A copy on this machine, with the project or in the cache; None where there is none."""
    if entry.embedded:
        return Copy(listing.EMBEDDED / entry.name, "embedded")
    folder = cache_folder() / "datasets" / entry.name
    if not (folder / "manifest.json").is_file():
        return None
    if entry.fingerprint is None:
        return Copy(folder, "built here, unpinned")
    return Copy(folder, _pin(entry) or "built here")


def pull(entry: Entry, mirror: Path | None = None) -> Copy:
    """Bring a dataset into the cache where there is no copy on this machine.

    Raises UserError where it is not available, and says how to make it.
    """
    if (copy := local(entry)) is not None:
        return copy
    pin = _pin(entry)
    if entry.published is None or pin is None:
        if entry.recipe is None:
            command = f"import {entry.name} FOLDER"
            remark = "with the files that its authors published"
        else:
            command, remark = f"build {entry.name}", "which first says how long that takes"
        raise UserError(
            f"{entry.name} is not published yet; make it: "
            f"python -m benchmark datasets {command} ({remark})"
        )
    mirror = mirror_folder(mirror)
    folder = mirror and mirror / "datasets" / entry.published.repository
    if folder and (folder / "manifest.json").is_file():
        return Copy(folder, pin)
    folder = cache_folder() / "datasets" / entry.name
    folder.parent.mkdir(parents=True, exist_ok=True)
    download = folder.with_name(f"{entry.name}.arriving")
    hub.fetch(entry.published, download)
    try:
        check(entry, storage.verify(download), download)
    except UserError:
        # Wrong bytes must not be taken for what an interrupted download left.
        shutil.rmtree(download)
        raise
    download.replace(folder)
    return Copy(folder, pin)


def load(name: str, mirror: Path | None = None) -> tuple[WeightDataset, str]:
    """Read and verify a dataset.

    Returns:
        The dataset, and its origin.

    Raises:
        UserError: it is not available, is damaged, or is not the catalogue's.
    """
    entry = catalog.entry(name)
    copy = pull(entry, mirror)
    cache = None if copy.origin == "embedded" else cache_folder() / "unpacked"
    dataset = storage.read(copy.folder, cache)
    check(entry, dataset.manifest, copy.folder)
    return dataset, copy.origin


def fingerprint(name: str) -> str | None:
    """The fingerprint of the weights that a run would read now.

    None for a dataset that is not pinned and of which there is no copy on this machine.
    """
    entry = catalog.entry(name)
    copy = local(entry)
    return entry.fingerprint or (copy and storage.read_manifest(copy.folder).fingerprint)


def check(entry: Entry, manifest: Manifest, folder: Path) -> None:
    """Check that a folder's dataset is the catalogue's. Raises UserError where it is another."""
    if entry.fingerprint not in (None, manifest.fingerprint):
        raise UserError(
            f"{folder}: not the catalogue's {entry.name}: its fingerprint differs; "
            "restore or rebuild it"
        )
    # Seeds depend on the name: the same weights under another name are permuted otherwise.
    if manifest.name != entry.name:
        raise UserError(
            f"{folder}: not the catalogue's {entry.name}: "
            f"its manifest names it {manifest.name!r}; restore or rebuild it"
        )


def _pin(entry: Entry) -> str | None:
    return entry.published and f"{entry.published.repository}@{entry.published.revision}"
