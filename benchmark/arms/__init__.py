"""Arms: exact changes of a stored dataset. An arm is one file of this package."""

from __future__ import annotations

from functools import cache

from benchmark.arms.contract import Arm
from benchmark.errors import UserError
from benchmark.plugins import classes


@cache
def registry() -> dict[str, Arm]:
    """Every arm, by name: the subclasses of `Arm` that the modules of this package define."""
    return {arm.name: arm() for arm in classes(__name__, __path__, Arm)}


def get(name: str) -> Arm:
    """The arm of that name. Raises UserError for an unknown one."""
    if name not in registry():
        raise UserError(f"unknown arm {name!r}; known: {', '.join(registry())}")
    return registry()[name]
