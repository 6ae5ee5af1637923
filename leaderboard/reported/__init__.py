"""Published numbers, as data: `reported.csv`, and the page that shows them beside what was measured here."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from tabulate import tabulate

from leaderboard.record import Record, RecordError
from leaderboard.render import escape

PATH = Path(__file__).resolve().parent / "reported.csv"
SUITE = "paper"  # the one whose records may stand beside a paper's numbers
INTRODUCTION = """\
# What the papers report

Every row of [reported.csv](reported/reported.csv), beside the mean ± standard deviation of the finished records of suite
`paper` here. `not run`: there is none yet. Where papers disagree about a method, all their rows stand: copies of each INR, views, steps and the INRs themselves differ
between them, as the notes say. What ± means differs too; where the source does not say it, neither does this page.
"""


class Reported(BaseModel):
    """One published number; see `README.md` for the columns."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    task: str = Field(min_length=1)
    dataset: str = Field(min_length=1)
    method: str = Field(min_length=1)
    metric: Literal["accuracy", "kendall_tau", "r2", "mse"]
    value: float
    spread: float | None = Field(ge=0)
    spread_kind: Literal["std", "standard error", "half range", "not stated"] | None
    runs: int | None = Field(gt=0)
    claimed_by: str = Field(min_length=1)
    claimed_in: str = Field(min_length=1)
    read_in: str = Field(min_length=1)
    note: str

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


def read(path: Path = PATH) -> list[Reported]:
    """Every row. Raises RecordError naming the line and column that is malformed."""
    rows = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for line, row in enumerate(csv.DictReader(file, strict=True), start=2):
                try:
                    rows.append(Reported.model_validate(row))
                except ValidationError as error:
                    first = error.errors()[0]
                    where = ".".join(map(str, first["loc"]))
                    raise RecordError(f"{path}, row {line}: {where}: {first['msg']}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordError(f"{path}: cannot be read as a table ({error})") from None
    return rows


def markdown(rows: Sequence[Reported], records: Sequence[Record]) -> str:
    """`REPORTED.md`: the published numbers by task and dataset, the best first."""
    parts = [INTRODUCTION]
    for task in dict.fromkeys(row.task for row in rows):
        parts.append(f"## {escape(task)}\n")
        mine = [row for row in rows if row.task == task]
        for dataset, metric in dict.fromkeys((row.dataset, row.metric) for row in mine):
            shown = [row for row in mine if (row.dataset, row.metric) == (dataset, metric)]
            shown.sort(key=lambda row: row.value, reverse=metric != "mse")
            parts.append(f"### {escape(dataset)}, {escape(metric)}\n")
            table = [
                [
                    row.method,
                    _number(row),
                    f"{row.claimed_by} {row.claimed_in}",
                    row.read_in,
                    _measured(row, records),
                    row.note,
                ]
                for row in shown
            ]
            headers = ["method", "reported", "claimed by", "read in", "here", "note"]
            cells = [[escape(cell) for cell in line] for line in table]
            parts.append(tabulate(cells, headers, tablefmt="pipe", disable_numparse=True) + "\n")
    return "\n".join(parts)


def _number(row: Reported) -> str:
    spread = "" if row.spread is None else f" ± {row.spread:g}"
    known = [row.spread_kind or "", f"{row.runs} runs" if row.runs else ""]
    told = ", ".join(part for part in known if part)
    return f"{row.value:g}{spread}" + (f" ({told})" if told else "")


def _measured(row: Reported, records: Sequence[Record]) -> str:
    scores = [
        record.metrics["test"] * (100 if row.metric == "accuracy" else 1)
        for record in records
        if (record.suite, record.task, record.metric) == (SUITE, row.task, row.metric)
        and (record.dataset.name, record.dataset.arm, record.method.title) == (row.dataset, "permuted", row.method)
        and record.status == "finished"
    ]
    if not scores:
        return "not run"
    mean = sum(scores) / len(scores)
    spread = math.sqrt(sum((score - mean) ** 2 for score in scores) / (len(scores) - 1)) if len(scores) > 1 else None
    return f"{mean:.4g}" + (f" ± {spread:.2g}" if spread is not None else "") + f" (n={len(scores)})"
