"""Fields of methods: which values each may have, in a settings file or on the command line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

from benchmark.errors import UserError, suggestion

EXPECTED = {
    bool: "true or false",
    int: "a whole number from 0 on",
    float: "a finite number from 0 on",
    str: "a string",
}

LATER = {"later": True}


@cache
def types(method: type) -> Mapping[str, Any]:
    """Return the type of each field of a method's dataclass, by name.

    Raises:
        UserError: If a type's name means nothing in the method's module.
    """
    try:
        hints = get_type_hints(method)
    except NameError as error:
        raise UserError(
            f"{method.__module__}: the fields of {method.__name__} have a type that is not known "
            f"at run time: {error}; import it outside of TYPE_CHECKING"
        ) from None
    return {field.name: hints[field.name] for field in fields(method)}


def recorded(method: Any) -> dict[str, Any]:
    """Return the values of a method's fields, by name, as records have them.

    A field that a method got when it had records already is marked, `field(default=...,
    metadata=LATER)`. Its default is left out, since those records were made by what it stands for.
    """
    return {
        one.name: getattr(method, one.name)
        for one in fields(method)
        if not ("later" in one.metadata and getattr(method, one.name) == one.default)
    }


def parsed(text: str, kind: Any) -> Any:
    """Return what a text on the command line means for a type; the text where it means nothing."""
    if get_origin(kind) is Literal:
        return next((value for value in get_args(kind) if str(value) == text), text)
    try:
        return {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError, TypeError):
        return text


def check(method: type, values: Mapping[str, Any], where: str) -> None:
    """Hold values of a method's fields against the fields' types.

    Args:
        method: Dataclass of the method.
        values: Values by field.
        where: What sets them: the file and its table, or the entrant.

    Raises:
        UserError: For the first that names no field, or that its field cannot have.
    """
    known = types(method)
    for name, value in values.items():
        if name not in known:
            raise UserError(
                f"{where}: {method.name} has no field {name!r}{suggestion(name, known)}; "
                f"its fields are {', '.join(known)}"
            )
        if not _fits(value, known[name]):
            raise UserError(f"{where}: {name} is {_expected(known[name])}, not {repr(value)[:80]}")


def _fits(value: Any, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return any(value == known and type(value) is type(known) for known in get_args(kind))
    allowed = (int, float) if kind is float else (kind,)
    if type(value) not in allowed:  # a bool is no int here
        return False
    return kind not in (int, float) or 0 <= value < math.inf


def _expected(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(repr, get_args(kind)))}"
    return EXPECTED.get(kind, f"of type {kind}, which no file can give")
