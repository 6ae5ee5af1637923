"""How the benchmark is cited: `CITATION.cff` as a BibTeX entry."""

from __future__ import annotations

import re
from pathlib import Path

PATH = Path(__file__).resolve().parent.parent.parent / "CITATION.cff"
KEY = "nft-benchmark"


def bibtex(path: Path = PATH) -> str:
    """The entry of the benchmark: authors, title, year, version and, where there is one, URL."""
    text = path.read_text(encoding="utf-8")
    top = text.partition("\nreferences:")[0]  # what is cited with it has fields of the same names

    def field(name: str) -> str:
        match = re.search(rf'^{name}: *"?(.*?)"?$', top, re.MULTILINE)
        return match[1] if match else ""

    authors = re.findall(r'^ +- name: "?(.*?)"?$', top, re.MULTILINE)
    fields = {
        "title": f"{{{field('title')}}}",
        "author": " and ".join(f"{{{name}}}" for name in authors),
        "year": field("date-released")[:4],
        "note": f"Version {field('version')}",
        "url": field("url") or field("repository-code"),
    }
    lines = [f"  {name} = {{{value}}}" for name, value in fields.items() if value]
    return f"@misc{{{KEY},\n" + ",\n".join(lines) + "\n}\n"
