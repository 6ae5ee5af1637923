"""Paths, made whole once where they enter: no shell expands a ~ in a variable or after a =."""

from __future__ import annotations

from pathlib import Path

from benchmark.errors import UserError


def absolute(path: Path | str) -> Path:
    """The absolute path of what a person wrote.

    Raises UserError for a ~ that stands for nothing.
    """
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError:
        raise UserError(
            f"{path}: nobody knows what ~ stands for here; write the path out"
        ) from None


def entered(path: Path | None) -> Path | None:
    """The callback of every option and argument that is a path: the same as `absolute`."""
    return None if path is None else absolute(path)
