"""Errors that are shown as one line, without a traceback: a person's to mend, or the machine's."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

LONGEST = 2000
"""Characters of a message; of a longer one the beginning and the end are kept."""


class UserError(Exception):
    """What is wrong, where, and how to mend it.

    The command line prints it as one line and exits with status 2. It stays one line whatever it
    quotes: names of files, words of records, messages of libraries.
    """

    def __init__(self, text: str) -> None:
        line = visible(text)
        half = LONGEST // 2
        super().__init__(line if len(line) <= LONGEST else f"{line[:half]} ... {line[-half:]}")


class WorkerDied(Exception):
    """A worker process was killed from outside, most often for want of memory."""


def visible(text: str) -> str:
    """Put text on one line, with control characters and direction marks as escapes."""
    return "".join(
        f"\\u{ord(letter):04x}"
        if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co", "Cn")
        else letter
        for letter in " ".join(text.split())
    )


def unknown(kind: str, name: str, known: Iterable[str], remark: str = "") -> UserError:
    """The error for a name that nothing has: the nearest that there is, then all there are.

    Args:
        kind: what was named, as "method".
        remark: what is to be said at the end.
    """
    names = list(known)
    text = f"unknown {kind} {name[:80]!r}{suggestion(name, names)}"
    return UserError(f"{text}; known: {', '.join(names)}{remark}")


def suggestion(name: str, known: Iterable[str]) -> str:
    """ ", did you mean NAME?" for what is nearly a known name; nothing for any other."""
    spelled = {one.lower(): one for one in known}
    near = get_close_matches(name.lower(), spelled, n=1)
    return f", did you mean {spelled[near[0]]}?" if near else ""
