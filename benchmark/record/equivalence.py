"""Code that was shown to compute the same: pairs of digests whose canaries were bit-equal.

`equivalent/<method>.json` holds, for one method, what `python -m benchmark canary COMMIT` found.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from benchmark.errors import UserError
from benchmark.record.schema import write_atomically

FOLDER = Path(__file__).resolve().parent / "equivalent"
SHA256 = "^[0-9a-f]{64}$"


class Equivalence(BaseModel):
    """Two digests of one cell's code, `was` at the commit `base`, whose canaries were bit-equal."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    cell: str = Field(max_length=300)
    base: str = Field(pattern="^[0-9a-f]{40}$")
    was: str = Field(pattern=SHA256)
    now: str = Field(pattern=SHA256)


_FILE = TypeAdapter(list[Equivalence])


def read(method: str, folder: Path | None = None) -> list[Equivalence]:
    """All that is known of a method. Raises UserError for a file that holds something else."""
    path = (folder or FOLDER) / f"{method}.json"
    if not path.is_file():
        return []
    try:
        return _FILE.validate_json(path.read_bytes())
    except ValidationError as error:
        raise UserError(f"{path}: {error.errors()[0]['msg']}; restore it from git") from None


def write(method: str, equivalences: list[Equivalence], folder: Path | None = None) -> Path:
    """Write a method's file, in the order of cells."""
    path = (folder or FOLDER) / f"{method}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [row.model_dump() for row in sorted(equivalences, key=_order)]
    write_atomically(path, (json.dumps(rows, indent=1) + "\n").encode())
    representative.cache_clear()
    return path


def _order(row: Equivalence) -> tuple[str, str, str]:
    return row.cell, row.was, row.now


@cache
def representative(method: str, digest: str) -> str:
    """One digest that stands for all that are known to be equivalent to this one."""
    known, waiting = {digest}, [digest]
    rows = read(method)
    while waiting:
        current = waiting.pop()
        for row in rows:
            if current in (row.was, row.now):
                fresh = {row.was, row.now} - known
                known |= fresh
                waiting += fresh
    return min(known)


def equivalent(method: str, one: str, other: str) -> bool:
    """Whether two digests are the same, or are known to compute the same."""
    return one == other or representative(method, one) == representative(method, other)
