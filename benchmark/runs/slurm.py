"""Runs in an array of Slurm's jobs, through submitit.

Each job is a worker that makes the cells of the plan that no other holds, one after the other, in
the same results folder on a disk that the machines share. What goes wrong with a machine is no part
of a record: it is told by the job's state, and by its logs under `slurm/` in the results folder.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import UserError, suggestion
from benchmark.record.schema import Record
from benchmark.record.sources import ROOT
from benchmark.runs import cells
from benchmark.runs.cells import Wanted
from benchmark.runs.display import Display
from benchmark.runs.environment import resolve_device

try:
    import submitit
    from submitit.core.utils import FailedJobError
    from submitit.helpers import Checkpointable, DelayedSubmission
except ImportError:
    raise UserError(
        "--executor slurm needs a package that is not installed: pip install submitit"
    ) from None

FOLDER = "slurm"
"""Of submitit's files, in a results folder."""

SHARED = {"timeout_min": int, "cpus_per_task": int, "gpus_per_node": int, "mem_gb": float}
"""What submitit knows of every cluster, with its type."""

OWN = {
    "account": str,
    "array_parallelism": int,
    "comment": str,
    "constraint": str,
    "cpus_per_gpu": int,
    "dependency": str,
    "exclude": str,
    "gres": str,
    "mail_type": str,
    "mail_user": str,
    "mem_per_cpu": str,
    "mem_per_gpu": str,
    "nodelist": str,
    "partition": str,
    "qos": str,
    "signal_delay_s": int,
    "wckey": str,
}
"""What is Slurm's alone."""

DEFAULTS = {"timeout_min": 60, "signal_delay_s": 90}
WORKERS = 8
"""Jobs of an array, where nothing else is said."""

REQUEUES = 100
"""How often a job may come to its time limit, and go on."""

LEASE = 120.0
"""Seconds after which a machine that is gone holds no cell on a shared disk."""

PATIENCE = 2 / 3
"""Of the time between Slurm's signal and a job's end: for its run to come to a checkpoint."""

LOOK = 2.0
"""Seconds between looks at the records."""

QUEUE = 10.0
"""Seconds between looks at the queue, which other people's commands ask too."""

ENDED = (
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
)
"""States of a job that does not go on; one that is requeued is pending."""

GONE = "Invalid job id"
"""What Slurm says of jobs that have ended: it forgets them some minutes later."""

Parameters = dict[str, str | int | float]


def parameters(pairs: Sequence[str]) -> Parameters:
    """What jobs ask Slurm for, from "key=value", with defaults.

    Raises UserError for a key that is none, or a value that does not fit it.
    """
    known, found = SHARED | OWN, dict(DEFAULTS)
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not value.strip() or not value.isprintable():
            raise UserError(f"--slurm takes KEY=VALUE, as partition=gpu, not {pair[:80]!r}")
        if key in ("nodes", "ntasks_per_node", "tasks_per_node"):
            raise UserError(f"--slurm {key}: each job has one node and one task; use --workers")
        if key not in known:
            raise UserError(
                f"unknown key of --slurm {key[:80]!r}{suggestion(key, known)}; known: "
                f"{', '.join(sorted(known))}"
            )
        found[key] = _number(key, value, known[key]) if known[key] is not str else value
    return found


def _number(key: str, value: str, kind: type[int] | type[float]) -> int | float:
    pattern = "[1-9][0-9]{0,8}" if kind is int else r"[0-9]{1,8}(\.[0-9]{1,3})?"
    if not re.fullmatch(pattern, value) or not float(value):
        name = "whole number" if kind is int else "number"
        raise UserError(f"--slurm {key} is a {name} above 0, not {value[:80]!r}")
    return kind(value)


@dataclass(frozen=True)
class Work:
    """What the workers share: the cells, how they are made, and what a job asks Slurm for."""

    asked: Sequence[Wanted]
    results: Path
    device: str
    keep: bool
    split: str
    parameters: Parameters


class Worker(Checkpointable):
    """A job: makes cells until none is left, and goes on after a time-out or a preemption."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.stop, self.ended = threading.Event(), threading.Event()

    def __reduce__(self) -> tuple[type[Worker], tuple[Work]]:
        return Worker, (self.work,)  # locks stay in their process

    def __call__(self, number: int) -> list[str]:
        """Make cells, and return those that were made here.

        It happens in a thread, so that the process can hear Slurm's signals at any time. One before
        a time limit, of which submitit takes care, ends in `checkpoint`. SIGTERM comes before a
        preemption or a cancellation: a checkpoint is written, and Slurm decides on the end. A job
        that ended by itself would not be put back.
        """
        signal.signal(signal.SIGTERM, lambda *_: self.stop.set())
        made: list[str] = []
        errors: list[BaseException] = []

        def target() -> None:
            try:
                made.extend(self._make())
            except BaseException as error:
                errors.append(error)
            finally:
                self.ended.set()

        threading.Thread(target=target, name=f"worker {number}", daemon=True).start()
        while not self.ended.wait(1.0):
            pass
        if errors:
            raise errors[0]
        while self.stop.is_set():
            time.sleep(1.0)
        return made

    def checkpoint(self, number: int) -> DelayedSubmission:
        """Stop the training at a checkpoint, for submitit to put the job back in the queue.

        What does not come to one in time goes on from the one before.
        """
        self.stop.set()
        self.ended.wait(PATIENCE * self.work.parameters["signal_delay_s"])
        return DelayedSubmission(Worker(self.work), number)

    def _make(self) -> list[str]:
        work, device = self.work, resolve_device(self.work.device)
        runs = [one.run for one in work.asked]
        with Display(runs, work.split, live=False) as display:

            def make() -> cells.Made:
                stopped = self.stop.is_set
                return cells.make(work.asked, work.results, device, display, stopped, work.keep)

            made = make()
            records, end = made.records, time.monotonic() + LEASE
            # What this job held on a machine that is gone may be held for a while.
            requeued = "SLURM_RESTART_COUNT" in os.environ
            while requeued and made.held and time.monotonic() < end and not self.stop.wait(5.0):
                made = make()
                records += made.records
        return [str(record.cell) for record in records]


@dataclass(frozen=True)
class State:
    """How a job stands: its state's name, and how often it was put back in the queue."""

    name: str
    restarts: int


