"""Runs one cell on networks that standard input gives, and writes its test predictions to standard
output: `python -m benchmark.runs.blind CELL`, inside the sandbox.

The test targets that it is given are made up.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmark.record.cell import Cell
from benchmark.runs.fit import fit
from benchmark.runs.payload import unpacked
from benchmark.runs.plan import plan
from benchmark.runs.training import Monitor


def main() -> None:
    """Run the cell. What the method prints goes to standard error."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    torch.set_num_threads(1)  # as in runs
    cell = Cell.parse(sys.argv[1])
    (run,) = plan(cell.suite, cell.task, [cell.dataset], [str(cell.entrant)], [cell.seed])
    dataset = unpacked(sys.stdin.buffer.read())
    with tempfile.TemporaryDirectory() as folder:
        fitted = fit(run, dataset, Path(folder), torch.device("cpu"), Monitor())
    predictions = fitted.outcome.predictions["test"].float().cpu().numpy()
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, predictions, allow_pickle=False)
    with answer:
        answer.write(buffer.getvalue())


if __name__ == "__main__":
    main()
