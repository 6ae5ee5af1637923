"""Methods, one file per paper, and the registry of their rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from benchmark import suites
from benchmark.errors import UserError
from benchmark.methods import Method, Variant
from benchmark.plugins import classes
from benchmark.suites import settings
from benchmark.tuning.space import Dimension


@dataclass(frozen=True)
class Row:
    """A row of the tables: a method or one of its variants."""

    method: type[Method]
    variant: Variant | None = None

    @property
    def name(self) -> str:
        return (self.variant or self.method).name

    @property
    def title(self) -> str:
        return (self.variant or self.method).title

    @property
    def paper(self) -> str:
        return (self.variant and self.variant.paper) or self.method.paper

    @property
    def source(self) -> str | None:
        """Path of the method's file from the project's root; None outside `baselines/`."""
        package, _, module = self.method.__module__.partition(".")
        return f"baselines/{module}.py" if package == "baselines" else None

    @property
    def sizes(self) -> Mapping[str, Any]:
        """Fields that differ from the defaults where a suite has the settings of `mini`."""
        return {**(self.method.mini or {}), **((self.variant and self.variant.mini) or {})}

    @property
    def space(self) -> Mapping[str, Dimension]:
        """What a search tries: the method's space without the fields that the variant fixes."""
        fixed = self.variant.fields if self.variant else {}
        return {name: values for name, values in self.method.space.items() if name not in fixed}

    def is_in(self, suite: str, task: str) -> bool:
        """Return whether the row takes part in a suite's task."""
        if task not in self.method.tasks:
            return False
        chosen = suites.get(suite)
        if chosen.tasks[task].methods is not None:
            return self.name in chosen.tasks[task].methods
        if chosen.settings == suites.MINI:
            return (self.variant or self.method).mini is not None
        choice = settings.read(chosen.settings, self.name)
        return choice is not None and task in choice.tasks

    def is_in_any(self, suite: str) -> bool:
        """Return whether the row takes part in any task of a suite."""
        return any(self.is_in(suite, task) for task in suites.get(suite).tasks)

    def make(self, suite: str, task: str, dataset: str, options: tuple[str, ...] = ()) -> Method:
        """Make the method with its hyper-parameters for a suite's task on a dataset.

        Later sources override earlier ones: the paper's defaults, the sizes of suite `mini` where
        the suite uses them, the variant's fields, the suite's settings file, the run's options.

        Args:
            suite: Name of the suite.
            task: Name of the task.
            dataset: Name of the dataset.
            options: Values of fields, as "field=value".

        Raises:
            UserError: If an option or a line of a settings file names no field, or an option's
                value has another type than its field.
        """
        chosen = suites.get(suite).settings
        values: dict[str, Any] = {}
        if chosen == suites.MINI:
            values |= self.sizes
        values |= self.variant.fields if self.variant else {}
        if (choice := settings.read(chosen, self.name)) is not None:
            values |= choice.of(task, dataset)
        values |= dict(self._option(option) for option in options)
        known = {field.name: field for field in fields(self.method)}
        if strangers := sorted(set(values) - set(known)):
            raise UserError(
                f"{self.name} has no field {strangers[0]!r}, which suite {suite!r} sets; "
                f"its fields are {', '.join(known)}"
            )
        return self.method(**values)

    def canonical(self, options: Sequence[str]) -> tuple[str, ...]:
        """Return options, "field=value", in the one form that each has, sorted by field.

        Raises:
            UserError: If one names no field or one that another names, or if its value is not a
                number that the field can have.
        """
        values: dict[str, Any] = {}
        for option in options:
            name, value = self._option(option)
            if name in values:
                raise UserError(f"{self.name}: {name} is set twice; set it once")
            values[name] = value
        return tuple(f"{name}={value}" for name, value in sorted(values.items()))

    def _option(self, option: str) -> tuple[str, Any]:
        """Parse "field=value", or raise UserError where the two do not fit."""
        name, _, text = option.partition("=")
        defaults = {field.name: field.default for field in fields(self.method)}
        if name not in defaults:
            raise UserError(
                f"{self.name} has no field {name!r}; its fields are {', '.join(defaults)}"
            )
        kind = type(defaults[name])
        try:
            value = {"True": True, "False": False}[text] if kind is bool else kind(text)
        except (KeyError, ValueError):
            raise UserError(
                f"{self.name}: {name} is of type {kind.__name__}, not {text!r}"
            ) from None
        if kind in (int, float) and not 0 <= value < math.inf:
            raise UserError(f"{self.name}: {name} is a number from 0 on, not {text}")
        return name, value


@cache
def registry() -> Mapping[str, Row]:
    """Return every row by name: the methods in this package's modules, and their variants.

    Raises:
        UserError: If two rows have the same name.
    """
    rows: dict[str, Row] = {}
    for method in classes(__name__, __path__, Method):
        for row in (Row(method), *(Row(method, variant) for variant in method.variants)):
            if row.name in rows:
                raise UserError(
                    f"two methods are called {row.name!r}: rename the one in {row.source}"
                )
            rows[row.name] = row
    return dict(sorted(rows.items()))


def get(name: str) -> Row:
    """Return the row of this name.

    Raises:
        UserError: If there is none.
    """
    if name not in registry():
        raise UserError(f"unknown method {name!r}; known: {', '.join(registry())}")
    return registry()[name]
