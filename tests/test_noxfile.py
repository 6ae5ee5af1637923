"""The locks have what pyproject.toml asks for, with hashes, and the torch of the records; and
sessions run in environments that they share.
"""

import re
import runpy
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCKS = sorted((ROOT / "locks").glob("*.txt"))
GROUPS = {"torch": "test", "leaderboard": "leaderboard", "lint": "lint", "tools": "tools"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def pins(name: str) -> dict[str, str]:
    """Versions by package."""
    text = (ROOT / "locks" / f"{name}.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))


def group(name: str) -> list[Requirement]:
    """A dependency group's requirements, with those of the groups it includes."""
    found = []
    for entry in PROJECT["dependency-groups"][name]:
        found += group(entry["include-group"]) if isinstance(entry, dict) else [Requirement(entry)]
    return found


@pytest.mark.parametrize("name", GROUPS)
def test_a_lock_has_what_pyproject_asks_for(name: str) -> None:
    wanted, locked = group(GROUPS[name]), pins(name)
    if name == "torch":
        project = PROJECT["project"]
        own = project["dependencies"] + project["optional-dependencies"]["benchmark"]
        wanted += map(Requirement, own)
        locked |= pins("torch-build")
    for requirement in wanted:
        assert locked[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_environments_agree_on_versions() -> None:
    torch = pins("torch")
    for name in GROUPS:
        assert all(
            torch.get(package, version) == version for package, version in pins(name).items()
        )
    assert pins("leaderboard").items() <= torch.items()


def test_torch_is_that_of_the_records_and_without_hashes() -> None:
    assert pins("torch-build")["torch"] == "2.13.0"
    assert "--hash" not in (ROOT / "locks/torch-build.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", GROUPS)
def test_every_other_package_has_hashes_and_no_lock_names_an_index(name: str) -> None:
    text = (ROOT / "locks" / f"{name}.txt").read_text(encoding="utf-8")
    entries = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]
    assert len(entries) == len(pins(name)) and all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text and "index-url" not in text


class Session:
    """Takes what a session would run; installing makes the file that would be there."""

    def __init__(self, envdir: Path, *posargs: str, **options: object) -> None:
        chosen = {"envdir": str(envdir), "reuse_venv": "no", "no_install": False} | options
        self._runner = SimpleNamespace(global_config=SimpleNamespace(**chosen))
        self.posargs, self.ran, self.installed = posargs, [], []

    def log(self, line: str) -> None:
        pass

    def run(self, *words: str, **_: object) -> None:
        self.ran.append(words)

    def run_install(self, *words: str, **_: object) -> None:
        self.installed.append(words)
        if "virtualenv" in words:
            (Path(words[-1]) / "bin").mkdir(parents=True)
            (Path(words[-1]) / "bin/python").touch()


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The noxfile's functions. nox is not among the tests' packages: this stands for it."""

    def session(function: Any = None, **_: object) -> Any:
        return function or (lambda decorated: decorated)

    project = SimpleNamespace(load_toml=lambda path: tomllib.loads(path.read_text("utf-8")))
    fake = SimpleNamespace(
        session=session, Session=Session, options=SimpleNamespace(), project=project
    )
    monkeypatch.setitem(sys.modules, "nox", fake)
    monkeypatch.setattr(sys, "platform", "linux")
    return runpy.run_path(str(ROOT / "noxfile.py"), run_name="noxfile")


def test_environments_lie_where_nox_is_told_and_are_made_once(
    sessions: dict[str, Any], tmp_path: Path
) -> None:
    first = Session(tmp_path / "elsewhere", "--help")
    sessions["tests"](first)
    python = str(tmp_path / "elsewhere/torch/bin/python")
    assert first.ran == [(python, "-m", "pytest", "-n", "auto", "--help")]
    assert any("--require-hashes" in words for words in first.installed)
    sessions["READY"].clear()  # as when nox starts again
    again = Session(tmp_path / "elsewhere")
    sessions["canary"](again)
    assert again.installed == []


def test_no_install_means_none(sessions: dict[str, Any], tmp_path: Path) -> None:
    """`nox -R`, also where the environment is not what the lock says."""
    (tmp_path / "torch/bin").mkdir(parents=True)
    (tmp_path / "torch/bin/python").touch()
    session = Session(tmp_path, no_install=True)
    sessions["tests"](session)
    assert session.installed == [] and len(session.ran) == 1


BOARD = ("leaderboard", "verify", "submit", "comment", "review", "reproduce")


def test_the_boards_sessions_share_the_environment_that_is_there(
    sessions: dict[str, Any], tmp_path: Path
) -> None:
    """Whoever has run methods needs no second environment to submit, and no network."""
    small = Session(tmp_path)
    sessions["verify"](small)
    assert small.ran[0][0] == str(tmp_path / "leaderboard/bin/python")
    sessions["tests"](Session(tmp_path))
    for name in BOARD:
        session = Session(tmp_path)
        sessions[name](session)
        assert session.ran[0][0] == str(tmp_path / "torch/bin/python"), name
        assert session.installed == []
