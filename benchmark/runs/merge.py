"""Joins results folders of machines that share no disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from benchmark.errors import UserError
from benchmark.record import schema
from benchmark.record.cell import Cell
from benchmark.record.paths import DRAWN, RECONSTRUCTED, regular
from benchmark.record.predictions import Kept
from benchmark.record.schema import Record, RecordError, write_atomically
from benchmark.runs import claims, curves, kept, trials
from benchmark.runs.execute import is_current
from benchmark.runs.plan import plan

BESIDE = (
    ".npz",
    DRAWN,
    RECONSTRUCTED,
    ".traceback.txt",
    curves.SUFFIX,
    curves.FIRST_SUFFIX,
    kept.SUFFIX,
)
"""What may lie beside a record, by its suffix."""


@dataclass(frozen=True)
class Found:
    """A record in a results folder."""

    folder: Path
    record: Record

    @property
    def path(self) -> Path:
        """Of the record's file."""
        return self.folder / self.record.path

    @property
    def beside(self) -> dict[str, Path]:
        """The files beside it, by their suffixes."""
        files = {suffix: self.path.with_suffix(suffix) for suffix in BESIDE}
        return {suffix: path for suffix, path in files.items() if path.exists()}

    @property
    def result(self) -> tuple[object, ...]:
        """What came out, which no other machine may have otherwise."""
        record = self.record
        first = record.encoder and record.encoder.curve
        return record.status, record.metrics, record.predictions, record.curve, first


@dataclass(frozen=True)
class Copying:
    """What is done for a cell.

    files: those that lie beside its record then, by suffix. whole: whether the record is written.
    """

    found: Found
    files: Mapping[str, Path]
    whole: bool


def merge(folders: Sequence[Path], results: Path) -> tuple[int, int]:
    """Copy the records of folders, and what lies beside them, into a results folder.

    All is read and compared before anything is copied. Each file is copied whole, and a record
    last: what a kill interrupts is finished when the command is given again.

    Returns:
        How many records were copied, and how many cells had theirs already.

    Raises:
        UserError: for a folder that is none, a file that cannot be read, or a cell with two
            results.
    """
    _check_folders(folders, results)
    with claims.whole(results):
        copyings = {
            name: list(_compare([folder / name for folder in folders], results / name))
            for name in ("", trials.FOLDER)
        }
        for name, several in copyings.items():
            for one in several:
                _copy(one, results / name)
    whole = [one.whole for several in copyings.values() for one in several]
    return whole.count(True), whole.count(False)


def _check_folders(folders: Sequence[Path], results: Path) -> None:
    places = [results]
    for folder in folders:
        parts = (folder, folder / trials.FOLDER)
        if not any(path for part in parts for path in part.glob("*/*/*/*/seed-*.json")):
            raise UserError(f"{folder} holds no records; runs leave them there: --results {folder}")
        for other in places:
            first, second = folder.resolve(), other.resolve()
            if first == second or first in second.parents or second in first.parents:
                raise UserError(
                    f"{folder} and {other} are one folder, or one lies in the other: merge folders "
                    "of several machines into one of its own"
                )
        places.append(folder)


def _compare(folders: Iterable[Path], results: Path) -> Iterable[Copying]:
    """What is to be done for each cell that the folders have."""
    candidates: dict[Cell, list[Found]] = {}
    for folder in folders:
        for record in schema.read_all(folder):
            found = Found(folder, record)
            _check_predictions(found)
            candidates.setdefault(record.cell, []).append(found)
    there = {record.cell: Found(results, record) for record in schema.read_all(results)}
    for cell, several in candidates.items():
        before = there.get(cell)
        several = [*([before] if before else []), *several]
        best = reduce(_better, several)
        files: dict[str, Path] = {}
        for found in reversed([best, *several]):  # one machine may have kept weights, another not
            files |= found.beside if found.result == best.result else {}
        yield Copying(best, files, best is not before)


def _better(first: Found, second: Found) -> Found:
    """The one of two records of a cell that counts: the current one, or else the newer.

    Raises UserError where both do, and have other results.
    """
    standing = [found for found in (first, second) if _is_current(found.record)]
    if len(standing) == 2 and first.result != second.result:
        raise UserError(
            f"{first.record.cell} has two results, in {first.path} and {second.path}: keep one, "
            "and remove the other"
        )
    return max(standing or (first, second), key=lambda one: one.record.finished_at)


def _is_current(record: Record) -> bool:
    """Whether a record stands; one of a suite or data that are not here is not to be told."""
    cell = record.cell
    try:
        (run,) = plan(cell.suite, cell.task, [cell.dataset], [str(cell.entrant)], [cell.seed])
    except UserError:
        return record.status != "failed"
    return is_current(run, record)


def _check_predictions(found: Found) -> None:
    """Raise RecordError where a record's predictions are missing or damaged."""
    key, store = found.record.predictions, Kept(found.path.with_suffix(".npz"))
    if key is None:
        return
    if key not in store:
        raise RecordError(f"{store.path}: lacks the predictions of {found.path}; run it again")
    store.get(key)


def _copy(one: Copying, results: Path) -> None:
    target = results / one.found.record.path
    files = {target.with_suffix(suffix): path for suffix, path in one.files.items()}
    if one.whole:
        # An older record goes first: at no time does one stand beside another's files.
        for place in map(target.with_suffix, (".json", *BESIDE)):
            if files.get(place) != place:
                place.unlink(missing_ok=True)
    for place, path in files.items():
        if path != place:
            _write(path, place)
    if one.whole:
        _write(one.found.path, target)


def _write(source: Path, target: Path) -> None:
    data = regular(source).read_bytes()
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, data)
