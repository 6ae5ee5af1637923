"""What a run leaves beside its record: the weights it selected, and the course of training."""

from __future__ import annotations

import bdb
import csv
import sys
import types
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from helpers import CPU, FEW, run_of, small

import benchmark
from benchmark import tasks
from benchmark.datasets import locate
from benchmark.errors import UserError
from benchmark.record.predictions import SHIFTED, digest
from benchmark.record.schema import Record
from benchmark.runs import event_files, fit, kept, launch
from benchmark.runs.curves import Curves
from benchmark.runs.display import Display
from benchmark.runs.execute import execute
from benchmark.runs.training import Monitor, Stopped, Trainer

DATASET = "fashion-inr-mini"
LONGER = FEW.model_copy(update={"steps": 40, "evaluations": 4})
CELL = f"mini/inr-classification/{DATASET}/{{}}/0"


@pytest.fixture(autouse=True)
def _few_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = small(DATASET, 48)
    monkeypatch.setattr(locate, "load", lambda name: (dataset, "embedded"))


def kept_run(method: str, folder: Path) -> Record:
    record = execute(run_of(CELL.format(method)), folder, CPU, 1, Monitor(), keep=True)
    assert record.status == "finished", record.reason
    return record


def predicted(module: torch.nn.Module, cell: str) -> str:
    """The digest of what a module predicts for the networks that a run reads."""
    dataset = locate.load(DATASET)[0]
    task = tasks.registry()["inr-classification"](dataset)
    weights = fit._weights(run_of(cell), dataset)
    outcomes = {}
    with torch.inference_mode():
        for split in weights.keys() - {"train"}:
            targets = task.targets("test" if split == SHIFTED else split)
            outcomes[split] = task.outcome(module(weights[split]), targets)
    return digest(outcomes)


@pytest.mark.parametrize("method", ["statnn", "inr2array-mlp", "mlp+canonical=True"])
def test_the_loaded_module_gives_the_recorded_predictions(method: str, tmp_path: Path) -> None:
    record = kept_run(method, tmp_path)
    torch.manual_seed(3)
    expected = torch.get_rng_state()
    module = benchmark.load(tmp_path / record.path)
    assert torch.equal(torch.get_rng_state(), expected)  # nobody's random numbers move
    assert not module.training
    assert predicted(module, CELL.format(method)) == record.predictions
    assert kept.sizes([record], tmp_path)[0] > 1000


def test_an_encoder_that_was_trained_before_is_kept_too(tmp_path: Path) -> None:
    kept_run("inr2array", tmp_path)
    record = kept_run("inr2array-mlp", tmp_path)
    assert record.encoder.from_cache
    module = benchmark.load(tmp_path / record.path)
    assert predicted(module, CELL.format("inr2array-mlp")) == record.predictions


def test_weights_are_kept_only_when_asked_and_never_those_of_another_run(tmp_path: Path) -> None:
    run, notes = run_of(CELL.format("statnn")), []
    record = kept_run("statnn", tmp_path)
    file = (tmp_path / record.path).with_suffix(kept.SUFFIX)
    assert launch.standing([run], tmp_path, keep=True).done
    weights = file.read_bytes()
    again = execute(run, tmp_path, CPU, 1, Monitor())
    assert again.predictions == record.predictions and not file.exists()
    assert launch.standing([run], tmp_path).done
    assert launch.standing([run], tmp_path, keep=True).todo == [run]
    with pytest.raises(UserError, match=r"keep the weights: python -m benchmark run .* --keep"):
        benchmark.load(tmp_path / record.path)
    other = execute(run_of(CELL.format("statnn")[:-1] + "1"), tmp_path, CPU, 1, Monitor())
    (tmp_path / other.path).with_suffix(kept.SUFFIX).write_bytes(weights)
    with pytest.raises(UserError, match="holds the weights of another run"):
        benchmark.load(tmp_path / other.path)
    trees = run_of(CELL.format("extra-trees"))
    record = execute(trees, tmp_path, CPU, 1, Monitor(note=notes.append), keep=True)
    assert notes == ["extra-trees has no weights trained by steps, so none are kept"]
    assert kept.sizes([record], tmp_path) == []


@pytest.fixture
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_threads")
def test_runs_in_this_process_are_the_workers_runs_and_can_be_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(CELL.format("statnn"))
    whole = execute(run, tmp_path / "whole", CPU, 1, Monitor())
    with Display([run], live=False) as display:
        (record,) = launch.execute_all([run], tmp_path / "here", CPU, 0, display)
        assert (record.predictions, record.curve) == (whole.predictions, whole.curve)
        assert record.environment.workers == 1
        assert launch.execute_all([run], tmp_path / "late", CPU, 0, display, lambda: True) == []
        assert list((tmp_path / "late").rglob("*.checkpoint"))
        for stop in (KeyboardInterrupt, bdb.BdbQuit):
            monkeypatch.setattr(fit, "_check", raises(stop))
            with pytest.raises(KeyboardInterrupt):
                launch.execute_all([run], tmp_path / "stopped", CPU, 0, display)
        assert not list((tmp_path / "stopped").rglob("*.json"))


def raises(error: type[BaseException]) -> object:
    def function(*arguments: object) -> None:
        raise error

    return function


