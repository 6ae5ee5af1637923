"""Making a committed number again: run its command, and tell whether the result is bit-equal, within noise, or different."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmark.record import metrics
from benchmark.record import schema as records
from benchmark.record.schema import RecordError
from leaderboard.archive import provenance
from leaderboard.archive.entries import Archive, Entry, of_results
from leaderboard.statistics import comparison as statistics

Verdict = Literal["bit-equal", "within noise", "different"]


@dataclass(frozen=True)
class Reproduction:
    """was, now: the test metric, None where undefined. p: of no difference between the two on the same networks."""

    cell: str
    verdict: Verdict
    metric: str
    was: float | None
    now: float | None
    p: float | None

    def __str__(self) -> str:
        shown = [
            ("undefined" if value is None else metrics.get(self.metric).show(value)) for value in (self.was, self.now)
        ]
        told = "" if self.p is None else f", p = {self.p:.2g} on the same networks"
        return f"{self.cell}: {self.verdict}: {self.metric} was {shown[0]}, is {shown[1]}{told}"


def find(archive: Archive, cell: str) -> Entry:
    """The current record of SUITE/TASK/DATASET/METHOD/SEED. Raises RecordError for one that is not there."""
    for entry in archive.current:
        if "/".join(map(str, entry.record.cell)) == cell:
            return entry
    cells = sorted("/".join(map(str, entry.record.cell)) for entry in archive.current)
    example = f"; one that is: {cells[0]}" if cells else ""
    raise RecordError(f"no record of {cell!r} is committed{example}")


def reproduce(entry: Entry, results: Path | None = None, device: str = "auto") -> Reproduction:
    """Run a record's cell anew, into `results` or a folder that is removed. Raises RecordError where the run does not end well."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = results or Path(temporary)
        record = entry.record
        names = ["--suite", record.suite, "--datasets", record.dataset.name, "--methods", record.entrant]
        command = [sys.executable, "-m", "benchmark", "run", record.task, *names, "--seeds", str(record.seed)]
        command += ["--results", str(folder), "--device", device]
        made = subprocess.run(command, cwd=provenance.ROOT, stdout=subprocess.DEVNULL, check=False)
        path = folder / record.path
        if made.returncode or not path.is_file():
            raise RecordError(f"{shlex.join(command)} ended with {made.returncode}; see above")
        (new,) = of_results(folder, [records.read(path)])
        return compare(entry, new)


def compare(old: Entry, new: Entry) -> Reproduction:
    """Hold two runs of one cell against each other."""
    was, now = (entry.record.metrics.get("test") for entry in (old, new))
    cell, name = "/".join(map(str, old.record.cell)), old.record.metric
    if old.record.predictions is not None and old.record.predictions == new.record.predictions:
        return Reproduction(cell, "bit-equal", name, was, now, None)
    if was is None or now is None or not (old.has_predictions and new.has_predictions):
        return Reproduction(cell, "within noise" if was == now else "different", name, was, now, None)
    metric = metrics.get(name)
    both = {name: {0: entry.predictions["test"]} for name, entry in (("old", old), ("new", new))}
    prepared = statistics.resample(metric, both)
    p = statistics.paired(prepared["old"], prepared["new"])
    noise = (p is not None and p >= statistics.LEVEL) or abs(was - now) * metric.scale <= metric.tolerance(
        was * metric.scale
    )
    return Reproduction(cell, "within noise" if noise else "different", name, was, now, p)
