"""The catalogue of standardized datasets."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from benchmark.datasets import listing
from benchmark.datasets.hub import Published
from benchmark.datasets.importers import Importer
from benchmark.datasets.listing import CatalogTables
from benchmark.datasets.recipes.inr import InrRecipe
from benchmark.datasets.recipes.sines import SineRecipe
from benchmark.datasets.recipes.waves import WaveRecipe
from benchmark.datasets.recipes.zoo import ZooRecipe
from benchmark.datasets.sources import ImageSource
from benchmark.errors import UserError, unknown
from benchmark.record import toml

Named = TypeVar("Named")


class Entry(BaseModel):
    """One dataset of `catalog.toml`.

    A recipe makes it, or an importer reads it from files that its authors published.

    images: None for networks that have nothing to do with images.
    fingerprint: of its weights, the same in every copy; None where there is no copy yet.
    published: its place on the Hub; None where it is not there.
    statistics: of a paper's dataset, the published statistics that its weights are held against, or
        `listing.NONE`; None for a dataset that is no paper's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    title: str
    images: ImageSource | None
    recipe: InrRecipe | ZooRecipe | SineRecipe | WaveRecipe | None
    importer: Importer | None = Field(discriminator="format")
    fingerprint: str | None = Field(pattern="^[0-9a-f]{64}$")
    published: Published | None
    statistics: str | None

    @property
    def embedded(self) -> bool:
        """Whether it comes with the project."""
        return (listing.EMBEDDED / self.name).is_dir()

    @property
    def provenance(self) -> dict[str, Any]:
        """What a manifest says of how the dataset was made: its source images, and the recipe."""
        if self.recipe is None:
            raise ValueError(f"{self.name} has no recipe")
        images = self.images.model_dump(mode="json") if self.images else None
        return {"images": images, **self.recipe.model_dump(mode="json", exclude_none=True)}

    def made(self, provenance: Mapping[str, Any]) -> bool:
        """Whether a manifest's provenance is this one, of whichever revision of the images."""
        return _without_revision(provenance) == _without_revision(self.provenance)


def _without_revision(provenance: Mapping[str, Any]) -> dict[str, Any]:
    images = provenance.get("images")
    if not isinstance(images, dict):
        return dict(provenance)
    return {**provenance, "images": {**images, "revision": None}}


RECIPES = {"inr": InrRecipe, "sines": SineRecipe, "waves": WaveRecipe, "zoo": ZooRecipe}
"""What makes datasets, by the first word of a recipe's name."""


@cache
def catalog() -> dict[str, Entry]:
    """Every dataset, by name. Raises UserError for one that is not described as it should be."""
    data = listing.catalog_data()
    return {name: _entry(data, name, entry) for name, entry in data.datasets.items()}


def _entry(data: CatalogTables, name: str, entry: dict[str, Any]) -> Entry:
    where = f"{listing.CATALOG}: datasets.{name}"
    content = dict.fromkeys(
        ("images", "recipe", "importer", "fingerprint", "published", "statistics")
    )
    content |= {"name": name} | entry
    changes, splits = content.pop("changes", {}), content.pop("splits", None)
    if content["images"] is not None:
        content["images"] = _named(data.images, content["images"], f"{where}: images")
    if (recipe := content["recipe"]) is not None:
        parts = _named(data.recipes, recipe, f"{where}: recipe") | changes
        if splits := splits or data.splits.get(recipe):
            parts["splits"] = splits
        kind = recipe.partition("-")[0]
        model = _named(RECIPES, kind, f"{where}: recipe")
        content["recipe"] = toml.checked(model, parts, f"{where}: recipe {recipe}")
    return toml.checked(Entry, content, where)


def _named(table: Mapping[str, Named], name: Any, where: str) -> Named:
    if not isinstance(name, str) or name not in table:
        raise UserError(f"{where}: {name!r} is not there; known: {', '.join(table)}")
    return table[name]


def entry(name: str) -> Entry:
    """The dataset of that name. Raises UserError for a name that is not in the catalogue."""
    if name not in catalog():
        raise unknown("dataset", name, catalog())
    return catalog()[name]
