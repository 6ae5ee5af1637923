"""Errors that are a person's to mend: shown as one line, without a traceback."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """What is wrong, where, and how to mend it.

    The command line prints it as one line and exits with status 2.
    """


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
