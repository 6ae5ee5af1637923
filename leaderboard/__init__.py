"""What became of the runs. Reads records; never imports torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def load(folder: Path | str | None = None, superseded: bool = False) -> pd.DataFrame:
    """Read records as a table with a row for each run.

    Args:
        folder: A results folder, as "results" or "results/trials"; by default the project's
            committed records.
        superseded: Also give committed records that newer ones of the same run replaced, and say
            which they are in a column `superseded`.

    Returns:
        The columns suite, task, dataset, arm, method, options, seed, status, metric, one for each
        split and further metric ("validation", "test", ...), seconds, parameters. Metrics are in
        the units of the records; accuracies are fractions. What a run has not is missing.

    Raises:
        UserError: The folder holds no records, or one that cannot be read.
    """
    from leaderboard.archive import frames

    return frames.load(folder, superseded)
