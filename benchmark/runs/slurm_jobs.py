"""Jobs that Slurm has: how they stand, and what becomes of them."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import UserError
from benchmark.record.schema import Record
from benchmark.runs.cells import Wanted
from benchmark.runs.display import Display

PROGRAMS = ("sbatch", "srun", "squeue", "scancel", "scontrol")
WORKERS = 8
"""Jobs of an array, where nothing else is said."""

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


def check_programs() -> None:
    """Raise UserError where there is no Slurm."""
    for name in PROGRAMS:
        if shutil.which(name) is None:
            raise UserError(f"{name} is not on the PATH: --executor slurm is for a Slurm cluster")


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


def _call(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, 1, "", "no answer in two minutes")
