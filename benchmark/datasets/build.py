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
    """Make a dataset's networks, and write its files.

    A shard that an earlier call left in the folder is not made again, so an interrupted build goes
    on where it stopped.

    Args:
        entry: the dataset, which has a recipe.
        folder: where it is written.
        mirror: where its source images are read (see `sources.images`).
        device: where the networks are trained.
        progress: called with the number of networks that are done since the last call.

    Raises:
        UserError: the source images are not available, or no network of a shard is good enough.
    """
    recipe, source = entry.recipe, entry.images
    columns = recipe.columns(source)
    shards, dropped = {}, 0
    for split in SPLITS:
        parts = recipe.shards(split)
        shards[split] = storage.shard_paths(split, len(parts))
        for part, name in zip(parts, shards[split], strict=True):
            path, digest = folder / name, recipe.digest(source, part)
            note = storage.shard_note(path)
            if note is None or note.get("recipe") != digest:
                networks, failures = recipe.build(source, part, mirror, device, progress)
                if not len(networks.targets):
                    raise UserError(
                        f"{name}: all {failures} networks were dropped; "
                        "the recipe is too short, or diverges"
                    )
                note = {"recipe": digest, "dropped": str(failures)}
                storage.write_shard(path, columns, networks, note)
            else:
                progress(len(part.rows))
            dropped += int(note["dropped"])
    examples = recipe.examples(source, mirror)
    manifest = storage.seal(
        folder, entry.name, columns, entry.provenance, shards, examples, dropped
    )
    body = recipe.card(folder, source, manifest)
    cards.write(folder, entry.title, source, manifest, body)
    return manifest


def verify(entry: Entry, folder: Path) -> Manifest:
    """Verify a build that is in a folder already.

    Raises UserError where it is damaged, or is not what `build` would write there.
    """
    try:
        manifest = storage.verify(folder)
    except UserError as error:
        raise UserError(f"{error}; to rebuild it, remove {folder}") from None
    if manifest.name != entry.name:
        difference = f"{manifest.name}, not {entry.name} (another name, or another --limit)"
    elif not entry.made(manifest.recipe):
        difference = f"{entry.name} by another recipe"
    else:
        return manifest
    raise UserError(f"{folder} holds {difference}; remove it, or choose another --output")


def estimate(entry: Entry, device: torch.device) -> float:
    """Estimate how many seconds a build takes, by a short trial on this machine.

    Returns the median of a few steps, times the number of steps.
    """
    recipe = entry.recipe
    take = recipe.trial(device)
    take(1)  # compiles, and warms up
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        take(5)
        seconds.append((time.perf_counter() - start) / 5)
    return statistics.median(seconds) * recipe.steps * recipe.networks / recipe.chunk[device.type]
