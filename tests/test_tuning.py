"""The search of settings: its budget, what it looks at, what it writes, and equal seconds."""

from __future__ import annotations

import itertools
import json
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path

import pytest
import torch
from helpers import FEW, Command, finished_run, small
from torch import Tensor, nn

import baselines
from benchmark import suites
from benchmark.datasets import locate
from benchmark.datasets.storage import WeightDataset
from benchmark.errors import UserError
from benchmark.methods import Method, Problem, Variant
from benchmark.record import metrics
from benchmark.suites import settings, tables
from benchmark.tuning import chosen, search, seconds, trial
from benchmark.tuning import log as logs
from benchmark.tuning.display import Display, summary
from benchmark.tuning.log import Budget, Point, SearchLog, Trial
from benchmark.tuning.space import Choice, Log
from leaderboard.archive import entries, provenance
from leaderboard.archive import tables as boards_of
from leaderboard.publish import tuning
from leaderboard.publish.text import markdown

DATASET, OTHER = suites.get("mini").tasks["inr-classification"].datasets[:2]


@dataclass(frozen=True)
class Linear(Method):
    """Learns well with a rate of 0.01, and does whatever its `deed` says."""

    name = "linear"
    title = "Linear"
    paper = "none"
    mini = {}
    space = {"learning_rate": Log(1e-4, 1e-1), "deed": Choice("learn", "diverge", "raise")}
    variants = (Variant("linear-fixed", "Linear, fixed", {"deed": "learn"}, mini={}),)

    deed: str = "learn"

    def build(self, problem: Problem) -> nn.Module:
        if self.deed == "raise":
            raise RuntimeError("no luck")
        scale = torch.inf if self.deed == "diverge" else 1.0
        return Scaled(nn.Linear(problem.spec.parameters, problem.outputs), scale)


class Scaled(nn.Module):
    def __init__(self, linear: nn.Linear, scale: float) -> None:
        super().__init__()
        self.linear, self.scale = linear, scale

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) * (self.scale if self.training else 1.0)


class Untouchable:
    """A split that must not be looked at."""

    def __getattribute__(self, name: str) -> object:
        raise AssertionError(f"the test split's {name} is read")


@pytest.fixture
def dataset() -> WeightDataset:
    """Few networks, of which those of the test split must not be looked at."""
    whole = small(DATASET)
    return replace(whole, splits=whole.splits | {"test": Untouchable()})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of settings, a suite of few steps, and the methods of this file."""
    rows = [baselines.Row(Linear), baselines.Row(Linear, Linear.variants[0])]
    known = baselines.registry()
    monkeypatch.setattr(baselines, "registry", lambda: {**known, **{row.name: row for row in rows}})
    mini = suites.get("mini")
    task = mini.tasks["inr-classification"].model_copy(
        update={"protocol": FEW.model_copy(update={"evaluations": 4}), "encoder_protocol": FEW}
    )
    few = mini.model_copy(update={"tasks": {"inr-classification": task}})
    all_suites = suites.registry()
    monkeypatch.setattr(suites, "registry", lambda: all_suites | {"mini": few})
    monkeypatch.setattr(settings, "FOLDER", tmp_path)
    monkeypatch.setattr(search, "BUDGET", Budget(trials=6, cpu_seconds=1000))
    settings.read.cache_clear()
    yield tmp_path
    monkeypatch.undo()
    settings.read.cache_clear()


def conduct(
    dataset: WeightDataset,
    method: str = "linear-fixed",
    clock: Callable[[], float] = lambda: 0.0,
) -> SearchLog:
    prepared = search.prepare("mini", "inr-classification", method, dataset)
    path = settings.log_path("mini", method, dataset.name)
    with Display() as display:
        return search.conduct(prepared, path, display, clock)


def test_the_test_split_is_not_read(
    dataset: WeightDataset, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one stage and of two: whatever touches the split fails."""
    log = conduct(dataset)
    assert len(log.trials) == 6
    assert {trial.status for trial in log.trials} == {"finished", "pruned"}
    assert log.trials[0].validation == max(point.validation for point in log.trials[0].curve)
    monkeypatch.setattr(search, "BUDGET", Budget(trials=1, cpu_seconds=1000))
    two_stages = conduct(dataset, "inr2array-mlp")
    assert [point.step for point in two_stages.trials[0].curve] == [5, 10, 15, 20]


