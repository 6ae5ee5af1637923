"""Tasks: what is predicted from the weights, with which loss and metric; one file of this package."""

from __future__ import annotations

from functools import cache

from benchmark.plugins import classes
from benchmark.tasks.contract import Task


@cache
def registry() -> dict[str, type[Task]]:
    """Every task, by name: the subclasses of `Task` that the modules of this package define."""
    return {task.name: task for task in classes(__name__, __path__, Task)}
