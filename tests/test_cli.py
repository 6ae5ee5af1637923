"""The command line as a person meets it: real runs, kills, and mistakes."""

from __future__ import annotations

import io
import json
import os
import queue
import shutil
import signal
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from helpers import CPU, Command, benchmark, hold_after, run_of, start, wait_for
from scripts import HANGS

from benchmark.errors import UserError
from benchmark.record import schema as records
from benchmark.runs import checkpoints, launch
from benchmark.runs.display import Display
from benchmark.runs.fit import checkpoint_path
from benchmark.runs.plan import Run, plan
from benchmark.suites.protocol import Protocol

ONE = ("sine-frequency", "--methods", "mlp-augmented", "--seeds", "0")
HERE = ("--workers", "0")
"""In the process of the command, where what a worker would do is not the point."""
LONG = Protocol(steps=10**6, batch_size=8, warmup_steps=2, evaluations=10**4, clip=1.0)
"""More than anybody waits for: only what stops it ends it."""
RECORD = Path("mini/sine-frequency/sine-inr-mini/mlp-augmented/seed-0.json")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """One finished run, its output and its messages, for the tests of all processes to read."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "finished-run"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            status, output, errors = benchmark("run", *ONE, "--results", str(folder / "results"))
            assert status == 0, errors
            (folder / "output.json").write_text(json.dumps([output, errors]))
    return folder / "results", *json.loads((folder / "output.json").read_text())


def test_a_run_ends_in_a_table_and_a_whole_record(finished: tuple[Path, str, str]) -> None:
    results, output, errors = finished
    assert "MLP + permutation augmentation" in output
    assert "[1/1] sine-inr-mini mlp-augmented seed 0: mse" in errors
    record = records.read(results / RECORD)
    assert f"{record.metrics['test']:.4f}" in output
    assert 0 < record.metrics["test"] < 7  # the variance of the frequencies
    assert record.cost is not None
    assert record.cost.peak_memory_mib is None or 100 < record.cost.peak_memory_mib < 3000
    assert "MLP + permutation augmentation" in (results / "LEADERBOARD.md").read_text(
        encoding="utf-8"
    )
    assert not list(results.rglob("*.checkpoint"))


def test_what_is_done_is_not_done_again(
    finished: tuple[Path, str, str], tmp_path: Path, command: Command
) -> None:
    results = shutil.copytree(finished[0], tmp_path / "results")
    before = (results / RECORD).stat().st_mtime_ns
    status, again, errors = command("run", *ONE, "--results", str(results))
    assert status == 0
    assert again == finished[1]
    assert "0 runs to make, 1 done already" in errors
    assert (results / RECORD).stat().st_mtime_ns == before


def start_held(folder: Path) -> subprocess.Popen[str]:
    """A run that stands still after its first checkpoint, until it is killed or told to stop."""
    until = "__import__('benchmark.runs.launch').runs.launch._stop.is_set()"
    held = hold_after(folder / "held", "benchmark.runs.checkpoints", "write", until)
    process = start("run", *ONE, "--results", str(folder / "results"), **held)
    wait_for((folder / "results" / RECORD).with_suffix(".checkpoint").exists, process)
    return process


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_trial_shows_validation_and_leaves_the_suites_results_alone(
    finished: tuple[Path, str, str], tmp_path: Path, command: Command
) -> None:
    results = shutil.copytree(finished[0], tmp_path / "results")
    before = contents(results)
    trial = (*ONE, "--set", "hidden=8", "--set", "dropout=0.5", "--steps", "16")
    arguments = ("run", *trial, "--results", str(results), *HERE)
    status, output, errors = command(*arguments)
    assert status == 0, errors
    assert "trials are not ranked" in errors and "on validation, " in errors
    assert "mlp-augmented+dropout=0.5+hidden=8  16 " in output and "test" not in output
    assert before.items() <= contents(results).items()
    _, again, errors = command(*arguments, "--test")
    assert "0 runs to make, 1 done already" in errors
    assert "test" in again


def test_a_killed_run_goes_on_and_ends_with_the_same_bits(
    finished: tuple[Path, str, str], tmp_path: Path, command: Command
) -> None:
    process, results = start_held(tmp_path), tmp_path / "results"
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (results / RECORD).exists()
    status, _, errors = command("run", *ONE, "--results", str(results), *HERE)
    assert status == 0, errors
    assert "starting anew" not in errors
    whole, resumed = records.read(finished[0] / RECORD), records.read(results / RECORD)
    assert (resumed.metrics, resumed.curve) == (whole.metrics, whole.curve)


def test_an_interrupt_stops_and_says_how_to_go_on(tmp_path: Path) -> None:
    process = start_held(tmp_path)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=HANGS)
    assert "Traceback" not in errors
    assert process.returncode == 130
    assert "the same command goes on from here" in errors
    assert (tmp_path / "results" / RECORD).with_suffix(".checkpoint").exists()
    assert not (tmp_path / "results" / RECORD).exists()


def test_no_minutes_end_a_run_that_goes_on_to_the_same_bits(
    finished: tuple[Path, str, str], tmp_path: Path, command: Command
) -> None:
    arguments = ("run", *ONE, "--results", str(tmp_path), *HERE)
    status, _, errors = command(*arguments, "--minutes", "0")
    assert status == 3, errors
    assert "1 runs are not done; the same command goes on from here" in errors
    assert "Traceback" not in errors
    assert not (tmp_path / RECORD).exists()
    status, _, errors = command(*arguments)
    assert status == 0, errors
    whole, resumed = records.read(finished[0] / RECORD), records.read(tmp_path / RECORD)
    assert (resumed.metrics, resumed.curve) == (whole.metrics, whole.curve)


def test_a_run_that_is_stopped_leaves_a_checkpoint_at_that_step(tmp_path: Path) -> None:
    """In a worker process, as `--minutes` stops it, but by what is seen on disk."""
    run = run_of("mini/sine-frequency/sine-inr-mini/mlp/0", LONG)
    checkpoint = checkpoint_path(run, tmp_path)
    with Display([run]) as display:
        outcomes = launch.execute_all([run], tmp_path, CPU, 1, display, checkpoint.exists)
    assert outcomes == []
    state = torch.load(io.BytesIO(checkpoints.read(checkpoint)), weights_only=True)
    stopped = state["progress"]["step"]
    assert 0 < stopped < LONG.steps
    assert not (tmp_path / run.path).exists()


def test_a_worker_ends_whatever_is_still_to_be_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of curves, say, that are larger than a pipe."""
    many = LONG.model_copy(update={"evaluations": LONG.steps // 20})
    run = run_of("mini/sine-frequency/sine-inr-mini/mlp/0", many)
    untold: list[launch.Events] = []
    monkeypatch.setattr(launch, "_show", lambda events, *_: untold.append(events))
    curve = tmp_path / run.path.with_suffix(".csv")

    def is_over() -> bool:
        return curve.exists() and len(curve.read_text().splitlines()) > 100

    with Display([run], live=False) as display:
        arguments = ([run], tmp_path, CPU, 1, display, is_over)
        thread = threading.Thread(target=launch.execute_all, args=arguments)
        thread.start()
        thread.join(HANGS)
        hangs = thread.is_alive()
        while thread.is_alive():  # so that the worker can end
            with suppress(queue.Empty):
                untold[0].get(timeout=1)
    assert not hangs


def test_code_that_changes_under_a_command_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker has what it loaded; the files may hold something else by then."""
    run = run_of("mini/sine-frequency/sine-inr-mini/mlp/0", LONG)
    monkeypatch.setattr(Run, "code", "0" * 64)  # as it was when the command began
    with Display([run]) as display, pytest.raises(UserError, match=r"mlp.py .* was changed while"):
        launch.execute_all([run], tmp_path, CPU, 1, display)
    assert not list(tmp_path.rglob("*.json"))


def test_changed_code_is_run_again(finished: tuple[Path, str, str], tmp_path: Path) -> None:
    shutil.copytree(finished[0], tmp_path / "results")
    results = tmp_path / "results"
    runs = plan("mini", "sine-frequency", None, ["mlp-augmented"], [0])

    def counts(rerun: bool = False) -> tuple[int, int, int]:
        state = launch.standing(runs, results, rerun)
        return len(state.todo), len(state.done), len(state.stale)

    assert counts() == (0, 1, 0)
    assert counts(rerun=True) == (1, 0, 0)
    data = json.loads((results / RECORD).read_text())
    data["method"]["code_sha256"] = "0" * 64
    (results / RECORD).write_text(json.dumps(data))
    assert counts() == (1, 0, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "inr-sorting"), "suite 'mini' has no task 'inr-sorting'"),
        (
            ("run", "inr-classification", "--suite", "maxi"),
            "unknown suite 'maxi'; known: dws-sine, dws, mini",
        ),
        (
            ("run", "inr-classification", "--datasets", "imagenet"),
            "unknown dataset 'imagenet'; known:",
        ),
        (("run", "inr-classification", "--methods", "gpt"), "unknown method 'gpt'; known:"),
        (
            ("run", "inr-classification", "--methods", "inr2aray"),
            "unknown method 'inr2aray', did you mean inr2array?; known:",
        ),
        (("conform", "statn"), "unknown method 'statn', did you mean statnn?; known:"),
        (
            ("run", "inr-classificaton"),
            "has no task 'inr-classificaton', did you mean inr-classification?; it has",
        ),
        (
            ("run", "inr-classification", "--suite", "min"),
            "unknown suite 'min', did you mean mini?; known: dws",
        ),
        (
            ("run", "inr-classification", "--datasets", "mnist-inr-mni"),
            "unknown dataset 'mnist-inr-mni', did you mean mnist-inr-mini?; known:",
        ),
        (
            ("run", "all", "--datasets", "mnist-inr-own-mini,sine-inr-min"),
            "has dataset 'sine-inr-min', did you mean sine-inr-mini?; they have",
        ),
        (
            ("run", "inr-classification", "--methods", "mlp", "--set", "learning-rate=1"),
            "--set takes FIELD=VALUE",
        ),
        (
            ("run", "inr-classification", "--methods", "mlp", "--set", "hiden=8"),
            "mlp has no field 'hiden', did you mean hidden?; its fields are",
        ),
        (
            ("run", "inr-classification", "--methods", "mlp@mixed"),
            "unknown arm 'mixed'; known: aligned, permuted, phase, random-targets",
        ),
        (("run", "inr-classification", "--methods", ","), "a list of names is empty"),
        (
            ("run", "all", "--methods", "nft-editor", "--datasets", "sine-inr-mini"),
            "no task of suite 'mini' has those datasets and methods",
        ),
        (
            ("run", "inr-classification", "--methods", "mlp", "--methods", "nft"),
            "--methods is given 2 times",
        ),
        (("run", "inr-classification", "--seeds", "-1"), "seed -1 is negative"),
        (("run", "inr-classification", "--seeds", "0,1,0"), "seed 0 is given twice"),
        (("run", "inr-classification", "--seeds", "one"), "seeds are whole numbers"),
        (
            ("run", "inr-classification", "--device", "tpu9"),
            "runs are made on cpu or cuda, or auto, not on 'tpu9'",
        ),
        (("run", "inr-classification", "--workers", "-1"), "Invalid value for '--workers'"),
        (("run", "inr-classification", "--log", "wandb"), "'wandb' is not tensorboard"),
        (("run", "inr-classification", "--results", "/dev/null/x"), "cannot write to /dev/null/x"),
        (
            ("datasets", "build", "mnist-inr-mini", "--hub-mirror", "/nowhere"),
            "/nowhere: no folder laid out like the Hub",
        ),
        (
            ("datasets", "build", "mnist-inr-mini", "--output", "/dev/null"),
            "/dev/null is not a folder",
        ),
        (("datasets", "pull", "mnist-inr"), "mnist-inr is not published yet; make it"),
        (
            ("run", "inr-classification", "--datasets", "mnist-inr"),
            "mnist-inr is not published yet; make it",
        ),
        (
            ("datasets", "verify", "nope"),
            "unknown dataset 'nope'; known:",
        ),
        (("datasets", "verify", "/tmp"), "no dataset in /tmp"),
        (("datasets", "build", "nope", "--output", "/nowhere"), "unknown dataset 'nope'"),
        (("run",), "name a task, as inr-classification"),
        (
            ("run", "generalization", "--datasets", "mnist-inr-mini"),
            "but generalization needs target and train_accuracy",
        ),
        (
            ("run", "inr-editing", "--methods", "nft"),
            "nft does not do inr-editing, but inr-classification",
        ),
        (
            ("run", "inr-classification", "--methods", "mlp+hidden=big"),
            "error: mlp+hidden=big: hidden is a whole number from 0 on, not 'big'",
        ),
        (("canary", "../x"), "COMMIT '../x' is no commit here: give a hash, a branch or a tag"),
        (("canary", "HEAD~99999"), "COMMIT 'HEAD~99999' is no commit here"),
        (("conform", "gpt"), "unknown method 'gpt'"),
        (("new-method", "../x"), "cannot be a method's name"),
        (("tune", "gpt"), "unknown method 'gpt'"),
        (("tune", "mlp", "mnist-inr"), "mlp is not run on mnist-inr in suite 'mini'"),
        (("tune", "identity-editor"), "identity-editor has nothing to search"),
        (("equal-seconds", "mini"), "suite 'mini' names no yardstick"),
    ],
)
def test_mistakes_get_one_clear_error(
    arguments: tuple[str, ...], message: str, command: Command
) -> None:
    status, output, errors = command(*arguments)
    assert status == 2
    assert message in errors
    assert "Traceback" not in errors
    assert output == ""


def test_a_wrong_record_is_found_before_training(tmp_path: Path, command: Command) -> None:
    (tmp_path / RECORD).parent.mkdir(parents=True)
    (tmp_path / RECORD).write_text("{}")
    status, _, errors = command("run", *ONE, "--results", str(tmp_path))
    assert status == 2
    assert f"error: {tmp_path / RECORD}: " in errors
    assert "delete the file to run it again" in errors


def test_what_has_changed_since_a_record_is_named(
    finished: tuple[Path, str, str], tmp_path: Path, command: Command
) -> None:
    """Before the run by field, and after it of the committed record that is of other settings."""
    results = shutil.copytree(finished[0], tmp_path / "results")
    data = json.loads((results / RECORD).read_text())
    data["method"]["hyperparameters"]["hidden"] = 7
    data["protocol"]["steps"] += 1
    data["environment"]["versions"]["torch"] = "1.0"
    (results / RECORD).write_text(json.dumps(data))
    (now,) = plan("mini", "sine-frequency", None, ["mlp-augmented"], [0])
    status, _, errors = command("run", *ONE, "--results", str(results), *HERE, "--minutes", "0")
    assert status == 3, errors
    steps = now.protocol.steps
    assert (
        "  mini/sine-frequency/sine-inr-mini/mlp-augmented: "
        f"hidden was 7, is {now.method.hidden}; steps was {steps + 1}, is {steps}; torch was 1.0, "
    ) in errors


def test_a_results_folder_has_one_user(tmp_path: Path, command: Command) -> None:
    with FileLock(tmp_path / ".lock"):
        status, _, errors = command("run", *ONE, "--results", str(tmp_path))
    assert status == 2
    assert "is in use by another run" in errors


def test_list_and_help_help(command: Command) -> None:
    status, output, _ = command("list")
    assert status == 0
    for name in ("inr-classification", "mini", "fashion-inr-mini", "nfn-hnp"):
        assert name in output
    _suite, line = [line for line in output.splitlines() if line.startswith("probegen ")]
    assert "arXiv:2410.10811" in line and "runs the networks" in line
    assert "sine-frequency" in line and line.endswith("permutation, duplicate, dead")
    commands = (("run",), ("list",), ("tune",), ("equal-seconds",), ("datasets", "build"))
    for names in ((), *commands, ("datasets",)):
        status, output, _ = command(*names, "--help")
        assert status == 0
        assert "Usage:" in output
