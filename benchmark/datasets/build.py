"""Building a catalogued dataset from its source images, shard by shard."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmark.datasets import storage
from benchmark.datasets.catalog import Entry
from benchmark.datasets.storage import SPLITS, Manifest
from benchmark.errors import UserError
from benchmark.pictures import sheet, to_pixels
from nft import siren

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
- {size}
configs:
- config_name: default
  data_files:
{data_files}
---

# {title}

![the first test images, and what their networks draw](renderings.png)

Every row is a neural network: a SIREN that draws one image of [{repository}](https://huggingface.co/datasets/{repository}),
and the class of that image. The task is to tell the class from the weights.

| split | networks | median PSNR | worst PSNR |
| --- | ---: | ---: | ---: |
{splits}

- **Network**: {sizes} neurons, sin({omega:g} x) between its layers, {parameters} parameters. `weights` is one flat vector in
  the order W1, b1, W2, b2, ..., each weight matrix row by row, a row per output neuron.
- **Images**: averaged down to {side}x{side} pixels, scaled to [-1, 1]; coordinates (row, column) span [-1, 1]^2. `source_index` is
  the image's row in its source split (validation images are rows of the train split); `copy` tells apart the networks of one image;
  `psnr` is in dB over a range of 2.
- **Recipe**: {start}; {steps} Adam steps at {learning_rate:g}, {schedule}, in {precision}{rounding}. {dropped} networks
  whose fit stayed below {minimum} dB were dropped. The neurons are stored as fitted (`aligned`); the benchmark permutes the hidden
  neurons of each network at random when it reads them.
- **Fingerprint**: `{fingerprint}`; `manifest.json` holds it, the SHA-256 of every file, the network's spec and the recipe.
- **Licence and source**: {licence}, as its source images. {citation}.

```python
from datasets import load_dataset
networks = load_dataset("path/to/this/folder", split="train").with_format("torch")
```
"""


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
    recipe, images = entry.recipe, entry.images
    shards, dropped = {}, 0
    for split in SPLITS:
        parts = recipe.shards(split)
        shards[split] = [storage.shard_path(split, index, len(parts)) for index in range(len(parts))]
        for part, name in zip(parts, shards[split], strict=True):
            path, digest = folder / name, recipe.digest(images, part)
            note = storage.shard_note(path)
            if note is None or note.get("recipe") != digest:
                networks, missing = recipe.build(images, part, mirror, device, progress)
                if not len(networks.labels):
                    raise UserError(
                        f"{name}: no fit reached {recipe.minimum_psnr:g} dB; the recipe is too short, or diverges"
                    )
                note = {"recipe": digest, "dropped": str(missing)}
                storage.write_shard(path, recipe.spec, list(images.classes), networks, note)
            else:
                progress(len(part.rows))
            dropped += int(note["dropped"])
    made_of = {"images": images.model_dump(mode="json"), **recipe.model_dump(mode="json")}
    examples = recipe.examples(images, mirror)
    manifest = storage.seal(folder, entry.name, recipe.spec, list(images.classes), made_of, shards, examples, dropped)
    test = next(storage.stream(folder, "test")).weights[: len(examples)]
    drawn = siren.render(recipe.spec, test, siren.grid(*manifest.image))
    sheet([("image", examples), ("network", to_pixels(drawn, *manifest.image))]).save(folder / "renderings.png")
    (folder / "README.md").write_text(card(entry, folder, manifest), encoding="utf-8")
    return manifest


def estimate(entry: Entry, device: torch.device) -> float:
    """Seconds that a build takes, from a short trial on this machine."""
    recipe = entry.recipe
    trial = 500 if device.type == "cpu" else 20_000
    dtype = getattr(torch, recipe.precision)
    start = siren.initialise(recipe.spec, trial, dtype=dtype).to(device)
    coordinates = siren.grid(recipe.side, recipe.side, dtype, device)
    targets = torch.zeros(trial, recipe.side**2, recipe.channels, dtype=dtype, device=device)
    seconds = []
    for steps in (1, 4):
        started = time.perf_counter()
        _, errors = siren.fit(recipe.spec, start, targets, coordinates, steps, recipe.learning_rate)
        errors.sum().item()  # waits for the device
        seconds.append(time.perf_counter() - started)
    return (seconds[1] - seconds[0]) / 3 * recipe.steps * recipe.networks / trial


def card(entry: Entry, folder: Path, manifest: Manifest) -> str:
    """The README of a dataset: YAML that the Hub and `datasets` read, and what a person wants to know."""
    recipe, spec = entry.recipe, entry.recipe.spec
    lines = []
    for split in SPLITS:
        psnr = torch.cat([part.psnr for part in storage.stream(folder, split)])
        lines.append(f"| {split} | {len(psnr):,} | {psnr.median():.1f} dB | {psnr.min():.1f} dB |")
    common = recipe.initialisation == "common"
    rounding = f", weights kept to {recipe.significant_bits} significant binary digits" * (recipe.significant_bits < 24)
    rows = sum(file.rows for files in manifest.files.values() for file in files)
    return CARD.format(
        title=entry.title,
        licence=entry.images.licence,
        citation=entry.images.citation,
        repository=entry.images.repository,
        size="10K<n<100K" if rows < 100_000 else "100K<n<1M",
        data_files="\n".join(f"  - split: {name}\n    path: data/{name}-*.parquet" for name in SPLITS),
        splits="\n".join(lines),
        sizes="-".join(map(str, spec.neurons)),
        parameters=f"{spec.parameters:,}",
        omega=spec.omega,
        side=recipe.side,
        start="all networks start from one common initialisation"
        if common
        else "each network starts from an initialisation of its own",
        steps=f"{recipe.steps:,}",
        learning_rate=recipe.learning_rate,
        schedule="with cosine decay" if recipe.schedule == "cosine" else "constant",
        precision=recipe.precision,
        rounding=rounding,
        dropped=f"{manifest.dropped:,}",
        minimum=f"{recipe.minimum_psnr:g}",
        fingerprint=manifest.fingerprint,
    )
