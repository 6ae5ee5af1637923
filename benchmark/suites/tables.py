"""Changes of one table of a TOML file, in its text, so that comments and all else stay."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence


def changed(text: str, table: str, values: Mapping[str, str]) -> str:
    """Return a TOML file's text in which keys of a table have new values.

    Args:
        text: Text of the file, in which each key shares a line with its value.
        table: Name of the table as its header has it; appended where there is none.
        values: Values by key, as TOML.
    """
    lines, header = text.splitlines(), f"[{table}]"
    if header not in lines:
        lines += [*([""] if lines else []), header]
    start = lines.index(header)
    for key, value in values.items():
        places, line = _places(lines, start), f"{key} = {value}"
        if key in places:
            lines[places[key]] = line
        else:
            lines.insert(max(places.values(), default=start) + 1, line)
    return "\n".join(lines) + "\n"


def _places(lines: Sequence[str], start: int) -> dict[str, int]:
    """Return the lines of the keys of the table that begins at line `start`."""
    places: dict[str, int] = {}
    for place in range(start + 1, len(lines)):
        if lines[place].startswith("["):
            break
        if (key := re.match(r"([\w-]+)\s*=", lines[place])) is not None:
            places[key[1]] = place
    return places
