"""How the statistics of rebuilt networks depend on the recipe: what the page on them reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from tabulate import tabulate

from benchmark.record.paths import regular
from benchmark.record.schema import RecordError, write_atomically

FOLDER = Path(__file__).resolve().parent / "traces"

PERCENT, ERRORS = 3.0, 3.0
"""How far a standard deviation, in percent, and a mean, in standard errors, may be off."""


class Statistic(BaseModel):
    """One statistic, published and measured.

    percent: their difference in percent of the published standard deviation.
    errors: the same in standard errors, by how networks differ. Networks of the same images differ
        less, so that the standard error is rather too large.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["standard deviation", "mean"]
    tensor: str
    published: float
    measured: float
    percent: float
    errors: float

    @property
    def name(self) -> str:
        return f"{self.kind} of {self.tensor}"

    @property
    def agrees(self) -> bool:
        """Whether the two are as near as two builds of one recipe are expected to be."""
        if self.kind == "mean":
            return abs(self.errors) <= ERRORS
        return abs(self.percent) <= PERCENT


def deviations(statistics: Sequence[Statistic]) -> list[Statistic]:
    """The standard deviations among statistics."""
    return [one for one in statistics if one.kind == "standard deviation"]


class Settings(BaseModel):
    """Those of a recipe that are tried."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    learning_rate: float
    weight_decay: float
    steps: int


class Point(BaseModel):
    """The statistics of one fit of a dataset's first images."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    settings: Settings
    statistics: tuple[Statistic, ...]


class Trace(BaseModel):
    """Statistics of a dataset's networks, over the steps, rates and decays of their fits.

    title, source: of the published statistics.
    settings: the recipe's.
    networks: how many were fitted for each point.
    points: by settings.
    whole: how many training networks the dataset has, and `rebuilt` their statistics; none where it
        had not been built.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    dataset: str
    title: str
    source: str
    settings: Settings
    networks: int
    points: tuple[Point, ...]
    whole: int
    rebuilt: tuple[Statistic, ...]


def read(folder: Path = FOLDER) -> list[Trace]:
    """Read what was measured, by dataset.

    Raises:
        RecordError: If a file is malformed.
    """
    traces = []
    for path in sorted(folder.glob("*.json")):
        try:
            traces.append(Trace.model_validate_json(regular(path).read_bytes()))
        except (OSError, ValidationError) as error:
            line = str(error).splitlines()[0]
            raise RecordError(f"{path}: {line}; restore the file") from None
    return traces


def write(trace: Trace, folder: Path = FOLDER) -> Path:
    """Write one dataset's trace in the place of an older one."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{trace.dataset}.json"
    write_atomically(path, (trace.model_dump_json(indent=1) + "\n").encode())
    return path


def table(trace: Trace, mark: str = "") -> str:
    """Tabulate how far the standard deviations of each point are off, in percent.

    Args:
        mark: What is written around the row of the recipe's own settings.
    """
    lines = []
    for point in trace.points:
        settings = point.settings
        around = mark if settings == trace.settings else ""
        cells = [
            f"{settings.learning_rate:g}",
            f"{settings.weight_decay:g}",
            f"{settings.steps:,}",
            *(f"{one.percent:+.1f}" for one in deviations(point.statistics)),
        ]
        lines.append([f"{around}{cell}{around}" for cell in cells])
    tensors = [one.tensor for one in deviations(trace.points[0].statistics)]
    headers = ["rate", "decay", "steps", *tensors]
    layout = ["right"] * len(headers)
    return tabulate(lines, headers, tablefmt="pipe", disable_numparse=True, colalign=layout)