def test_a_search_begins_with_zero_where_the_suite_has_it(
    dataset: WeightDataset, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a logarithmic scale, whose low end stands for it."""
    monkeypatch.setattr(search, "BUDGET", Budget(trials=3, cpu_seconds=1000))
    suite_settings = settings.path_of("mini", "linear-fixed")
    suite_settings.parent.mkdir(parents=True, exist_ok=True)
    suite_settings.write_text("[inr-classification]\nlearning_rate = 0.0\n", encoding="utf-8")
    settings.read.cache_clear()
    log = conduct(dataset)
    assert [trial.settings["learning_rate"] > 0 for trial in log.trials] == [False, True, True]


def test_a_killed_search_goes_on_to_the_same_end(
    dataset: WeightDataset, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = conduct(dataset)
    settings.log_path("mini", "linear-fixed", DATASET).unlink()
    fits, fit = [], trial.fit

    def counted(*arguments: object) -> object:
        fits.append(arguments)
        if len(fits) == 4:
            raise KeyboardInterrupt
        return fit(*arguments)

    monkeypatch.setattr(trial, "fit", counted)
    with pytest.raises(KeyboardInterrupt):
        conduct(dataset)
    assert conduct(dataset) == whole
    assert len(fits) == 3 + 1 + 3
    chosen.settle(whole)  # what the suite has changes, the search does not
    assert conduct(dataset) == whole
    assert len(fits) == 7


def test_another_search_begins_anew(dataset: WeightDataset, folder: Path) -> None:
    first = conduct(dataset)
    path = settings.log_path("mini", "linear-fixed", DATASET)
    logs.write(first.model_copy(update={"code_sha256": "1" * 64}), path)
    assert conduct(dataset) == first
    path.write_text("{}")
    with pytest.raises(UserError, match=rf"linear-fixed.{DATASET}.json: no log of a search"):
        conduct(dataset)


def test_the_budget_ends_a_search(dataset: WeightDataset, folder: Path) -> None:
    """A trial that the CPU time did not suffice for is not chosen, however good it looked."""
    ticks = itertools.count(step=150)
    log = conduct(dataset, clock=lambda: float(next(ticks)))
    assert len(log.trials) < 6
    *counted, last = log.trials
    assert last.status == "stopped" and last.validation is None
    assert log.best in counted
    assert sum(trial.cpu_seconds for trial in counted) <= 1000 < log.cpu_seconds
    assert conduct(dataset, clock=lambda: float(next(ticks))) == log  # there is nothing left


def test_what_goes_wrong_is_logged_and_not_chosen(dataset: WeightDataset, folder: Path) -> None:
    log = conduct(dataset, "linear")
    reasons = {trial.status: trial.reason for trial in log.trials if trial.reason}
    assert reasons == {
        "failed": "RuntimeError: no luck",
        "diverged": "the training loss was NaN or infinite at step 1",
    }
    assert log.best.settings["deed"] == "learn"
    bad = [one for one in log.trials if one.reason]
    nothing = log.model_copy(update={"trials": tuple(bad)})
    assert chosen.settle(nothing) is None
    assert "no trial was finished and scored; " in summary(nothing)
    assert not (folder / "mini/linear.toml").exists()


def test_the_command_goes_on_and_says_what_came_out(
    dataset: WeightDataset,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Command,
) -> None:
    monkeypatch.setattr(locate, "load", lambda name: (dataset, "embedded"))
    fits, fit = [], trial.fit

    def counted(*arguments: object) -> object:
        fits.append(arguments)
        if len(fits) == 2:
            raise KeyboardInterrupt
        return fit(*arguments)

    monkeypatch.setattr(trial, "fit", counted)

    tune = partial(command, "tune", "linear-fixed", DATASET)
    status, output, errors = tune()
    assert (status, output) == (130, "")
    assert "[1/6] learning_rate 0.001: accuracy" in errors
    assert "the same command goes on from here" in errors and "Traceback" not in errors
    status, output, errors = tune()
    assert status == 0, errors
    assert "1 trials are in" in errors and "[2/6]" in errors and "[1/6]" not in errors
    assert f"linear-fixed on {DATASET}: learning_rate" in output
    assert f"settings: {folder / 'mini/linear-fixed.toml'}" in output
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    assert tune()[:2] == (0, output)
    assert len(fits) == 7
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == before


def scripted(monkeypatch: pytest.MonkeyPatch, sign: int) -> list[str]:
    """Trials that are the better, from the first step on, the nearer their rate is to 0.01."""

    def attempt(run, values, dataset, left, passes, tick, clock):
        distance, curve = abs(torch.tensor(values["learning_rate"] / 0.01).log().item()), []
        for step in (5, 10, 15, 20):
            curve.append(Point(step=step, validation=0.5 - sign * distance / 100))
            if not passes(curve[-1]):
                return Trial(
                    settings=values, status="pruned", curve=curve, validation=None, cpu_seconds=step
                )
        return Trial(
            settings=values,
            status="finished",
            curve=curve,
            validation=curve[-1].validation,
            cpu_seconds=20,
        )

    monkeypatch.setattr(search, "attempt", attempt)


@pytest.mark.parametrize(("metric", "sign"), [("accuracy", 1), ("mse", -1)])
def test_halving_gives_up_the_worse_and_keeps_the_best(
    dataset: WeightDataset, folder: Path, monkeypatch: pytest.MonkeyPatch, metric: str, sign: int
) -> None:
    scripted(monkeypatch, sign)
    monkeypatch.setattr(search, "BUDGET", Budget(trials=20, cpu_seconds=1000))
    prepared = search.prepare("mini", "inr-classification", "linear-fixed", dataset)
    opening = prepared.opening.model_copy(update={"metric": metric})
    path = settings.log_path("mini", "linear-fixed", DATASET)
    with Display() as display:
        log = search.conduct(replace(prepared, opening=opening), path, display)
    assert len(log.trials) == 20
    assert log.best.settings["learning_rate"] == pytest.approx(0.01, rel=0.3)
    assert 2 <= [one.status for one in log.trials].count("finished") <= 10
    assert log.cpu_seconds < 0.7 * 20 * 20


def test_a_choice_is_written_beside_what_the_file_says(
    dataset: WeightDataset, folder: Path
) -> None:
    (folder / "mini").mkdir()
    path = folder / "mini/linear-fixed.toml"
    path.write_text("# Why.\n[inr-classification]\nlearning_rate = 0.1\nweight_decay = 0.5\n")
    settings.read.cache_clear()
    log = conduct(dataset)
    assert log.first == {"learning_rate": 0.1}
    assert log.others["weight_decay"] == 0.5
    assert chosen.settle(log) == path
    assert path.read_text().startswith("# Why.\n[inr-classification]\n")
    read = settings.read("mini", "linear-fixed")
    assert read.of("inr-classification", DATASET) == {"weight_decay": 0.5} | log.best.settings
    log_path = settings.log_path("mini", "linear-fixed", DATASET)
    assert read.logs == {DATASET: logs.digest(log_path)}
    assert logs.read(log_path) == log
    # On another dataset of the task, for that alone.
    other = log.model_copy(update={"dataset": OTHER, "trials": log.trials[:1]})
    logs.write(other, settings.log_path("mini", "linear-fixed", OTHER))
    chosen.settle(other)
    read = settings.read("mini", "linear-fixed")
    assert read.of("inr-classification", DATASET) == {"weight_decay": 0.5} | log.best.settings
    assert read.of("inr-classification", OTHER)["learning_rate"] == 0.1
    assert set(read.logs) == {DATASET, OTHER}


def test_a_table_is_changed_in_its_place() -> None:
    text = "a = 1 # one\n\n[t]\nx = 1\n# of y\ny = 2\n\n# of u\n[u]\nx = 3\n"
    new = tables.changed(text, "t", {"y": "5", "z": '"z"'})
    assert new == 'a = 1 # one\n\n[t]\nx = 1\n# of y\ny = 5\nz = "z"\n\n# of u\n[u]\nx = 3\n'
    assert tables.changed("", "t", {"y": "5"}) == "[t]\ny = 5\n"
    assert tomllib.loads(tables.changed(text, "v.w", {"y": "5"}))["v"] == {"w": {"y": 5}}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mini", "mlp", "mnist-gs-mini"), "mlp is not run on mnist-gs-mini in suite 'mini'"),
        (("mini", "inr2array-2x2", None), "inr2array-2x2 is not run in suite 'mini'"),
        (("mini-ablations", "inr2array", None), "uses the settings of 'mini': tune in that suite"),
        (("mini", "gpt", None), "unknown method 'gpt'"),
    ],
)
def test_where_nothing_can_be_tuned(
    folder: Path, arguments: tuple[str, str, str | None], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        chosen.places(*arguments)


def test_a_method_is_tuned_on_the_first_dataset_of_each_task() -> None:
    assert chosen.places("mini", "mlp", None) == [
        (task, chosen_.datasets[0])
        for task, chosen_ in suites.get("mini").tasks.items()
        if task != "inr-editing"
    ]
    other = suites.get("mini").tasks["inr-classification"].datasets[1]
    assert chosen.places("mini", "mlp", other) == [("inr-classification", other)]


def test_a_method_without_a_space_has_nothing_to_search(dataset: WeightDataset) -> None:
    editing = small("mnist-dilate-mini")
    with pytest.raises(UserError, match="identity-editor has nothing to search: declare `space`"):
        search.prepare("mini", "inr-editing", "identity-editor", editing)


# What is committed.


WITHOUT_STEPS = ("identity-editor", "extra-trees", "boosted-trees", "rendered-nearest")
"""Methods that nothing trains, or that are fitted at once, and so have no learning rate."""


@pytest.mark.parametrize("name", baselines.registry())
def test_a_space_is_of_fields_that_are_not_fixed(name: str) -> None:
    row = baselines.get(name)
    defaults = {field.name: field.default for field in fields(row.method)}
    fixed = row.variant.fields if row.variant else {}
    assert not set(row.space) & set(fixed)
    assert set(row.method.space) - set(fixed) == set(row.space)
    assert ("learning_rate" in row.space) == (name not in WITHOUT_STEPS)
    for field, dimension in row.space.items():
        values = dimension.values if isinstance(dimension, Choice) else [dimension.low]
        assert {type(value) for value in values} == {type(defaults[field])}


LOGS = sorted(settings.FOLDER.glob("*/logs/*"))
FILES = sorted(settings.FOLDER.glob("*/*.toml"))


def test_every_log_is_named_by_a_settings_file() -> None:
    named = [
        settings.log_path(path.parent.name, path.stem, dataset)
        for path in FILES
        for dataset in settings.read(path.parent.name, path.stem).logs
    ]
    assert sorted(named) == LOGS


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_a_settings_file_says_what_its_log_says(path: Path) -> None:
    log = logs.read(path)
    assert path == settings.log_path(log.suite, log.method, log.dataset)
    read = settings.read(log.suite, log.method)
    assert read.logs[log.dataset] == logs.digest(path)
    values = read.of(log.task, log.dataset)
    assert log.best.settings.items() <= values.items()
    assert values.items() <= (log.others | log.best.settings).items()


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_a_log_kept_the_budget_and_chose_on_validation(path: Path) -> None:
    log = logs.read(path)
    assert log.budget == search.BUDGET
    assert 1 <= len(log.trials) <= log.budget.trials
    counted = [one for one in log.trials if one.status != "stopped"]
    assert sum(one.cpu_seconds for one in counted) <= log.budget.cpu_seconds
    assert len(log.trials) - len(counted) <= 1
    assert log.trials[0].settings == log.first
    assert len({json.dumps(one.settings, sort_keys=True) for one in log.trials}) == len(log.trials)
    better = max if metrics.get(log.metric).direction == "max" else min
    for one in log.trials:
        assert (one.validation is not None) <= (one.status == "finished")
        scores = [point.validation for point in one.curve if point.validation is not None]
        if one.status == "finished" and scores:
            assert one.validation == pytest.approx(better(scores), abs=1e-6)
            assert one.curve[-1].step == log.protocol["steps"]
    assert log.seed not in suites.get(log.suite).tasks[log.task].seeds


# Equal training seconds.


def test_all_methods_get_the_yardsticks_seconds() -> None:
    paces = seconds.paces({"mlp": 3.0, "nft": 57.0, "slow": 171.0}, "nft", 1600)
    assert {name: pace.steps for name, pace in paces.items()} == {
        "mlp": 30400,
        "nft": 1600,
        "slow": 530,
    }


def test_both_stages_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that moves by a second at each report of steps, and at no other time."""
    monkeypatch.setattr(seconds, "STEPS", 40)
    monkeypatch.setattr(seconds, "ROUNDS", 1)
    whole = suites.get("mini-seconds").tasks["inr-classification"]
    small_batches = {
        name: getattr(whole, name).model_copy(update={"batch_size": 4})
        for name in ("protocol", "encoder_protocol")
    }
    methods = {"methods": ("inr2array-mlp", "mlp"), "yardstick": "mlp"}
    task = whole.model_copy(update=methods | small_batches)
    known = suites.get("mini-seconds").model_copy(update={"tasks": {"inr-classification": task}})
    all_suites = suites.registry()
    monkeypatch.setattr(suites, "registry", lambda: all_suites | {"mini-seconds": known})
    ticks = itertools.count()
    measured = seconds.measure(
        "mini-seconds", "inr-classification", small(DATASET), lambda: float(next(ticks))
    )
    # A second for 20 steps: of 1,600 steps, and of 1,200 in a first stage.
    assert {name: pace.seconds for name, pace in measured.items()} == {
        "inr2array-mlp": pytest.approx(140),
        "mlp": pytest.approx(80),
    }
    assert {name: pace.steps for name, pace in measured.items()} == {
        "inr2array-mlp": 910,
        "mlp": 1600,
    }


def test_steps_are_written_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = suites.file_of("mini-seconds").read_text(encoding="utf-8")
    (tmp_path / "mini-seconds.toml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(suites, "HERE", tmp_path)
    suites.registry.cache_clear()
    try:
        paces = {"mlp": seconds.Pace(3.0, 30400), "inr2array-mlp": seconds.Pace(114.0, 800)}
        seconds.write("mini-seconds", "inr-classification", paces)
        task = suites.get("mini-seconds").tasks["inr-classification"]
        assert task.protocols("mlp")[0].steps == 30400
        assert [one.steps for one in task.protocols("inr2array-mlp")] == [800, 600]
        assert task.protocols("other") == (task.protocol, task.encoder_protocol)
    finally:
        monkeypatch.undo()
        suites.registry.cache_clear()


def test_a_suite_of_equal_seconds_has_steps_for_each_method() -> None:
    for suite in suites.registry().values():
        for task in suite.tasks.values():
            assert (task.yardstick is not None) == bool(task.steps)
            if task.yardstick is not None:
                assert set(task.steps) == set(task.methods)
                assert task.steps[task.yardstick] == task.protocol.steps
    with pytest.raises(UserError, match="suite 'mini' names no yardstick"):
        seconds.tasks_of("mini")


def test_a_record_of_other_steps_is_objected_to(tmp_path: Path) -> None:
    """The steps that the suite gives to the method, not those of the protocol, are the present."""
    record = finished_run(tmp_path, name="mlp", suite="mini-seconds")
    assert record.protocol["steps"] != 1600
    hyperparameters = record.method.hyperparameters
    assert provenance.objections(record) == [], hyperparameters
    other = record.model_copy(update={"protocol": record.protocol | {"steps": 1600}})
    assert provenance.objections(other) == ["of settings that have changed since"]


def test_what_a_search_changed_is_told_from_the_records() -> None:
    boards = boards_of.boards(entries.read().current)
    text = tuning.sections(boards)
    assert text.startswith("## What tuning changes")
    tuned = next(board for board in boards if board.suite == "mini-tuned")
    untuned = next(board for board in boards if (board.suite, board.task) == ("mini", tuned.task))
    before = {row.entrant: row.cells for row in untuned.rows}
    gains = []
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if "|" in line}
    for row in tuned.rows:
        line = lines[markdown(row.label)]
        ((dataset, after),) = row.cells.items()
        means = [cell.summary.mean for cell in (before[row.entrant][dataset], after)]
        assert all(f"| {100 * mean:.1f} ±" in line for mean in means)
        if "| as before " not in line:
            gains.append(means[1] - means[0])
    better = sum(gain > 0 for gain in gains)
    said = " ".join(text.split())
    assert f"Of the {len(gains)} methods whose settings changed, {better} are better" in said
    assert not tuning.sections([board for board in boards if board is not untuned])
