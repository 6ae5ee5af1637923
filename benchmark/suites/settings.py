"""What a suite chose for a method: `settings/<suite>/<method>.toml`, a table for each task.

log_sha256 = "..."                 of the search that chose them, where there was one
[generalization]
learning_rate = 2e-3
[generalization.datasets.mnist-gs-mini]
hidden = 128                       for one dataset, on top of the task's
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark.errors import UserError

FOLDER = Path(__file__).resolve().parent / "settings"

Values = dict[str, bool | int | float | str]


class Settings(BaseModel):
    """One file. tasks: by task, the fields of the method that differ from its defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    log_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    tasks: dict[str, Values]
    datasets: dict[str, dict[str, Values]]

    def of(self, task: str, dataset: str) -> Values:
        """The fields of one task on one dataset."""
        return self.tasks.get(task, {}) | self.datasets.get(task, {}).get(dataset, {})


@cache
def read(suite: str, method: str) -> Settings | None:
    """A method's settings in a suite; None without a file. Raises UserError for a malformed one."""
    path = FOLDER / suite / f"{method}.toml"
    if not path.is_file():
        return None
    try:
        tables: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        log = tables.pop("log_sha256", None)
        datasets = {task: table.pop("datasets", {}) for task, table in tables.items()}
        return Settings(log_sha256=log, tasks=tables, datasets=datasets)
    except (ValidationError, ValueError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: no settings of a method: {reason}") from None