@dataclass(frozen=True)
class Array:
    """Jobs that Slurm has taken: their common number, and where their logs lie."""

    number: str
    folder: Path

    def log(self, job: str) -> Path:
        """The log of one of its jobs, "NUMBER_INDEX"."""
        return self.folder / f"{job}_0_log.err"

    def states(self) -> dict[str, State] | None:
        """How each job stands that Slurm remembers; None where Slurm does not answer."""
        fields = "--Format=JobArrayID:60,State:30,RestartCnt:10"
        options = ("--array", "--states=all", "--noheader", fields)
        process = _call("squeue", f"--jobs={self.number}", *options)
        if process.returncode == 0:
            lines = (line.split() for line in process.stdout.splitlines())
            return {job: State(name, int(restarts)) for job, name, restarts in lines}
        return {} if GONE in process.stderr else None

    def cancel(self, *options: str) -> None:
        """Cancel those that did not end, if any. Raises UserError where Slurm does not."""
        process = _call("scancel", *options, self.number)
        if process.returncode and GONE not in process.stderr:
            raise UserError(f"scancel {self.number}: {process.stderr}")


def submit(work: Work, workers: int) -> Array:
    """Submit an array of workers.

    Raises UserError where there is no Slurm, or where it refuses.
    """
    if missing := [name for name in ("sbatch", "srun", "squeue") if shutil.which(name) is None]:
        raise UserError(f"{missing[0]} is not on the PATH: --executor slurm is for a Slurm cluster")
    folder = work.results / FOLDER
    if "%" in str(folder):
        raise UserError(f"{folder}: Slurm takes a % for a job's number; choose another --results")
    executor = submitit.AutoExecutor(folder, cluster="slurm", slurm_max_num_timeout=REQUEUES)
    executor.update_parameters(
        name="nft-benchmark",
        slurm_setup=[f"export PYTHONPATH={shlex.quote(_python_path())}"],
        slurm_additional_parameters={"requeue": True},  # after a node's failure
        **{
            key if key in SHARED else f"slurm_{key}": value
            for key, value in work.parameters.items()
        },
    )
    try:
        with redirect_stderr(io.StringIO()):  # where submitit prints what it raises
            jobs = executor.map_array(Worker(work), range(workers))
    except FailedJobError as error:
        said = [line for line in str(error).splitlines() if line.strip()]
        raise UserError(f"Slurm refuses the jobs: {said[-1] if said else error}") from None
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}") from None
    return Array(jobs[0].job_id.partition("_")[0], folder)


def follow(array: Array, asked: Sequence[Wanted], results: Path, display: Display) -> list[Record]:
    """Tell of records as they come, until all are there or no job is left to make them.

    Jobs that wait in the queue when nothing is left to make are cancelled.
    """
    waiting, records, looked = list(asked), [], -QUEUE
    told: dict[str, State] = {}
    while waiting:
        over = False
        if time.monotonic() >= looked + QUEUE:
            looked, over = time.monotonic(), _tell(array, told, display)
        left = []
        for one in waiting:  # after the look at the jobs: what those that ended made is there
            if (record := one.made(results)) is None:
                left.append(one)
                continue
            records.append(record)
            display.finish(one.run, record)
        waiting = left
        if over:
            return records
        if waiting:
            time.sleep(LOOK)
    _tell(array, told, display)
    array.cancel("--state=PENDING")
    return records


def _tell(array: Array, told: dict[str, State], display: Display) -> bool:
    """Print what happened to jobs since, and is not as it should be; whether all have ended."""
    states = array.states()
    for job, state in (states or {}).items():
        was = told.get(job, State("PENDING", 0))
        if state.name != was.name and state.name in ENDED and state.name != "COMPLETED":
            display.say(f"job {job}: {state.name}; its log is {array.log(job)}")
        elif state.restarts > was.restarts:
            display.say(f"job {job}: put back in the queue; its log is {array.log(job)}")
        told[job] = state
    return states is not None and all(state.name in ENDED for state in states.values())


def _python_path() -> str:
    """Where jobs find the project, whatever folder they were submitted from."""
    return os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])


def _call(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, 1, "", "no answer in two minutes")
