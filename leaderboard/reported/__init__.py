"""Published numbers, as data: `reported.csv`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from benchmark.record.schema import NAME
from leaderboard.reported import rows

PATH = Path(__file__).resolve().parent / "reported.csv"


class Reported(BaseModel):
    """One published number; `README.md` explains the columns.

    rounding: half a unit of the value's last printed digit, which is not a column.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    task: str = Field(pattern=NAME)
    dataset: str = Field(pattern=NAME)
    method: str = Field(min_length=1, max_length=80)
    metric: Literal["accuracy", "kendall_tau", "r2", "mse"]
    value: float
    rounding: float = Field(ge=0)
    spread: float | None = Field(ge=0)
    spread_kind: Literal["std", "standard error", "half range", "not stated"] | None
    runs: int | None = Field(gt=0)
    claimed_by: str = Field(min_length=1)
    claimed_in: str
    read_in: str = Field(min_length=1)
    suite: str = Field(pattern=NAME)
    differs: str
    open: str
    note: str

    @model_validator(mode="before")
    @classmethod
    def _has_digits(cls, row: dict[str, str]) -> dict[str, str | float]:
        """Half a unit of the last printed digit is what rounding can hide."""
        _, _, decimals = (row.get("value") or "").partition(".")
        return row | {"rounding": 0.5 * 10.0 ** -len(decimals)}

    @field_validator("spread", "spread_kind", "runs", mode="before")
    @classmethod
    def _empty_is_none(cls, value: str) -> str | None:
        return None if value == "" else value

    @field_validator("value")
    @classmethod
    def _is_a_number(cls, value: float) -> float:
        if not math.isfinite(value):
            raise ValueError("not a finite number")
        return value

    @property
    def text(self) -> str:
        """The number as printed, with the meaning of its ±: "92.9 ± 0.2 (std, 3 runs)"."""
        spread = "" if self.spread is None else f" ± {self.spread:g}"
        return self.printed + spread + (f" ({self.meaning})" if self.meaning else "")

    @property
    def meaning(self) -> str:
        """What the ± is, and of how many runs, as far as the paper says it."""
        parts = [self.spread_kind or "", f"{self.runs} runs" if self.runs else ""]
        return ", ".join(part for part in parts if part)

    @property
    def is_second_hand(self) -> bool:
        """Whether it was read elsewhere than in the paper that claims it."""
        return self.read_in.startswith("a summary") or self.claimed_in not in self.read_in

    @property
    def printed(self) -> str:
        """The number with all of its printed digits."""
        return f"{self.value:.{round(-math.log10(2 * self.rounding))}f}"


def read(path: Path = PATH) -> list[Reported]:
    """Read every row. Raises RecordError that names the malformed row and column."""
    return rows.read(path, Reported)
