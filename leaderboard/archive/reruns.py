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
from scipy import stats

from benchmark.record import equivalence, metrics
from benchmark.record.cell import Entrant
from benchmark.record.paths import regular
from benchmark.record.schema import SHA256, Record, RecordError, write_atomically
from leaderboard.statistics import summaries

FOLDER = Path(__file__).resolve().parent.parent / "reruns"
Verdict = Literal["as submitted", "better", "worse"]


class Rerun(BaseModel):
    """Results of one cell under hidden conditions, beside its records.

    cell: Suite, task, dataset and entrant. seeds, draws: What seeds and networks' orders were.
    code_sha256: Of the records' code. submitted: The test metric of the records, by seed.
    values: The test metric of each run; None where it is undefined.
    weakness: What was missing of the sandbox, if anything.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    cell: str = Field(max_length=300)
    seeds: tuple[int, ...]
    draws: tuple[str, ...]
    metric: str
    code_sha256: str = Field(pattern=SHA256)
    submitted: tuple[float, ...]
    values: tuple[float | None, ...]
    verdict: Verdict
    weakness: str | None
    commit: str | None
    finished_at: str

    @property
    def stands(self) -> bool:
        """Whether it came out as the records say, or better."""
        return self.verdict != "worse"

    def __str__(self) -> str:
        metric = metrics.get(self.metric)
        mean = metric.show(sum(self.submitted) / len(self.submitted)) if self.submitted else "none"
        value = ", ".join("undefined" if one is None else metric.show(one) for one in self.values)
        line = f"{self.cell}: {self.verdict} under hidden conditions: {metric.name} {value}"
        weak = f"; {self.weakness}" if self.weakness else ""
        return f"{line}, submitted {mean}{weak}"


WIDEST = 10
"""Margins from the mean of the submitted seeds that no spread of theirs makes the same."""
LEVEL = 0.02


def verdict(
    name: str, submitted: Sequence[float | None], values: Sequence[float | None]
) -> Verdict:
    """Compare results under hidden conditions with the submitted seeds.

    They are "as submitted" where the means are within the metric's margin; or within `WIDEST`
    margins, and one new result is inside the 95 % prediction interval of the seeds, or several are
    not told from them by Welch's t-test. An undefined result is worse than any seed's, unless seeds
    have some, too: then those that are defined are compared, and never are "better".
    """
    metric = metrics.get(name)
    known, before = ([one for one in scores if one is not None] for scores in (values, submitted))
    lacking = len(known) < len(values)
    if not before:
        return "as submitted"
    if not known or (lacking and len(before) == len(submitted)):
        return "worse"
    here, there = (sum(scores) / len(scores) for scores in (known, before))
    margin = metric.tolerance(there * metric.scale) / metric.scale
    if abs(here - there) <= margin:
        return "as submitted"
    if abs(here - there) <= WIDEST * margin and _are_alike(before, known):
        return "as submitted"
    if (here > there) != (metric.direction == "max"):
        return "worse"
    return "as submitted" if lacking else "better"


def _are_alike(submitted: Sequence[float], known: Sequence[float]) -> bool:
    one, many = sorted((submitted, known), key=len)
    if len(one) == 1:
        low, high = summaries.prediction_interval(many)
        return low <= one[0] <= high
    return bool(stats.ttest_ind(known, submitted, equal_var=False).pvalue >= LEVEL)


_FILE = TypeAdapter(list[Rerun])


@cache
def read(folder: Path = FOLDER) -> dict[str, Rerun]:
    """Read every rerun, by cell. Raises RecordError for a malformed file."""
    found: dict[str, Rerun] = {}
    for path in sorted(folder.glob("*/*.json")):
        try:
            found |= {one.cell: one for one in _FILE.validate_json(regular(path).read_bytes())}
        except (OSError, ValidationError) as error:
            raise RecordError(f"{path}: {str(error).splitlines()[0]}; restore the file") from None
    return found


def write(reruns: Iterable[Rerun], folder: Path = FOLDER) -> list[Path]:
    """Write reruns in the place of older ones of the same cells. Returns the files."""
    files: dict[Path, list[Rerun]] = {}
    for one in reruns:
        suite, _, _, entrant = one.cell.split("/")
        method = Entrant.parse(entrant).method
        files.setdefault(folder / suite / f"{method}.json", []).append(one)
    for path, ones in files.items():
        before = _FILE.validate_json(path.read_bytes()) if path.is_file() else []
        merged = {one.cell: one for one in (*before, *ones)}
        rows = [merged[cell].model_dump(mode="json") for cell in sorted(merged)]
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (json.dumps(rows, indent=1) + "\n").encode())
    read.cache_clear()
    return list(files)


def covers(record: Record, folder: Path = FOLDER) -> bool:
    """Whether a record's cell was run again, of its code, and came out as the records say."""
    one = read(folder).get(record.cell.row)
    return (
        one is not None
        and one.stands
        and one.weakness is None
        and record.metrics.get("test") in one.submitted
        and equivalence.equivalent(record.method.name, one.code_sha256, record.method.code_sha256)
    )
