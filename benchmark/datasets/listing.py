"""The catalogue as plain data, for code that lists datasets and needs no torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from benchmark.record import toml

HERE = Path(__file__).resolve().parent
EMBEDDED = HERE / "embedded"
CATALOG = HERE / "catalog.toml"

NONE = "none published"
"""What the catalogue says of a paper's dataset of which no statistics are published."""

Tables = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Listing:
    """One dataset, and the source of the images that its networks draw."""

    name: str
    title: str
    source: dict[str, Any]

    @property
    def folder(self) -> Path:
        """The folder of the copy that comes with the project, if there is one."""
        return EMBEDDED / self.name

    @cached_property
    def manifest(self) -> dict[str, Any] | None:
        """The manifest of the embedded copy; None without one."""
        path = self.folder / "manifest.json"
        return json.loads(path.read_bytes()) if path.is_file() else None

    @property
    def networks(self) -> int | None:
        """The number of networks in all splits; None without an embedded copy."""
        if self.manifest is None:
            return None
        return sum(part["rows"] for parts in self.manifest["files"].values() for part in parts)


class CatalogTables(BaseModel):
    """The tables of `catalog.toml`, by kind and name."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    images: Tables
    datasets: Tables
    recipes: Tables
    splits: Tables


@cache
def catalog_data() -> CatalogTables:
    """`catalog.toml` as it stands. Raises UserError where it is no catalogue."""
    return toml.checked(CatalogTables, toml.read(CATALOG), str(CATALOG))


def get(name: str) -> Listing:
    """Look a dataset up. An unknown one has its name for a title, and no source."""
    data = catalog_data()
    entry = data.datasets.get(name, {})
    return Listing(name, entry.get("title", name), data.images.get(entry.get("images"), {}))


def fingerprint(name: str) -> str | None:
    """The fingerprint that the catalogue pins; None for a dataset that has none, or is unknown."""
    return catalog_data().datasets.get(name, {}).get("fingerprint")


def is_known(name: str) -> bool:
    """Whether it can be told that networks of a dataset are the catalogue's, and no others."""
    statistics = catalog_data().datasets.get(name, {}).get("statistics", NONE)
    return fingerprint(name) is not None or statistics != NONE


def is_embedded(name: str) -> bool:
    """Whether a dataset comes with the project."""
    return get(name).manifest is not None


def is_rebuilt(name: str) -> bool:
    """Whether a dataset is made by a recipe, in place of a paper's own networks."""
    data = catalog_data().datasets.get(name, {})
    return "statistics" in data and "recipe" in data
