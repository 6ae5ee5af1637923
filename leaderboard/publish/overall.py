"""One table over all tasks of a suite: a line for each method, whatever it is called in a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leaderboard.archive.tables import Board, Cell, Row
from leaderboard.publish import words

GROUPS = {
    "reads": "Methods that read weights",
    "evaluates": "Methods that may also run the networks",
    "control": "Controls, which look at no network or have nothing to learn from",
}
"""The classes of entrants, in the order of the table."""

CONSTANT = ("mean", "identity-editor", "shift-editor", "affine-editor")
"""Methods whose map is the same for all networks."""


@dataclass(frozen=True)
class Column:
    """A dataset of a task."""

    board: Board
    dataset: str

    @property
    def title(self) -> str:
        """Its heading."""
        return words.dataset(self.dataset)


@dataclass(frozen=True)
class Line:
    """A method in all tasks.

    row: its first, whose costs and symmetries the line shows.
    cells: by task and dataset.
    """

    title: str
    group: str
    row: Row
    cells: dict[tuple[str, str], Cell]

    def cell(self, column: Column) -> Cell | None:
        """Its result in a column; None where it has none."""
        found = self.cells.get((column.board.task, column.dataset))
        return found if found is not None and found.entries else None


@dataclass(frozen=True)
class Overall:
    """The table: columns by task, lines by class, each best first."""

    columns: Sequence[Column]
    lines: Sequence[Line]

    @property
    def boards(self) -> list[Board]:
        """The boards of its columns."""
        return list({column.board.task: column.board for column in self.columns}.values())

    def of(self, group: str) -> list[Line]:
        """The lines of a class."""
        return [line for line in self.lines if line.group == group]


def overall(boards: Sequence[Board]) -> Overall:
    """Join the boards of one suite, the first task's order first."""
    columns = [Column(board, dataset) for board in boards for dataset in board.datasets]
    found: dict[tuple[str, str], tuple[Row, dict[tuple[str, str], Cell]]] = {}
    for board in boards:
        for row in board.rows:
            if row.objections or not any(cell.entries for cell in row.cells.values()):
                continue
            _, cells = found.setdefault((_group(row), row.title_with_arm), (row, {}))
            cells |= {(board.task, name): cell for name, cell in row.cells.items()}
    lines = [Line(title, group, row, cells) for (group, title), (row, cells) in found.items()]
    places = list(GROUPS)
    return Overall(columns, sorted(lines, key=lambda line: places.index(line.group)))


def _group(row: Row) -> str:
    if row.is_control or row.method in CONSTANT:
        return "control"
    return "evaluates" if row.reads_functions else "reads"
