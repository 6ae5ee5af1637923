"""The catalogue of standardized datasets, and where their files are found."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from benchmark.datasets import storage
from benchmark.datasets.recipe import InrRecipe
from benchmark.datasets.sources import ImageSource
from benchmark.errors import UserError

HERE = Path(__file__).resolve().parent
EMBEDDED = HERE / "embedded"


class Entry(BaseModel):
    """One dataset of `catalog.toml`: its source images, its recipe, and the fingerprint of its weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    title: str
    images: ImageSource
    recipe: InrRecipe
    fingerprint: str = Field(pattern="^[0-9a-f]{64}$")


@cache
def catalog() -> dict[str, Entry]:
    """Every dataset, by name."""
    data: dict[str, Any] = tomllib.loads((HERE / "catalog.toml").read_text(encoding="utf-8"))
    return {
        name: Entry(
            name=name,
            title=entry["title"],
            images=data["images"][entry["images"]],
            recipe=data["recipes"][entry["recipe"]],
            fingerprint=entry["fingerprint"],
        )
        for name, entry in data["datasets"].items()
    }


def entry(name: str) -> Entry:
    """The dataset of that name. Raises UserError for a name that is not in the catalogue."""
    if name not in catalog():
        raise UserError(f"unknown dataset {name!r}; known: {', '.join(catalog())}")
    return catalog()[name]


def load(name: str, folder: Path = EMBEDDED) -> storage.WeightDataset:
    """Read and verify a dataset. Raises UserError where it is damaged or is not the catalogue's."""
    wanted = entry(name)
    dataset = storage.read(folder / name)
    if (dataset.name, dataset.manifest.fingerprint) != (name, wanted.fingerprint):
        raise UserError(f"{folder / name}: not the catalogue's {name}: its fingerprint differs; restore or rebuild it")
    return dataset
