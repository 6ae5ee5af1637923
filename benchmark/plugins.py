"""Finds what the files of a package define: methods, tasks, arms."""

from __future__ import annotations

import importlib.util
import pkgutil
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from benchmark.errors import UserError

ROOT = Path(__file__).resolve().parent.parent

Base = TypeVar("Base")


def classes(package: str, path: Iterable[str], base: type[Base]) -> Iterator[type[Base]]:
    """The named subclasses of `base` that a package's modules define, in the order of modules.

    Raises UserError for a file that cannot be imported.
    """
    for info in pkgutil.iter_modules(path):
        yield from _defined(_imported(f"{package}.{info.name}"), base)


def readable_classes(
    package: str, path: Iterable[str], base: type[Base]
) -> tuple[list[type[Base]], list[str]]:
    """The same of the files that can be imported, and what is wrong with the others."""
    found: list[type[Base]] = []
    broken: dict[str, None] = {}  # a file that others import is wrong once
    for info in pkgutil.iter_modules(path):
        try:
            found += _defined(_imported(f"{package}.{info.name}"), base)
        except UserError as error:
            broken[str(error)] = None
    return found, list(broken)


def _defined(module: ModuleType, base: type[Base]) -> Iterator[type[Base]]:
    for value in vars(module).values():
        if (
            isinstance(value, type)
            and issubclass(value, base)
            and value.__module__ == module.__name__
            and "name" in vars(value)
        ):
            yield value


def _imported(name: str) -> ModuleType:
    """Import a module. Raises UserError that names the file and the line where that fails."""
    try:
        return importlib.import_module(name)
    except Exception as error:  # whatever a file does when it is imported
        reason = f"{type(error).__name__}: {error}"
        if isinstance(error, SyntaxError) and error.filename is not None:
            place, reason = (error.filename, error.lineno), f"{type(error).__name__}: {error.msg}"
        else:
            place = _line(name, error)
        file = Path(place[0])
        shown = file.relative_to(ROOT) if file.is_relative_to(ROOT) else file
        raise UserError(f"{shown}, line {place[1]}: {reason.splitlines()[0][:300]}") from error


def _line(name: str, error: Exception) -> tuple[str, int | None]:
    """The last line of a module, or of one beside it, that an error came through."""
    file = importlib.util.find_spec(name).origin
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    beside = [frame for frame in frames if Path(frame[0]).parent == Path(file).parent]
    return beside[-1] if beside else (file, 1)
