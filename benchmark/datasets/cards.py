"""Dataset cards: what the Hub shows of a dataset, and its picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmark.datasets import storage
from benchmark.datasets.recipes.inr import InrRecipe
from benchmark.datasets.recipes.sines import SineRecipe
from benchmark.datasets.recipes.zoo import ZooRecipe
from benchmark.datasets.sources import ImageSource
from benchmark.datasets.storage import SPLITS, Manifest
from benchmark.runs.pictures import sheet, to_pixels
from nft import siren

Recipe = InrRecipe | ZooRecipe | SineRecipe
EDITED = {
    "dilate": "that image after a dilation (`target_image`: the largest value of each 3x3 neighbourhood). The task is to change the "
    "weights so that the network draws it",
    "contrast": "that image with more contrast (`target_image`: the lightness of CIE L*a*b* equalised by OpenCV's CLAHE, clip limit 1, "
    "3x3 tiles). The task is to change the weights so that the network draws it",
}
SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
)

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

INR_CARD = """\
![the first test images, and what their networks draw](renderings.png)

Every row is a neural network: a SIREN that draws one image of [{repository}](https://huggingface.co/datasets/{repository}),
and {target}.

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
"""

SINE_CARD = """\
Every row is a neural network: a SIREN that computes sin(b x) for x from -pi to pi, and b (`target`), which is uniform in {low:g} to
{high:g}. The task is to tell b from the weights.

| split | networks | median PSNR | worst PSNR |
| --- | ---: | ---: | ---: |
{splits}

- **Network**: {sizes} neurons, sin({omega:g} x) between its layers, {parameters} parameters; its input is x / pi. `weights` is one
  flat vector in the order W1, b1, W2, b2, ..., each weight matrix row by row. `psnr` is in dB over a range of 2.
- **Recipe**: all networks start from one common initialisation; {steps} Adam steps at {learning_rate:g} with cosine decay, on {points}
  points, in
  {precision}{rounding}. The neurons are stored as fitted (`aligned`); the benchmark permutes the hidden neurons of each network at
  random when it reads them.
"""

ZOO_CARD = """\
![how the test accuracies are distributed](accuracies.png)

Every row is a neural network: a small CNN that was trained to classify images of
[{repository}](https://huggingface.co/datasets/{repository}), with hyper-parameters of its own, and its accuracy on that
dataset's test images. The task is to tell the accuracy from the weights.

| split | networks | lowest accuracy | median | highest |
| --- | ---: | ---: | ---: | ---: |
{splits}

- **Network**: three convolutions of stride 2 with 3x3 kernels and {channels} channels, the mean over what is left of the image,
  and a dense layer; {parameters} parameters. `weights` is one flat vector in the order W1, b1, W2, b2, ..., each weight
  `[outputs, inputs, *kernel]` row by row. Half of the networks have ReLU, half tanh.
- **Images**: grey, averaged down to {side}x{side} pixels, in [0, 1]: the first {train_rows} of the train split to train,
  the first {test_rows} of the test split for the accuracy (`target`). `train_accuracy` is that on all of the training images.
- **Recipe**: {steps} steps of {batch_size} images in {precision}{rounding}. Drawn for each network (`source_index` is its
  number): SGD with momentum, Adam or
  RMSprop; learning rate {learning_rate}, L2 penalty {l2} and standard deviation {initial_std} of the two
  initialisations that have one, log-uniform; dropout {dropout}; a share of the training images, one of {train_fractions}; one of five
  initialisations. {dropped} networks whose weights stopped being numbers were dropped.
"""

IMPORT_CARD = """\
![{alternative}]({picture})

Every row is a neural network as its authors published it, and {target}.

| split | networks |
| --- | ---: |
{splits}

- **Network**: {sizes} neurons or channels, {parameters} parameters. `weights` is one flat vector in the order W1, b1, W2, b2, ...,
  each weight `[outputs, inputs, *kernel]` row by row.
- **Read from**: the published files, in the layout `{layout}`.
"""

FOOT = """\
- **Fingerprint**: `{fingerprint}`; `manifest.json` holds it, the SHA-256 of every file, the network's spec and the recipe.
- **Licence and source**: {licence}. {citation}

```python
from datasets import load_dataset
networks = load_dataset("path/to/this/folder", split="train").with_format("torch")
```
"""


def _draw_renderings(folder: Path, manifest: Manifest) -> None:
    """Write a sheet of what the first test networks were fitted to, above what they draw."""
    examples = storage.read_examples(folder, manifest)
    test = next(storage.stream(folder, "test")).weights[: len(examples)]
    drawn = siren.render(manifest.network, test, siren.grid(*manifest.image))
    rows = [("image", examples), ("network", to_pixels(drawn, *manifest.image))]
    sheet(rows).save(folder / "renderings.png")


def _draw_targets(folder: Path, manifest: Manifest) -> None:
    """Write a sheet of what the first test networks draw, above what an editor is to make of it."""
    test = next(storage.stream(folder, "test"))
    rows = test.weights[:16], test.targets[:16]
    drawn = to_pixels(
        siren.render(manifest.network, rows[0], siren.grid(*manifest.image)), *manifest.image
    )
    sheet([("network", drawn), ("target", rows[1].numpy().reshape(drawn.shape))]).save(
        folder / "renderings.png"
    )


def _draw_accuracies(folder: Path) -> None:
    """Write a histogram of a zoo's test accuracies, of all splits."""
    from matplotlib.figure import Figure  # slow to import

    accuracies = [
        part.targets.numpy() for split in SPLITS for part in storage.stream(folder, split)
    ]
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    axes.hist(np.concatenate(accuracies), bins=np.linspace(0, 1, 41).tolist(), color="tab:blue")
    axes.set(xlabel="accuracy on the test images", ylabel="networks", xlim=(0, 1))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(folder / "accuracies.png", dpi=120)


def write(
    folder: Path, title: str, source: ImageSource | None, manifest: Manifest, recipe: Recipe | None
) -> None:
    """Write the card of a sealed dataset, YAML that the Hub and `datasets` read and what a person wants to know, and its picture."""
    if manifest.target_pixels:
        _draw_targets(folder, manifest)
    elif manifest.image:
        _draw_renderings(folder, manifest)
    elif source:
        _draw_accuracies(folder)
    (folder / "README.md").write_text(
        _card(folder, title, source, manifest, recipe), encoding="utf-8"
    )


def _card(
    folder: Path, title: str, source: ImageSource | None, manifest: Manifest, recipe: Recipe | None
) -> str:
    bits = recipe.significant_bits if recipe else 24
    common = {
        "repository": source.repository if source else "",
        "licence": source.licence if source else "mit",
        "sources": f"source_datasets:\n- {source.repository}\n" if source else "",
        "parameters": f"{manifest.network.parameters:,}",
        "sizes": "-".join(map(str, manifest.network.neurons)),
        "dropped": f"{manifest.dropped:,}",
        "rounding": f", weights kept to {bits} significant binary digits" * (bits < 24),
    }
    head = HEAD.format(
        title=title,
        tags="- implicit-neural-representations\n" * (manifest.network.activation == "sine"),
        size=next(name for limit, name in SIZES if manifest.rows < limit),
        data_files="\n".join(
            f"  - split: {name}\n    path: data/{name}-*.parquet" for name in SPLITS
        ),
        **common,
    )
    if isinstance(recipe, InrRecipe):
        found = {
            split: torch.cat([part.quality for part in storage.stream(folder, split)])
            for split in SPLITS
        }
        body = _inr_card(recipe, found, common)
    elif isinstance(recipe, SineRecipe):
        found = {
            split: torch.cat([part.quality for part in storage.stream(folder, split)])
            for split in SPLITS
        }
        body = _sine_card(recipe, found, common)
    elif isinstance(recipe, ZooRecipe):
        found = {
            split: torch.cat([part.targets for part in storage.stream(folder, split)])
            for split in SPLITS
        }
        body = _zoo_card(recipe, found, common)
    else:
        rows = {split: sum(file.rows for file in files) for split, files in manifest.files.items()}
        body = IMPORT_CARD.format(
            alternative="what the first test networks draw"
            if manifest.image
            else "how the accuracies are distributed",
            picture="renderings.png" if manifest.image else "accuracies.png",
            target="the class of the image it draws"
            if manifest.image
            else "its accuracy on test images (`target`)",
            splits="\n".join(f"| {split} | {count:,} |" for split, count in rows.items()),
            layout=manifest.recipe["format"],
            **common,
        )
    citation = (
        f"As its source images: {source.citation}."
        if source
        else "Made by this recipe from nothing else."
    )
    return head + body + FOOT.format(citation=citation, fingerprint=manifest.fingerprint, **common)


def _inr_card(recipe: InrRecipe, found: Mapping[str, Tensor], common: Mapping[str, str]) -> str:
    return INR_CARD.format(
        splits=_psnr_lines(found),
        target=EDITED[recipe.edit]
        if recipe.edit
        else "the class of that image. The task is to tell the class from the weights",
        omega=recipe.omega,
        side=recipe.side,
        start="all networks start from one common initialisation"
        if recipe.initialisation == "common"
        else "each network starts from an initialisation of its own",
        steps=f"{recipe.steps:,}",
        learning_rate=recipe.learning_rate,
        schedule="with cosine decay" if recipe.schedule == "cosine" else "constant",
        precision=recipe.precision,
        minimum=f"{recipe.minimum_psnr:g}",
        **common,
    )


def _sine_card(recipe: SineRecipe, found: Mapping[str, Tensor], common: Mapping[str, str]) -> str:
    return SINE_CARD.format(
        splits=_psnr_lines(found),
        low=recipe.frequency[0],
        high=recipe.frequency[1],
        omega=recipe.omega,
        steps=f"{recipe.steps:,}",
        learning_rate=recipe.learning_rate,
        points=recipe.points,
        precision=recipe.precision,
        **common,
    )


def _psnr_lines(found: Mapping[str, Tensor]) -> str:
    return "\n".join(
        f"| {split} | {len(psnr):,} | {psnr.median():.1f} dB | {psnr.min():.1f} dB |"
        for split, psnr in found.items()
    )


def _zoo_card(recipe: ZooRecipe, found: Mapping[str, Tensor], common: Mapping[str, str]) -> str:
    lines = []
    for split, accuracy in found.items():
        low, middle, high = accuracy.min(), accuracy.median(), accuracy.max()
        lines.append(f"| {split} | {len(accuracy):,} | {low:.3f} | {middle:.3f} | {high:.3f} |")

    def between(bounds: tuple[float, float]) -> str:
        return f"{bounds[0]:g} to {bounds[1]:g}"

    return ZOO_CARD.format(
        splits="\n".join(lines),
        channels=", ".join(map(str, recipe.channels)),
        side=recipe.side,
        train_rows=f"{recipe.train_rows:,}",
        test_rows=f"{recipe.test_rows:,}",
        steps=f"{recipe.steps:,}",
        batch_size=recipe.batch_size,
        precision=recipe.precision,
        learning_rate=between(recipe.learning_rate),
        l2=between(recipe.l2),
        initial_std=between(recipe.initial_std),
        dropout=between(recipe.dropout),
        train_fractions=", ".join(f"{fraction:g}" for fraction in recipe.train_fractions),
        **common,
    )
