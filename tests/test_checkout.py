"""What git says of the code that a run was made with, whoever asks and however git is set up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import ROOT, git

from benchmark.runs import environment


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small checkout of a project in the place of this one."""
    folder = tmp_path / "project"
    for name in ("benchmark/__main__.py", "baselines/mlp.py", ".gitignore"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("results/\n" if name == ".gitignore" else "pass\n")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "start")
    point(monkeypatch, folder)
    yield folder
    environment.checkout.cache_clear()


def point(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(environment, "ROOT", folder.resolve())
    environment.checkout.cache_clear()


def look() -> tuple[str | None, str | None]:
    environment.checkout.cache_clear()
    return environment.checkout()


def test_a_clean_checkout_is_its_commit(checkout: Path) -> None:
    assert look() == (git(checkout, "rev-parse", "HEAD"), None)


def test_a_changed_file_is_named(checkout: Path) -> None:
    (checkout / "baselines/mlp.py").write_text("changed\n")
    commit, reason = look()
    assert commit == git(checkout, "rev-parse", "HEAD")
    assert reason == "the checkout has uncommitted changes, baselines/mlp.py among them"


@pytest.mark.parametrize("name", ["results/a.json", "log.txt", "notes.py", "baselines/log.txt"])
def test_results_and_logs_are_no_change(checkout: Path, name: str) -> None:
    (checkout / name).parent.mkdir(exist_ok=True)
    (checkout / name).write_text("x")
    assert look()[1] is None


@pytest.mark.parametrize(
    "name", ["baselines/new.py", "benchmark/suites/new.toml", "nft/é ü.py", "nft/results/a.py"]
)
def test_code_that_git_does_not_know_is_a_change(checkout: Path, name: str) -> None:
    (checkout / name).parent.mkdir(parents=True, exist_ok=True)
    (checkout / name).write_text("x")
    assert look()[1] == f"the checkout has uncommitted changes, {name} among them"


def test_what_the_caller_inherits_does_not_matter(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As inside a git hook, which has the variables of another repository."""
    expected = look()
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / "index"))
    assert look() == expected


@pytest.mark.parametrize("setting", ["all", "no", "normal"])
def test_a_users_settings_do_not_matter(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    text = f"[status]\n\tshowUntrackedFiles = {setting}\n\tshort = true\n\tbranch = true\n"
    (tmp_path / ".gitconfig").write_text(text)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / ".gitconfig"))
    monkeypatch.setenv("HOME", str(tmp_path))
    (checkout / "log.txt").write_text("x")
    assert look()[1] is None
    (checkout / "baselines/new.py").write_text("x")
    assert look()[1] == "the checkout has uncommitted changes, baselines/new.py among them"


@pytest.mark.parametrize("place", ["excludesFile", ".git/info/exclude", "baselines/.gitignore"])
def test_what_a_user_ignores_is_code_all_the_same(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    path = tmp_path / "ignored" if place == "excludesFile" else checkout / place
    path.write_text("new_one.py\n.gitignore\n")
    (tmp_path / ".gitconfig").write_text(f"[core]\n\texcludesFile = {tmp_path / 'ignored'}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert look()[1] is None
    (checkout / "baselines/new_one.py").write_text("x")
    assert look()[1] == "the checkout has uncommitted changes, baselines/new_one.py among them"


def test_the_projects_own_ignores_hide_no_code() -> None:
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert "/results/" in lines
    open_ended = [line for line in lines if not line.startswith(("/", "."))]
    assert open_ended == ["__pycache__/", "*.egg-info/"]


def test_a_project_inside_another_repository_has_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "thesis/project"
    (inner / "benchmark").mkdir(parents=True)
    (inner / "benchmark/__main__.py").write_text("pass\n")
    git(tmp_path / "thesis", "init", "--quiet")
    git(tmp_path / "thesis", "add", ".")
    git(tmp_path / "thesis", "commit", "--quiet", "-m", "all")
    point(monkeypatch, inner)
    commit, reason = look()
    assert commit is None
    assert reason == f"{inner} is not a checkout of its own, but inside that of {inner.parent}"


def test_code_that_was_never_committed_has_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark/__main__.py").write_text("pass\n")
    git(tmp_path, "init", "--quiet")
    point(monkeypatch, tmp_path)
    commit, reason = look()
    assert commit is None
    assert "benchmark/__main__.py" in reason


def test_git_speaks_for_itself(checkout: Path) -> None:
    (checkout / ".git/config").write_text("[core\n")
    commit, reason = look()
    assert commit is None
    assert reason.startswith("bad config line 1 in file")


def test_without_git_there_is_no_commit(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(checkout))
    assert look() == (None, "git is not installed")
