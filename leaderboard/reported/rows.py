"""Rows of CSV files that people write, each checked as it is read."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from benchmark.record.paths import regular
from benchmark.record.schema import RecordError

Row = TypeVar("Row", bound=BaseModel)


def read(path: Path, model: type[Row]) -> list[Row]:
    """Read every row. Raises RecordError that names the malformed row and column."""
    rows = []
    try:
        with regular(path).open(encoding="utf-8", newline="") as file:
            table = csv.DictReader(file, restkey="one cell too many", strict=True)
            for line, row in enumerate(table, start=2):
                try:
                    rows.append(model.model_validate(row))
                except ValidationError as error:
                    first = error.errors()[0]
                    column = ".".join(map(str, first["loc"]))
                    raise RecordError(f"{path}, row {line}: {column}: {first['msg']}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordError(f"{path}: cannot be read as a table ({error})") from None
    return rows
