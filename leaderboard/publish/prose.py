"""Markdown as HTML: our pages, the cards of methods and datasets, and docstrings."""

from __future__ import annotations

import re
from functools import cache

from markdown_it import MarkdownIt
from markupsafe import Markup

from leaderboard.publish.text import visible

PAGES = {
    "LEADERBOARD.md": ("tables.html", "all tables"),
    "CLAIMS.md": ("claims.html", "papers' claims"),
    "VERDICTS.md": ("verdicts.html", "papers' numbers"),
    "METHOD.md": ("statistics.html", "statistics"),
    "REBUILT.md": ("rebuilt.html", "rebuilt networks"),
    "SIMULATION.md": ("simulations.html", "simulations"),
    "SYMMETRY.md": ("symmetry.html", "symmetry"),
}
"""The site's page of each committed one, and what its links are called."""


@cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def html(text: str) -> Markup:
    """Render Markdown. HTML in it stays text, and so do characters that nobody sees."""
    lines = "\n".join(_visible(line) for line in text.splitlines())
    rendered = _markdown().render(lines)
    for committed, (page, words) in PAGES.items():
        rendered = rendered.replace(f'href="{committed}">{committed}<', f'href="{page}">{words}<')
    tables = iter(range(1, rendered.count("<table>") + 1))
    rendered = re.sub(
        "<table>.*?</table>",
        lambda match: _table(match[0], next(tables)),
        rendered,
        flags=re.DOTALL,
    )
    return Markup(rendered)  # noqa: S704


def _table(text: str, number: int) -> str:
    """A table that scrolls by itself where it is wide, and whose cells have their headings.

    On a phone each row is a card, with the headings beside its cells.
    """
    headings = re.findall("<th[^>]*>(.*?)</th>", text)
    plain = [re.sub("<[^>]+>", "", heading) for heading in headings]
    rows = text.split("<tr>")
    for place, row in enumerate(rows):
        cells = iter(plain)
        rows[place] = re.sub("<td", lambda _, cells=cells: f'<td data-label="{next(cells)}"', row)
    table = "<tr>".join(rows).replace("<table>", '<table class="plain counts">')
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Table {number}">{table}</div>'
    )


def _visible(line: str) -> str:
    """The same of a line whose indentation matters."""
    indent = re.match(" *", line)[0]
    return indent + visible(line)
