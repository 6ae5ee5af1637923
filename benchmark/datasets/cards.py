"""Dataset cards: what the Hub shows of a dataset, and its picture.

The recipe or importer of a dataset writes the body of its card, with the `facts` of every card.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmark.datasets import storage
from benchmark.datasets.sources import ImageSource
from benchmark.datasets.storage import SPLITS, Manifest
from benchmark.record.schema import write_atomically
from benchmark.runs.pictures import sheet, to_pixels
from nft import siren

TILES = 16
"""Networks in a picture."""

SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
)
"""The Hub's categories, each with the number of rows that it ends below."""

HEAD = """\
---
pretty_name: {title}
license: {licence}
{sources}tags:
- weight-space-learning
{tags}size_categories:
- {size}
configs:
- config_name: default
  data_files:
{data_files}
---

# {title}

"""

FOOT = """\
- **Fingerprint**: `{fingerprint}`; `manifest.json` holds it, the SHA-256 of every file, \
the network's spec and the recipe.
- **Licence and source**: {licence}. {citation}

```python
from datasets import load_dataset

networks = load_dataset("path/to/this/folder", split="train").with_format("torch")
```
"""


def facts(source: ImageSource | None, manifest: Manifest) -> dict[str, str]:
    """The facts that every card states, as fields of its text."""
    return {
        "repository": source.repository if source else "",
        "parameters": f"{manifest.network.parameters:,}",
        "sizes": "-".join(map(str, manifest.network.neurons)),
        "dropped": f"{manifest.dropped:,}",
    }


def rounding(bits: int) -> str:
    """The part of a sentence that states the rounding of weights; empty for whole float32."""
    return f", weights kept to {bits} significant binary digits" * (bits < 24)


def column(folder: Path, name: str) -> dict[str, Tensor]:
    """A column of a dataset (an attribute of `Split`), by split."""
    return {
        split: torch.cat([getattr(part, name) for part in storage.stream(folder, split)])
        for split in SPLITS
    }


def psnr_rows(psnr: Mapping[str, Tensor]) -> str:
    """The rows of a table of fits, one for each split."""
    return "\n".join(
        f"| {split} | {len(values):,} | {values.median():.1f} dB | {values.min():.1f} dB |"
        for split, values in psnr.items()
    )


def write(
    folder: Path, title: str, source: ImageSource | None, manifest: Manifest, body: str
) -> None:
    """Write the card of a sealed dataset, and its picture.

    Args:
        folder: of the dataset.
        title: of the dataset.
        source: of the images that the networks draw or were trained on.
        manifest: of the dataset.
        body: of the card, between its title and what is said of every dataset.
    """
    if manifest.target_pixels:
        _draw_targets(folder, manifest)
    elif manifest.image:
        _draw_renderings(folder, manifest)
    elif source:
        _draw_accuracies(folder)
    card = _head(title, source, manifest) + body + _foot(source, manifest)
    write_atomically(folder / "README.md", card.encode())


def _head(title: str, source: ImageSource | None, manifest: Manifest) -> str:
    """The YAML that the Hub and the `datasets` library read, and the title."""
    return HEAD.format(
        title=title,
        licence=_licence(source),
        sources=f"source_datasets:\n- {source.repository}\n" if source else "",
        tags="- implicit-neural-representations\n" * (manifest.network.activation == "sine"),
        size=next(name for limit, name in SIZES if manifest.rows < limit),
        data_files="\n".join(
            f"  - split: {name}\n    path: data/{name}-*.parquet" for name in SPLITS
        ),
    )


def _foot(source: ImageSource | None, manifest: Manifest) -> str:
    return FOOT.format(
        fingerprint=manifest.fingerprint,
        licence=_licence(source),
        citation=f"As its source images: {source.citation}."
        if source
        else "Made by this recipe from nothing else.",
    )


def _licence(source: ImageSource | None) -> str:
    return source.licence if source else "mit"


def _draw_renderings(folder: Path, manifest: Manifest) -> None:
    """Write a sheet of what the first test networks were fitted to, above what they draw."""
    examples = storage.read_examples(folder, manifest)
    weights = next(storage.stream(folder, "test")).weights[: len(examples)]
    rows = [("image", examples), ("network", _render(weights, manifest))]
    sheet(rows).save(folder / "renderings.png")


def _draw_targets(folder: Path, manifest: Manifest) -> None:
    """Write a sheet of what the first test networks draw, above what an editor is to make of it."""
    test = next(storage.stream(folder, "test"))
    renderings = _render(test.weights[:TILES], manifest)
    targets = test.targets[:TILES].numpy().reshape(renderings.shape)
    sheet([("network", renderings), ("target", targets)]).save(folder / "renderings.png")


def _render(weights: Tensor, manifest: Manifest) -> np.ndarray:
    values = siren.render(manifest.network, weights, siren.grid(*manifest.image))
    return to_pixels(values, *manifest.image)


def _draw_accuracies(folder: Path) -> None:
    """Write a histogram of a zoo's test accuracies, of all splits."""
    from matplotlib.figure import Figure  # slow to import

    accuracies = torch.cat(list(column(folder, "targets").values())).numpy()
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    axes.hist(accuracies, bins=np.linspace(0, 1, 41).tolist(), color="tab:blue")
    axes.set(xlabel="accuracy on the test images", ylabel="networks", xlim=(0, 1))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(folder / "accuracies.png", dpi=120)
