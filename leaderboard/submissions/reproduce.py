"""Reproduction of a committed number: bit-equal, within noise, or different."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from tabulate import tabulate

from benchmark.record import differences, metrics, sources
from benchmark.record import schema as records
from benchmark.record.cell import DEFAULT_ARM
from benchmark.record.schema import EnvironmentPart, RecordError
from leaderboard.archive import drawings, provenance
from leaderboard.archive.entries import Archive, Entry, of_results
from leaderboard.archive.tallies import Reproduction, Tally, Verdict
from leaderboard.statistics import summaries

MEANING = (
    "bit-equal: every prediction is the committed one; within noise: within the interval of the\n"
    "committed seeds, or closer than the metric's margin"
)


DECISIVE = ("python", "cuda", "driver", "system", "processor", "capability", "device")
"""What of an environment, beside the libraries, can change numbers."""


def find(archive: Archive, cell: str) -> list[Entry]:
    """Find the current records of a cell: all seeds, or one where the text ends with it.

    Raises RecordError for SUITE/TASK/DATASET/NAME or SUITE/TASK/DATASET/NAME/SEED without records.
    """
    found = [
        entry
        for entry in archive.current
        if cell in (str(entry.record.cell), entry.record.cell.row)
    ]
    if found:
        return found
    cells = sorted(str(entry.record.cell) for entry in archive.current)
    example = f"; one that is: {cells[0]}" if cells else ""
    raise RecordError(f"no record of {cell!r} is committed{example}")


def reproduce(
    entry: Entry, archive: Archive, results: Path | None = None, device: str = "auto"
) -> Reproduction:
    """Run a record's cell again.

    Args:
        entry: The committed record.
        archive: All committed records, whose seeds say what noise is.
        results: Folder for the new record; by default a temporary one.
        device: cpu, cuda or auto.

    Raises:
        RecordError: The run failed.
    """
    with tempfile.TemporaryDirectory() as temporary:
        (new,) = _run_again([entry], results or Path(temporary), device)
        return compare(entry, new, archive)


def _run_again(committed: Sequence[Entry], results: Path, device: str) -> list[Entry]:
    """Run cells of one dataset and seed, and read their new records from `results`.

    Raises RecordError where one failed, or where `results` holds a committed run itself.
    """
    cells = [entry.record.cell for entry in committed]
    first, names = cells[0], ",".join(str(cell.entrant) for cell in cells)
    command = [sys.executable, "-m", "benchmark", "run", first.task, "--suite", first.suite]
    command += ["--datasets", first.dataset, "--methods", names]
    command += ["--seeds", str(first.seed), "--results", str(results.resolve()), "--device", device]
    process = subprocess.run(command, cwd=sources.ROOT, stdout=subprocess.DEVNULL, check=False)
    paths = [results / cell.path for cell in cells]
    if process.returncode or not all(path.is_file() for path in paths):
        raise RecordError(f"{shlex.join(command)} ended with {process.returncode}; see above")
    again = of_results(results, list(map(records.read, paths)))
    for old, new in zip(committed, again, strict=True):
        if new.record == old.record:
            raise RecordError(
                f"{new.place} is the committed run itself, which was not made again; name another "
                "folder as --results"
            )
    return again


def ranked(archive: Archive, suite: str) -> list[Entry]:
    """Find one committed record, of the lowest seed, of every row that a suite may rank."""
    found: dict[str, Entry] = {}
    for entry in sorted(archive.current, key=lambda entry: entry.record.cell):
        record = entry.record
        if (
            (record.suite, record.dataset.arm, record.status) == (suite, DEFAULT_ARM, "finished")
            and record.cell.row not in found
            and not provenance.objections(record)
        ):
            found[record.cell.row] = entry
    return list(found.values())


def reproduce_all(
    entries: Sequence[Entry], archive: Archive, results: Path, device: str = "auto"
) -> Tally:
    """Run many cells of one suite again, as many at a time as there are cores.

    What lies in `results` already is not run again. Sheets of what networks draw are kept.

    Args:
        entries: Committed records, at least one.
        archive, device: as in `reproduce`.
        results: Folder for the new records.

    Raises:
        RecordError: A run failed, or nothing was run.
    """
    columns: dict[tuple[str, str, int], list[Entry]] = {}
    for entry in entries:
        cell = entry.record.cell
        columns.setdefault((cell.task, cell.dataset, cell.seed), []).append(entry)
    pairs: list[tuple[Entry, Entry]] = []
    for column in columns.values():
        again = _run_again(column, results, device)
        pairs += zip(column, again, strict=True)
    made = [new.record for _, new in pairs]
    for record in made:
        drawings.keep(results, record)
    return Tally(
        suite=made[0].suite,
        environment=made[-1].environment,
        finished_at=max(record.finished_at for record in made),
        reproductions=tuple(compare(old, new, archive) for old, new in pairs),
    )


def compare(old: Entry, new: Entry, archive: Archive) -> Reproduction:
    """Compare a new run of a cell with the committed one.

    bit-equal: all predictions are equal. within noise: the new result lies inside the 95 %
    prediction interval of the committed seeds, or differs from the old one by no more than the
    metric's margin. different: neither.
    """
    was, now = (entry.record.metrics.get("test") for entry in (old, new))
    metric = metrics.get(old.record.metric)
    if old.record.predictions is not None and old.record.predictions == new.record.predictions:
        verdict: Verdict = "bit-equal"
    elif was is None or now is None:
        verdict = "within noise" if was == now else "different"
    else:
        column = old.record.cell.column
        seeds = [entry.record for entry in archive.current if entry.record.cell.column == column]
        scores = [score for record in seeds if (score := record.metrics.get("test")) is not None]
        low, high = summaries.prediction_interval(scores)
        margin = metric.tolerance(was * metric.scale)
        near = abs(was - now) * metric.scale <= margin + 1e-9 or low <= now <= high
        verdict = "within noise" if near else "different"
    unlike = environments(old.record.environment, new.record.environment)
    return Reproduction(
        cell=str(old.record.cell),
        verdict=verdict,
        metric=metric.name,
        was=was,
        now=now,
        unlike=tuple(unlike),
    )


def environments(old: EnvironmentPart, new: EnvironmentPart) -> list[str]:
    """List in what two runs' environments differ that can change numbers."""
    was, now = (
        {name: getattr(one, name) for name in DECISIVE} | one.versions for one in (old, new)
    )
    return differences.between(was, now)


