"""TOML files that people write: read, and held against a model, with one line for a mistake."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from benchmark.errors import UserError
from benchmark.record.paths import regular

Model = TypeVar("Model", bound=BaseModel)


def read(path: Path) -> dict[str, Any]:
    """Read a TOML file. Raises UserError that names the file, and the line that is no TOML."""
    try:
        return tomllib.loads(regular(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not TOML: {error}") from None


def checked(model: type[Model], content: Any, where: str) -> Model:
    """Make a model of what a file holds.

    Args:
        where: the file, and the table where that is not all of it.

    Raises:
        UserError: that says where, and names the first key that is missing, unknown or wrong.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(": ".join(filter(None, (where, key, first["msg"])))) from None
