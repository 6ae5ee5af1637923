"""Who makes what in a results folder: one process all of it, or several a cell each.

A claim is a lock of the kernel's, which frees those of a process that ended, however it ended. On a
disk that machines share it has to hold between them: Linux makes of it, on NFS, a lock of the
server, which forgets a machine that is gone after its lease, some 90 seconds; Lustre has to be
mounted with `flock`. Where locks are local (`nolock`, `localflock`) two machines may make the same
cell. Both then write the same files, whole each time, and what is lost is time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from benchmark.errors import UserError
from benchmark.record.cell import Cell

FOLDER = ".claims"
"""Of the cells' locks, in a results folder."""

PATIENCE = 30.0
"""Seconds that whoever claims a cell waits for others that claim one, which takes them moments."""


@contextmanager
def whole(results: Path) -> Iterator[None]:
    """Hold a results folder for one process.

    Raises UserError where another holds it or one of its cells, or where it cannot be written to.
    """
    with _hold(results, 0):
        # Cells are claimed under the same lock: what is free now stays so.
        for path in sorted((results / FOLDER).rglob("*.lock")):
            if not _is_free(path):
                cell = path.relative_to(results / FOLDER).with_suffix("").as_posix()
                raise UserError(
                    f"{results} is in use: another process makes {cell}; wait for it, or choose "
                    "another --results"
                )
        yield


@contextmanager
def one(cell: Cell, results: Path) -> Iterator[bool]:
    """Hold a cell, and tell whether it could be: no other process does.

    Raises UserError where another holds the whole folder, or where it cannot be written to.
    """
    path = results / FOLDER / cell.path.with_suffix(".lock")
    lock = FileLock(path, timeout=0)
    with _hold(results, PATIENCE):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            free = False
        except OSError as error:
            raise _unwritable(results, error) from None
        else:
            free = True
    try:
        yield free
    finally:
        lock.release()


@contextmanager
def _hold(results: Path, patience: float) -> Iterator[None]:
    lock = FileLock(results / ".lock", timeout=patience)
    try:
        results.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise UserError(
            f"{results} is in use by another run; wait for it, or choose another --results"
        ) from None
    except OSError as error:
        raise _unwritable(results, error) from None
    with lock:
        yield


def _is_free(path: Path) -> bool:
    try:
        with FileLock(path, timeout=0):
            return True
    except Timeout:
        return False


def _unwritable(results: Path, error: OSError) -> UserError:
    return UserError(f"cannot write to {results}: {error.strerror}; choose another --results")