def unlike_text(reproductions: Sequence[Reproduction]) -> str:
    """Say in what this machine differs from that of the committed runs."""
    unlike = dict.fromkeys(line for one in reproductions for line in one.unlike)
    if not unlike:
        return "the environments are alike"
    return "the environments differ: " + "; ".join(unlike)


def beside_committed(entries: Sequence[Entry], archive: Archive) -> list[Reproduction]:
    """Compare new runs with the committed ones of the same cells, where those may be ranked."""
    return [
        compare(old, new, archive)
        for old, new in _pairs(entries, archive)
        if not provenance.objections(old.record)
    ]


def not_compared(entries: Sequence[Entry], archive: Archive) -> list[str]:
    """Say of new runs why the committed ones do not stand beside them, a line for each column."""
    lines = {}
    for old, new in _pairs(entries, archive):
        was, now = old.record, new.record
        if not (objections := provenance.objections(was)):
            continue
        settings = differences.between(was.method.hyperparameters, now.method.hyperparameters)
        settings += differences.between(was.protocol, now.protocol)
        lines[now.cell.row] = "; ".join([", ".join(objections), *settings])
    return [f"{cell}: the committed result is {why}" for cell, why in lines.items()]


def _pairs(entries: Sequence[Entry], archive: Archive) -> list[tuple[Entry, Entry]]:
    """The committed and the new run of each cell that has both, finished."""
    committed = {
        entry.record.cell: entry for entry in archive.current if entry.record.status == "finished"
    }
    return [
        (committed[entry.record.cell], entry)
        for entry in entries
        if entry.record.status == "finished" and entry.record.cell in committed
    ]


def table(reproductions: Sequence[Reproduction]) -> str:
    """Render reproductions as a table for a terminal, with a count of each verdict."""
    rows = [(one.cell, *one.numbers, one.verdict) for one in reproductions]
    counts = Counter(one.verdict for one in reproductions)
    totals = ", ".join(f"{counts[kind]} {kind}" for kind in get_args(Verdict))
    headers = ["run", "committed", "here", "verdict"]
    counted = f"{totals}; {unlike_text(reproductions)}\n{MEANING}"
    return f"{tabulate(rows, headers, disable_numparse=True)}\n\n{counted}"
