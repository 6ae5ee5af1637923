"""What training went through, as CSV beside a record: `seed-0.csv`, and of a first stage
`seed-0.encoder.csv`.

They grow while a run is made, and are whole when its record is written.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmark import tasks
from benchmark.record import metrics
from benchmark.record.schema import CurvePoint, EncoderPart, Record, defined, write_atomically
from benchmark.runs import checkpoints
from benchmark.runs.fit import checkpoint_path
from benchmark.runs.plan import Run
from benchmark.runs.training import DAMAGED, Monitor

HEAD = "step,loss,validation"
SUFFIX, FIRST_SUFFIX = ".csv", ".encoder.csv"


@dataclass(frozen=True)
class Curves:
    """The points of a run's stages so far, one for each scoring of the validation split.

    last: of the last stage. first: of the stage before it, if there is one.
    """

    last: Sequence[CurvePoint] = ()
    first: Sequence[CurvePoint] = ()


Told = Callable[[Curves], None]
"""Who is told of the curves each time they grow."""


def of(record: Record) -> Curves:
    """The curves of a record."""
    return Curves(record.curve, record.encoder.curve if record.encoder else ())


def points(curve: Sequence[Mapping[str, float]], task: str) -> list[CurvePoint]:
    """What a record says of a last stage's curve, whose validation scores are all maximised."""
    sign = 1 if metrics.get(tasks.registry()[task].metric).direction == "max" else -1
    return [
        CurvePoint(**point | {"validation": defined(sign * point["validation"])}) for point in curve
    ]


def write(record: Record, results: Path) -> None:
    """Write a record's curves, and remove those of an earlier run that it has none of.

    A row is one scoring of the validation split: the step, the mean training loss since the row
    before, and the metric, empty where it is undefined; of a first stage, the negative mean squared
    error. A run that came to no end keeps the rows that it came to.
    """
    whole, unfinished = of(record), record.status in ("diverged", "failed")
    for suffix, curve in ((SUFFIX, whole.last), (FIRST_SUFFIX, whole.first)):
        path = results / record.path.with_suffix(suffix)
        if curve:
            _write(path, curve)
        elif not unfinished:
            path.unlink(missing_ok=True)


def followed(run: Run, results: Path, monitor: Monitor, told: Told) -> Monitor:
    """A monitor that does what another does, and writes the curves of the run as they grow.

    Rows of an earlier run are removed, unless this one goes on from its checkpoint.
    """
    follower = _Follower(run, results, monitor, told)
    if not (follower.checkpoint.exists() or follower.mark.exists()):
        for suffix in (SUFFIX, FIRST_SUFFIX):
            (results / run.path.with_suffix(suffix)).unlink(missing_ok=True)
    return Monitor(follower.step, monitor.note, follower.evaluated)


class _Follower:
    """Takes curves from checkpoints, which hold a point's loss, soon after they were written.

    A checkpoint that another run left is never looked at: only those after an evaluation are.
    """

    def __init__(self, run: Run, results: Path, monitor: Monitor, told: Told) -> None:
        self.run, self.results, self.monitor, self.told = run, results, monitor, told
        self.checkpoint = checkpoint_path(run, results)
        self.mark = self.checkpoint.with_suffix(".encoder")
        self.earlier = run.encoder_protocol.steps if run.encoder_protocol else 0
        self.due: set[str] = set()  # the suffixes of the stages that were evaluated
        self.identity = ""  # of the first stage
        self.curves = Curves()

    def evaluated(self, step: int, score: float, predictions: Tensor) -> None:
        if step > self.earlier:
            self.due.add(SUFFIX)
        else:
            self.due.add(FIRST_SUFFIX)
            self.identity = self.mark.read_text(encoding="utf-8")
        self.monitor.evaluated(step, score, predictions)

    def step(self, step: int) -> None:
        if self.due:
            self._take()
        self.monitor.step(step)

    def _take(self) -> None:
        first = self._first() if FIRST_SUFFIX in self.due else self.curves.first
        last = points(_saved(self.checkpoint), self.run.cell.task) if SUFFIX in self.due else ()
        self.curves = Curves(last, first)
        for suffix, curve in ((SUFFIX, last), (FIRST_SUFFIX, first)):
            if suffix in self.due and curve:
                _write(self.results / self.run.path.with_suffix(suffix), curve)
        self.due.clear()
        self.told(self.curves)

    def _first(self) -> list[CurvePoint]:
        """The first stage's points: from its checkpoint, or where it is done from what it made."""
        made = self.results / "cache" / self.identity
        if curve := _saved(made.with_suffix(".checkpoint")):
            return [CurvePoint(**point) for point in curve]
        try:
            arrays = torch.load(made.with_suffix(".arrays"), mmap=True, weights_only=True)
            return EncoderPart.model_validate_json(arrays["part"]).curve
        except DAMAGED:
            return []


def _saved(path: Path) -> list[dict[str, float]]:
    """The curve in a checkpoint; empty where there is none that can be read."""
    try:
        file = io.BytesIO(checkpoints.read(path))
        state = torch.load(file, map_location="cpu", weights_only=True)
        return state["progress"]["curve"]
    except DAMAGED:
        return []


def _write(path: Path, curve: Sequence[CurvePoint]) -> None:
    rows = [
        f"{point.step},{point.loss!r},{'' if point.validation is None else repr(point.validation)}"
        for point in curve
    ]
    write_atomically(path, ("\n".join([HEAD, *rows]) + "\n").encode())
