"""What people's machines are like: their git, terminals, accounts, processors and folders."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import typer
from helpers import CPU, ROOT, finished_run, git
from scripts import run_script
from typer.testing import CliRunner

from benchmark import __main__ as command_line
from benchmark.datasets import listing
from benchmark.record.options import App
from benchmark.runs import environment
from leaderboard import __main__ as board_line
from leaderboard.archive import entries
from leaderboard.submissions import reproduce

COMMAND = """
import sys
sys.argv = ["benchmark", *{arguments!r}]
from benchmark.__main__ import main
main()
"""


def run(folder: Path, before: str, *arguments: str, **variables: str) -> tuple[int, str, str]:
    """Run the command line in a process of its own, after other code."""
    names = {"PATH", "PYTHONPATH", "LANG"}
    kept = {name: value for name, value in os.environ.items() if name in names}
    return run_script(before + COMMAND.format(arguments=arguments), ROOT, kept | variables)


def test_a_checkout_has_the_same_bytes_whatever_line_ends_git_is_told(tmp_path: Path) -> None:
    """Hashes are of bytes: of sources, of datasets, of records."""
    source = tmp_path / "source"
    names = (".gitattributes", "pyproject.toml", "noxfile.py", "README.md", "baselines/mlp.py")
    found = [path for pattern in ("*.jsonl", "*.csv", "*.npz", "*.json", "*.svg")
             for path in sorted((ROOT / "leaderboard").rglob(pattern))[:1]]  # fmt: skip
    for path in [*(ROOT / name for name in names), *found]:
        copy = source / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    git(source, "init", "--quiet")
    git(source, "add", ".")
    git(source, "commit", "--quiet", "-m", "all")
    git(tmp_path, "clone", "--quiet", "-c", "core.autocrlf=true", str(source), "clone")
    for path in source.rglob("*"):
        place = path.relative_to(source)
        if path.is_file() and ".git" not in place.parts:
            assert (tmp_path / "clone" / place).read_bytes() == path.read_bytes(), place


def test_what_a_terminal_cannot_show_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(command_line.app, App) and isinstance(board_line.app, App)
    app = App()

    @app.command()
    def show() -> None:
        typer.echo("48.1 ± 1.8")

    for encoding, shown in (("koi8-r", "48.1 ? 1.8\n"), ("utf-8", "48.1 ± 1.8\n")):
        terminal = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr(sys, "stdout", terminal)
        app([], standalone_mode=False)
        terminal.flush()
        assert terminal.buffer.getvalue().decode(encoding) == shown


@pytest.mark.parametrize(
    "place", ["os.open('/dev/full', os.O_WRONLY)", "(pipe := os.pipe(), os.close(pipe[0]))[0][1]"]
)
def test_output_that_nobody_takes_is_no_traceback(tmp_path: Path, place: str) -> None:
    before = f"import os\nos.dup2({place}, 1)\n"
    status, _, errors = run(tmp_path, before, "list", HOME=str(tmp_path))
    assert status != 0
    assert "Traceback" not in errors


def test_an_account_without_a_home_is_told_which_variable_to_set(tmp_path: Path) -> None:
    before = """
import pwd
def nobody(uid):
    raise KeyError("uid not found")
pwd.getpwuid = nobody
"""
    status, _, errors = run(tmp_path, before, "datasets", "list")
    assert (status, errors.count("\n")) == (2, 1), errors
    assert "NFT_BENCHMARK_CACHE" in errors
    cache = {"NFT_BENCHMARK_CACHE": str(tmp_path)}
    status, output, errors = run(tmp_path, before, "datasets", "list", **cache)
    assert (status, errors) == (0, "")
    assert "mnist-inr-mini" in output


def test_a_processors_kernels_are_on_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two instruction sets give two results; records of them must not be alike to the letter."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    described = environment.describe(CPU, 1)
    assert (described.capability, described.threads) == ("DEFAULT", 7)


def test_what_keeps_results_from_being_ranked_is_said_before_the_first_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(environment, "checkout", lambda: (None, "git is not installed"))
    words = ["run", "sine-frequency", "--methods", "mean", "--seeds", "0", "--workers", "0"]
    command_line.app([*words, "--results", str(tmp_path)], standalone_mode=False)
    errors = capfd.readouterr().err
    said = errors.index("the results will not be ranked: git is not installed")
    assert said < errors.index("[1/1] sine-inr-mini mean seed 0")


def test_a_relative_folder_is_of_the_place_where_it_was_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A committed cell is run again by another process, in the project's folder."""
    finished_run(tmp_path / "committed")
    archive = entries.Archive(entries.of_results(tmp_path / "committed"))
    monkeypatch.setattr(entries, "read", lambda: archive)

    def other_process(words: list[str], cwd: Path, **_: object) -> object:
        again = cwd / words[words.index("--results") + 1]
        finished_run(again, finished_at="2026-02-02T00:00:00+00:00")
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(reproduce.subprocess, "run", other_process)
    monkeypatch.chdir(tmp_path)
    cell = "mini/inr-classification/small/nft/0"
    assert board_line.main(["reproduce", cell, "--results", "again", "--device", "cpu"]) == 0
    assert list((tmp_path / "again").rglob("seed-0.json"))


def test_a_build_that_is_done_is_verified_and_left(tmp_path: Path) -> None:
    folder = shutil.copytree(listing.EMBEDDED / "sine-inr-mini", tmp_path / "sine")
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    words = ["datasets", "build", "sine-inr-mini", "--output", str(folder)]
    done = CliRunner().invoke(command_line.app, words)
    assert done.exit_code == 0, done.output
    assert "built already, and whole" in done.output
    assert times == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    other = CliRunner().invoke(command_line.app, [*words, "--limit", "6"])
    assert "holds sine-inr-mini, not sine-inr-mini-first-6" in str(other.exception)
