"""The catalogue of standardized datasets."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from benchmark.datasets import listing
from benchmark.datasets.hub import Published
from benchmark.datasets.importers import Importer
from benchmark.datasets.recipes.inr import InrRecipe
from benchmark.datasets.recipes.sines import SineRecipe
from benchmark.datasets.recipes.zoo import ZooRecipe
from benchmark.datasets.sources import ImageSource
from benchmark.errors import UserError


class Entry(BaseModel):
    """One dataset of `catalog.toml`.

    A recipe makes it, or an importer reads it from files that its authors published.

    images: None for networks that have nothing to do with images.
    fingerprint: of its weights, the same in every copy; None where there is no copy yet.
    published: its place on the Hub; None where it is not there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    title: str
    images: ImageSource | None
    recipe: InrRecipe | ZooRecipe | SineRecipe | None
    importer: Importer | None = Field(discriminator="format")
    fingerprint: str | None = Field(pattern="^[0-9a-f]{64}$")
    published: Published | None

    @property
    def embedded(self) -> bool:
        """Whether it comes with the project."""
        return (listing.EMBEDDED / self.name).is_dir()


@cache
def catalog() -> dict[str, Entry]:
    """Every dataset, by name."""
    data = listing.catalog_data()
    return {
        name: Entry(
            name=name,
            title=entry["title"],
            images=data["images"][entry["images"]] if "images" in entry else None,
            recipe=_recipe(data, entry),
            importer=entry.get("importer"),
            fingerprint=entry.get("fingerprint"),
            published=entry.get("published"),
        )
        for name, entry in data["datasets"].items()
    }


def _recipe(data: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any] | None:
    if "recipe" not in entry:
        return None
    recipe = data["recipes"][entry["recipe"]] | entry.get("changes", {})
    if "splits" not in entry and entry["recipe"] not in data["splits"]:
        return recipe
    return recipe | {"splits": entry.get("splits") or data["splits"][entry["recipe"]]}


def entry(name: str) -> Entry:
    """The dataset of that name. Raises UserError for a name that is not in the catalogue."""
    if name not in catalog():
        raise UserError(f"unknown dataset {name!r}; known: {', '.join(catalog())}")
    return catalog()[name]
