"""Where new results stand among the committed ones: their group, and their nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.record.schema import Record
from leaderboard.archive import provenance, tables
from leaderboard.archive.entries import Archive, Entry
from leaderboard.archive.tables import Board, Row
from leaderboard.publish import render, words
from leaderboard.statistics.ranks import FEWEST_SEEDS


@dataclass(frozen=True)
class Standing:
    """One entrant's place in a column.

    result: Its mean and deviation over seeds, as tables print it.
    group: Its group's rank and the number of methods that are ranked, or why there is none.
    better, worse: The next better and the next worse method, each with the p-value of no
        difference, corrected for all pairs of the column.
    """

    dataset: str
    title: str
    result: str
    group: str
    better: str
    worse: str

    def __str__(self) -> str:
        return (
            f"{self.dataset}: {self.title}: {self.result}, {self.group}; "
            f"next better: {self.better}; next worse: {self.worse}"
        )


def standings(entries: Sequence[Entry], archive: Archive) -> list[Standing]:
    """Place new results among the committed ones, where those have no result of their own.

    They are placed as if they were committed: that a tree has uncommitted changes is said
    elsewhere. Where nothing is committed, as of users' own networks, there is no place.
    """
    committed = {entry.record.cell.column for entry in archive.current}
    contested = {_column(entry) for entry in archive.current}
    fresh = [
        entry
        for entry in entries
        if entry.record.cell.column not in committed and _column(entry) in contested
    ]
    if not fresh:
        return []
    new = {entry.record.cell for entry in fresh}

    def judge(record: Record) -> list[str]:
        return [] if record.cell in new else provenance.objections(record)

    wanted = {(entry.record.suite, entry.record.task) for entry in fresh}
    known = [
        entry for entry in archive.current if (entry.record.suite, entry.record.task) in wanted
    ]
    columns = {(cell.column.dataset, str(cell.entrant)) for cell in new}
    return [
        _standing(board, row, dataset)
        for board in tables.boards([*known, *fresh], judge)
        for row in board.rows
        for dataset in board.datasets
        if (dataset, row.entrant) in columns and row.cells[dataset].summary is not None
    ]


def _column(entry: Entry) -> tuple[str, str, str]:
    return entry.record.suite, entry.record.task, entry.record.dataset.name


def table(rows: Sequence[Standing]) -> str:
    """Render standings for a terminal, three lines each."""
    lines = ["among the committed results:"]
    for one in rows:
        lines += [
            f"{words.dataset(one.dataset)}: {one.title} {one.result}, {one.group}",
            f"    next better: {one.better}",
            f"    next worse:  {one.worse}",
        ]
    return "\n".join(lines)


def _standing(board: Board, row: Row, dataset: str) -> Standing:
    cell, column = row.cells[dataset], board.columns[dataset]
    result = render.plain(board.metric, cell)
    if cell.rank is None:
        return Standing(dataset, row.label, result, _why_unranked(row, dataset), "-", "-")
    sign = -1 if board.metric.direction == "max" else 1
    order = sorted(column.spreads, key=lambda name: (sign * column.samples[name].mean, name))
    place = order.index(row.entrant)
    titles = {other.entrant: other.title for other in board.rows if other.is_ranked}

    def neighbour(index: int) -> str:
        if not 0 <= index < len(order):
            return "none"
        name = order[index]
        chance = column.p_value(row.entrant, name)
        bound = "p ≤ 0.001" if chance is None or chance <= 0.001 else f"p = {chance:.2g}"
        return f"{titles.get(name, name)} ({bound})"

    group = f"#{cell.rank} of {len(order)}"
    return Standing(dataset, row.label, result, group, neighbour(place - 1), neighbour(place + 1))


def _why_unranked(row: Row, dataset: str) -> str:
    if row.is_control or row.reads_functions:
        return "stands apart"
    seeds = len(row.cells[dataset].entries)
    if seeds < FEWEST_SEEDS:
        return f"needs {FEWEST_SEEDS} seeds"
    return "nothing to compare with"
