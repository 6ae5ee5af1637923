"""Building a catalogued dataset from its source images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmark.datasets import storage
from benchmark.datasets.catalog import Entry
from benchmark.datasets.storage import SPLITS, Split

CARD = """\
---
pretty_name: {title}
license: {licence}
source_datasets:
- {repository}
tags:
- weight-space-learning
- implicit-neural-representations
size_categories:
- 10K<n<100K
configs:
- config_name: default
  data_files:
{data_files}
---

# {title}

![the first test images](examples.png)

Every row is a neural network: a SIREN that draws one image of [{repository}](https://huggingface.co/datasets/{repository}),
and the class of that image. The task is to tell the class from the weights.

| split | networks | median PSNR | worst PSNR |
| --- | ---: | ---: | ---: |
{splits}

- **Network**: {sizes} neurons, sin({omega:g} x) between its layers, {parameters} parameters. `weights` is one flat vector in
  the order W1, b1, W2, b2, ..., each weight matrix row by row, a row per output neuron.
- **Images**: averaged down to {side}x{side} pixels, scaled to [-1, 1]; coordinates (row, column) span [-1, 1]^2. `source_index` is
  the image's row in its source split (validation images are rows of the train split); `psnr` is in dB over a range of 2.
- **Recipe**: all networks start from one common initialisation; {steps} Adam steps at {learning_rate:g} with cosine decay, in float64;
  weights kept to {bits} significant binary digits, which the PSNR includes. The neurons are stored as fitted (`aligned`); the
  benchmark permutes the hidden neurons of each network at random when it reads them.
- **Fingerprint**: `{fingerprint}`; `manifest.json` holds it, the SHA-256 of every file, the network's spec and the recipe.
- **Licence and source**: {licence}, as its source images. {citation}.

```python
from datasets import load_dataset
networks = load_dataset("path/to/this/folder", split="train").with_format("torch")
```
"""


def build(
    entry: Entry, folder: Path, mirror: Path | None, progress: Callable[[int], None] = lambda _: None
) -> storage.Manifest:
    """Make a dataset's networks and write its files into `folder`; `progress` is told how many more networks are fitted."""
    recipe = entry.recipe
    splits = {name: recipe.build(entry.images, name, mirror, progress=progress) for name in SPLITS}
    return storage.write(
        folder,
        entry.name,
        recipe.spec,
        list(entry.images.classes),
        {"images": entry.images.model_dump(mode="json"), **recipe.model_dump(mode="json")},
        splits,
        recipe.examples(entry.images, mirror),
        card(entry, splits),
    )


def card(entry: Entry, splits: dict[str, Split]) -> str:
    """The README of a dataset: YAML that the Hub and `datasets` read, and what a person wants to know."""
    recipe, spec = entry.recipe, entry.recipe.spec
    rows = [
        f"| {name} | {len(split.labels):,} | {split.psnr.median():.1f} dB | {split.psnr.min():.1f} dB |"
        for name, split in splits.items()
    ]
    return CARD.format(
        title=entry.title,
        licence=entry.images.licence,
        citation=entry.images.citation,
        repository=entry.images.repository,
        data_files="\n".join(f"  - split: {name}\n    path: data/{name}.parquet" for name in SPLITS),
        splits="\n".join(rows),
        sizes="-".join(map(str, spec.neurons)),
        parameters=spec.parameters,
        omega=spec.omega,
        side=recipe.side,
        steps=recipe.steps,
        learning_rate=recipe.learning_rate,
        bits=recipe.significant_bits,
        fingerprint=storage.fingerprint(spec, splits),
    )
