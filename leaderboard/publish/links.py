"""Addresses of papers, which records and reported numbers name as "arXiv:2305.13546"."""

from __future__ import annotations

import re

from markupsafe import Markup

PATTERNS = (
    (re.compile(r"arXiv:(\d{4}\.\d{4,5})"), "https://arxiv.org/abs/{}"),
    (re.compile(r"doi:(10\.\d{4,9}/[-.;()/:\w]+)"), "https://doi.org/{}"),
    (
        re.compile(r"(?:github:)?\b([A-Za-z0-9-]+/[A-Za-z0-9._-]*[A-Za-z0-9])"),
        "https://github.com/{}",
    ),
)


def address(text: str) -> str | None:
    """The address of the first paper or repository that a text names; None for none."""
    for pattern, form in PATTERNS:
        if match := pattern.search(text):
            return form.format(match[1])
    return None


def linked(text: str) -> Markup:
    """A text in which the first paper or repository is a link."""
    for pattern, form in PATTERNS:
        if match := pattern.search(text):
            shown = match[0].replace("github:", "github.com/")
            link = Markup('<a href="{}">{}</a>').format(form.format(match[1]), shown)
            return Markup("{}{}{}").format(text[: match.start()], link, text[match.end() :])
    return Markup("{}").format(text)
