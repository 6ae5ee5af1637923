"""What edited and reconstructed networks draw: `drawings/<suite>/<dataset>/<entrant>.png`.

A run leaves such a sheet beside its record, and the one of a rerun is kept here, since records hold
errors and no images. `python -m leaderboard reproduce --all` writes them.
"""

from __future__ import annotations

from pathlib import Path

from benchmark.record.cell import Cell
from benchmark.record.paths import DRAWN, RECONSTRUCTED, regular
from benchmark.record.schema import Record, write_atomically

FOLDER = Path(__file__).resolve().parent.parent / "drawings"


def path_of(cell: Cell) -> Path:
    """The place of a cell's sheet, whatever its seed."""
    return FOLDER / cell.suite / cell.dataset / f"{cell.entrant}.png"


def keep(results: Path, record: Record) -> Path | None:
    """Copy the sheet of a run from its results folder; None where it has none."""
    for ending in (DRAWN, RECONSTRUCTED):
        sheet = (results / record.path).with_suffix(ending)
        if sheet.is_file():
            kept = path_of(record.cell)
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(kept, regular(sheet).read_bytes())
            return kept
    return None
