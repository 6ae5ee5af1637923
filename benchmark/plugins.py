"""Finds what the files of a package define: methods, tasks, arms."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from typing import TypeVar

Base = TypeVar("Base")


def classes(package: str, path: Iterable[str], base: type[Base]) -> Iterator[type[Base]]:
    """The named subclasses of `base` that a package's modules define, in the order of modules."""
    for info in pkgutil.iter_modules(path):
        module = importlib.import_module(f"{package}.{info.name}")
        for value in vars(module).values():
            if (
                isinstance(value, type)
                and issubclass(value, base)
                and value.__module__ == module.__name__
                and "name" in vars(value)
            ):
                yield value
