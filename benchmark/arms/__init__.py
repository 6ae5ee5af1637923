"""Arms: exact changes of a stored dataset, one file per arm."""

from __future__ import annotations

from functools import cache

from benchmark.arms.contract import Arm
from benchmark.errors import UserError
from benchmark.plugins import classes


@cache
def registry() -> dict[str, Arm]:
    """Return every arm by name: the subclasses of `Arm` in this package's modules."""
    return {arm.name: arm() for arm in classes(__name__, __path__, Arm)}


def get(name: str) -> Arm:
    """Return the arm of this name.

    Raises:
        UserError: If there is none.
    """
    if name not in registry():
        raise UserError(f"unknown arm {name!r}; known: {', '.join(registry())}")
    return registry()[name]
