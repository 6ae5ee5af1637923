"""Escaping of text from records, since whoever submits a record chooses its words."""

from __future__ import annotations

import re

from benchmark.errors import visible

_MARKDOWN = (
    ("&", "&amp;"),
    ("<", "&lt;"),
    (">", "&gt;"),
    ("|", "\\|"),
    ("`", "\\`"),
    ("[", "\\["),
    ("*", "\\*"),
)
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"\(\pm\)",
    "×": r"\(\times\)",
}


def markdown(text: str) -> str:
    """Escape text for Markdown."""
    text = visible(text)
    for special, escape in _MARKDOWN:
        text = text.replace(special, escape)
    return text


def code(text: str) -> str:
    """Put text into a code span of Markdown, where no name, number or address becomes a link."""
    text = visible(text)
    # A span ends at as many backticks as begin it; one space within either end is no part of it.
    ticks = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if "`" in (text[:1], text[-1:]) else ""
    return f"{ticks}{space}{text}{space}{ticks}" if text else ""


def latex(text: str) -> str:
    """Escape text for LaTeX; characters outside ASCII, which its fonts lack, are code points."""

    def letter(character: str) -> str:
        if character in _LATEX:
            return _LATEX[character]
        return character if character.isascii() else rf"\texttt{{U+{ord(character):04X}}}"

    return "".join(map(letter, visible(text)))


def spreadsheet(text: str) -> str:
    """Escape text for spreadsheets, so that none is a formula."""
    text = visible(text)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "'")) else text
