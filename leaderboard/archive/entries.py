"""The committed records: for each suite and method one file of records, and one of predictions.

    records/<suite>/<method>.jsonl   a record a line, with why it took the place of an older one, where it did
    records/<suite>/<method>.npz     what the runs predicted, under the digests that the records hold

The newest record of a cell (suite, task, dataset, entrant, seed) counts; older ones stay as its history.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmark.record import schema as records
from benchmark.record.cell import Cell
from benchmark.record.predictions import Kept, Predictions
from benchmark.record.predictions import write as write_predictions
from benchmark.record.schema import Record, RecordError

FOLDER = Path(__file__).resolve().parent.parent / "records"
WHY_LIMIT = 300


@dataclass(frozen=True)
class Entry:
    """One committed record. why: what made it take the place of an older one. place: file and line, for errors."""

    record: Record
    why: str | None
    place: str
    kept: Kept

    @property
    def has_predictions(self) -> bool:
        return self.record.predictions is not None and self.record.predictions in self.kept

    @cached_property
    def predictions(self) -> Predictions:
        """Raises RecordError where they are missing or were changed."""
        if self.record.predictions is None:
            raise RecordError(f"{self.place}: this record has no predictions")
        return self.kept.get(self.record.predictions)


@dataclass(frozen=True)
class Archive:
    """Every committed record, in the order of cells and time."""

    entries: Sequence[Entry]

    @cached_property
    def current(self) -> list[Entry]:
        """The newest of each cell."""
        return list({entry.record.cell: entry for entry in self.entries}.values())

    @cached_property
    def superseded(self) -> list[tuple[Entry, Entry]]:
        """Each older record, with the next one of its cell."""
        pairs = []
        latest: dict[Cell, Entry] = {}
        for entry in self.entries:
            if (before := latest.get(entry.record.cell)) is not None:
                pairs.append((before, entry))
            latest[entry.record.cell] = entry
        return pairs


def read(folder: Path = FOLDER) -> Archive:
    """Every record under a folder of the archive. Raises RecordError naming file and line."""
    entries = [entry for path in sorted(folder.glob("*/*.jsonl")) for entry in read_file(path)]
    entries.sort(key=lambda entry: (entry.record.cell, entry.record.finished_at))
    return Archive(entries)


def read_file(path: Path) -> list[Entry]:
    """The records of one file. Raises RecordError naming the line that is wrong, or that belongs elsewhere."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror}") from None
    kept = Kept(path.with_suffix(".npz"))
    found: list[Entry] = []
    places: dict[tuple[object, str], int] = {}
    for number, line in enumerate(lines, start=1):
        place = f"{path}, line {number}"
        mend = "take the line from the results folder again"
        try:
            data = json.loads(line)
            why, inner = data["why"], json.dumps(data["record"]).encode()
            if set(data) != {"why", "record"} or not (
                why is None or (isinstance(why, str) and len(why) <= WHY_LIMIT)
            ):
                raise ValueError(
                    f"a line holds a record and a why of at most {WHY_LIMIT} characters"
                )
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise RecordError(f"{place}: not a record's line ({error}); {mend}") from None
        record = records.parse(inner, place, mend)
        if (record.suite, record.method.name) != (path.parent.name, path.stem):
            raise RecordError(
                f"{place}: holds a record of {record.suite}/{record.method.name}; move it to that file"
            )
        if (twin := places.setdefault((record.cell, record.finished_at), number)) != number:
            raise RecordError(f"{place}: the same cell and time as line {twin}; remove one of them")
        found.append(Entry(record, why, place, kept))
    return found


def of_results(folder: Path, found: Iterable[Record] | None = None) -> list[Entry]:
    """Records of a results folder, all or those that are given, with what lies beside them."""
    made = records.read_all(folder) if found is None else found
    return [
        Entry(
            record,
            None,
            str(folder / record.path),
            Kept((folder / record.path).with_suffix(".npz")),
        )
        for record in made
    ]


def write_file(folder: Path, entries: Iterable[Entry]) -> list[Path]:
    """Write all records of one suite and method, whole or not at all. Returns the two files."""
    ordered = sorted(entries, key=lambda entry: (entry.record.cell, entry.record.finished_at))
    first = ordered[0].record
    path = folder / first.suite / f"{first.method.name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps({"why": entry.why, "record": entry.record.model_dump(mode="json")})
        for entry in ordered
    ]
    predictions = {
        entry.record.predictions: entry.predictions for entry in ordered if entry.has_predictions
    }
    write_predictions(path.with_suffix(".npz"), predictions.items())
    records.write_atomically(path, ("\n".join(lines) + "\n").encode())
    return [path, path.with_suffix(".npz")]
