"""Cells that several processes make in one results folder, and folders that are joined."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import UNFINISHED, Command, finished_run, hold_after, start, wait_for
from scripts import HANGS

from benchmark.errors import UserError
from benchmark.record import schema
from benchmark.record.cell import Cell
from benchmark.record.schema import Record
from benchmark.runs import cells, claims, launch, merge
from benchmark.runs.plan import Run

CELL = "mini/sine-frequency/sine-inr-mini/mlp/0"
OTHER = "mini/sine-frequency/sine-inr-mini/statnn/0"
RECORD, OTHER_RECORD = Cell.parse(CELL).path, Cell.parse(OTHER).path


def arguments(results: Path, *names: str) -> tuple[str, ...]:
    chosen = [word for name in names for word in ("--cell", name)]
    return ("run", *chosen, "--results", str(results), "--device", "cpu")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both cells, which two processes made at the same time."""
    results = tmp_path_factory.mktemp("finished") / "results"
    orders = [(CELL, OTHER), (OTHER, CELL)]
    processes = [start(*arguments(results, *names)) for names in orders]
    said = ""
    for process in processes:
        _, errors = process.communicate(timeout=HANGS)
        assert process.returncode == 0, errors
        said += errors
    assert said.count("sine-inr-mini mlp seed 0: mse") == 1
    assert said.count("sine-inr-mini statnn seed 0: mse") == 1
    return results


def result(path: Path) -> tuple[object, ...]:
    record = schema.read(path)
    return record.metrics, record.curve, record.predictions


def test_two_processes_make_each_cell_once(finished: Path) -> None:
    """As the fixture has seen. Each leaves the other's alone."""
    assert [record.path for record in schema.read_all(finished)] == [RECORD, OTHER_RECORD]
    assert not list(finished.rglob("*.checkpoint"))


def test_what_stands_is_not_made_again(finished: Path, command: Command) -> None:
    before = (finished / RECORD).stat().st_mtime_ns
    status, _, errors = command(*arguments(finished, CELL))
    assert (status, errors) == (0, f"{CELL}: its record stands\n")
    assert (finished / RECORD).stat().st_mtime_ns == before


