"""The committed records: for each suite and method one file of records, and one of predictions.

    records/<suite>/<method>.jsonl   a record a line, with the reason it replaced an older one
    records/<suite>/<method>.npz     the predictions, under the digests that the records hold

The newest record of a cell (suite, task, dataset, entrant, seed) counts; older ones stay as its
history.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmark.record import metrics, schema
from benchmark.record.cell import Cell
from benchmark.record.paths import regular
from benchmark.record.predictions import Kept, Predictions
from benchmark.record.predictions import write as write_predictions
from benchmark.record.schema import Record, RecordError

FOLDER = Path(__file__).resolve().parent.parent / "records"
WHY_LIMIT = 300
ERRORS = "mse"
"""The metric whose predictions are the networks' errors, and need no targets."""


@dataclass(frozen=True)
class Entry:
    """One committed record.

    why: the reason it replaced an older one, None where it replaced none.
    place: its file and line, for error messages.
    store: the file of its predictions.

    Raises RecordError where its metric is unknown.
    """

    record: Record
    why: str | None
    place: str
    store: Kept

    def __post_init__(self) -> None:
        try:
            metrics.get(self.record.metric)
        except RecordError as error:
            raise RecordError(f"{self.place}: metric: {error}") from None

    @property
    def has_predictions(self) -> bool:
        """Whether its predictions are available."""
        return self.record.predictions is not None and self.record.predictions in self.store

    @property
    def networks(self) -> int:
        """The number of test networks that it predicted. Raises RecordError as `predictions`."""
        return len(self.predictions["test"].predictions)

    @cached_property
    def predictions(self) -> Predictions:
        """Its predictions. Raises RecordError where they are missing or were changed."""
        if self.record.predictions is None:
            raise RecordError(f"{self.place}: this record has no predictions")
        found = self.store.get(self.record.predictions)
        lacking = [split for split, outcome in found.items() if not len(outcome.targets)]
        if lacking and self.record.metric != ERRORS:
            raise RecordError(
                f"{self.place}: the predictions of {lacking[0]} have no targets; run it again"
            )
        return found

    @property
    def is_constant(self) -> bool:
        """Whether it predicts the same of all networks, as what learned nothing may.

        Nobody can tell without its predictions, whose lack other checks name.
        """
        try:
            predictions = self.predictions["test"].predictions
        except (RecordError, KeyError):
            return False
        return bool((predictions == predictions[:1]).all())


@dataclass(frozen=True)
class Archive:
    """Every committed record, in the order of cells and time."""

    entries: Sequence[Entry]

    @cached_property
    def current(self) -> list[Entry]:
        """The newest entry of each cell."""
        return list({entry.record.cell: entry for entry in self.entries}.values())

    @cached_property
    def superseded(self) -> list[tuple[Entry, Entry]]:
        """Each older entry, with the next one of its cell."""
        pairs = []
        latest: dict[Cell, Entry] = {}
        for entry in self.entries:
            if (before := latest.get(entry.record.cell)) is not None:
                pairs.append((before, entry))
            latest[entry.record.cell] = entry
        return pairs


def read(folder: Path = FOLDER) -> Archive:
    """Read every record of an archive. Raises RecordError that names file and line."""
    entries = [entry for path in sorted(folder.glob("*/*.jsonl")) for entry in read_file(path)]
    return ordered(entries)


def ordered(entries: Iterable[Entry]) -> Archive:
    """Make an archive of entries in any order."""
    return Archive(sorted(entries, key=lambda one: (one.record.cell, one.record.finished_at)))


def read_file(path: Path) -> list[Entry]:
    """Read the records of one file.

    Raises:
        RecordError: names the line that is malformed, a duplicate, or of another file.
    """
    try:
        lines = regular(path).read_bytes().splitlines()
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror}") from None
    store = Kept(path.with_suffix(".npz"))
    entries: list[Entry] = []
    numbers: dict[tuple[object, str], int] = {}
    for number, line in enumerate(lines, start=1):
        place = f"{path}, line {number}"
        remedy = "take the line from the results folder again"
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
            raise RecordError(f"{place}: not a record's line ({error}); {remedy}") from None
        record = schema.parse(inner, place, remedy)
        if (record.suite, record.method.name) != (path.parent.name, path.stem):
            file = f"{record.suite}/{record.method.name}"
            raise RecordError(f"{place}: holds a record of {file}; move it to that file")
        if (twin := numbers.setdefault((record.cell, record.finished_at), number)) != number:
            raise RecordError(f"{place}: the same cell and time as line {twin}; remove one of them")
        entries.append(Entry(record, why, place, store))
    return entries


def of_results(folder: Path, records: Iterable[Record] | None = None) -> list[Entry]:
    """Make entries of a results folder's records.

    Args:
        folder: The results folder, which holds the predictions too.
        records: The records to take; by default all in the folder.
    """
    entries = []
    for record in schema.read_all(folder) if records is None else records:
        path = folder / record.path
        entries.append(Entry(record, None, str(path), Kept(path.with_suffix(".npz"))))
    return entries


def write_file(folder: Path, entries: Iterable[Entry]) -> list[Path]:
    """Write all records of one suite and method, each file atomically. Returns the two files."""
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
    schema.write_atomically(path, ("\n".join(lines) + "\n").encode())
    return [path, path.with_suffix(".npz")]
