"""Paths, made whole once where they enter: no shell expands a ~ in a variable or after a =."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

from benchmark.errors import UserError

DRAWN, RECONSTRUCTED = ".png", ".reconstructions.png"
"""Suffixes of the sheets beside a record: what the task draws, and what an encoder reconstructs."""


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


def regular(path: Path) -> Path:
    """The path of a file that can be read to an end, or a link to one.

    Raises OSError for a folder, a pipe or a device, from which a reader might wait for ever.
    """
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "is no file, but a pipe or a device", str(path))
    return path


def entered(path: Path | None) -> Path | None:
    """The callback of every option and argument that is a path: the same as `absolute`."""
    return None if path is None else absolute(path)


def all_entered(paths: list[Path]) -> list[Path]:
    """The same of an argument that is several."""
    return [absolute(path) for path in paths]
