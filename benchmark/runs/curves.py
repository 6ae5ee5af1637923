"""What training went through, as CSV beside a record: `seed-0.csv`, and of a first stage
`seed-0.encoder.csv`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark.record.schema import CurvePoint, Record, write_atomically

HEAD = "step,loss,validation"


def write(record: Record, results: Path) -> None:
    """Write a record's curves, and remove those of an earlier run that it has none of.

    A row is one scoring of the validation split: the step, the mean training loss since the row
    before, and the metric, empty where it is undefined; of a first stage, the negative mean squared
    error.
    """
    first = record.encoder.curve if record.encoder else []
    for suffix, curve in ((".csv", record.curve), (".encoder.csv", first)):
        path = results / record.path.with_suffix(suffix)
        if curve:
            write_atomically(path, _csv(curve).encode())
        else:
            path.unlink(missing_ok=True)


def _csv(curve: Sequence[CurvePoint]) -> str:
    rows = [
        f"{point.step},{point.loss!r},{'' if point.validation is None else repr(point.validation)}"
        for point in curve
    ]
    return "\n".join([HEAD, *rows]) + "\n"
