"""What a search is of, and what it chose: from a method to its logs, from a log to settings."""

from __future__ import annotations

from pathlib import Path

import baselines
from benchmark import suites
from benchmark.errors import UserError
from benchmark.suites import settings
from benchmark.tuning import log as logs
from benchmark.tuning.log import SearchLog


def places(suite: str, method: str, dataset: str | None) -> list[tuple[str, str]]:
    """Return the tasks and datasets that a method is tuned on in a suite.

    Args:
        suite: Name of the suite.
        method: Name of the method or variant.
        dataset: Name of a dataset; None for the first of every task that the method takes part in.

    Raises:
        UserError: If there is no such place, or the suite has no settings of its own.
    """
    row, chosen = baselines.get(method), suites.get(suite)
    if chosen.settings != suite:
        raise UserError(
            f"suite {suite!r} uses the settings of {chosen.settings!r}: tune in that suite"
        )
    known = {task: chosen.tasks[task].datasets for task in chosen.tasks if row.is_in(suite, task)}
    if dataset is None:
        found = [(task, datasets[0]) for task, datasets in known.items()]
    else:
        found = [(task, dataset) for task, datasets in known.items() if dataset in datasets]
    if not found:
        has = ", ".join(name for datasets in known.values() for name in datasets)
        reason = f"it has {has}" if has else "it takes part in no task of the suite"
        what = f"{method} is not run" if dataset is None else f"{method} is not run on {dataset}"
        raise UserError(f"{what} in suite {suite!r}: {reason}")
    return found


def settle(log: SearchLog) -> Path | None:
    """Write what a search chose into the suite's settings of the method.

    A choice on the first dataset of a task is for the whole task, another for its dataset alone.

    Returns:
        The path of the settings, or None if no trial was finished and scored.
    """
    if log.best is None:
        return None
    path = settings.log_path(log.suite, log.method, log.dataset)
    first = suites.get(log.suite).tasks[log.task].datasets[0]
    table = log.task if log.dataset == first else f"{log.task}.datasets.{log.dataset}"
    digests = {log.dataset: logs.digest(path)}
    return settings.write(log.suite, log.method, table, log.best.settings, digests)
