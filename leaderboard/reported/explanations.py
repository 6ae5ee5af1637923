"""What other runs say of why a result is what it is, as data: `explanations.csv`.

An explanation names the results that it rests on and not their values, and stands only while they
are there and the verdict is the one that it explains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from benchmark.errors import UserError
from benchmark.record.cell import Entrant
from benchmark.record.schema import NAME
from leaderboard.reported import Reported, rows

PATH = Path(__file__).resolve().parent / "explanations.csv"


class Row(BaseModel):
    """An explanation of one verdict; `README.md` explains the columns."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    task: str = Field(pattern=NAME)
    dataset: str = Field(pattern=NAME)
    method: str = Field(min_length=1, max_length=80)
    suite: str = Field(pattern=NAME)
    verdict: Literal["reproduced", "higher", "lower", "undecided"]
    text: str = Field(min_length=1, pattern=r"\S")

    @field_validator("text")
    @classmethod
    def _names_entrants(cls, value: str) -> str:
        for _, name, layout, conversion in Formatter().parse(value):
            if layout or conversion:
                raise ValueError(f"{{{name}}} has a layout; a result has only one")
        try:
            entrants(value)
        except UserError as error:
            raise ValueError(str(error)) from None
        return value.strip()


@dataclass(frozen=True)
class Explanation:
    """A text whose `{ENTRANT}` stand for results, and these, by entrant."""

    text: str
    scores: Mapping[str, Sequence[float]]

    def written(self, show: Callable[[Sequence[float]], str]) -> str:
        """The text with its results, as `show` formats them."""
        parts = []
        for literal, name, _, _ in Formatter().parse(self.text):
            parts.append(literal)
            if name is not None:
                parts.append(show(self.scores[str(Entrant.parse(name))]))
        return "".join(parts)


def explanation(
    row: Reported, verdict: str, scores: Mapping[str, Sequence[float]]
) -> Explanation | None:
    """Find what explains a verdict; None where nothing does, or a result is missing.

    Args:
        row: The reported number.
        verdict: Its kind.
        scores: Results of the row's dataset and suite, by entrant.
    """
    for one in _read():
        same = (one.task, one.dataset, one.method, one.suite) == (
            row.task,
            row.dataset,
            row.method,
            row.suite,
        )
        names = entrants(one.text)
        if same and one.verdict == verdict and all(scores.get(name) for name in names):
            return Explanation(one.text, {name: scores[name] for name in names})
    return None


def read(path: Path = PATH) -> list[Row]:
    """Read every explanation. Raises RecordError that names the malformed row and column."""
    return rows.read(path, Row)


@cache
def _read() -> list[Row]:
    return read()


def entrants(text: str) -> list[str]:
    """The entrants that a text names in braces. Raises UserError, or ValueError for odd braces."""
    names = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
    return [str(Entrant.parse(name)) for name in names]
