"""Submitted cells run again under hidden conditions, and compared with their records."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from benchmark.record import sources
from benchmark.record.cell import Cell
from benchmark.record.git import GitError, git
from benchmark.record.schema import RecordError
from leaderboard.archive import reruns
from leaderboard.archive.entries import Entry
from leaderboard.archive.reruns import Rerun


def by_cell(entries: Sequence[Entry]) -> dict[Cell, list[Entry]]:
    """Group finished records by cell without seeds."""
    groups: dict[Cell, list[Entry]] = {}
    for entry in entries:
        if entry.record.status == "finished":
            groups.setdefault(entry.record.cell.column, []).append(entry)
    return groups


def rerun(entries: Sequence[Entry]) -> Rerun:
    """Run the cell of some seeds' records again, in a process that loads no method's code.

    Raises:
        RecordError: The run failed.
    """
    record = entries[0].record
    command = [sys.executable, "-m", "benchmark", "hidden", str(record.cell)]
    process = subprocess.run(command, cwd=sources.ROOT, capture_output=True, text=True, check=False)
    if process.returncode:
        lines = process.stderr.strip().splitlines() or [f"it ended with {process.returncode}"]
        raise RecordError(f"{record.cell.row}: {lines[-1].removeprefix('error: ')}")
    result = json.loads(process.stdout.splitlines()[-1])
    scores = [entry.record.metrics.get("test") for entry in entries]
    submitted = tuple(score for score in scores if score is not None)
    return Rerun(
        cell=record.cell.row,
        seed=int(result["cell"].rpartition("/")[2]),
        draw=result["draw"],
        metric=record.metric,
        code_sha256=record.method.code_sha256,
        submitted=submitted,
        value=result["value"],
        verdict=reruns.verdict(record.metric, submitted, result["value"]),
        weakness=result["weakness"],
        commit=_commit(),
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _commit() -> str | None:
    try:
        return git(sources.ROOT, "rev-parse", "HEAD")
    except GitError:
        return None
