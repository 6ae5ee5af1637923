"""Building a catalogued dataset from its source images, shard by shard."""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from benchmark.datasets import cards, storage
from benchmark.datasets.catalog import Entry
from benchmark.datasets.storage import SPLITS, Manifest
from benchmark.errors import UserError
from benchmark.record.schema import write_atomically

JOURNAL = "building.json"
"""Of a folder that is being built: the SHA-256 of each shard that is whole, by its path."""


def build(
    entry: Entry,
    folder: Path,
    mirror: Path | None,
    device: torch.device = torch.device("cpu"),
    progress: Callable[[float], None] = lambda _: None,
) -> Manifest:
    """Make a dataset's networks, and write its files.

    A whole shard that an earlier call left in the folder is not made again, so an interrupted build
    goes on where it stopped.

    Args:
        entry: the dataset, which has a recipe.
        folder: where it is written.
        mirror: where its source images are read (see `sources.images`).
        device: where the networks are trained.
        progress: called with the number of networks that are done since the last call.

    Raises:
        UserError: the source images are not available, no network of a shard is good enough, the
            folder takes no files or holds another build, or another process builds there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=0):
            return _build(entry, folder, mirror, device, progress)
    except Timeout:
        raise UserError(f"{folder}: another process builds there") from None
    except OSError as error:
        raise UserError(
            f"{error.filename or folder}: {error.strerror or error}; once that is mended the same "
            "command goes on, or choose another --output"
        ) from None


def _build(
    entry: Entry,
    folder: Path,
    mirror: Path | None,
    device: torch.device,
    progress: Callable[[float], None],
) -> Manifest:
    recipe, source = entry.recipe, entry.images
    columns = recipe.columns(source)
    parts = {split: recipe.shards(split) for split in SPLITS}
    shards = {split: storage.shard_paths(split, len(parts[split])) for split in SPLITS}
    journal = _journal(folder, [name for names in shards.values() for name in names])
    dropped = 0
    for split in SPLITS:
        for part, name in zip(parts[split], shards[split], strict=True):
            path, digest = folder / name, recipe.digest(source, part)
            note = _note_of_whole(path, journal.get(name))
            if note is None:
                networks, failures = recipe.build(source, part, mirror, device, progress)
                if not len(networks.targets):
                    raise UserError(
                        f"{name}: all {failures} networks were dropped; "
                        "the recipe is too short, or diverges"
                    )
                note = {"recipe": digest, "dropped": str(failures)}
                storage.write_shard(path, columns, networks, note)
                journal[name] = _sha256(path)
                write_atomically(folder / JOURNAL, json.dumps(journal).encode())
            elif note.get("recipe") != digest:
                raise UserError(_other_build(folder))
            else:
                progress(len(part.rows))
            dropped += int(note["dropped"])
    examples = recipe.examples(source, mirror)
    manifest = storage.seal(
        folder, entry.name, columns, entry.provenance, shards, examples, dropped
    )
    body = recipe.card(folder, source, manifest)
    cards.write(folder, entry.title, source, manifest, body)
    (folder / JOURNAL).unlink(missing_ok=True)
    return manifest


def _journal(folder: Path, expected: Iterable[str]) -> dict[str, str]:
    """Read the journal of a build that goes on. Raises UserError where others' shards lie there."""
    lying = {path.relative_to(folder).as_posix() for path in folder.glob("data/*.parquet")}
    if lying - set(expected):
        raise UserError(_other_build(folder))
    try:
        found = json.loads((folder / JOURNAL).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _note_of_whole(path: Path, known: str | None) -> Mapping[str, str] | None:
    """The note of a shard that is as it was written; None where there is no such shard.

    A shard of another recipe counts as whole, for its note to say so.
    """
    note = storage.shard_note(path)
    return note if note and known in (None, _sha256(path)) else None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _other_build(folder: Path) -> str:
    return f"{folder} holds shards of another build; remove it, or choose another --output"


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
