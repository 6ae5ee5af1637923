"""Suites: which datasets, seeds and training protocol a task is run with."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from benchmark.errors import UserError
from benchmark.runs.training import Protocol

HERE = Path(__file__).resolve().parent


class TaskSettings(BaseModel):
    """How a suite runs one task.

    controls: entrants, as in "mlp@aligned", beside the methods that name the suite. encoder_protocol: of the first stage of
    two-stage methods, which is trained before the `protocol` of all methods begins; None for a task that has none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    datasets: tuple[str, ...]
    seeds: tuple[int, ...]
    controls: tuple[str, ...] = ()
    protocol: Protocol
    encoder_protocol: Protocol | None = None


class Suite(BaseModel):
    """One file of `benchmark/suites/`. `note` says what its numbers may be compared with."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    title: str
    note: str
    tasks: dict[str, TaskSettings]


@cache
def registry() -> dict[str, Suite]:
    """Every suite, by name."""
    paths = sorted(HERE.glob("*.toml"))
    return {path.stem: Suite(name=path.stem, **tomllib.loads(path.read_text(encoding="utf-8"))) for path in paths}


def get(name: str) -> Suite:
    """The suite of that name. Raises UserError for an unknown one."""
    if name not in registry():
        raise UserError(f"unknown suite {name!r}; known: {', '.join(registry())}")
    return registry()[name]
