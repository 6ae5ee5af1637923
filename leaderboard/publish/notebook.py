"""A notebook as a page: its prose, its code, and what the code printed and drew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from markupsafe import Markup

from benchmark.record import sources
from leaderboard.publish import prose

PATH = sources.ROOT / "examples" / "attention.ipynb"


def html(path: Path = PATH) -> Markup:
    """Render a notebook, as it was saved."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return Markup("").join(part for cell in cells for part in _cell(cell))


def _cell(cell: dict[str, Any]) -> Iterator[Markup]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield prose.html(source)
        return
    yield Markup("<pre><code>{}</code></pre>").format(source)
    for output in cell["outputs"]:
        if output["output_type"] == "stream":
            yield Markup('<pre class="printed">{}</pre>').format("".join(output["text"]))
        elif (image := output.get("data", {}).get("image/png")) is not None:
            # Of a committed file of ours, as its base64.
            yield Markup('<img src="data:image/png;base64,{}" alt="what this code draws">').format(
                "".join(image.split())
            )
