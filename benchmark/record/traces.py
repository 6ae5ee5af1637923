"""How the statistics of rebuilt networks depend on the recipe: what the page on them reads."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from tabulate import tabulate

from benchmark.record.schema import RecordError

FOLDER = Path(__file__).resolve().parent / "traces"


class Statistic(BaseModel):
    """One statistic, published and measured.

    percent: their difference in percent of the published standard deviation.
    errors: the same in standard errors.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["standard deviation", "mean"]
    tensor: str
    published: float
    measured: float
    percent: float
    errors: float


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
            traces.append(Trace.model_validate_json(path.read_bytes()))
        except (OSError, ValidationError) as error:
            line = str(error).splitlines()[0]
            raise RecordError(f"{path}: {line}; restore the file") from None
    return traces


def write(trace: Trace, folder: Path = FOLDER) -> Path:
    """Write one dataset's trace in the place of an older one."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{trace.dataset}.json"
    path.write_text(trace.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return path


def table(trace: Trace) -> str:
    """Tabulate how far the standard deviations of each point are off, in percent."""
    tensors = [one.tensor for one in trace.points[0].statistics if one.kind != "mean"]
    lines = [
        [
            f"{point.settings.learning_rate:g}",
            f"{point.settings.weight_decay:g}",
            f"{point.settings.steps:,}",
            *(f"{one.percent:+.1f}" for one in point.statistics if one.kind != "mean"),
        ]
        for point in trace.points
    ]
    headers = ["rate", "decay", "steps", *tensors]
    layout = ["right"] * len(headers)
    return tabulate(lines, headers, tablefmt="pipe", disable_numparse=True, colalign=layout)
