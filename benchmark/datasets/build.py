"""Building a catalogued dataset from its source images, shard by shard."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmark.datasets import cards, storage
from benchmark.datasets.catalog import Entry
from benchmark.datasets.storage import SPLITS, Manifest
from benchmark.errors import UserError


def build(
    entry: Entry,
    folder: Path,
    mirror: Path | None,
    device: torch.device = torch.device("cpu"),
    progress: Callable[[float], None] = lambda _: None,
) -> Manifest:
    """Make a dataset's networks and write its files into `folder`; `progress` is told how many more networks are done.

    A shard that an earlier call left there is kept, so an interrupted build goes on where it was.
    """
    recipe, source = entry.recipe, entry.images
    columns = recipe.columns(source)
    shards, dropped = {}, 0
    for split in SPLITS:
        parts = recipe.shards(split)
        shards[split] = [
            storage.shard_path(split, index, len(parts)) for index in range(len(parts))
        ]
        for part, name in zip(parts, shards[split], strict=True):
            path, digest = folder / name, recipe.digest(source, part)
            note = storage.shard_note(path)
            if note is None or note.get("recipe") != digest:
                networks, missing = recipe.build(source, part, mirror, device, progress)
                if not len(networks.targets):
                    raise UserError(
                        f"{name}: all {missing} networks were dropped; the recipe is too short, or diverges"
                    )
                note = {"recipe": digest, "dropped": str(missing)}
                storage.write_shard(path, columns, networks, note)
            else:
                progress(len(part.rows))
            dropped += int(note["dropped"])
    images = source.model_dump(mode="json") if source else None
    made_of = {"images": images, **recipe.model_dump(mode="json", exclude_none=True)}
    examples = recipe.examples(source, mirror)
    manifest = storage.seal(folder, entry.name, columns, made_of, shards, examples, dropped)
    cards.write(folder, entry.title, source, manifest, recipe)
    return manifest


def estimate(entry: Entry, device: torch.device) -> float:
    """Seconds that a build takes, from a short trial on this machine: the median of a few steps, after a first."""
    recipe = entry.recipe
    take = recipe.trial(device)
    take(1)  # compiles, and warms up
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        take(5)
        seconds.append((time.perf_counter() - started) / 5)
    return statistics.median(seconds) * recipe.steps * recipe.networks / recipe.chunk[device.type]
