"""Trials: runs of a suite's task with something changed, kept apart from the suite's own runs.

They lie in a folder of their own, under the name of a suite that does not exist, `trial-mini` or
`trial-mini-300-steps`. So no mean is of both, and none can be submitted.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import math
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import baselines
from baselines import Row
from benchmark.errors import UserError
from benchmark.methods import Method
from benchmark.record.cell import CONDITION, NAME
from benchmark.record.paths import absolute
from benchmark.record.schema import LONGEST_NAME

FOLDER = "trials"
"""Of trials, in a results folder."""

OPTION = re.compile("[a-z0-9_]+=[A-Za-z0-9.-]+")
IN_FILE = re.compile(rf"(?P<path>.+\.py):(?P<name>\w+)(?P<condition>{CONDITION.pattern})")


@dataclass(frozen=True)
class MethodFile:
    """A method in a file outside the project.

    path: absolute. name: of the class.
    """

    path: str
    name: str

    @property
    def row(self) -> Row:
        """Its row. Raises UserError where the file holds no such method."""
        return _row(self.path, self.name)

    @property
    def sha256(self) -> str:
        """Of the file, as this process loaded it."""
        return _load(self.path)[1]

    def __str__(self) -> str:
        return f"{self.path}:{self.name}"


@dataclass(frozen=True)
class Trial:
    """What is changed.

    options: fields that every method has with other values, "field=value".
    steps: of training, instead of the suite's; those of a first stage change by the same factor.
    files: methods that are not the project's.
    """

    options: tuple[str, ...] = ()
    steps: int | None = None
    files: tuple[MethodFile, ...] = ()

    def suite(self, name: str) -> str:
        """The name that cells have for a suite."""
        return f"trial-{name}" + (f"-{self.steps}-steps" if self.steps else "")

    def file_of(self, method: str) -> MethodFile | None:
        """The file of a method; None for the project's own."""
        return next((file for file in self.files if file.row.name == method), None)

    def row(self, method: str) -> Row:
        """The row of a method's name. Raises UserError for an unknown one."""
        file = self.file_of(method)
        return file.row if file else baselines.get(method)


def is_in_file(entrant: str) -> bool:
    """Whether a method is named by its file, as "./mine.py:Mine"."""
    return ".py" in entrant


def read(
    entrants: Sequence[str] | None, options: Sequence[str], steps: int | None
) -> tuple[Sequence[str] | None, Trial | None]:
    """The entrants by their names, and the trial that a command asks for; None for none.

    Raises:
        UserError: for a file that holds no method, two methods of one name, or an option that is
            none.
    """
    for option in options:
        if not OPTION.fullmatch(option):
            raise UserError(f"--set takes FIELD=VALUE, as --set learning_rate=1e-3, not {option!r}")
    names: list[str] = []
    files: dict[str, MethodFile] = {}
    for entrant in entrants or ():
        if not is_in_file(entrant):
            names.append(entrant)
            continue
        match = IN_FILE.fullmatch(entrant)
        if match is None:
            raise UserError(f"{entrant}: name the file and the class in it, as ./mine.py:Mine")
        file = MethodFile(str(absolute(match["path"])), match["name"])
        name = file.row.name
        if (other := files.setdefault(name, file)) != file:
            raise UserError(f"{other} and {file} are both named {name!r}; give one another name")
        names.append(name + match["condition"])
    if not (options or steps or files):
        return entrants, None
    return entrants and names, Trial(tuple(options), steps, tuple(files.values()))


@cache
def _load(path: str) -> tuple[ModuleType, str]:
    """A file's module and SHA-256. Raises UserError for a file that is none, or fails."""
    spec = importlib.util.spec_from_file_location(
        f"method_{hashlib.sha256(path.encode()).hexdigest()[:16]}", path
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # where dataclasses look up what annotations mean
    try:
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        spec.loader.exec_module(module)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except Exception as error:  # whatever the file does wrong
        raise UserError(f"{path}: {type(error).__name__}: {error}; mend it") from None
    return module, digest


@cache
def _row(path: str, name: str) -> Row:
    module, _ = _load(path)
    method = getattr(module, name, None)
    if not (isinstance(method, type) and issubclass(method, Method)):
        known = [key for key, value in vars(module).items() if _is_method(value, module.__name__)]
        raise UserError(
            f"{path}: {name} is no Method; its methods are {', '.join(known) or 'none'}; one is "
            "written like baselines/deepsets.py"
        )
    _check(method, f"{path}:{name}")
    return Row(method)


def _is_method(value: object, module: str) -> bool:
    return isinstance(value, type) and issubclass(value, Method) and value.__module__ == module


def _values(method: type[Method]) -> Iterator[tuple[str, Any]]:
    """What a method's fields are where no option sets them: by default, and in suite `mini`."""
    for field in fields(method):
        if field.default is not MISSING:
            yield field.name, field.default
        elif field.default_factory is not MISSING:
            yield field.name, field.default_factory()
    yield from (method.mini or {}).items()


def _check(method: type[Method], place: str) -> None:
    if inspect.isabstract(method) or "__dataclass_fields__" not in vars(method):
        raise UserError(
            f"{place}: a method is a class with @dataclass(frozen=True) and a build, as in "
            "baselines/deepsets.py"
        )
    for field in ("name", "title", "paper"):
        value = getattr(method, field, None)
        if not isinstance(value, str) or (field == "title" and not value):
            raise UserError(f"{place} has no {field}; give it one, as in baselines/deepsets.py")
    if len(method.paper) > LONGEST_NAME:
        raise UserError(
            f"{place}: its paper has {len(method.paper)} letters; name it with at most "
            f'{LONGEST_NAME}, as "arXiv:..."'
        )
    for field, value in _values(method):
        if not isinstance(value, (int, float, str)) or (
            isinstance(value, float) and not math.isfinite(value)
        ):
            raise UserError(
                f"{place}: {field} is {repr(value)[:80]}, which no record can hold; make its "
                "fields numbers, strings or truth values"
            )
    if not re.fullmatch(NAME, method.name) or method.name in baselines.registry():
        why = "is a method of the project" if method.name in baselines.registry() else "is no name"
        raise UserError(
            f"{place}: {method.name!r} {why}; call it something else, with small letters, digits "
            "and hyphens"
        )
