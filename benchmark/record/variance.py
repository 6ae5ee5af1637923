"""Where the variance of results comes from: what METHOD.md reads of `variance.json`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import variance
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from tabulate import tabulate

from benchmark.record import metrics
from benchmark.record.paths import regular
from benchmark.record.schema import RecordError, write_atomically

PATH = Path(__file__).resolve().parent / "variance.json"

Source = Literal["training", "fitting", "permuting"]


class Spread(BaseModel):
    """The results of one method when one thing is drawn anew and all else stays.

    source: what is drawn anew: the seed of a run, the starts of the networks that are read, or the
        order of their neurons.
    scores: the test metric, of one draw each; the first is the same for all sources.
    code_sha256, versions: as in records.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    method: str
    title: str
    dataset: str
    metric: str
    source: Source
    scores: tuple[float, ...] = Field(min_length=2)
    code_sha256: str | None
    versions: dict[str, str]

    @property
    def variance(self) -> float:
        return variance(self.scores)


SPREADS = TypeAdapter(list[Spread])


def shares(spreads: Iterable[Spread]) -> dict[Source, float]:
    """Return each source's share in the sum of one method's variances."""
    by_source = {one.source: one.variance for one in spreads}
    total = sum(by_source.values())
    return {source: value / total if total else 0.0 for source, value in by_source.items()}


def read(path: Path = PATH) -> list[Spread]:
    """Read what was measured; nothing where there is no file.

    Raises:
        RecordError: If the file is malformed.
    """
    if not path.exists():
        return []
    try:
        return SPREADS.validate_json(regular(path).read_bytes())
    except (OSError, ValidationError) as error:
        raise RecordError(f"{path}: {str(error).splitlines()[0]}; restore the file") from None


def write(spreads: Iterable[Spread], path: Path = PATH) -> None:
    """Write spreads in the place of older ones of the same methods."""
    fresh = list(spreads)
    methods = {one.method for one in fresh}
    every = [*(one for one in read(path) if one.method not in methods), *fresh]
    every.sort(key=lambda one: (one.method, get_args(Source).index(one.source)))
    write_atomically(path, SPREADS.dump_json(every, indent=1) + b"\n")


def table(spreads: Iterable[Spread]) -> str:
    """Tabulate the standard deviation of each source, and its share in their variance."""
    by_method: dict[str, list[Spread]] = {}
    for one in spreads:
        by_method.setdefault(one.title, []).append(one)
    lines = []
    for title, ones in by_method.items():
        metric, parts = metrics.get(ones[0].metric), shares(ones)
        cells = [
            f"{metric.scale * one.variance**0.5:.2g} ({parts[one.source]:.0%})" for one in ones
        ]
        lines.append([title, metric.show(ones[0].scores[0]), *cells])
    headers = ["method", "mean of the first draw", *get_args(Source)]
    return tabulate(lines, headers, tablefmt="pipe", disable_numparse=True)
