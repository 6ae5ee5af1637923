"""Executes runs in worker processes.

On a CPU each has one thread, so that results do not depend on the number of cores.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import queue
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from benchmark.errors import UserError, WorkerDied
from benchmark.record import schema as records
from benchmark.record.schema import Record
from benchmark.runs import checkpoints, kept
from benchmark.runs.curves import Curves
from benchmark.runs.display import Display
from benchmark.runs.environment import keep_freed_memory, usable_cores
from benchmark.runs.execute import changes, execute, is_current
from benchmark.runs.fit import checkpoint_path
from benchmark.runs.plan import Run
from benchmark.runs.training import Monitor, Stopped


@dataclass(frozen=True)
class Standing:
    """What a results folder holds of a plan.

    todo: still to make. done: what stands. stale: those of `todo` that have a record of an older
    state of code, settings, data or versions, with what has changed since.
    """

    todo: list[Run]
    done: dict[Run, Record]
    stale: dict[Run, list[str]]


def standing(
    runs: Sequence[Run], results: Path, rerun: bool = False, keep: bool = False
) -> Standing:
    """What is still to make, and what stands already.

    With `rerun` everything is made again, with `keep` what trained weights that are not there.
    """
    folder = Standing([], {}, {})
    for run in runs:
        path = results / run.path
        record = records.read(path) if path.exists() else None
        lacks = keep and record is not None and kept.is_missing(record, results)
        if record is not None and not (rerun or lacks) and is_current(run, record):
            folder.done[run] = record
            continue
        folder.todo.append(run)
        if record is not None and not (rerun or lacks) and record.status != "failed":
            folder.stale[run] = changes(run, record)
    return folder


def tidy(done: Iterable[Run], results: Path) -> None:
    """Remove the checkpoints of runs that stand, which a kill just after a record left.

    For whoever holds the folder: a run that stands may be made again by another process.
    """
    for run in done:
        checkpoints.remove(checkpoint_path(run, results))


def default_workers(device: torch.device) -> int:
    """As many as there are cores to use; on a GPU one."""
    return 1 if device.type == "cuda" else usable_cores()


def deadline(minutes: float | None) -> Callable[[], bool]:
    """Whether so many minutes, from now on, are over; never where None."""
    end = math.inf if minutes is None else time.monotonic() + 60 * minutes
    return lambda: time.monotonic() >= end


def execute_all(
    runs: Sequence[Run],
    results: Path,
    device: torch.device,
    workers: int,
    display: Display,
    is_over: Callable[[], bool] = lambda: False,
    keep: bool = False,
) -> list[Record]:
    """Make every run, or as many as there is time for; those that time ends leave a checkpoint.

    A method's failure is a record. With no workers the runs are made in this process, one after
    the other, where a debugger can stop them.

    Raises:
        WorkerDied: where a worker process was killed; what is done stays.
        UserError: where the code changed after the command began.
    """
    if not runs:
        return []
    if workers == 0:
        return _execute_here(runs, results, device, display, is_over, keep)
    workers = min(workers, len(runs))
    codes = [run.code for run in runs]  # before any worker loads the code
    context = multiprocessing.get_context("spawn")
    events, stop = context.Queue(), context.Event()
    finished = []
    pool = ProcessPoolExecutor(workers, context, _start, (events, stop, os.getpid()))
    try:
        futures: dict[Future[Record], Run] = {
            pool.submit(_work, index, run, code, results, str(device), workers, keep): run
            for index, (run, code) in enumerate(zip(runs, codes, strict=True))
        }
        pending = set(futures)
        while pending:
            done, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
            _show(events, runs, display)
            for future in done:
                finished.append(future.result())
                display.finish(futures[future], finished[-1])
            if is_over():
                break
    except BrokenProcessPool:
        raise WorkerDied(
            "a worker process was killed, most likely for want of memory: the same command goes on "
            "from here, and --workers 1 needs the least"
        ) from None
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
    return finished


def _execute_here(
    runs: Sequence[Run],
    results: Path,
    device: torch.device,
    display: Display,
    is_over: Callable[[], bool],
    keep: bool,
) -> list[Record]:
    settle(device)
    finished = []
    for run in runs:
        try:
            finished.append(execute_here(run, results, device, display, is_over, keep))
        except Stopped:
            break
    return finished


def execute_here(
    run: Run,
    results: Path,
    device: torch.device,
    display: Display,
    is_over: Callable[[], bool],
    keep: bool,
) -> Record:
    """Make one run in this process, after `settle`.

    Raises Stopped, after a checkpoint, where time is over.
    """

    def step(step: int) -> None:
        display.update(run, step)
        if is_over():
            raise Stopped

    monitor = Monitor(step=step, note=partial(display.note, run))
    record = execute(run, results, device, 1, monitor, keep, partial(display.grow, run))
    display.finish(run, record)
    return record


def check_code(run: Run, code: str | None) -> None:
    """Raise UserError where the code that a run's numbers come from is not what it was.

    A process has the code that it loaded, and the record would hold the digest of the files.
    """
    if run.code != code:
        raise UserError(
            f"{run.row.source} or what it uses was changed while the command ran; run it again: "
            "what is done stays where the change does not concern it"
        )


def settle(device: torch.device) -> None:
    """Make this process one that executes runs."""
    keep_freed_memory()
    if device.type == "cpu":
        torch.set_num_threads(1)


Events = multiprocessing.Queue  # of (index of the run; step, line for people, or curves so far)


def _show(events: Events, runs: Sequence[Run], display: Display) -> None:
    while True:
        try:
            index, event = events.get_nowait()
        except queue.Empty:
            return
        if isinstance(event, str):
            display.note(runs[index], event)
        elif isinstance(event, Curves):
            display.grow(runs[index], event)
        else:
            display.update(runs[index], event)


def _start(events: Events, stop: multiprocessing.synchronize.Event, parent: int) -> None:
    global _events, _stop, _parent
    _events, _stop, _parent = events, stop, parent
    events.cancel_join_thread()  # the parent reads no more of them when it ends the workers
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when to stop


def _work(
    index: int, run: Run, code: str | None, results: Path, device: str, workers: int, keep: bool
) -> Record:
    check_code(run, code)
    settle(torch.device(device))

    def step(step: int) -> None:
        if os.getppid() != _parent:
            os._exit(1)  # nobody is left to report to
        if _stop.is_set():
            raise Stopped
        _events.put((index, step))

    def put(event: str | Curves) -> None:
        _events.put((index, event))

    monitor = Monitor(step=step, note=put)
    return execute(run, results, torch.device(device), workers, monitor, keep, put)
