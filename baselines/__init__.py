"""Methods, one file per paper, and the registry of their rows."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from benchmark import fields, suites
from benchmark.datasets import listing
from benchmark.errors import UserError, unknown
from benchmark.methods import Method, Variant
from benchmark.plugins import readable_classes
from benchmark.suites import settings
from benchmark.suites.settings import Settings
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
        choice = self.settings(suite)
        return choice is not None and task in choice.tasks

    def is_in_any(self, suite: str) -> bool:
        """Return whether the row takes part in any task of a suite."""
        return any(self.is_in(suite, task) for task in suites.get(suite).tasks)

    def settings(self, suite: str) -> Settings | None:
        """Return what a suite chose for the row; None without a file.

        What it leaves to the suite that it is based on is not in there.

        Raises:
            UserError: If the file has a table of no task or dataset, or a key that is no field, or
                a value that its field cannot have.
        """
        return self._choice(suites.get(suite).settings)

    def _choice(self, chosen: str) -> Settings | None:
        if (choice := settings.read(chosen, self.name)) is None:
            return None
        place = settings.path_of(chosen, self.name)
        for task, values in choice.tasks.items():
            if task not in self.method.tasks:
                known = ", ".join(self.method.tasks)
                raise UserError(f"{place}: [{task}] is no task of {self.name}, which does {known}")
            fields.check(self.method, values, f"{place}: [{task}]")
            for dataset, own in choice.datasets.get(task, {}).items():
                table = f"{task}.datasets.{dataset}"
                known = listing.catalog_data().datasets
                if dataset not in known and not suites.takes_any_dataset(task):
                    raise UserError(f"{place}: [{table}] is no dataset; known: {', '.join(known)}")
                fields.check(self.method, own, f"{place}: [{table}]")
        return choice

    def make(self, suite: str, task: str, dataset: str, options: tuple[str, ...] = ()) -> Method:
        """Make the method with its hyper-parameters for a suite's task on a dataset.

        Later sources override earlier ones: the paper's defaults, the sizes of suite `mini` where
        the suite uses them, the variant's fields, the settings files of the suite that it is based
        on and its own, the run's options.

        Args:
            suite: Name of the suite.
            task: Name of the task.
            dataset: Name of the dataset.
            options: Values of fields, as "field=value".

        Raises:
            UserError: If an option or a line of a settings file names no field, or has a value
                that its field cannot have.
        """
        values: dict[str, Any] = {}
        layers = suites.get(suite).layers
        if suites.MINI in layers:
            values |= self.sizes
        values |= self.variant.fields if self.variant else {}
        for choice in map(self._choice, layers):
            values |= choice.of(task, dataset) if choice else {}
        values |= dict(self._option(option) for option in options)
        return self.method(**values)

    def canonical(self, options: Sequence[str]) -> tuple[str, ...]:
        """Return options, "field=value", in the one form that each has, sorted by field.

        Raises:
            UserError: If one names no field or one that another names, or has a value that the
                field cannot have.
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
        value = fields.parsed(text, fields.types(self.method).get(name))
        fields.check(self.method, {name: value}, f"{self.name}+{option}")
        return name, value


@cache
def _found() -> tuple[list[type[Method]], list[str]]:
    """The methods of this package's modules, and what is wrong with files that cannot be read.

    Those are told of once: the others' methods work.
    """
    methods, broken = readable_classes(__name__, __path__, Method)
    if multiprocessing.parent_process() is None:  # not by each worker again
        for reason in broken:
            logging.getLogger(__name__).warning("passed over: %s", reason)
    return methods, broken


@cache
def registry() -> Mapping[str, Row]:
    """Return every row by name: the methods in this package's modules, and their variants.

    Raises:
        UserError: If two rows have the same name.
    """
    rows: dict[str, Row] = {}
    for method in _found()[0]:
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
        UserError: If there is none, or its file cannot be read.
    """
    if name not in registry():
        passed_over = "".join(f"; passed over: {reason}" for reason in _found()[1])
        raise unknown("method", name, registry(), passed_over)
    return registry()[name]