def test_the_curve_lies_beside_the_record(tmp_path: Path) -> None:
    record = execute(run_of(CELL.format("inr2array")), tmp_path, CPU, 1, Monitor())
    for suffix, curve in ((".csv", record.curve), (".encoder.csv", record.encoder.curve)):
        path = (tmp_path / record.path).with_suffix(suffix)
        rows = list(csv.DictReader(path.read_text().splitlines()))
        assert [(int(row["step"]), float(row["loss"])) for row in rows] == [
            (point.step, point.loss) for point in curve
        ]
        assert [float(row["validation"]) for row in rows] == [one.validation for one in curve]
    assert len(record.curve) == FEW.evaluations


def test_a_failure_says_what_was_wanted_and_how_to_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "_check", raises(ValueError))
    notes: list[str] = []
    record = execute(run_of(CELL.format("statnn")), tmp_path, CPU, 1, Monitor(note=notes.append))
    assert record.status == "failed"
    (line,) = notes
    assert "inr-classification wants [batch, 10] from weights [batch, 151]" in line
    assert "seed-0.traceback.txt" in line and "--workers 0" in line


def rows(path: Path) -> list[tuple[int, float, float]]:
    return [
        (int(row["step"]), float(row["loss"]), float(row["validation"]))
        for row in csv.DictReader(path.read_text().splitlines())
    ]


def stops(at: int) -> Monitor:
    """Ends a run at a step, as somebody would who kills it."""

    def step(step: int) -> None:
        if step == at:
            raise Stopped

    return Monitor(step=step)


def test_a_curve_grows_with_its_run_and_goes_on_where_it_was_left(tmp_path: Path) -> None:
    """Of both stages; what an earlier run left is not taken for this one's."""
    run = run_of(CELL.format("inr2array"), LONGER)
    last, first = (tmp_path / run.path.with_suffix(suffix) for suffix in (".csv", ".encoder.csv"))
    last.parent.mkdir(parents=True)
    last.write_text("step,loss,validation\n7,7.0,7.0\n")
    told: list[Curves] = []
    for at, expected in ((20, (0, 1)), (40, (0, 3)), (60, (1, 4)), (80, (3, 4))):
        with pytest.raises(Stopped):
            execute(run, tmp_path, CPU, 1, stops(at), told=told.append)
        lengths = [len(rows(path)) if path.exists() else 0 for path in (last, first)]
        assert tuple(lengths) == expected
    record = execute(run, tmp_path, CPU, 1, Monitor(), told=told.append)
    assert [len(one.last) for one in told] == [0, 0, 1, 3]
    assert told[-1].last == record.curve[:3]
    for path, curve in ((last, record.curve), (first, record.encoder.curve)):
        assert rows(path) == [(point.step, point.loss, point.validation) for point in curve]
    whole = execute(run, tmp_path / "whole", CPU, 1, Monitor())
    assert (whole.curve, whole.predictions) == (record.curve, record.predictions)


def test_a_run_that_diverges_leaves_the_curve_that_led_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(CELL.format("statnn"), LONGER)
    whole = execute(run, tmp_path, CPU, 1, Monitor())

    def explode(self: Trainer, step: int) -> float:
        return float("nan") if step >= 25 else 1.0

    monkeypatch.setattr(Trainer, "_schedule", explode)
    record = execute(run, tmp_path, CPU, 1, Monitor())
    assert (record.status, record.curve) == ("diverged", [])
    left = rows((tmp_path / record.path).with_suffix(".csv"))
    assert [step for step, *_ in left] == [10]
    assert left[0][1] != whole.curve[0].loss, "it is this run's, not the earlier one's"


class Events:
    """Stands for TensorBoard's writer, which is not installed everywhere."""

    written: dict[str, list[tuple[str, float, int]]] = {}

    def __init__(self, folder: str) -> None:
        self.scalars = Events.written[folder] = []
        Path(folder).mkdir(parents=True)
        (Path(folder) / "events").touch()

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars.append((name, value, step))

    def flush(self) -> None:
        pass

    close = flush


def test_tensorboard_is_written_as_a_run_goes_or_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(CELL.format("statnn"), LONGER)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UserError, match="pip install tensorboard"):
        event_files.EventFiles(tmp_path)
    monkeypatch.setattr(Events, "written", {})
    fake = types.SimpleNamespace(SummaryWriter=Events)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", fake)
    place = str(tmp_path / "tensorboard" / run.path.with_suffix(""))
    with Display([run], log=event_files.EventFiles(tmp_path)) as display, pytest.raises(Stopped):
        execute(run, tmp_path, CPU, 1, stops(40), told=partial(display.grow, run))
    assert [step for *_, step in Events.written[place]] == [10, 10, 20, 20, 30, 30]
    # The second time, over what the first has left.
    with Display([run], log=event_files.EventFiles(tmp_path)) as display:
        record = execute(run, tmp_path, CPU, 1, Monitor(), told=partial(display.grow, run))
        display.finish(run, record)
        display.grow(run, Curves(record.curve[:1]))  # heard late, from a worker
    expected = [
        scalar
        for point in record.curve
        for scalar in (
            ("loss", point.loss, point.step),
            ("validation", point.validation, point.step),
        )
    ]
    assert Events.written[place] == expected
