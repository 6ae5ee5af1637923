"""What other machines make of the committed numbers: `reproductions/<suite>-<machine>.json`.

`python -m leaderboard reproduce --all` writes these files, and nothing else does.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tabulate import tabulate

from benchmark.record import metrics
from benchmark.record.paths import regular
from benchmark.record.schema import EnvironmentPart, RecordError, write_atomically

FOLDER = Path(__file__).resolve().parent.parent / "reproductions"
Verdict = Literal["bit-equal", "within noise", "different"]


class Reproduction(BaseModel):
    """A committed result and a new one of the same cell.

    was, now: the test metric; None where it is undefined.
    unlike: in what the environments of the two runs differ.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    cell: str = Field(max_length=300)
    verdict: Verdict
    metric: str = Field(pattern="^[a-z0-9_]+$")
    was: float | None
    now: float | None
    unlike: tuple[str, ...]

    @property
    def numbers(self) -> tuple[str, str]:
        """Both results as tables print them."""
        metric = metrics.get(self.metric)
        before, after = (
            "undefined" if value is None else metric.show(value) for value in (self.was, self.now)
        )
        return before, after

    def __str__(self) -> str:
        before, after = self.numbers
        return f"{self.cell}: {self.verdict}: {self.metric} was {before}, is {after}"


class Tally(BaseModel):
    """One seed of every ranked row of a suite, run again on one machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    suite: str
    environment: EnvironmentPart
    finished_at: str
    reproductions: tuple[Reproduction, ...] = Field(min_length=1)

    @property
    def machine(self) -> str:
        """The processor with its instruction set, or the GPU."""
        part = self.environment
        return f"{part.processor}, {part.capability or part.device}"

    @property
    def path(self) -> Path:
        """Where the tally is kept: a later one of the same machine takes its place."""
        name = re.sub(r"[^a-z0-9]+", "-", f"{self.suite} {self.machine}".lower()).strip("-")
        return FOLDER / f"{name}.json"


def read(folder: Path = FOLDER) -> list[Tally]:
    """Read every tally. Raises RecordError for a malformed file."""
    tallies = []
    for path in sorted(folder.glob("*.json")):
        try:
            tallies.append(Tally.model_validate_json(regular(path).read_bytes()))
        except (OSError, ValidationError) as error:
            raise RecordError(f"{path}: {str(error).splitlines()[0]}; restore the file") from None
    return tallies


def write(tally: Tally) -> Path:
    """Write a tally in the place of an older one of the same machine. Returns its file."""
    tally.path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(tally.path, (tally.model_dump_json(indent=1) + "\n").encode())
    return tally.path


def table(tallies: list[Tally]) -> str:
    """Render the counts of each machine in Markdown, and name what came out different."""
    if not tallies:
        return "No machine's tally has been noted yet."
    rows, different, alike = [], [], []
    for tally in tallies:
        counts = Counter(one.verdict for one in tally.reproductions)
        kinds = [counts[kind] for kind in get_args(Verdict)]
        rows.append([tally.machine, tally.suite, len(tally.reproductions), *kinds])
        different += [f"- {one}" for one in tally.reproductions if one.verdict == "different"]
        same = [one.verdict for one in tally.reproductions if not one.unlike]
        alike.append(
            f"{tally.machine}: {len(tally.reproductions) - len(same)} of these runs were committed "
            f"from another environment, as the tally says of each. Of the {len(same)} others "
            f"{same.count('bit-equal')} are bit-equal."
        )
    headers = ["machine", "suite", "runs", *get_args(Verdict)]
    return "\n".join(
        [
            tabulate(rows, headers, tablefmt="pipe"),
            "",
            *alike,
            *([""] if different else []),
            *different,
        ]
    )
