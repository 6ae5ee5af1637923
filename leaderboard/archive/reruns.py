"""What the project itself ran again, under hidden conditions: `reruns/<suite>/<method>.json`.

`python -m leaderboard rerun` writes these files, and nothing else does. A row is marked on the
board where each of its datasets was run again, of the same code, and came out as its records say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from benchmark.record import equivalence, metrics
from benchmark.record.schema import SHA256, Record, RecordError
from leaderboard.statistics import summaries

FOLDER = Path(__file__).resolve().parent.parent / "reruns"
Verdict = Literal["as submitted", "better", "worse", "undecided"]


class Rerun(BaseModel):
    """One result under hidden conditions, beside the records of its cell.

    cell: Suite, task, dataset and entrant. seed, draw: What seed and networks' order were.
    code_sha256: Of the records' code. submitted: The test metric of the records, by seed.
    value: The test metric; None where it is undefined.
    weakness: What was missing of the sandbox, if anything.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    cell: str = Field(max_length=300)
    seed: int
    draw: str = Field(max_length=64)
    metric: str
    code_sha256: str = Field(pattern=SHA256)
    submitted: tuple[float, ...]
    value: float | None
    verdict: Verdict
    weakness: str | None
    commit: str | None
    finished_at: str

    def __str__(self) -> str:
        metric = metrics.get(self.metric)
        mean = metric.show(sum(self.submitted) / len(self.submitted)) if self.submitted else "none"
        value = "undefined" if self.value is None else metric.show(self.value)
        line = f"{self.cell}: {self.verdict} under hidden conditions: {metric.name} {value}"
        weak = f"; {self.weakness}" if self.weakness else ""
        return f"{line}, submitted {mean}{weak}"


def verdict(name: str, submitted: Sequence[float], value: float | None) -> Verdict:
    """Compare a result under hidden conditions with the submitted seeds.

    "as submitted": inside the seeds' 95 % prediction interval, or within the metric's margin of
    their mean. The interval is at most `WIDEST` margins to each side, so that scattered seeds make
    no room for invention. "undecided": fewer than two seeds, and outside the margin.
    """
    metric = metrics.get(name)
    if value is None or not submitted:
        return "as submitted" if value is None and not submitted else "worse"
    moments = summaries.summary(submitted)
    low, high = summaries.prediction_interval(submitted)
    margin = metric.tolerance(moments.mean * metric.scale) / metric.scale
    low, high = max(low, moments.mean - WIDEST * margin), min(high, moments.mean + WIDEST * margin)
    if abs(value - moments.mean) <= margin or low <= value <= high:
        return "as submitted"
    if moments.deviation is None:
        return "undecided"
    return "better" if (value > moments.mean) == (metric.direction == "max") else "worse"


WIDEST = 10

_FILE = TypeAdapter(list[Rerun])


@cache
def read(folder: Path = FOLDER) -> dict[str, Rerun]:
    """Read every rerun, by cell. Raises RecordError for a malformed file."""
    found: dict[str, Rerun] = {}
    for path in sorted(folder.glob("*/*.json")):
        try:
            found |= {one.cell: one for one in _FILE.validate_json(path.read_bytes())}
        except (OSError, ValidationError) as error:
            raise RecordError(f"{path}: {str(error).splitlines()[0]}; restore the file") from None
    return found


def write(reruns: Iterable[Rerun], folder: Path = FOLDER) -> list[Path]:
    """Write reruns in the place of older ones of the same cells. Returns the files."""
    files: dict[Path, list[Rerun]] = {}
    for one in reruns:
        suite, _, _, entrant = one.cell.split("/")
        method = entrant.partition("@")[0].partition("+")[0]
        files.setdefault(folder / suite / f"{method}.json", []).append(one)
    for path, ones in files.items():
        before = _FILE.validate_json(path.read_bytes()) if path.is_file() else []
        merged = {one.cell: one for one in (*before, *ones)}
        rows = [merged[cell].model_dump(mode="json") for cell in sorted(merged)]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    read.cache_clear()
    return list(files)


def covers(record: Record, folder: Path = FOLDER) -> bool:
    """Whether a record's cell was run again, of its code, and came out as the records say."""
    one = read(folder).get(record.cell.row)
    return (
        one is not None
        and one.verdict in ("as submitted", "better")
        and one.weakness is None
        and record.metrics.get("test") in one.submitted
        and equivalence.equivalent(record.method.name, one.code_sha256, record.method.code_sha256)
    )
