"""Datasets that are not the catalogue's: a folder, or `OWNER/NAME[@REVISION]` on the Hub.

A record has the name that the manifest says, with the target where there are several, and its
origin says that the project does not vouch for the data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.datasets import arrival, catalog, hub, storage
from benchmark.datasets.folders import Copy, cache_folder, mirror_folder
from benchmark.datasets.hub import Published
from benchmark.datasets.storage import Manifest
from benchmark.errors import UserError, unknown
from benchmark.record.paths import absolute

REPOSITORY = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")
NOT_OURS = "not the project's"


@dataclass(frozen=True)
class Foreign:
    """Where such a dataset lies, in the words that any process finds it by.

    place: an absolute folder, or a repository with its commit.
    target: the column that is predicted; None where there is only one.
    """

    place: str
    target: str | None = None

    @property
    def published(self) -> Published | None:
        """Its place on the Hub; None for a folder."""
        if self.place.startswith("/") or Path(self.place).is_absolute():
            return None
        repository, _, commit = self.place.partition("@")
        return Published(repository=repository, revision=commit)

    @property
    def local(self) -> Path:
        """Its folder on this machine, which may not be there yet."""
        if (published := self.published) is None:
            return Path(self.place)
        name = f"{published.repository.replace('/', '--')}@{published.revision}"
        return cache_folder() / "datasets" / name


def find(text: str, mirror: Path | None = None) -> Foreign:
    """Find what a name that the catalogue does not have stands for.

    A folder comes before the Hub. A branch is its present commit.

    Raises:
        UserError: there is no such dataset.
    """
    folder = absolute(text)
    if (folder / "manifest.json").is_file():
        return Foreign(str(folder))
    match = REPOSITORY.fullmatch(text)
    if match is None or text.startswith(".") or folder.is_dir():
        if folder.is_dir() or "/" in text or text.startswith("~"):
            raise UserError(
                f"no dataset in {folder}, which would hold a manifest.json; make one: "
                "python -m benchmark datasets new NAME --from FOLDER --table TABLE.csv"
            )
        remark = "; or name a folder, or OWNER/NAME on the Hub"
        raise unknown("dataset", text, catalog.catalog(), remark)
    copies = mirror_folder(mirror)
    if copies and (copies / "datasets" / match["repository"] / "manifest.json").is_file():
        return Foreign(str(copies / "datasets" / match["repository"]))
    commit = hub.commit(match["repository"], match["revision"] or "main")
    return Foreign(f"{match['repository']}@{commit}")


def fetch(foreign: Foreign) -> Copy:
    """Bring a dataset to this machine, where it is not there already.

    Raises UserError where it is not available, or damaged.
    """
    published, folder = foreign.published, foreign.local
    if published is None:
        return Copy(folder, f"a folder, {NOT_OURS}")
    arrival.bring(published, folder, storage.verify)
    return Copy(folder, f"{foreign.place}, {NOT_OURS}")


def choose(text: str, target: str | None, mirror: Path | None = None) -> tuple[str, Foreign]:
    """Find a dataset and bring it here: the name that records have for it, and where it is.

    Raises:
        UserError: it is not available, lacks the target, or has the name of one of the catalogue's
            without its weights.
    """
    foreign = find(text, mirror)
    manifest = storage.read_manifest(fetch(foreign).folder)
    name, chosen = storage.resolve(manifest, target)
    _check_name(text, manifest)
    return name, replace(foreign, target=chosen)


def _check_name(text: str, manifest: Manifest) -> None:
    """Records of two datasets must not have one name."""
    listed = catalog.catalog().get(manifest.name)
    if listed is not None and listed.fingerprint not in (None, manifest.fingerprint):
        raise UserError(
            f"{text} calls itself {manifest.name!r}, as the catalogue's does, and holds other "
            "weights; give it a name of its own"
        )
