"""Tasks: what is predicted from the weights, with which loss and metric. A task is one file of this package."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from benchmark.tasks.contract import Task


@cache
def registry() -> dict[str, type[Task]]:
    """Every task, by name: the subclasses of `Task` that the modules of this package define."""
    modules = [importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    return {
        value.name: value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Task)
        and value.__module__ == module.__name__
        and "name" in vars(value)
    }
