"""Bad input is refused with one line, in bounded time; a bad machine costs nothing finished."""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import fuzz
import numpy as np
import pytest
import torch
from fuzz import CORPUS, GOOD, TALLY
from helpers import CPU, ROOT, finished_run, run_of
from readers import READERS
from scripts import run_script

from benchmark.datasets import commands, own_tables, state_files, storage
from benchmark.errors import LONGEST, UserError
from benchmark.record import schema as records
from benchmark.record import toml
from benchmark.record.predictions import Kept, Outcome, digest
from benchmark.record.predictions import write as write_predictions
from benchmark.runs import checkpoints, execute, launch
from benchmark.runs.environment import resolve_device
from benchmark.runs.fit import checkpoint_path
from benchmark.runs.training import Monitor
from leaderboard import __main__ as leaderboard
from leaderboard.archive import entries
from leaderboard.publish import own
from leaderboard.submissions import review
from nft.network import NetworkSpec

CELL = "mini/sine-frequency/sine-inr-mini/statnn/0"


def test_what_readers_once_stumbled_over(tmp_path: Path) -> None:
    """In a process that has done nothing else, since each case is read in a fork of it."""
    code = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
import fuzz, json
found = fuzz.read_corpus()
print(json.dumps({{case: [outcome.kind, outcome.said] for case, outcome in found.items()}}))
"""
    status, output, errors = run_script(code, tmp_path, os.environ)
    assert status == 0, errors
    found = json.loads(output.splitlines()[-1])
    assert len(found) == len([path for path in CORPUS.glob("*/*") if path.is_dir()]) > 10
    assert not {case: said for case, (kind, said) in found.items() if kind not in GOOD}
    assert [kind for kind, _ in found.values()].count("refused") > 10


def test_the_long_runs_found_nothing_and_lost_nothing() -> None:
    tally = json.loads(TALLY.read_bytes())
    assert tally["inputs"] >= 2000 and set(tally["outcomes"]) == set(GOOD)
    assert set(tally["readers"]) == set(fuzz.READERS)
    disturbed = json.loads((CORPUS / "faults.json").read_bytes())
    assert disturbed["kills"] >= 100 and disturbed["troubles"] == []


@pytest.fixture
def _impatient() -> Iterator[None]:
    def give_up(*_: object) -> None:
        raise AssertionError("it waits for ever")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("place", ["pipe", "/dev/zero", "folder"])
@pytest.mark.parametrize(
    ("read", "name"),
    [
        (records.read, "seed-0.json"),
        (toml.read, "mine.toml"),
        (entries.read_file, "nft.jsonl"),
        (Kept, "nft.npz"),
        (own_tables.read, "table.csv"),
        (own_tables.read, "table.parquet"),
        (state_files.read, "network.pt"),
        (state_files.read, "network.safetensors"),
        (commands._text, "text.md"),
        (review.read, "review.json"),
        (lambda path: storage.read_manifest(path.parent), "manifest.json"),
    ],
)
def test_nothing_is_read_that_has_no_end(
    read: Callable[[Path], object], name: str, place: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if place == "pipe":
        os.mkfifo(path)
    elif place == "folder":
        path.mkdir()
    else:
        path.symlink_to(place)
    with pytest.raises(UserError, match=r"pipe or a device|a folder|cannot be read as tensors"):
        read(path)


def test_a_message_is_one_line_whatever_it_quotes() -> None:
    text = str(UserError("a\nb\x1b[31m\u202e" + "x" * 100_000 + "; mend it"))
    assert text.startswith("a b\\u001b[31m\\u202exx") and text.endswith("; mend it")
    assert text.isprintable() and len(text) <= LONGEST + 5


@pytest.mark.parametrize("name", ["hpu", "privateuseone", "xpu:1", "meta", "", "cuda:x"])
def test_a_device_is_one_that_runs_are_made_on(name: str) -> None:
    with pytest.raises(UserError, match="cpu"):
        resolve_device(name)


@pytest.mark.parametrize(
    "arguments",
    [
        ("submit", "nft", "--suite", "a" * 100_000),
        ("submit", "a" * 100_000),
        ("simulate", "--trials", "0"),
        ("simulate", "--trials", "-1"),
        ("reproduce", CELL, "--device", "hpu"),
        *((command, "HEAD", "--output", "/dev/null/x") for command in ("review", "comment")),
        *((command, "HEAD", "--output", "/") for command in ("review", "comment")),
        *((command, "HEAD", "--output", "/nowhere/x") for command in ("review", "comment")),
    ],
)
def test_the_boards_command_line_refuses_with_a_line(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert leaderboard.main(list(arguments)) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.lower().startswith("error: ") and len(last) < 2 * LONGEST


def test_orders_of_layers_are_not_tried_for_ever() -> None:
    """Twenty layers that follow each other in any order, and one that follows none."""
    state = {f"{letter}.weight": torch.zeros(8, 8) for letter in "abcdefghijklmnopqrst"}
    with pytest.raises(ValueError, match="too many orders"):
        NetworkSpec.from_state_dict(state | {"z.weight": torch.zeros(3, 5)})


def test_tensors_without_their_numbers_are_refused(tmp_path: Path) -> None:
    """A few bytes that would be a terabyte."""
    path = tmp_path / "network.pt"
    torch.save({"0.weight": torch.zeros(1, 1).expand(2**20, 2**20)}, path)
    assert path.stat().st_size < 10_000
    with pytest.raises(UserError, match=r"0\.weight is sparse, nested, expanded or without"):
        state_files.read(path)


def test_predictions_belong_to_their_networks(tmp_path: Path) -> None:
    outcome = Outcome(np.zeros(5, np.float32), np.zeros(4, np.float32))
    write_predictions(tmp_path / "a.npz", [("0" * 64, {"test": outcome, "validation": outcome})])
    with pytest.raises(records.RecordError, match="5 predictions and 4 targets of"):
        Kept(tmp_path / "a.npz").get("0" * 64)


def test_seeds_of_one_row_are_of_the_same_networks(tmp_path: Path) -> None:
    few = finished_run(tmp_path, seed=1)
    finished_run(tmp_path)
    outcome = Outcome(np.zeros(5, np.int64), np.zeros(5, np.int64))
    run = {"test": outcome, "validation": outcome}
    few = few.model_copy(update={"predictions": digest(run)})
    path = records.write(few, tmp_path)
    write_predictions(path.with_suffix(".npz"), [(digest(run), run)])
    with pytest.raises(records.RecordError, match="of 5 test networks, where another seed has 100"):
        own.build(tmp_path)


def test_predictions_have_targets_where_their_metric_needs_them(tmp_path: Path) -> None:
    record = finished_run(tmp_path)
    run = {split: Outcome(np.zeros(5, np.int64)) for split in ("test", "validation")}
    record = record.model_copy(update={"predictions": digest(run)})
    path = records.write(record, tmp_path)
    write_predictions(path.with_suffix(".npz"), [(digest(run), run)])
    (entry,) = entries.of_results(tmp_path)
    with pytest.raises(records.RecordError, match="have no targets; run it again"):
        _ = entry.predictions


def test_a_checkpoint_with_a_flipped_bit_is_none(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    checkpoints.write(path, b"numbers")
    assert checkpoints.read(path) == b"numbers"
    path.write_bytes(path.read_bytes()[:-1] + b"r")
    with pytest.raises(ValueError, match="was changed"):
        checkpoints.read(path)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_full_disk_is_no_failure_of_the_method(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(execute, "fit", full)
    with pytest.raises(OSError, match=os.strerror(number)):
        execute.execute(run_of(CELL), tmp_path, CPU, 1, Monitor())
    assert not list(tmp_path.rglob("seed-0.*"))


def test_weights_that_are_kept_have_the_same_bytes_again(tmp_path: Path) -> None:
    """A run that is killed and goes on must end with the files of one that is not."""
    files = set()
    for _ in range(4):
        READERS["kept"].make(tmp_path)
        (path,) = tmp_path.rglob("*.safetensors")
        files.add(path.read_bytes())
        torch.manual_seed(0)
    assert len(files) == 1
    READERS["kept"].read(tmp_path)


def test_what_stands_has_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill between the record and the removal of its checkpoint leaves both."""
    run = run_of("mini/inr-classification/small/nft/0")
    finished_run(tmp_path)
    path = checkpoint_path(run, tmp_path)
    checkpoints.write(path, b"numbers")
    monkeypatch.setattr(launch, "is_current", lambda *_: True)
    done = launch.standing([run], tmp_path).done
    assert list(done) == [run]
    assert path.exists()  # whoever only looks removes nothing
    launch.tidy(done, tmp_path)
    assert not path.exists()


def test_a_dataset_without_its_card_is_not_done(tmp_path: Path) -> None:
    """A build that is killed between the two writes the card when it is given again."""
    (tmp_path / "manifest.json").touch()
    assert not commands._is_whole(tmp_path)
    (tmp_path / "README.md").touch()
    assert commands._is_whole(tmp_path)
