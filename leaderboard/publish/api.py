"""The pages on `nft`, read from its sources: modules, classes, functions, and their docstrings.

griffe reads them without running them, so that torch is not needed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import griffe
from markupsafe import Markup

from benchmark.record import sources
from leaderboard.publish import prose

PACKAGE = "nft"
FIELDS = "parameters", "attributes", "raises", "returns", "yields", "other parameters"


@dataclass(frozen=True)
class Field:
    """An argument, an attribute, a result or an error: its name, its type, what it is."""

    name: str
    type: str
    text: Markup


@dataclass(frozen=True)
class Part:
    """Something that a module defines.

    path: its dotted name, which is its anchor.
    text: its docstring without the sections.
    sections: of arguments, results and errors, by their headings.
    members: methods and properties of a class.
    """

    name: str
    path: str
    kind: str
    signature: str
    text: Markup
    sections: Sequence[tuple[str, Sequence[Field]]]
    members: Sequence[Part]
    line: int


@dataclass(frozen=True)
class Module:
    """A module's page: what it is for, in a line and in full, and what it defines."""

    name: str
    path: str
    source: str
    summary: str
    text: Markup
    parts: Sequence[Part]


@cache
def modules() -> tuple[Module, ...]:
    """Read every module of the package, in the order of their names."""
    package = griffe.load(
        PACKAGE,
        search_paths=[str(sources.ROOT)],
        docstring_parser="google",
        docstring_options={"warnings": False},
        allow_inspection=False,
    )
    return tuple(
        _module(module)
        for name, module in sorted(package.modules.items())
        if not name.startswith("_")
    )


def public() -> dict[str, str]:
    """The names that `from nft import` gives, each with its module's dotted name."""
    package = griffe.load(PACKAGE, search_paths=[str(sources.ROOT)], allow_inspection=False)
    return ast.literal_eval(str(package["PLACES"].value))


def _module(module: griffe.Module) -> Module:
    parts = [_part(one) for one in _members(module)]
    file = module.filepath.relative_to(sources.ROOT).as_posix()
    summary = module.docstring.value.splitlines()[0]
    return Module(module.name, module.path, file, summary, _text(module), parts)


def _members(parent: griffe.Module | griffe.Class) -> Iterator[griffe.Class | griffe.Function]:
    """Public classes, functions, and properties with a docstring, as they stand in the file."""
    own = [one for one in parent.members.values() if not one.is_alias]
    for one in sorted(own, key=lambda one: one.lineno or 0):
        documented = one.docstring is not None or (one.is_function and one.name == "forward")
        if documented and not one.name.startswith("_"):
            yield one


def _part(one: griffe.Object) -> Part:
    members = [_part(member) for member in _members(one)] if one.is_class else []
    kind = "property" if "property" in one.labels else one.kind.value
    sections = _sections(one)
    return Part(
        one.name, one.path, kind, _signature(one), _text(one), sections, members, one.lineno or 0
    )


def _signature(one: griffe.Object) -> str:
    """How it is called, a line for each argument where there are many."""
    function = one
    if one.is_class:
        function = one.members.get("__init__") or one
        if not getattr(function, "parameters", None):
            return f"class {one.name}"
    if not one.is_class and not one.is_function:
        annotation = f": {one.annotation}" if one.annotation else ""
        return f"{one.name}{annotation}"
    parameters = list(_parameters(function))
    returns = f" -> {function.returns}" if one.is_function and function.returns else ""
    head = f"class {one.name}" if one.is_class else f"def {one.name}"
    line = f"{head}({', '.join(parameters)}){returns}"
    if len(line) <= 88:
        return line
    return f"{head}(\n    " + ",\n    ".join(parameters) + f",\n){returns}"


def _parameters(function: griffe.Function) -> Iterator[str]:
    marks = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}
    starred = False
    for one in function.parameters:
        if one.name in ("self", "cls"):
            continue
        if one.kind is griffe.ParameterKind.keyword_only and not starred:
            starred = True
            yield "*"
        starred = starred or one.kind is griffe.ParameterKind.var_positional
        annotation = f": {one.annotation}" if one.annotation is not None else ""
        equals = " = " if annotation else "="
        default = f"{equals}{one.default}" if one.default is not None else ""
        variadic = one.kind in marks
        yield f"{marks.get(one.kind, '')}{one.name}{annotation}{'' if variadic else default}"


def _text(one: griffe.Object) -> Markup:
    return Markup("").join(
        prose.html(section.value) for section in _parsed(one) if section.kind.value == "text"
    )


def _sections(one: griffe.Object) -> list[tuple[str, list[Field]]]:
    """The sections of a docstring, and of the constructor's where it has one."""
    found = []
    constructor = one.members.get("__init__") if one.is_class else None
    for section in [*_parsed(one), *(_parsed(constructor) if constructor is not None else [])]:
        kind = section.kind.value
        if kind not in FIELDS:
            continue
        fields = [
            Field(
                getattr(each, "name", "") or "",
                str(getattr(each, "annotation", None) or ""),
                prose.html(each.description),
            )
            for each in section.value
        ]
        found.append((kind.capitalize() if kind != "parameters" else "Arguments", fields))
    return found


def _parsed(one: griffe.Object) -> list[griffe.DocstringSection]:
    return one.docstring.parsed if one.docstring is not None else []
