"""Markdown as HTML: our pages, the cards of methods and datasets, and docstrings."""

from __future__ import annotations

import re
from functools import cache

from markdown_it import MarkdownIt
from markupsafe import Markup

from leaderboard.publish.text import visible

PAGES = {
    "LEADERBOARD.md": "tables.html",
    "VERDICTS.md": "verdicts.html",
    "METHOD.md": "statistics.html",
    "SIMULATION.md": "simulations.html",
    "SYMMETRY.md": "symmetry.html",
}
"""The site's page of each committed one."""


@cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def html(text: str) -> Markup:
    """Render Markdown. HTML in it stays text, and so do characters that nobody sees."""
    lines = "\n".join(_visible(line) for line in text.splitlines())
    rendered = _markdown().render(lines)
    for committed, page in PAGES.items():
        rendered = rendered.replace(f'href="{committed}"', f'href="{page}"')
    rendered = rendered.replace("<table>", f'{_SCROLL}<table class="plain">')
    rendered = rendered.replace("</table>", "</table></div>")
    return Markup(rendered)  # noqa: S704


_SCROLL = '<div class="scroll" tabindex="0" role="region" aria-label="Table">'


def _visible(line: str) -> str:
    """The same of a line whose indentation matters."""
    indent = re.match(" *", line)[0]
    return indent + visible(line)
