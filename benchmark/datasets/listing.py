"""The catalogue as plain data, for code that lists datasets and needs no torch."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
EMBEDDED = HERE / "embedded"


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


@cache
def catalog_data() -> dict[str, Any]:
    """`catalog.toml` as it stands."""
    return tomllib.loads((HERE / "catalog.toml").read_text(encoding="utf-8"))


def get(name: str) -> Listing:
    """Look a dataset up. An unknown one has its name for a title, and no source."""
    data = catalog_data()
    entry = data["datasets"].get(name, {"title": name})
    return Listing(name, entry["title"], data["images"].get(entry.get("images"), {}))


def fingerprint(name: str) -> str | None:
    """The fingerprint that the catalogue pins; None for a dataset that has none, or is unknown."""
    return catalog_data()["datasets"].get(name, {}).get("fingerprint")
