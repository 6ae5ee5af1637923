"""What an importer is, and how it brings published files into the one format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from benchmark.datasets import cards, storage
from benchmark.datasets.sources import ImageSource
from benchmark.datasets.storage import Columns, Manifest, Split
from benchmark.errors import UserError

SHARD_ROWS = 5000
"""Networks in a file."""

CARD = """\
![{caption}]({picture})

Every row is a neural network as its authors published it, and {target}.

| split | networks |
| --- | ---: |
{splits}

- **Network**: {sizes} neurons or channels, {parameters} parameters. `weights` is one flat vector \
in the order W1, b1, W2, b2, ...,
  each weight `[outputs, inputs, *kernel]` row by row.
- **Read from**: the published files, in the layout `{layout}`.
"""

Networks = Sequence[Any] | np.ndarray
"""What identifies networks in their original: each one's file, or its row of an array."""


@dataclass(frozen=True)
class Original:
    """What a folder of published files holds.

    columns: of the dataset that it becomes.
    splits: the networks of each split.
    read: reads some of them.
    """

    columns: Columns
    splits: dict[str, Networks]
    read: Callable[[Networks], Split]


class Layout(BaseModel, ABC):
    """How the files of a published dataset are laid out, and how they are read.

    A subclass names itself in a field `format`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @abstractmethod
    def open(self, source: Path, classes: tuple[str, ...]) -> Original:
        """List the networks under `source`.

        Raises UserError for a file that is missing or wrong.
        """

    def examples(self, original: Original) -> np.ndarray | None:  # noqa: ARG002
        """Images that stand for the dataset (see `WeightDataset`), or None for other networks."""
        return None


def import_original(
    layout: Layout,
    name: str,
    title: str,
    images: ImageSource,
    source: Path,
    folder: Path,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Manifest:
    """Read a folder of published networks, check every one, and write the dataset.

    Args:
        layout: how the files are laid out.
        name, title: of the dataset.
        images: what the networks draw, or were trained on.
        source: the folder of published files.
        folder: where the dataset is written.
        progress: called with the networks that are done, and all of them.

    Raises:
        UserError: names a file that is missing or wrong.
    """
    original, recipe = layout.open(source, images.classes), layout.model_dump(mode="json")
    shards: dict[str, list[str]] = {}
    done, total = 0, sum(map(len, original.splits.values()))
    for split, networks in original.splits.items():
        if not len(networks):
            raise UserError(f"{source}: no network of the {split} split")
        starts = range(0, len(networks), SHARD_ROWS)
        parts = [networks[start : start + SHARD_ROWS] for start in starts]
        shards[split] = storage.shard_paths(split, len(parts))
        note = {"importer": recipe["format"]}
        for part, path in zip(parts, shards[split], strict=True):
            storage.write_shard(folder / path, original.columns, original.read(part), note)
            done += len(part)
            progress(done, total)
    examples = layout.examples(original)
    manifest = storage.seal(folder, name, original.columns, recipe, shards, examples)
    cards.write(folder, title, images, manifest, _card(images, manifest))
    return manifest


def verify(layout: Layout, name: str, folder: Path) -> Manifest:
    """Verify what an earlier import left in a folder.

    Raises UserError where it is damaged, or is not what that import writes.
    """
    manifest = storage.verify(folder)
    if (manifest.name, manifest.recipe) != (name, layout.model_dump(mode="json")):
        raise UserError(
            f"{folder} holds a dataset already, {manifest.name} or another import; remove it, or "
            "choose another --output"
        )
    return manifest


def _card(images: ImageSource, manifest: Manifest) -> str:
    draws = manifest.image is not None
    rows = {split: sum(file.rows for file in files) for split, files in manifest.files.items()}
    return CARD.format(
        caption="what the first test networks draw"
        if draws
        else "how the accuracies are distributed",
        picture="renderings.png" if draws else "accuracies.png",
        target="the class of the image it draws"
        if draws
        else "its accuracy on test images (`target`)",
        splits="\n".join(f"| {split} | {count:,} |" for split, count in rows.items()),
        layout=manifest.recipe["format"],
        **cards.facts(images, manifest),
    )