def test_the_same_command_goes_on_where_the_clock_stopped_it(
    finished: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = itertools.count()
    monkeypatch.setattr(launch, "deadline", lambda _: lambda: next(looks) > 10)
    status, _, errors = command(*arguments(tmp_path, CELL), "--minutes", "1")
    assert status == 3
    assert "1 runs are not done; the same command goes on from here" in errors
    assert (tmp_path / RECORD).with_suffix(".checkpoint").exists()
    assert not (tmp_path / RECORD).exists()
    monkeypatch.undo()
    status, _, errors = command(*arguments(tmp_path, CELL))
    assert status == 0 and "starting anew" not in errors
    assert result(tmp_path / RECORD) == result(finished / RECORD)


def test_a_killed_process_holds_nothing_and_its_cell_goes_on(
    finished: Path, tmp_path: Path, command: Command
) -> None:
    results = tmp_path / "results"
    held = hold_after(tmp_path / "held", "benchmark.runs.checkpoints", "write")
    process = start(*arguments(results, CELL), **held)
    wait_for((results / RECORD).with_suffix(".checkpoint").exists, process)
    status, _, errors = command(*arguments(results, CELL))
    assert status == 0
    assert errors == f"{CELL}: another process makes it, and it is left to that\n"
    status, _, errors = command("run", "sine-frequency", "--results", str(results))
    assert status == 2
    assert f"{results} is in use: another process makes {CELL[:-2]}/seed-0;" in errors
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    status, _, errors = command(*arguments(results, CELL))
    assert status == 0, errors
    assert "starting anew" not in errors
    assert result(results / RECORD) == result(finished / RECORD)


def test_cells_are_not_claimed_where_another_has_the_whole_folder(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "PATIENCE", 0.0)
    with claims.whole(tmp_path):
        status, _, errors = command(*arguments(tmp_path, CELL))
    assert status == 2
    assert f"error: {tmp_path} is in use by another run" in errors
    assert not (tmp_path / RECORD).exists()


def test_a_worker_takes_what_is_left_and_makes_no_failure_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that failed is made once more where it was asked for, by one process alone."""
    runs = cells.runs_of([CELL, OTHER])
    no_luck = {"status": "failed", "reason": "no luck"} | UNFINISHED
    finished_run(tmp_path, name="mlp", suite="mini", **no_luck, **PLACE)
    asked = cells.wanted(runs, tmp_path)
    made: list[Run] = []

    def make(run: Run, results: Path, *_: object) -> Record:
        made.append(run)
        name = run.cell.entrant.method
        failed = UNFINISHED | {"status": "failed", "reason": "again", "finished_at": LATER}
        return finished_run(results, name=name, **PLACE, **failed)

    monkeypatch.setattr(cells.launch, "execute_here", make)
    monkeypatch.setattr(cells.launch, "settle", lambda _: None)
    first, second = (cells.make(asked, tmp_path, *[None] * 2, lambda: False, False) for _ in "ab")
    assert made == runs
    assert len(first.records) == len(second.others) == 2 and not second.records


PLACE = {"task": "sine-frequency", "dataset": {"name": "sine-inr-mini"}}
LATER = "2026-02-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "name a task, as inr-classification, or all; or cells"),
        (("--cell", "mini/mlp"), "'mini/mlp' is no cell; a cell is SUITE/TASK/DATASET/METHOD/SEED"),
        (("--cell", "mini/all/sine-inr-mini/mlp/0"), "stands for several cells"),
        (("--cell", CELL.replace("mlp", "core")), "stands for several cells"),
        (("--cell", CELL.replace("mlp", "mpl")), "did you mean mlp?"),
        (("--cell", "../../../etc/0"), "is no cell"),
        (("--cell", CELL, "--cell", CELL), f"--cell {CELL} is given twice"),
        (("--cell", CELL, "--seeds", "0"), "--seeds has no meaning beside --cell"),
        (("sine-frequency", "--cell", CELL), "a task has no meaning beside --cell"),
        (("sine-frequency", "--slurm", "partition=gpu"), "--slurm is for --executor slurm"),
    ],
)
def test_mistakes_are_one_line(
    words: tuple[str, ...], message: str, tmp_path: Path, command: Command
) -> None:
    status, _, errors = command("run", *words, "--results", str(tmp_path / "results"))
    assert status == 2
    assert message in errors and len(errors.splitlines()) == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--slurm", "partitio=gpu"), "unknown key of --slurm 'partitio', did you mean partition?"),
        (("--slurm", "partition"), "--slurm takes KEY=VALUE"),
        (("--slurm", "partition=a\nrm"), "--slurm takes KEY=VALUE"),
        (("--slurm", "timeout_min=soon"), "--slurm timeout_min is a whole number above 0"),
        (("--slurm", "mem_gb=0"), "--slurm mem_gb is a number above 0"),
        (("--slurm", "nodes=4"), "each job has one node and one task; use --workers"),
        (("--workers", "0"), "--workers 0 is for this process"),
        (("--minutes", "5"), "jobs have --slurm timeout_min=MINUTES"),
        ((), "sbatch is not on the PATH: --executor slurm is for a Slurm cluster"),
    ],
)
def test_mistakes_about_slurm_are_one_line(
    words: tuple[str, ...],
    message: str,
    tmp_path: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    chosen = ("run", "sine-frequency", "--methods", "mlp", "--executor", "slurm", *words)
    status, _, errors = command(*chosen, "--results", str(tmp_path / "results"))
    assert status == 2
    (line,) = [line for line in errors.splitlines() if line.startswith("error:")]
    assert message in line and "Traceback" not in errors


def test_what_is_there_is_shown_while_another_holds_the_folder(
    finished: Path, command: Command
) -> None:
    chosen = ("--methods", "mlp,statnn,nft", "--seeds", "0")
    with claims.whole(finished):
        status, output, errors = command(
            "run", "sine-frequency", *chosen, "--collect", "--results", str(finished)
        )
    assert status == 0
    assert "StatNN" in output and "NFT" not in output
    assert "2 of 3 runs are done" in errors


# Joining folders.


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_folders_are_joined_with_what_lies_beside_records(tmp_path: Path, command: Command) -> None:
    first, second, both = (tmp_path / name for name in ("first", "second", "both"))
    record = finished_run(first)
    for suffix in (".csv", ".safetensors", ".checkpoint"):
        (first / record.path).with_suffix(suffix).write_text(suffix)
    finished_run(second, name="statnn")
    finished_run(second / "trials", name="mlp", suite="mini")
    shutil.copytree(second, both)
    for copied, standing in ((1, 2), (0, 3)):
        status, output, errors = command("merge", str(first), str(second), "--results", str(both))
        assert status == 0, errors
        assert (
            output == f"{copied} records copied into {both}; {standing} cells had theirs already\n"
        )
        left = {name for name in content(first) if not name.endswith(".checkpoint")}
        assert content(both).keys() == left | content(second).keys()
        assert content(both).items() >= content(second).items()


def test_weights_that_one_machine_kept_come_to_the_same_result(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    record = finished_run(first)
    kept = record.path.with_suffix(".safetensors")
    (first / kept).write_text("weights")
    finished_run(second, finished_at=LATER)
    before = (second / record.path).read_bytes()
    assert merge.merge([first], second) == (0, 1)
    assert (second / kept).read_text() == "weights"
    assert (second / record.path).read_bytes() == before


@pytest.mark.parametrize("there", ["old", "new"])
@pytest.mark.parametrize("counts", [["old"], ["new"], ["old", "new"], []])
def test_of_equal_results_the_current_record_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: str, counts: list[str]
) -> None:
    """Else the newer. Weights that were kept there stay."""
    records = {
        "old": finished_run(tmp_path / "old"),
        "new": finished_run(tmp_path / "new", finished_at=LATER),
    }
    path = tmp_path / there / records[there].path
    path.with_suffix(".safetensors").write_text("weights")
    current = [records[name] for name in counts]
    monkeypatch.setattr(merge, "_is_current", lambda one: one in current)
    merge.merge([tmp_path / ("new" if there == "old" else "old")], tmp_path / there)
    assert schema.read(path) == records["old" if counts == ["old"] else "new"]
    assert path.with_suffix(".safetensors").read_text() == "weights"
    assert path.with_suffix(".npz").exists()


def test_two_results_of_a_cell_are_refused_before_anything_is_copied(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    record = finished_run(first, right=70)
    finished_run(first, name="statnn")
    finished_run(second, right=60)
    before = content(second)
    with pytest.raises(UserError, match=f"{record.cell} has two results, in .*: keep one"):
        merge.merge([first], second)
    with pytest.raises(UserError, match=f"{record.cell} has two results, in .*: keep one"):
        merge.merge([first, second], tmp_path / "third")
    assert content(second) == before and not content(tmp_path / "third")


@pytest.mark.parametrize("newer", [True, False])
def test_a_record_of_older_code_gives_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, newer: bool
) -> None:
    """With all its files: none stays beside another's record."""
    first, second = tmp_path / "first", tmp_path / "second"
    record, old = finished_run(first, right=70), finished_run(second, right=60)
    (second / old.path).with_suffix(".safetensors").write_text("weights")
    current = record if newer else old
    monkeypatch.setattr(merge, "_is_current", lambda one: one == current)
    assert merge.merge([first], second) == ((1, 0) if newer else (0, 1))
    assert schema.read(second / old.path) == current
    assert (second / old.path).with_suffix(".safetensors").exists() is not newer


def test_a_failure_gives_way_to_a_result(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    finished_run(first, status="failed", reason="no luck", finished_at=LATER, **UNFINISHED)
    record = finished_run(second)
    for folders in ([first, second], [second, first]):
        shutil.rmtree(tmp_path / "both", ignore_errors=True)
        assert merge.merge(folders, tmp_path / "both") == (1, 0)
        assert schema.read_all(tmp_path / "both") == [record]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (_cut, "not a record"),
        (lambda path: _cut(path.with_suffix(".npz")), "cannot be read"),
        (lambda path: path.with_suffix(".npz").unlink(), "lacks the predictions of"),
        (lambda path: path.rename(path.with_name("seed-1.json")), "holds the record of"),
    ],
)
def test_a_damaged_file_is_named_and_nothing_is_copied(
    harm: Callable[[Path], None], message: str, tmp_path: Path, command: Command
) -> None:
    record = finished_run(tmp_path / "first")
    harm(tmp_path / "first" / record.path)
    finished_run(tmp_path / "second", name="statnn")
    names = [str(tmp_path / name) for name in ("second", "first")]
    status, _, errors = command("merge", *names, "--results", str(tmp_path / "both"))
    assert status == 2
    assert message in errors and str(tmp_path / "first") in errors
    assert len(errors.splitlines()) == 1
    assert not content(tmp_path / "both")


def test_a_folder_is_not_merged_into_itself(tmp_path: Path, command: Command) -> None:
    finished_run(tmp_path / "first")
    (tmp_path / "link").symlink_to(tmp_path / "first")
    for words in (("first", "first"), ("link", "first"), ("first", "first/trials")):
        names = [str(tmp_path / word) for word in words]
        status, _, errors = command("merge", names[0], "--results", names[1])
        assert status == 2 and "are one folder, or one lies in the other" in errors
    status, _, errors = command("merge", str(tmp_path / "none"), "--results", str(tmp_path / "b"))
    assert status == 2 and "holds no records" in errors
