"""Submitted cells run again under hidden conditions, and compared with their records."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from benchmark.record import sources
from benchmark.record.cell import Cell
from benchmark.record.git import GitError, git
from benchmark.record.schema import Record, RecordError
from leaderboard.archive import reruns
from leaderboard.archive.entries import Entry
from leaderboard.archive.reruns import Rerun, Verdict


def by_cell(entries: Sequence[Entry]) -> dict[Cell, list[Entry]]:
    """Group finished records by cell without seeds."""
    groups: dict[Cell, list[Entry]] = {}
    for entry in entries:
        if entry.record.status == "finished":
            groups.setdefault(entry.record.cell.column, []).append(entry)
    return groups


AGAIN = 2
"""Further runs of a cell whose first one is worse: one honest cell in forty is by chance, and of
methods that seeds hardly move, more."""


def rerun(entries: Sequence[Entry]) -> Rerun:
    """Run the cell of some seeds' records again, in a process that loads no method's code.

    Raises:
        RecordError: The run failed.
    """
    record = entries[0].record
    scores = [entry.record.metrics.get("test") for entry in entries]
    results = [_run(record)]
    if _verdict(record, scores, results) == "worse":
        results += [_run(record) for _ in range(AGAIN)]
    return Rerun(
        cell=record.cell.row,
        seeds=tuple(int(one["cell"].rpartition("/")[2]) for one in results),
        draws=tuple(one["draw"] for one in results),
        metric=record.metric,
        code_sha256=record.method.code_sha256,
        submitted=tuple(score for score in scores if score is not None),
        values=tuple(one["value"] for one in results),
        verdict=_verdict(record, scores, results),
        weakness=results[0]["weakness"],
        commit=_commit(),
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _verdict(
    record: Record, scores: Sequence[float | None], results: Sequence[dict[str, Any]]
) -> Verdict:
    return reruns.verdict(record.metric, scores, [one["value"] for one in results])


def _run(record: Record) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmark", "hidden", str(record.cell)]
    process = subprocess.run(command, cwd=sources.ROOT, capture_output=True, text=True, check=False)
    if process.returncode:
        lines = process.stderr.strip().splitlines() or [f"it ended with {process.returncode}"]
        raise RecordError(f"{record.cell.row}: {lines[-1].removeprefix('error: ')}")
    return json.loads(process.stdout.splitlines()[-1])


def _commit() -> str | None:
    try:
        return git(sources.ROOT, "rev-parse", "HEAD")
    except GitError:
        return None
