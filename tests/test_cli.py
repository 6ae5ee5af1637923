"""The command line as a person meets it: real runs, kills, and mistakes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.record import schema as records

ROOT = Path(__file__).resolve().parent.parent
ONE = ("--datasets", "fashion-inr-mini", "--methods", "mlp-augmented", "--seeds", "0")
RECORD = Path("mini/inr-classification/fashion-inr-mini/mlp-augmented/seed-0.json")


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmark", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )


def benchmark(*arguments: str) -> tuple[int, str, str]:
    process = start(*arguments)
    output, errors = process.communicate(timeout=300)
    return process.returncode, output, errors


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    results = tmp_path_factory.mktemp("results")
    status, output, errors = benchmark("run", "inr-classification", *ONE, "--results", str(results))
    assert status == 0, errors
    return results, output, errors


def test_a_run_ends_in_a_table_and_a_whole_record(finished: tuple[Path, str, str]) -> None:
    results, output, errors = finished
    assert "MLP + permutation augmentation" in output
    assert "[1/1] fashion-inr-mini mlp-augmented seed 0: accuracy" in errors
    record = records.read(results / RECORD)
    assert f"{100 * record.metrics['test']:.1f}" in output
    assert 0.2 < record.metrics["test"] < 0.6
    assert record.cost is not None
    assert record.cost.peak_memory_mib is None or 100 < record.cost.peak_memory_mib < 3000
    assert "MLP + permutation augmentation" in (results / "LEADERBOARD.md").read_text(
        encoding="utf-8"
    )
    assert not list(results.rglob("*.checkpoint"))


def test_what_is_done_is_not_done_again(finished: tuple[Path, str, str]) -> None:
    results, output, _ = finished
    before = (results / RECORD).stat().st_mtime_ns
    status, again, errors = benchmark("run", "inr-classification", *ONE, "--results", str(results))
    assert status == 0
    assert again == output
    assert "0 runs to make, 1 done already" in errors
    assert (results / RECORD).stat().st_mtime_ns == before


def test_a_killed_run_goes_on_and_ends_with_the_same_bits(
    finished: tuple[Path, str, str], tmp_path: Path
) -> None:
    process = start("run", "inr-classification", *ONE, "--results", str(tmp_path))
    checkpoint = (tmp_path / RECORD).with_suffix(".checkpoint")
    wait_for(checkpoint.exists)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / RECORD).exists()
    status, _, errors = benchmark("run", "inr-classification", *ONE, "--results", str(tmp_path))
    assert status == 0, errors
    whole, resumed = records.read(finished[0] / RECORD), records.read(tmp_path / RECORD)
    assert (resumed.metrics, resumed.curve) == (whole.metrics, whole.curve)


def test_an_interrupt_stops_in_time_and_says_how_to_go_on(tmp_path: Path) -> None:
    process = start("run", "inr-classification", *ONE, "--results", str(tmp_path))
    wait_for((tmp_path / RECORD).with_suffix(".checkpoint").exists)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "the same command goes on from here" in errors
    assert "Traceback" not in errors


def test_minutes_end_a_run_at_a_checkpoint(finished: tuple[Path, str, str], tmp_path: Path) -> None:
    arguments = ("run", "inr-classification", *ONE, "--results", str(tmp_path))
    status, _, errors = benchmark(*arguments, "--minutes", "0.1")
    assert status == 3, errors
    assert "1 runs are not done; the same command goes on from here" in errors
    assert "Traceback" not in errors
    assert (tmp_path / RECORD).with_suffix(".checkpoint").exists()
    status, _, errors = benchmark(*arguments)
    assert status == 0, errors
    whole, resumed = records.read(finished[0] / RECORD), records.read(tmp_path / RECORD)
    assert (resumed.metrics, resumed.curve) == (whole.metrics, whole.curve)


def test_changed_settings_are_run_again(finished: tuple[Path, str, str]) -> None:
    from benchmark.runs.execute import plan
    from benchmark.runs.launch import outstanding

    results = finished[0]
    runs = plan("mini", "inr-classification", ["fashion-inr-mini"], ["mlp-augmented"], [0])
    assert [len(part) for part in outstanding(runs, results, rerun=False)] == [0, 1, 0]
    assert [len(part) for part in outstanding(runs, results, rerun=True)] == [1, 0, 0]
    data = json.loads((results / RECORD).read_text())
    try:
        data["method"]["code_sha256"] = "0" * 64
        (results / RECORD).write_text(json.dumps(data))
        assert [len(part) for part in outstanding(runs, results, rerun=False)] == [1, 0, 1]
    finally:
        records.write(runs_record := records.read(results / RECORD), results)
        assert runs_record.seed == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "inr-sorting"), "suite 'mini' has no task 'inr-sorting'"),
        (("run", "inr-classification", "--suite", "maxi"), "unknown suite 'maxi'; known: mini"),
        (
            ("run", "inr-classification", "--datasets", "imagenet"),
            "unknown dataset 'imagenet'; known:",
        ),
        (("run", "inr-classification", "--methods", "gpt"), "unknown method 'gpt'; known:"),
        (
            ("run", "inr-classification", "--methods", "mlp@mixed"),
            "unknown arm 'mixed'; known: permuted, aligned, random-targets",
        ),
        (("run", "inr-classification", "--methods", ","), "a list of names is empty"),
        (("run", "inr-classification", "--seeds", "-1"), "seed -1 is negative"),
        (("run", "inr-classification", "--seeds", "0,1,0"), "seed 0 is given twice"),
        (("run", "inr-classification", "--seeds", "one"), "seeds are whole numbers"),
        (("run", "inr-classification", "--device", "tpu9"), "device 'tpu9' is not to be had here"),
        (("run", "inr-classification", "--workers", "0"), "Invalid value for '--workers'"),
        (("run", "inr-classification", "--results", "/dev/null/x"), "cannot write to /dev/null/x"),
        (
            ("datasets", "build", "mnist-inr-mini", "--hub-mirror", "/nowhere"),
            "/nowhere: no folder laid out like the Hub",
        ),
        (
            ("datasets", "build", "mnist-inr-mini", "--output", "/dev/null"),
            "/dev/null is no folder",
        ),
        (("datasets", "pull", "mnist-inr"), "mnist-inr is not published yet; make it"),
        (
            ("run", "inr-classification", "--datasets", "mnist-inr"),
            "mnist-inr is not published yet; make it",
        ),
        (
            ("datasets", "verify", "nope"),
            "'nope' is neither a dataset of the catalogue nor a folder",
        ),
        (("datasets", "verify", "/tmp"), "no dataset in /tmp"),
        (("datasets", "build", "nope", "--output", "/nowhere"), "unknown dataset 'nope'"),
        (("run",), "Missing argument"),
        (
            ("run", "generalization", "--datasets", "mnist-inr-mini"),
            "but generalization needs target and train_accuracy",
        ),
        (
            ("run", "inr-editing", "--methods", "nft"),
            "nft does not do inr-editing, but inr-classification",
        ),
        (("conform", "gpt"), "unknown method 'gpt'"),
        (("new-method", "../x"), "cannot be a method's name"),
    ],
)
def test_mistakes_get_one_clear_error(arguments: tuple[str, ...], message: str) -> None:
    status, output, errors = benchmark(*arguments)
    assert status == 2
    assert message in errors
    assert "Traceback" not in errors
    assert output == ""


def test_a_wrong_record_is_found_before_training(tmp_path: Path) -> None:
    (tmp_path / RECORD).parent.mkdir(parents=True)
    (tmp_path / RECORD).write_text("{}")
    status, _, errors = benchmark("run", "inr-classification", *ONE, "--results", str(tmp_path))
    assert status == 2
    assert f"error: {tmp_path / RECORD}: " in errors
    assert "delete the file to run it again" in errors


def test_a_results_folder_has_one_user(tmp_path: Path) -> None:
    from filelock import FileLock

    with FileLock(tmp_path / ".lock"):
        status, _, errors = benchmark("run", "inr-classification", *ONE, "--results", str(tmp_path))
    assert status == 2
    assert "is in use by another run" in errors


def test_list_and_help_help() -> None:
    status, output, _ = benchmark("list")
    assert status == 0
    for name in ("inr-classification", "mini", "fashion-inr-mini", "nfn-hnp"):
        assert name in output
    for command in ((), ("run",), ("list",), ("datasets",), ("datasets", "build")):
        status, output, _ = benchmark(*command, "--help")
        assert status == 0
        assert "Usage:" in output
