"""Where a dataset lies: with the project, in the cache, in a mirror of the Hub, or on the Hub."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from torch import Tensor

from benchmark.datasets import arrival, catalog, foreign, listing, statistics, storage
from benchmark.datasets.catalog import Entry
from benchmark.datasets.folders import Copy, cache_folder, mirror_folder
from benchmark.datasets.foreign import Foreign
from benchmark.datasets.storage import Manifest, WeightDataset
from benchmark.errors import UserError
from benchmark.record.traces import Statistic


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
        raise UserError(f"{entry.name} is not published yet; {remedy(entry)}")
    mirror = mirror_folder(mirror)
    folder = mirror and mirror / "datasets" / entry.published.repository
    if folder and (folder / "manifest.json").is_file():
        return Copy(folder, pin)
    folder = cache_folder() / "datasets" / entry.name
    arrival.bring(
        entry.published, folder, lambda arrived: check(entry, storage.verify(arrived), arrived)
    )
    return Copy(folder, pin)


def remedy(entry: Entry) -> str:
    """Say how a dataset comes onto this machine: the command, and what it does."""
    if entry.published is not None and _pin(entry) is not None:
        return f"to download it: python -m benchmark datasets pull {entry.name}"
    command, remark = f"build {entry.name}", "which first says how long that takes"
    if entry.recipe is None:
        command, remark = f"import {entry.name} FOLDER", "with the files that its authors published"
    elif shards := list((cache_folder() / "datasets" / entry.name).glob("data/*.parquet")):
        remark = f"which goes on from the {len(shards)} shards that are there"
    return f"make it: python -m benchmark datasets {command} ({remark})"


def load(name: str | Foreign, mirror: Path | None = None) -> tuple[WeightDataset, str]:
    """Read and verify a dataset.

    Args:
        name: of the catalogue, or where another dataset lies.
        mirror: a folder laid out like the Hub.

    Returns:
        The dataset, and its origin.

    Raises:
        UserError: it is not available, is damaged, or is not the catalogue's.
    """
    unpacked = cache_folder() / "unpacked"
    if isinstance(name, Foreign):
        copy = foreign.fetch(name)
        return storage.on_target(storage.read(copy.folder, unpacked), name.target), copy.origin
    entry = catalog.entry(name)
    copy = pull(entry, mirror)
    dataset = storage.read(copy.folder, None if copy.origin == "embedded" else unpacked)
    check(entry, dataset.manifest, copy.folder)
    return dataset, copy.origin


def folder_of(name: str, mirror: Path | None = None) -> Copy:
    """Bring a dataset here that a person named: of the catalogue, a folder, or one on the Hub.

    Raises UserError where it is not available.
    """
    if name in catalog.catalog():
        return pull(catalog.entry(name), mirror)
    return foreign.fetch(foreign.find(name, mirror))


def fingerprint(name: str | Foreign) -> str | None:
    """The fingerprint of the weights that a run would read now.

    None for a dataset that is not pinned and of which there is no copy on this machine.
    """
    if isinstance(name, Foreign):
        there = (name.local / "manifest.json").is_file()
        return storage.read_manifest(name.local).fingerprint if there else None
    entry = catalog.entry(name)
    copy = local(entry)
    return entry.fingerprint or (copy and storage.read_manifest(copy.folder).fingerprint)


def is_pinned(name: str, dataset: WeightDataset) -> bool:
    """Whether the catalogue says that a dataset of that name has those weights.

    It says so by a fingerprint, or, of networks that no two machines fit alike to the last bit, by
    the recipe and the published statistics.
    """
    listed = catalog.catalog().get(name)
    if listed is None:
        return False
    if listed.fingerprint is not None:
        return listed.fingerprint == dataset.manifest.fingerprint
    compared = comparisons(listed, dataset.manifest, [dataset.splits["train"].weights])
    return bool(compared) and all(one.agrees for one in compared)


def comparisons(entry: Entry, manifest: Manifest, weights: Iterable[Tensor]) -> list[Statistic]:
    """Hold a dataset's training networks against the statistics published of its paper's.

    Args:
        entry: of the catalogue.
        manifest: of the dataset.
        weights: its training networks, `[networks, parameters]`, in one or more parts.

    Returns:
        Nothing where no statistics are published, or the dataset is of another recipe.
    """
    known = statistics.get(entry.statistics)
    if known is None or (entry.recipe is not None and not entry.made(manifest.recipe)):
        return []
    return statistics.compare(known, manifest.network, weights)


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
