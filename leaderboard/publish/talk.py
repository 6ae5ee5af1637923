"""The plots of the board as files for papers and talks: PDF and PNG, in one style."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark import suites
from leaderboard.archive.entries import Archive
from leaderboard.archive.tables import Board
from leaderboard.publish import figures, front, papers, reading, starts, style, symmetry
from leaderboard.reported import Reported, check


def write(
    archive: Archive, boards: Sequence[Board], rows: Sequence[Reported], folder: Path
) -> list[Path]:
    """Write every plot that there are records for, and return the files.

    Args:
        archive: The committed records.
        boards: The boards of the archive's current records.
        rows: The reported numbers.
        folder: Where to; it is made where there is none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plots = drawn(archive, boards, rows)
    return [path for name, plot in plots.items() for path in style.write(plot, folder / name)]


def drawn(archive: Archive, boards: Sequence[Board], rows: Sequence[Reported]) -> dict[str, Any]:
    """Draw the plots, by the names of their files."""
    records = [entry.record for entry in archive.current]
    plots = {"reading": reading.figure(reading.example(archive.current))}
    plots["symmetries-of-a-neuron"] = symmetry.figure()
    for board in boards:
        if board.suite != suites.MINI:
            continue  # whose rows are too many for one plot
        plots[f"results-{board.name}"] = figures.results(board)
    if (main := front.main_board(boards)) is not None:
        for axis, plot in figures.cost_figures(main).items():
            plots[f"cost-{axis.split()[0].lower()}"] = plot
    if starts.scores(records)[0]:
        plots["starts"] = starts.figure(records)
    if (compared := papers.figure(check.check(rows, records))) is not None:
        plots["reported-and-measured"] = compared
    return plots
