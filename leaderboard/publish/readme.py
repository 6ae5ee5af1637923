"""The parts of `README.md` that name numbers, made from the records between marks in the text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import fill

from benchmark import suites
from benchmark.record import sources
from leaderboard.archive.tables import Board
from leaderboard.publish import front, render

PATH = sources.ROOT / "README.md"
WIDTH = 120  # columns of its prose


def page(boards: Sequence[Board], path: Path = PATH) -> str:
    """The page with its parts as the records have them.

    A part stands between `<!-- NAME, by nox -s leaderboard -->` and `<!-- end of NAME -->`.
    """
    text = path.read_text(encoding="utf-8")
    for name, part in parts(boards).items():
        head, foot = f"<!-- {name}, by nox -s leaderboard -->\n", f"<!-- end of {name} -->"
        pattern = re.escape(head) + ".*?" + re.escape(foot)
        text = re.sub(pattern, lambda _, new=head + part + foot: new, text, flags=re.DOTALL)
    return text


def parts(boards: Sequence[Board]) -> dict[str, str]:
    """The table of the first command, and what its results say; empty without records."""
    board = front.main_board(boards)
    if board is None:
        return {"results": "", "findings": ""}
    settings = suites.get(board.suite).tasks[board.task]
    core = set(settings.core)
    chosen = replace(
        board,
        datasets=tuple(name for name in board.datasets if name in settings.core_datasets),
        rows=[row for row in board.rows if row.entrant in core],
    )
    table = render.table_text(chosen)
    # No line begins with a percent sign.
    whole = " ".join(front.lead(boards)).replace(" %", "\0%")
    lead = fill(whole, WIDTH, break_on_hyphens=False).replace("\0", " ")
    return {"results": f"\n```\n{table}\n```\n\n", "findings": f"\n{lead}\n\n"}
