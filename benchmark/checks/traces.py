"""Fits of a recipe with other steps, rates and decays, held against published statistics.

A recipe that nobody published can be found by the statistics of what it made. How sharply they tell
it from its neighbours is seen from these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path

from benchmark.datasets import catalog, locate, statistics, storage
from benchmark.datasets.catalog import Entry
from benchmark.datasets.recipes.inr import InrRecipe, Shard
from benchmark.datasets.recipes.waves import WaveRecipe
from benchmark.errors import UserError
from benchmark.record.traces import Point, Settings, Statistic, Trace, deviations

STEPS = (1 / 3, 2 / 3, 1, 4 / 3, 2)
RATES = (1 / 2, 1, 2)
"""Multiples of the recipe's."""

SirenRecipe = InrRecipe | WaveRecipe

Progress = Callable[[str], None]


def measure(
    name: str, networks: int, mirror: Path | None, progress: Progress = lambda _: None
) -> Trace:
    """Fit a dataset's first training networks by its recipe and by its neighbours.

    Args:
        name: Of the catalogue, with a recipe of INRs and published statistics.
        networks: How many are fitted for each point.
        mirror: A folder laid out like the Hub, where the source images are read.
        progress: Called with a line for each point.

    Raises:
        UserError: If there is no such dataset, or nothing is published of it.
    """
    entry = catalog.entry(name)
    known = statistics.get(entry.statistics)
    if not isinstance(entry.recipe, SirenRecipe) or known is None:
        raise UserError(
            f"{name} has no recipe of INRs with published statistics to hold it against"
        )
    whole, rebuilt = _rebuilt(entry)  # before hours of fits, since a damaged copy ends here
    shard = Shard("train", range(networks), 0)
    points = []
    for recipe in neighbours(entry.recipe):
        split, _ = recipe.build(entry.images, shard, locate.mirror_folder(mirror))
        compared = statistics.compare(known, recipe.spec, [split.weights])
        points.append(Point(settings=settings(recipe), statistics=tuple(compared)))
        far = max(abs(one.percent) for one in deviations(compared))
        progress(f"{name}, {points[-1].settings}: at most {far:.1f} % off")
    return Trace(
        dataset=name,
        title=known.title,
        source=known.source,
        settings=settings(entry.recipe),
        networks=networks,
        points=tuple(points),
        whole=whole,
        rebuilt=rebuilt,
    )


def neighbours(recipe: SirenRecipe) -> Iterator[SirenRecipe]:
    """Yield the recipe with other steps, at its own rate and others, and without its decay.

    All keep each network as it was fitted first, however poor, so that all are of the same starts.
    """
    kept = recipe
    if isinstance(recipe, InrRecipe):
        kept = recipe.model_copy(update={"minimum_psnr": -inf})
    variants = [{"learning_rate": rate * recipe.learning_rate} for rate in RATES]
    if recipe.weight_decay:
        variants.append({"weight_decay": None})
    for variant in variants:
        for steps in STEPS:
            yield kept.model_copy(update=variant | {"steps": round(steps * recipe.steps)})


def settings(recipe: SirenRecipe) -> Settings:
    """Return what is varied of a recipe."""
    return Settings(
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay or 0.0,
        steps=recipe.steps,
    )


def _rebuilt(entry: Entry) -> tuple[int, tuple[Statistic, ...]]:
    """How many training networks there are on this machine, and their statistics."""
    copy = locate.local(entry)
    if copy is None:
        return 0, ()
    manifest = storage.read_manifest(copy.folder)
    weights = (part.weights for part in storage.stream(copy.folder, "train"))
    compared = locate.comparisons(entry, manifest, weights)
    rows = sum(file.rows for file in manifest.files["train"])
    return (rows, tuple(compared)) if compared else (0, ())
