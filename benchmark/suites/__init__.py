"""Suites: which datasets, methods, seeds and training protocol a task is run with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from benchmark.errors import UserError, unknown
from benchmark.record import toml
from benchmark.record.cell import CONDITION, ENTRANT, NAME
from benchmark.record.paths import absolute
from benchmark.record.schema import LONGEST_NOTE
from benchmark.suites.protocol import Protocol

HERE = Path(__file__).resolve().parent
Name = Annotated[str, Field(pattern=rf"^{NAME}$")]
Entrants = tuple[Annotated[str, Field(pattern=rf"^{ENTRANT.pattern}$")], ...]
Condition = Annotated[str, Field(pattern=rf"^({CONDITION.pattern})$")]
MINI = "mini"
"""The settings for which a method's file declares sizes itself."""


class TaskSettings(BaseModel):
    """How a suite runs one task.

    fewer_seeds: by slow method, how many of the seeds it is run with; all others have them all.
    methods: its methods, where the suite names them; else all that have settings.
    core: entrants that stand for all, one a family, for a first look.
    core_datasets: those of the first look; all where there are none.
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
    methods: tuple[Name, ...] | None = None
    core: Entrants = ()
    core_datasets: tuple[str, ...] = ()
    controls: Entrants = ()
    conditions: dict[str, tuple[Condition, ...]] = {}
    protocol: Protocol
    encoder_protocol: Protocol | None = None
    yardstick: Name | None = None
    steps: dict[Name, Annotated[int, Field(gt=0)]] = {}
    fewer_seeds: dict[Name, Annotated[int, Field(gt=0)]] = {}

    def seeds_of(self, method: str) -> tuple[int, ...]:
        """Return the seeds that a method is run with."""
        return self.seeds[: self.fewer_seeds.get(method)]

    def protocols(self, method: str) -> tuple[Protocol, Protocol | None]:
        """Return how a method is trained: the protocol, and that of its first stage, if any."""
        steps = self.steps.get(method, self.protocol.steps)

        def scaled(protocol: Protocol) -> Protocol:
            own = max(1, round(protocol.steps * steps / self.protocol.steps))
            return protocol.model_copy(update={"steps": own})

        return scaled(self.protocol), self.encoder_protocol and scaled(self.encoder_protocol)


class Suite(BaseModel):
    """One file of `benchmark/suites/`.

    note: what its numbers may be compared with. earlier_notes: what it said before in their place,
    which its older records repeat. settings: whose settings of the methods it uses, its own unless
    it says otherwise. base: the suite whose settings stand where its own say nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Name
    title: str
    note: str = Field(max_length=LONGEST_NOTE)
    earlier_notes: tuple[str, ...] = ()
    settings: Name
    base: Name | None = None
    tasks: dict[Name, TaskSettings]

    @property
    def layers(self) -> tuple[str, ...]:
        """The suites whose settings it uses, each over those before it."""
        return (self.base, self.settings) if self.base else (self.settings,)


@cache
def registry() -> dict[str, Suite]:
    """Every suite of the project, by name. Raises UserError for a malformed one."""
    files = sorted(HERE.glob("*.toml"))
    found = {path.stem: _parsed(path, {"settings": path.stem}) for path in files}
    for suite in found.values():
        _check_base(suite, found)
    return found


def takes_any_dataset(task: str) -> bool:
    """Whether a suite leaves a task's datasets to whoever runs it."""
    return any(
        task in suite.tasks and not suite.tasks[task].datasets for suite in registry().values()
    )


def file_of(name: str) -> Path:
    """Return the path of a suite's file."""
    return HERE / f"{name}.toml"


def is_file(name: str) -> bool:
    """Whether a suite is named by its file, as "./mine.toml", and so is none of the project's."""
    return name.endswith(".toml")


def get(name: str) -> Suite:
    """The suite of that name, or in that file. Raises UserError for an unknown or malformed one."""
    if is_file(name):
        return _read(absolute(name))
    if name not in registry():
        raise unknown("suite", name, registry(), "; or name a file, ./mine.toml")
    return registry()[name]


@cache
def _read(path: Path) -> Suite:
    """Read a user's suite, whose methods have the settings of `mini` unless it names others."""
    name = path.stem
    if name in registry() or not re.fullmatch(NAME, name):
        why = "is a suite of the project" if name in registry() else "is no name of a suite"
        raise UserError(
            f"{path}: {name!r} {why}; name the file with small letters, digits and hyphens, "
            "as mine.toml"
        )
    suite = _parsed(path, {"title": name, "note": "", "settings": MINI})
    if suite.base is not None:
        raise UserError(f"{path}: a base is for suites of the project; name `settings` alone")
    if suite.settings not in registry():
        raise UserError(
            f"{path}: settings are those of a suite of the project, {', '.join(registry())}, "
            f"not {suite.settings!r}"
        )
    note = f"A suite of its user's own, {name}. {suite.note}".strip()
    base = registry()[suite.settings].base
    return suite.model_copy(update={"note": note[:300], "base": base})


def _check_base(suite: Suite, known: Mapping[str, Suite]) -> None:
    """Raise UserError for a base that is none, since settings have two layers and no more."""
    bases = [name for name, other in known.items() if not other.base]
    if suite.base is not None and (suite.base not in bases or suite.settings != suite.name):
        raise UserError(
            f"suite {suite.name}: a base is of a suite with settings of its own, and is one of "
            f"{', '.join(bases)}, not {suite.base!r}"
        )


def _parsed(path: Path, defaults: Mapping[str, str]) -> Suite:
    """Read a suite, which is called what its file is called."""
    return toml.checked(Suite, {**defaults, **toml.read(path), "name": path.stem}, str(path))
