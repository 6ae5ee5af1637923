"""Runs in an array of Slurm's jobs, through submitit.

Each job is a worker that makes the cells of the plan that no other holds, one after the other, in
the same results folder on a disk that the machines share. What goes wrong with a machine is no part
of a record: it is told by the job's state, and by its logs under `slurm/` in the results folder.
"""

from __future__ import annotations

import io
import os
import shlex
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import UserError
from benchmark.record.sources import ROOT
from benchmark.runs import cells
from benchmark.runs.cells import Wanted
from benchmark.runs.display import Display
from benchmark.runs.environment import resolve_device
from benchmark.runs.slurm_jobs import Array
from benchmark.runs.slurm_keys import SHARED, Parameters

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

REQUEUES = 100
"""How often a job may come to its time limit, and go on."""

LEASE = 120.0
"""Seconds after which a machine that is gone holds no cell on a shared disk."""

PATIENCE = 2 / 3
"""Of the time between Slurm's signal and a job's end: for its run to come to a checkpoint."""


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


def submit(work: Work, workers: int) -> Array:
    """Submit an array of workers. Raises UserError where Slurm refuses."""
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


def _python_path() -> str:
    """Where jobs find the project, whatever folder they were submitted from."""
    return os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
