"""What a suite chose for a method: `settings/<suite>/<method>.toml`, a table for each task.

[logs]                             of the searches that chose them, where there were some:
mnist-gs-mini = "..."              SHA-256 of `settings/<suite>/logs/<method>.mnist-gs-mini.json`
[generalization]
learning_rate = 2e-3
[generalization.datasets.mnist-gs-mini]
hidden = 128                       for one dataset, on top of the task's
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from benchmark.errors import UserError
from benchmark.record import toml
from benchmark.record.schema import write_atomically
from benchmark.suites import tables

FOLDER = Path(__file__).resolve().parent / "settings"

Values = dict[str, Any]  # which `benchmark.fields` holds against the method's fields


class Settings(BaseModel):
    """One file.

    tasks: by task, the fields of the method that differ from its defaults. datasets: by task and
    dataset, likewise, on top of the task's. logs: by dataset, the digest of the log of the search
    there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    logs: dict[str, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]]
    tasks: dict[str, Values]
    datasets: dict[str, dict[str, Values]]

    def of(self, task: str, dataset: str) -> Values:
        """The fields of one task on one dataset."""
        return self.tasks.get(task, {}) | self.datasets.get(task, {}).get(dataset, {})


def path_of(suite: str, method: str) -> Path:
    """Return where a method's settings in a suite lie, if there are any."""
    return FOLDER / suite / f"{method}.toml"


@cache
def read(suite: str, method: str) -> Settings | None:
    """A method's settings in a suite; None without a file. Raises UserError for a malformed one."""
    path = path_of(suite, method)
    if not path.is_file():
        return None
    content = toml.read(path)
    for name, table in content.items():
        if not isinstance(table, dict):
            raise UserError(f"{path}: {name} stands in no table; write [TASK] above it")
    logs = content.pop("logs", {})
    datasets = {task: table.pop("datasets", {}) for task, table in content.items()}
    parts = {"logs": logs, "tasks": content, "datasets": datasets}
    return toml.checked(Settings, parts, str(path))


def log_path(suite: str, method: str, dataset: str) -> Path:
    """Return where the log of a search lies."""
    return FOLDER / suite / "logs" / f"{method}.{dataset}.json"


def write(suite: str, method: str, table: str, values: Values, logs: Mapping[str, str]) -> Path:
    """Set fields of a table in a method's file, and leave what else it says.

    Args:
        suite: Name of the suite.
        method: Name of the method.
        table: Name of the table, "generalization" or "generalization.datasets.mnist-gs-mini".
        values: Values by field.
        logs: Digests of the logs that they come from, by dataset.

    Returns:
        The path of the file.
    """
    path = path_of(suite, method)
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    for name, content in (("logs", logs), (table, values)):
        text = tables.changed(text, name, {key: json.dumps(new) for key, new in content.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.encode())
    read.cache_clear()
    return path
