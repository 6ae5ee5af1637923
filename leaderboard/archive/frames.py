"""Records as a table with a row for each run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.errors import UserError
from benchmark.record import schema
from benchmark.record.paths import absolute
from benchmark.record.schema import Record
from leaderboard.archive import entries

SPLITS = ("validation", "test")


def load(folder: Path | str | None = None, superseded: bool = False) -> pd.DataFrame:
    """What `leaderboard.load` gives."""
    place = entries.FOLDER if folder is None else absolute(folder)
    archive = entries.read(place)
    current = [entry.record for entry in archive.current] or schema.read_all(place)
    if not current:
        raise UserError(f"{place}: no records; runs leave them in a results folder")
    rows = [_row(record) for record in current]
    if superseded:
        older = [_row(before.record) for before, _ in archive.superseded]
        rows = [row | {"superseded": False} for row in rows]
        rows += [row | {"superseded": True} for row in older]
    return pd.DataFrame(rows).astype({"parameters": "Int64"})


def _row(record: Record) -> dict[str, Any]:
    cost = record.cost
    return {
        "suite": record.suite,
        "task": record.task,
        "dataset": record.dataset.name,
        "arm": record.dataset.arm,
        "method": record.method.name,
        "options": "+".join(record.method.options),
        "seed": record.seed,
        "status": record.status,
        "metric": record.metric,
        **dict.fromkeys(SPLITS),
        **record.metrics,
        "seconds": cost and cost.training_seconds + cost.evaluation_seconds,
        "parameters": record.method.parameters,
    }
