"""What sets two sets of values apart, field by field, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FIRST_STAGE = "of the first stage "


def between(was: Mapping[str, Any], now: Mapping[str, Any], part: str = "") -> list[str]:
    """Name each field whose value is another, as "channels was 16, is 32".

    Args:
        part: What the fields are of, `FIRST_STAGE` or nothing.
    """
    return [
        f"{part}{name} {_words(was, name, 'was')}, {_words(now, name, 'is')}"
        for name in dict.fromkeys((*was, *now))
        if name not in was or name not in now or was[name] != now[name]
    ]


def _words(values: Mapping[str, Any], name: str, verb: str) -> str:
    return f"{verb} {values[name]}" if name in values else f"{verb} not there"
