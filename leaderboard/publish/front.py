"""What the front page says: who leads, by how much, and what to notice in each task."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark import suites
from benchmark.datasets import listing
from leaderboard.archive.tables import Board, Row
from leaderboard.publish import notes, words
from leaderboard.publish.symmetry import CEILING, TASK

PROJECT, PLAIN = "nft", "mlp"
NEAR = 5.0  # points above chance that are called near it


def main_board(boards: Sequence[Board]) -> Board | None:
    """The board of the main task, INR classification in suite mini; None without records."""
    return next((one for one in boards if (one.suite, one.task) == (suites.MINI, TASK)), None)


def lead(boards: Sequence[Board]) -> list[str]:
    """Say in sentences who leads the main task, and how far that is from what there is to see."""
    board = main_board(boards)
    if board is None or not any(row.is_ranked for row in board.rows):
        return []
    rows = {row.method: row for row in reversed(board.rows) if not row.is_control}
    first = next(row for row in board.rows if row.is_ranked)
    leads = _leading(board, first)
    said = [f"In the main task a method classifies the image that a network draws. {leads}"]
    if PROJECT in rows and rows[PROJECT] is not first:
        nft = rows[PROJECT]
        said.append(
            f"{nft.title}, the model that this project is built around, reaches "
            f"{_numbers(board, nft)}."
        )
    if PLAIN in rows and (chance := _chance(board)) is not None:
        plain = rows[PLAIN]
        near = max(_means(board, plain), default=0.0) < chance + NEAR
        where = "stays near chance" if near else "is above chance"
        numbers = _numbers(board, plain)
        said.append(f"A plain MLP on the same weights {where}, {chance:.0f} %, with {numbers}.")
    if CEILING in rows:
        said.append(
            f"Far more can be read: a small CNN that sees what the networks draw reaches "
            f"{_numbers(board, rows[CEILING])}."
        )
    return said


def _leading(board: Board, first: Row) -> str:
    """Say that a row leads its board, and which share the leading group on every dataset."""
    ranked = [row for row in board.rows if row.is_ranked]
    peers = [row for row in ranked if all(one.rank == 1 for one in row.cells.values())]
    title = words.begun(words.named(first.title))
    if first not in peers or len(peers) == 1:
        return f"{title} leads with {_results(board, first)}."
    named = [f"{row.title} ({_numbers(board, row)})" for row in peers if row is not first]
    return (
        f"{title} has the best mean accuracy, {_results(board, first)}, but is not shown to "
        f"differ from {words.several(named)}."
    )


def notice(board: Board) -> list[str]:
    """Say of each dataset of a board who is first, and how many are not shown to be worse."""
    said = []
    for dataset in board.datasets:
        group = [row for row in board.rows if row.cells[dataset].rank == 1]
        sign = -1 if board.metric.direction == "max" else 1
        group.sort(key=lambda row: sign * _mean(row, dataset))
        if not group:
            continue
        first, *others = group
        name = words.dataset(dataset)
        text = f"{name}: {words.named(first.title)} is first with {_show(board, first, dataset)}"
        if others:
            verb = "is" if len(others) == 1 else "are"
            few = words.several([words.named(row.title) for row in others])
            who = few if len(others) <= 3 else f"{len(others)} other methods"
            text += f"; {who} {verb} not significantly worse"
        said.append(f"{text}.")
    return said


def group_note(board: Board) -> str | None:
    """Explain how wide a group is: what the seeds of the board can tell apart."""
    reaches = [
        (reach, max(column.samples[name].seeds for name in column.spreads))
        for column in board.columns.values()
        if (reach := column.resolution()) is not None
    ]
    if not reaches:
        return None
    seeds, reach = max(count for _, count in reaches), max(reaches)[0]
    return (
        f"With {seeds} seeds a difference of {notes.difference(board.metric, reach)} is found four "
        "times out of five on every dataset here, and smaller ones are mostly missed. A group can "
        "therefore be wide: its methods are not shown to be equally good."
    )


def _mean(row: Row, dataset: str) -> float:
    summary = row.cells[dataset].summary
    return summary.mean if summary else 0.0


def _means(board: Board, row: Row) -> list[float]:
    return [board.metric.scale * cell.summary.mean for cell in row.cells.values() if cell.summary]


def _show(board: Board, row: Row, dataset: str) -> str:
    unit = " %" if board.metric.scale == 100 else ""
    return board.metric.show(_mean(row, dataset)) + unit


def _results(board: Board, row: Row) -> str:
    """Results in a sentence, each with its dataset: "48.1 % on MNIST and 49.2 % on ..."."""
    return words.several(
        [
            f"{_show(board, row, name)} on {words.dataset(name)}"
            for name in board.datasets
            if row.cells[name].summary
        ]
    )


def _numbers(board: Board, row: Row) -> str:
    return words.several(
        [_show(board, row, name) for name in board.datasets if row.cells[name].summary]
    )


def _chance(board: Board) -> float | None:
    """Chance in percent, where all classes are equally frequent; None for unknown datasets."""
    counts = {
        len(manifest["classes"])
        for name in board.datasets
        if (manifest := listing.get(name).manifest) is not None
    }
    return 100 / counts.pop() if len(counts) == 1 and 0 not in counts else None
