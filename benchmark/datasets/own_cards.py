"""The card of a user's own dataset: its owner's words, and what the files themselves say."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.datasets.cards import SIZES
from benchmark.datasets.storage import SPLITS, Manifest
from benchmark.record.schema import write_atomically

if TYPE_CHECKING:
    from benchmark.datasets.own import Options

BODY = """\

# {title}

{text}Every row is a neural network: its {parameters} weights, of layers of {sizes} neurons \
(activation: {activation}), and what it comes with.

| split | networks |
| --- | --- |
{splits}

| target | holds |
| --- | --- |
{targets}

{words}- **Fingerprint**: `{fingerprint}`; `manifest.json` holds it, the SHA-256 of every file, \
the networks' spec and how they were read.

```
python -m benchmark run {task} --datasets OWNER/NAME --target {target}
```
"""


def write(folder: Path, manifest: Manifest, options: Options) -> None:
    """Write the card of a sealed dataset."""
    title, spec = options.title or manifest.name, manifest.network
    rows = {split: sum(file.rows for file in manifest.files[split]) for split in SPLITS}
    words = [("Licence", options.licence), ("Authors", options.authors)]
    first, names = next(iter(manifest.targets.items()))
    body = BODY.format(
        title=title,
        text=f"{options.text.strip()}\n\n" if options.text.strip() else "",
        parameters=f"{spec.parameters:,}",
        sizes="-".join(map(str, spec.neurons)),
        activation=spec.activation,
        splits="\n".join(f"| {split} | {count:,} |" for split, count in rows.items()),
        targets="\n".join(
            f"| `{name}` | {'one of ' + ', '.join(classes) if classes else 'a number'} |"
            for name, classes in manifest.targets.items()
        ),
        words="".join(f"- **{what}**: {said}\n" for what, said in words if said),
        fingerprint=manifest.fingerprint,
        task="classification" if names else "regression",
        target=shlex.quote(first),
    )
    card = _head(title, manifest, options) + body
    write_atomically(folder / "README.md", card.encode())


def _head(title: str, manifest: Manifest, options: Options) -> str:
    """The YAML that the Hub and the `datasets` library read; JSON's strings are YAML's, too."""
    size = next(name for limit, name in SIZES if manifest.rows < limit)
    lines = [f"pretty_name: {json.dumps(title)}"]
    if options.licence:
        lines.append(f"license: {json.dumps(options.licence)}")
    lines += ["tags:", "- weight-space-learning", "size_categories:", f"- {size}"]
    lines += ["configs:", "- config_name: default", "  data_files:"]
    lines += [f"  - split: {split}\n    path: data/{split}-*.parquet" for split in SPLITS]
    return "\n".join(["---", *lines, "---", ""])
