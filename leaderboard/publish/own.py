"""The board of a results folder: its owner's records, ranked as the project ranks its own.

Nothing is asked of their commits, data and settings, which are the owner's to know. Runs of one
mean still share their code and versions.
"""

from __future__ import annotations

from pathlib import Path

from benchmark.errors import UserError
from benchmark.record.schema import write_atomically
from leaderboard.archive import entries, tables
from leaderboard.publish import render

HEAD = """\
# Leaderboard of one's own

Written from the records beside it, which nobody else has checked: not a board of the project. Test
results are of the checkpoint that is best on validation: mean ± standard deviation over seeds. `#1`
is the leading group of a column: its methods do not differ significantly from the best.

"""


def build(folder: Path) -> list[Path]:
    """Write `LEADERBOARD.md` and `tables/` into a results folder, and return the files.

    Raises UserError for a folder without records, or that takes nothing.
    """
    found = entries.of_results(folder)
    if not found:
        tried = "; trials are not ranked" if (folder / "trials").is_dir() else ""
        raise UserError(f"{folder}: no records; runs leave them there: --results {folder}{tried}")
    boards = tables.boards(found, lambda _: [])
    bibliography = render.read_bibliography()
    page = HEAD + "\n".join(render.board_markdown(board) for board in boards)
    files = {folder / "LEADERBOARD.md": page}
    for board in boards:
        for suffix, text in render.files(board, bibliography).items():
            files[folder / "tables" / f"{board.name}{suffix}"] = text
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, text.encode())
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror}") from None
    return list(files)
