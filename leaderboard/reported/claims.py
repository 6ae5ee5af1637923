"""What papers say beyond single numbers, as data: `claims.csv`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from benchmark.errors import UserError
from benchmark.record.cell import Entrant
from benchmark.record.schema import NAME
from leaderboard.reported import rows

PATH = Path(__file__).resolve().parent / "claims.csv"


class Claim(BaseModel):
    """One claim, that a row is better than another or near it; `README.md` explains the columns."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    claim: str = Field(min_length=1, max_length=200)
    claimed_by: str = Field(min_length=1)
    claimed_in: str = Field(pattern=r"^(arXiv:[0-9]{4}\.[0-9]{5}|github:[\w.-]+/[\w.-]+)$")
    where: str
    read_in: str = Field(min_length=1)
    inferred: Literal["", "yes"]
    task: str = Field(pattern=NAME)
    row: str
    kind: Literal["better", "near"]
    other: str
    note: str

    @field_validator("row", "other")
    @classmethod
    def _is_an_entrant(cls, value: str) -> str:
        try:
            return str(Entrant.parse(value))
        except UserError as error:
            raise ValueError(str(error)) from None


def read(path: Path = PATH) -> list[Claim]:
    """Read every claim. Raises RecordError that names the malformed row and column."""
    return rows.read(path, Claim)
