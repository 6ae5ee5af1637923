"""Tasks: a target that is predicted from weights, its loss and its metric, one file per task."""

from __future__ import annotations

from functools import cache

from benchmark.plugins import classes
from benchmark.tasks.contract import Task


@cache
def registry() -> dict[str, type[Task]]:
    """Return every task by name: the subclasses of `Task` in this package's modules."""
    return {task.name: task for task in classes(__name__, __path__, Task)}
