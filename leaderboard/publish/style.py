"""The one style of all plots: colours that colour-blind people tell apart, fonts, and formats."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from markupsafe import Markup

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#8c510a")
"""Okabe and Ito's, without black and yellow, and two more. Lines differ in dashes, too."""

DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P")
SIZE = 9  # points of text
SETTINGS = {
    "axes.labelsize": SIZE,
    "axes.titlesize": SIZE,
    "font.size": SIZE,
    "xtick.labelsize": SIZE - 1,
    "ytick.labelsize": SIZE - 1,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,  # text that can be selected
}


def figure(width: float, height: float, panels: int = 1, rows: int = 1) -> tuple[Any, list[Any]]:
    """Make a figure of so many inches, and the axes of its panels, row by row."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(SETTINGS):
        made = Figure(figsize=(width, height), layout="constrained")
        axes = list(made.subplots(rows, panels // rows, squeeze=False).flat)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return made, axes


def legend(made: Any, place: str, columns: int, **entries: Any) -> None:
    """Write a figure's legend; entries are handles and labels, where they are not the axes' own."""
    spacing = {"handletextpad": 0.4, "columnspacing": 1.2}
    made.legend(loc=place, ncols=columns, frameon=False, fontsize=SIZE, **spacing, **entries)


def _settle(made: Any) -> None:
    """Give titles, which are written after `figure` has set the sizes of text, their size."""
    for axis in made.axes:
        axis.title.set_fontsize(SIZE)


def plain(text: str) -> str:
    """Text as matplotlib shows it, without mathematics."""
    return text.replace("$", r"\$")


def svg(made: Any, label: str, background: str = "none") -> str:
    """Render a figure as SVG, the same bytes each time, with text as text.

    Args:
        made: The figure.
        label: What it shows, for who does not see it.
        background: Its colour; none for that of the page.
    """
    import matplotlib as mpl

    _settle(made)
    buffer = io.StringIO()
    with mpl.rc_context(SETTINGS | {"svg.hashsalt": label}):
        colours = {"transparent": True} if background == "none" else {"facecolor": background}
        made.savefig(buffer, format="svg", metadata={"Date": None}, **colours)
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    title = str(Markup("<title>{}</title>").format(label))
    head = text.index(">") + 1
    return text[:head].replace("<svg", '<svg role="img"', 1) + title + text[head:]


def inline(made: Any, label: str, kind: str = "drawn") -> Markup:
    """Render a figure for a page, with black as the page's text colour."""
    # matplotlib has escaped the names.
    drawing = Markup(svg(made, label).replace("#000000", "currentColor"))  # noqa: S704
    return Markup('<figure class="{}">{}</figure>').format(kind, drawing)


def write(made: Any, stem: Path) -> list[Path]:
    """Write a figure as PDF and as PNG, and return the files."""
    import matplotlib as mpl

    _settle(made)
    paths = [stem.with_suffix(".pdf"), stem.with_suffix(".png")]
    with mpl.rc_context(SETTINGS):
        made.savefig(paths[0], metadata={"CreationDate": None})
        made.savefig(paths[1], dpi=300, facecolor="white")
    return paths
