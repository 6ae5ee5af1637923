"""Suites: which datasets, methods, seeds and training protocol a task is run with."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from benchmark.errors import UserError
from benchmark.record.cell import CONDITION
from benchmark.suites.protocol import Protocol

HERE = Path(__file__).resolve().parent
Condition = Annotated[str, Field(pattern=rf"^({CONDITION.pattern})$")]
MINI = "mini"
"""The settings for which a method's file declares sizes itself."""


class TaskSettings(BaseModel):
    """How a suite runs one task.

    methods: its methods, where the suite names them; else all that have settings.
    core: entrants that stand for all, one a family, for a first look.
    controls: entrants beside the methods, as "mlp@aligned".
    conditions: by dataset, what each method is run with, as "@scattered" or "+canonical=True";
    "@permuted" alone where there are none.
    encoder_protocol: of the first stage of two-stage methods, which is trained before the
    `protocol` of all methods begins; None for a task that has none.
    yardstick: the method whose training seconds all get, where the suite gives all the same.
    steps: by method, where they are other than the protocol's. Those of a first stage change by
    the same factor.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    datasets: tuple[str, ...]
    seeds: tuple[int, ...]
    methods: tuple[str, ...] | None = None
    core: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    conditions: dict[str, tuple[Condition, ...]] = {}
    protocol: Protocol
    encoder_protocol: Protocol | None = None
    yardstick: str | None = None
    steps: dict[str, Annotated[int, Field(gt=0)]] = {}

    def protocols(self, method: str) -> tuple[Protocol, Protocol | None]:
        """Return how a method is trained: the protocol, and that of its first stage, if any."""
        steps = self.steps.get(method, self.protocol.steps)

        def scaled(protocol: Protocol) -> Protocol:
            own = max(1, round(protocol.steps * steps / self.protocol.steps))
            return protocol.model_copy(update={"steps": own})

        return scaled(self.protocol), self.encoder_protocol and scaled(self.encoder_protocol)


class Suite(BaseModel):
    """One file of `benchmark/suites/`.

    note: what its numbers may be compared with. settings: whose settings of the methods it uses,
    its own unless it says otherwise.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    title: str
    note: str
    settings: str
    tasks: dict[str, TaskSettings]


@cache
def registry() -> dict[str, Suite]:
    """Every suite, by name."""
    suites = {}
    for path in sorted(HERE.glob("*.toml")):
        data = {"name": path.stem, "settings": path.stem}
        suites[path.stem] = Suite(**data | tomllib.loads(path.read_text(encoding="utf-8")))
    return suites


def file_of(name: str) -> Path:
    """Return the path of a suite's file."""
    return HERE / f"{name}.toml"


def get(name: str) -> Suite:
    """The suite of that name. Raises UserError for an unknown one."""
    if name not in registry():
        raise UserError(f"unknown suite {name[:80]!r}; known: {', '.join(registry())}")
    return registry()[name]
