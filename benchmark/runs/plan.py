"""From a suite to its runs."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import baselines
from baselines import Row
from benchmark import arms, suites, tasks
from benchmark.datasets import catalog, foreign, storage
from benchmark.datasets.foreign import Foreign
from benchmark.errors import UserError, suggestion
from benchmark.fields import recorded
from benchmark.methods import Method
from benchmark.record import sources
from benchmark.record.cell import Cell, Entrant
from benchmark.record.schema import LONGEST_NAME, LONGEST_NOTE, MethodPart
from benchmark.runs.trials import Trial
from benchmark.suites import Suite, TaskSettings
from benchmark.suites.protocol import Protocol

ALL = "all"
CORE = "core"
LONGEST_COMMAND = 500  # that a record holds


@dataclass(frozen=True)
class Run:
    """A cell, and how its stages are trained.

    encoder_protocol: None where there is no encoder.
    foreign: where its dataset lies, if that is not the catalogue's.
    found_by: what its suite is found by, if that is not the cell's: a file, or a trial's suite.
    trial: what is changed of its suite, if anything.
    """

    cell: Cell
    protocol: Protocol
    encoder_protocol: Protocol | None = None
    foreign: Foreign | None = None
    found_by: str | None = None
    trial: Trial | None = None

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone: another process loads a method's file itself."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def suite(self) -> str:
        """What its suite is found by: a name, or a file."""
        return self.found_by or self.cell.suite

    @property
    def setting(self) -> str:
        """What a record says of how it was made."""
        note = suites.get(self.suite).note
        return (
            f"A trial, which is not what the suite says. {note}"[:LONGEST_NOTE]
            if self.trial
            else note
        )

    @property
    def dataset(self) -> str | Foreign:
        """What its dataset is found by."""
        return self.foreign or self.cell.dataset

    @property
    def command(self) -> str:
        """The command that makes its record."""
        if self.foreign is None and self.found_by is None:
            return self.cell.command
        values = {"--suite": self.suite}
        if self.foreign is not None:
            values["--datasets"] = self.foreign.place
        if self.trial is not None:
            values["--methods"] = self._entrant
        words = [*self.cell.arguments]
        for option, value in values.items():
            words[words.index(option) + 1] = value
        if self.foreign is not None and self.foreign.target is not None:
            words += ["--target", self.foreign.target]
        if self.trial is not None:
            words += [word for option in self.cell.entrant.options for word in ("--set", option)]
            words += ["--steps", str(self.trial.steps)] if self.trial.steps else []
        return shlex.join(["python", "-m", "benchmark", *words])

    @property
    def _entrant(self) -> str:
        """The entrant of a trial as the command line names it, without its options."""
        entrant = replace(self.cell.entrant, options=())
        file = self.trial.file_of(entrant.method)
        return str(entrant).replace(entrant.method, str(file), 1) if file else str(entrant)

    @property
    def path(self) -> Path:
        """Of its record, under a results folder."""
        return self.cell.path

    @property
    def row(self) -> Row:
        return _row(self.cell.entrant.method, self.trial)

    @cached_property
    def method(self) -> Method:
        """The method with the hyper-parameters of this cell."""
        cell = self.cell
        return self.row.make(self.suite, cell.task, cell.dataset, cell.entrant.options)

    @property
    def libraries(self) -> tuple[str, ...]:
        """Packages besides torch and numpy that compute its numbers, with what matches neurons."""
        added = ("scipy",) if self.method.augmentation == "mixup-aligned" else ()
        return tuple(dict.fromkeys((*self.row.method.libraries, *added)))

    @property
    def steps(self) -> int:
        """Of all its stages."""
        return self.protocol.steps + (self.encoder_protocol.steps if self.encoder_protocol else 0)

    def seed_for(self, role: str) -> int:
        """The seed of one role of its random numbers."""
        return self.cell.seed_for(role, self.row.method.name)

    @property
    def seeds(self) -> dict[str, int]:
        """Every seed by role; the order of the data has one for each epoch, named by its number."""
        roles = ["parameters", "order of epoch 0"]
        roles += ["encoder", "encoder, order of epoch 0"] if self.encoder_protocol else []
        return {role: self.seed_for(role) for role in roles}

    @property
    def code(self) -> str | None:
        """Digest of the code that its numbers come from; None for a method outside the project."""
        return sources.digest(self.row.source, self.cell.task, self.cell.entrant.arm)

    @property
    def code_or_file(self) -> str | None:
        """What tells its code from other code: of a method in a user's file, the file's SHA-256."""
        file = self.trial and self.trial.file_of(self.cell.entrant.method)
        return self.code or (file and file.sha256)

    def describe_method(self, parameters: int | None) -> MethodPart:
        """The method as a record tells of it."""
        row, options = self.row, self.cell.entrant.options
        return MethodPart(
            name=row.name,
            title=_title(row.title, options),
            paper=row.paper,
            base=row.method.name,
            options=options,
            reads_functions=row.method.reads_functions,
            source=row.source,
            code_sha256=self.code or "0" * 64,
            hyperparameters=recorded(self.method),
            parameters=parameters,
        )


TITLES = {
    "augmentation=permutation": "permutation augmentation",
    "augmentation=scattering": "scattering",
    "augmentation=image": "image augmentation",
    "augmentation=image-permutation": "image and permutation augmentation",
    "augmentation=mixup": "MixUp",
    "augmentation=mixup-permuted": "permuted MixUp",
    "augmentation=mixup-aligned": "aligned MixUp",
    "canonical=True": "canonical form",
}
"""What rows call the options that any method can have."""


def _title(title: str, options: Sequence[str]) -> str:
    added = [f" + {TITLES[option]}" for option in options if option in TITLES]
    fields = [f", {option.replace('=', ' ')}" for option in options if option not in TITLES]
    return "".join((title, *added, *fields))[:LONGEST_NAME]


def plan(
    suite_name: str,
    task: str,
    datasets: Sequence[str] | None = None,
    entrants: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    target: str | None = None,
    trial: Trial | None = None,
) -> list[Run]:
    """The runs of a suite's task, of all its tasks, or of the part that is named, seed by seed.

    Of all tasks, those take part that know the datasets and methods that are named.

    Args:
        suite_name: name of a suite, or path of a suite's file.
        datasets: of the catalogue, folders, or OWNER/NAME[@REVISION] on the Hub.
        target: the column that is predicted, of datasets with several.
        entrants: methods with their arms, as "mlp@aligned"; "core" stands for those that the suite
            names, "all" for every one, each under all of the suite's conditions.
        trial: what is changed of the suite, if anything.

    Raises:
        UserError: for what is not there.
    """
    if entrants is not None and ALL in entrants:
        entrants = None
    if task != ALL:
        return _of_task(suite_name, task, datasets, entrants, seeds, target, trial)
    runs: list[Run] = []
    every = suites.get(suite_name).tasks
    there = dict.fromkeys(one for settings in every.values() for one in settings.datasets)
    for dataset in datasets or ():
        if dataset not in there:
            raise UserError(
                f"no task of suite {suite_name!r} has dataset {dataset!r}"
                f"{suggestion(dataset, there)}; they have {', '.join(there)}; one of your own is "
                "run by a task's name"
            )
    for name, settings in every.items():
        known = [one for one in datasets or settings.datasets if one in settings.datasets]
        able = entrants and [one for one in entrants if one == CORE or _can_do(one, name, trial)]
        if known and able != []:
            runs += _of_task(suite_name, name, known, able, seeds, target, trial)
    if not runs:
        raise UserError(f"no task of suite {suite_name!r} has those datasets and methods")
    return runs


def _row(method: str, trial: Trial | None) -> Row:
    return trial.row(method) if trial else baselines.get(method)


def _can_do(entrant: str, task: str, trial: Trial | None) -> bool:
    return task in _row(Entrant.parse(entrant).method, trial).method.tasks


def _of_task(
    suite_name: str,
    task: str,
    datasets: Sequence[str] | None,
    names: Sequence[str] | None,
    seeds: Sequence[int] | None,
    target: str | None,
    trial: Trial | None,
) -> list[Run]:
    suite = suites.get(suite_name)
    if task not in suite.tasks:
        raise UserError(
            f"suite {suite_name!r} has no task {task!r}{suggestion(task, suite.tasks)}; "
            f"it has {', '.join(suite.tasks)}"
        )
    settings = suite.tasks[task]
    entrants = _entrants(suite_name, task, settings, names, trial)
    usual = settings.core_datasets if CORE in (names or ()) else ()
    chosen = _chosen(suite, task, datasets or usual or settings.datasets, target)
    found_by = suite_name if trial or suites.is_file(suite_name) else None
    name = trial.suite(suite.name) if trial else suite.name
    runs = []
    for seed in _checked_seeds(settings.seeds if seeds is None else seeds):
        first, later = [], []
        for dataset, place in chosen.items():
            encoders = set()
            conditions = settings.conditions.get(dataset, ()) if names is None else ()
            for entrant in _under(conditions, entrants, trial):
                if seeds is None and seed not in settings.seeds_of(entrant.method):
                    continue
                cell = Cell(name, task, dataset, entrant, seed)
                run = _run(Run(cell, settings.protocol, None, place, found_by, trial), settings)
                # Variants may share their method's first stage: they come when it is most likely
                # done, rather than wait for it.
                base = run.row.method.name if run.encoder_protocol else None
                (later if base in encoders else first).append(run)
                encoders.update([base] if base else [])
        runs += first + later
    return runs


def _entrants(
    suite: str,
    task: str,
    settings: TaskSettings,
    names: Sequence[str] | None,
    trial: Trial | None,
) -> list[Entrant]:
    if names is None:
        members = [name for name, row in baselines.registry().items() if row.is_in(suite, task)]
        names = [*members, *settings.controls]
    elif CORE in names:
        if not settings.core:
            raise UserError(f"suite {suite!r} names no core of methods for {task}; name some")
        names = [*settings.core, *(name for name in names if name != CORE)]
    added = trial.options if trial else ()
    entrants = list(dict.fromkeys(_canonical(name, trial, added) for name in names))
    if not entrants:
        raise UserError(f"no method takes part in {task} of suite {suite!r}")
    for entrant in entrants:
        arms.get(entrant.arm)
        able = _row(entrant.method, trial).method.tasks
        if task not in able:
            raise UserError(f"{entrant.method} does not do {task}, but {', '.join(able)}")
    return entrants


def _under(
    conditions: Sequence[str], entrants: Sequence[Entrant], trial: Trial | None
) -> list[Entrant]:
    """Each entrant under each condition, but for one whose variant sets what the condition does."""
    if not conditions:
        return list(entrants)
    pairs = [(entrant, condition) for entrant in entrants for condition in conditions]
    together = [
        (entrant, _canonical(f"{entrant}{condition}", trial)) for entrant, condition in pairs
    ]
    return [under for entrant, under in together if not _fixed(entrant, trial) & _fields(under)]


def _fixed(entrant: Entrant, trial: Trial | None) -> set[str]:
    variant = _row(entrant.method, trial).variant
    return set(variant.fields) if variant else set()


def _fields(entrant: Entrant) -> set[str]:
    return {option.partition("=")[0] for option in entrant.options}


def _canonical(name: str, trial: Trial | None, added: Sequence[str] = ()) -> Entrant:
    """The entrant of a name, with the options that are `added` to its own."""
    entrant = Entrant.parse(name)
    options = _row(entrant.method, trial).canonical([*entrant.options, *added])
    return replace(entrant, options=options)


def _chosen(
    suite: Suite, task: str, datasets: Sequence[str], target: str | None
) -> dict[str, Foreign | None]:
    """The names that records have for datasets, and where those lie that are not the catalogue's.

    Raises UserError for what is not there.
    """
    if not datasets:
        raise UserError(
            f"{task} of suite {suite.name!r} is for networks of your own: name their dataset, "
            "--datasets FOLDER or --datasets OWNER/NAME"
        )
    chosen: dict[str, Foreign | None] = {}
    for dataset in datasets:
        name, place = dataset, None
        if dataset not in catalog.catalog():
            name, place = foreign.choose(dataset, target)
            _check_kind(task, dataset, place)
        elif target is not None:
            raise UserError(f"{dataset} has one target, so it needs no --target")
        if chosen.setdefault(name, place) != place:
            raise UserError(f"two datasets are called {name!r}; rename one, or run them apart")
    return chosen


def _check_kind(task: str, dataset: str, place: Foreign) -> None:
    """Raise UserError where a task predicts numbers and a column holds classes, or the reverse."""
    classes = storage.read_manifest(place.local).targets.get(place.target)
    wanted = tasks.registry()[task].target
    if classes is None or wanted not in ("label", "target") or bool(classes) == (wanted == "label"):
        return
    holds, other = ("classes", "classification") if classes else ("numbers", "regression")
    raise UserError(
        f"{place.target!r} of {dataset} holds {holds}, which {task} does not predict: run {other}"
    )


def _run(run: Run, settings: TaskSettings) -> Run:
    cell = run.cell
    if len(run.command) > LONGEST_COMMAND:
        raise UserError(
            f"the command that makes a record is longer than {LONGEST_COMMAND} letters: "
            f"{run.command}; move the dataset or the suite to a shorter path"
        )
    method = cell.entrant.method
    if run.trial and run.trial.steps:
        settings = settings.model_copy(update={"steps": {method: run.trial.steps}})
    protocol, encoder_protocol = settings.protocols(method)
    if len(run.method.stages) == 1:
        return replace(run, protocol=protocol)
    if encoder_protocol is None:
        raise UserError(
            f"suite {run.suite!r} has no encoder_protocol for {cell.task}, which {method} needs"
        )
    return replace(run, protocol=protocol, encoder_protocol=encoder_protocol)


def _checked_seeds(seeds: Sequence[int]) -> Sequence[int]:
    if repeated := {seed for seed in seeds if list(seeds).count(seed) > 1}:
        raise UserError(f"seed {min(repeated)} is given twice; name each seed once")
    if seeds and min(seeds) < 0:
        raise UserError(f"seed {min(seeds)} is negative; seeds are 0, 1, 2, ...")
    return seeds
