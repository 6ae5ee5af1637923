"""Text from records made harmless for wherever it is shown: whoever submits a record chooses its words."""

from __future__ import annotations

import unicodedata

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


def visible(text: str) -> str:
    """The same on one line, with characters that nobody sees (control characters, direction marks) written out."""
    spaced = " ".join(text.split())
    return "".join(
        f"\\u{ord(letter):04x}"
        if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co", "Cn")
        else letter
        for letter in spaced
    )


def markdown(text: str) -> str:
    """Text as Markdown shows it."""
    text = visible(text)
    for special, harmless in _MARKDOWN:
        text = text.replace(special, harmless)
    return text


def latex(text: str) -> str:
    """Text as LaTeX prints it; letters that its standard fonts lack are written as their code points."""

    def letter(character: str) -> str:
        if character in _LATEX:
            return _LATEX[character]
        return character if character.isascii() else rf"\texttt{{U+{ord(character):04X}}}"

    return "".join(map(letter, visible(text)))


def spreadsheet(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    text = visible(text)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "'")) else text
