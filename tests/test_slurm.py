"""Runs in Slurm's jobs, on a cluster of real daemons: `nox -s slurm`."""

from __future__ import annotations

import io
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import loopback_slurm
import pytest
import torch
from helpers import hold_after, start
from loopback_slurm import Cluster, wait_until
from scripts import HANGS

import benchmark.runs.checkpoints
from benchmark.record import schema
from benchmark.record.schema import Record

MISSING = loopback_slurm.missing()
pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]

SUITE = """\
note = "A few steps."

[tasks.sine-frequency]
datasets = ["sine-inr-mini"]
seeds = [0, 1]

[tasks.sine-frequency.protocol]
steps = 120
batch_size = 8
warmup_steps = 2
evaluations = 6
clip = 1.0
"""
METHODS = "mlp,mlp-augmented,statnn"
CELLS = 6


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with loopback_slurm.cluster(tmp_path_factory.mktemp("slurm") / "cluster", 3) as made:
        yield made


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("suite") / "few.toml"
    path.write_text(SUITE, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def expected(suite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder of the same runs in one process."""
    results = tmp_path_factory.mktemp("expected")
    process = start(*command(suite, results), "--workers", "0")
    _, errors = process.communicate(timeout=HANGS)
    assert process.returncode == 0, errors
    return results


def command(suite: Path, results: Path, *more: str) -> Sequence[str]:
    chosen = ("--suite", str(suite), "--methods", METHODS, "--device", "cpu")
    return ("run", "sine-frequency", *chosen, "--results", str(results), *more)


def on_slurm(suite: Path, results: Path, workers: int) -> Sequence[str]:
    asked = ("--slurm", "timeout_min=10", "--slurm", "signal_delay_s=60")
    more = ("--executor", "slurm", "--workers", str(workers), *asked)
    return [word for word in command(suite, results, *more) if word not in ("--device", "cpu")]


def held_until(path: Path) -> dict[str, str]:
    """Variables that have workers stand still after each checkpoint until a file is there."""
    until = f"__import__('os').path.exists({str(path)!r})"
    return hold_after(path.with_suffix(".held"), "benchmark.runs.checkpoints", "write", until)


def begin(cluster: Cluster, arguments: Sequence[str], held: dict[str, str]) -> subprocess.Popen:
    return start(*arguments, **cluster.environment, **held)


def begin_one(
    cluster: Cluster, suite: Path, results: Path, go: Path
) -> tuple[subprocess.Popen, str]:
    """Begin with one worker that is held until a file is there, and give its job once it trains."""
    known = set(states(cluster))
    process = begin(cluster, on_slurm(suite, results, 1), held_until(go))
    wait_until(lambda: len(checkpoints(results)) == 1, "no worker trains")
    (job,) = set(states(cluster)) - known
    return process, job


def checkpoints(results: Path) -> list[Path]:
    return list(results.glob("*/*/*/*/*.checkpoint"))


def step_of(checkpoint: Path) -> int:
    data = io.BytesIO(benchmark.runs.checkpoints.read(checkpoint))
    return torch.load(data, weights_only=True)["progress"]["step"]


def states(cluster: Cluster) -> dict[str, list[str]]:
    """Each job's state and node."""
    lines = cluster.ask("squeue", "--array", "--states=all", "--noheader", "--format=%i %T %N")
    return {words[0]: words[1:] for words in map(str.split, lines.splitlines())}


def at_once(cluster: Cluster, job: str) -> None:
    """Start a job that was put back, for which Slurm would wait two minutes."""
    wait_until(lambda: states(cluster)[job][0] == "PENDING", f"{job} is not put back")
    cluster.ask("scontrol", "update", f"JobId={job}", "StartTime=now")
    wait_until(lambda: states(cluster)[job][0] == "RUNNING", f"{job} does not start again")


def ended(process: subprocess.Popen[str], status: int) -> tuple[str, str]:
    output, errors = process.communicate(timeout=HANGS)
    assert process.returncode == status, errors
    assert "Traceback" not in errors
    return output, errors


def result(record: Record) -> tuple[object, ...]:
    assert record.status == "finished", record.reason
    return record.cell, record.metrics, record.curve, record.predictions


def check(results: Path, expected: Path) -> None:
    """Everything is there, and has the bits that it has without machines that fail."""
    records, single = schema.read_all(results), schema.read_all(expected)
    assert len(records) == CELLS
    assert list(map(result, records)) == list(map(result, single))
    for record in records:
        files = [folder / record.path.with_suffix(".npz") for folder in (results, expected)]
        assert files[0].read_bytes() == files[1].read_bytes()
    assert not checkpoints(results)


def test_nothing_is_lost_when_a_node_is_killed(
    cluster: Cluster, suite: Path, expected: Path, tmp_path: Path
) -> None:
    results, go = tmp_path / "results", tmp_path / "go"
    process = begin(cluster, on_slurm(suite, results, 2), held_until(go))
    wait_until(lambda: len(checkpoints(results)) == 2, "no two workers train")
    (first, (state, node)), *_ = states(cluster).items()
    assert state == "RUNNING"
    cluster.kill_node(node)
    at_once(cluster, first)
    assert states(cluster)[first][1] != node
    go.touch()
    output, errors = ended(process, 0)
    assert "StatNN" in output and "MLP" in output
    assert f"job {first}: put back in the queue; its log is {results / 'slurm' / first}" in errors
    check(results, expected)


def test_a_job_that_is_told_to_end_goes_on_from_its_checkpoint(
    cluster: Cluster, suite: Path, expected: Path, tmp_path: Path
) -> None:
    """As Slurm tells it before a time limit; and nobody watches meanwhile."""
    results, go = tmp_path / "results", tmp_path / "go"
    process, job = begin_one(cluster, suite, results, go)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = ended(process, 130)
    assert f"job {job} goes on; --collect shows its results, scancel {job} ends it" in errors
    (_, errors) = ended(start(*command(suite, results)[:-2], "--results", str(results)), 2)
    assert f"{results} is in use: another process makes few/sine-frequency" in errors
    cluster.ask("scancel", "--signal=USR2", job)
    go.touch()
    log = results / "slurm" / f"{job}_0_log.out"
    wait_until(lambda: "Requeued job" in log.read_text(), "it does not put itself back")
    done = len(schema.read_all(results))
    assert checkpoints(results) and done < CELLS
    _, errors = ended(start(*command(suite, results), "--collect"), 0)
    assert f"{done} of {CELLS} runs are done" in errors
    at_once(cluster, job)
    wait_until(lambda: states(cluster)[job][0] == "COMPLETED", "it does not end", HANGS)
    assert "starting anew" not in log.with_suffix(".err").read_text()
    check(results, expected)


def test_a_job_that_is_preempted_waits_at_a_checkpoint_for_its_end(
    cluster: Cluster, suite: Path, expected: Path, tmp_path: Path
) -> None:
    """As Slurm does it: first SIGTERM, then some grace, then it puts the job back."""
    results, go = tmp_path / "results", tmp_path / "go"
    process, job = begin_one(cluster, suite, results, go)
    (checkpoint,) = checkpoints(results)
    before = step_of(checkpoint)
    cluster.ask("scancel", "--signal=TERM", job)
    go.touch()
    wait_until(lambda: step_of(checkpoint) > before, "it does not stop")
    stopped = step_of(checkpoint)
    cluster.ask("scontrol", "requeue", job)
    assert step_of(checkpoint) == stopped
    at_once(cluster, job)
    ended(process, 0)
    assert "starting anew" not in (results / "slurm" / f"{job}_0_log.err").read_text()
    check(results, expected)


def test_a_worker_that_dies_is_named_and_the_same_command_goes_on(
    cluster: Cluster, suite: Path, expected: Path, tmp_path: Path
) -> None:
    results, go = tmp_path / "results", tmp_path / "go"
    process, job = begin_one(cluster, suite, results, go)
    cluster.ask("scancel", "--signal=KILL", job)
    _, errors = ended(process, 3)
    assert f"its log is {results / 'slurm' / job}" in errors
    assert f"{CELLS} runs are not done; the same command goes on from here" in errors
    output, _ = ended(start(*on_slurm(suite, results, 2), **cluster.environment), 0)
    assert "StatNN" in output
    check(results, expected)


def test_slurms_own_words_are_one_line(cluster: Cluster, suite: Path, tmp_path: Path) -> None:
    arguments = (*on_slurm(suite, tmp_path, 1), "--slurm", "partition=nowhere")
    _, errors = ended(start(*arguments, **cluster.environment), 2)
    (line,) = [line for line in errors.splitlines() if line.startswith("error:")]
    assert "Slurm refuses the jobs" in line and "invalid partition" in line.lower()
