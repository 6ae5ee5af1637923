# /// script
# requires-python = ">=3.11"
# dependencies = ["nox>=2025.2.9", "virtualenv"]
# ///
"""The front door: every thing a person does with this project is a session. `nox -l` lists them."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["lint", "tests"]

ROOT = Path(__file__).resolve().parent
PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")


@nox.session(venv_backend="none")
def benchmark(session: nox.Session) -> None:
    """Run every task of a suite, and print one table over all; the mini suite takes some 40 minutes."""
    run_python(session, "-m", "benchmark", "run", "all", *session.posargs)


@nox.session(name="benchmark-editing", venv_backend="none")
def benchmark_editing(session: nox.Session) -> None:
    """Train every editor to change what INRs draw, and print the table."""
    run_python(session, "-m", "benchmark", "run", "inr-editing", *session.posargs)


@nox.session(name="benchmark-generalization", venv_backend="none")
def benchmark_generalization(session: nox.Session) -> None:
    """Train every method to tell a CNN's accuracy from its weights, and print the table."""
    run_python(session, "-m", "benchmark", "run", "generalization", *session.posargs)


@nox.session(name="benchmark-frequency", venv_backend="none")
def benchmark_frequency(session: nox.Session) -> None:
    """Train every method to tell which sine an INR computes, and print the table."""
    run_python(session, "-m", "benchmark", "run", "sine-frequency", *session.posargs)


@nox.session(name="benchmark-inr", venv_backend="none")
def benchmark_inr(session: nox.Session) -> None:
    """Train every method to tell images from the weights that encode them, and print the table."""
    run_python(session, "-m", "benchmark", "run", "inr-classification", *session.posargs)


@nox.session(name="benchmark-speed", venv_backend="none")
def benchmark_speed(session: nox.Session) -> None:
    """Time the layers beside those published with the papers; takes some ten minutes, with nothing else running."""
    run_python(session, "-m", "benchmark", "speed", *session.posargs)


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """Run the tests."""
    run_python(session, "-m", "pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting; `-- --fix` mends what can be mended."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "lint"))
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", *([] if "--fix" in session.posargs else ["--check"]))


@nox.session
def leaderboard(session: nox.Session) -> None:
    """Write the leaderboard's pages, tables and site from the committed records; `-- --check` only compares."""
    run_leaderboard(session, "build")


@nox.session
def verify(session: nox.Session) -> None:
    """Print the verdict on every reported number, and check every committed record."""
    run_leaderboard(session, "verify")


@nox.session
def submit(session: nox.Session) -> None:
    """Check a method's results and copy them to the leaderboard's records: `-- NAME`."""
    run_leaderboard(session, "submit")


@nox.session
def comment(session: nox.Session) -> None:
    """Turn a review into a comment: `-- FILE`."""
    run_leaderboard(session, "comment")


@nox.session(venv_backend="none")
def review(session: nox.Session) -> None:
    """Review the methods that changed since a commit, as a pull request's checks do: `-- COMMIT --output FILE`."""
    run_python(session, "-m", "leaderboard", "review", *session.posargs)


@nox.session(venv_backend="none")
def reproduce(session: nox.Session) -> None:
    """Run a committed cell again, and say bit-equal, within noise, or different: `-- CELL`."""
    run_python(session, "-m", "leaderboard", "reproduce", *session.posargs)


@nox.session(name="new-method", venv_backend="none")
def new_method(session: nox.Session) -> None:
    """Write baselines/NAME.py, a method that runs as it is: `-- NAME`."""
    run_python(session, "-m", "benchmark", "new-method", *session.posargs)


def run_leaderboard(session: nox.Session, command: str) -> None:
    """Run a command of the leaderboard, which needs no torch."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "leaderboard"))
    session.run("python", "-m", "leaderboard", command, *session.posargs)


def run_python(session: nox.Session, *arguments: str) -> None:
    """Run Python in the one environment of all sessions that need torch, which is several GB installed."""
    folder = Path(os.environ.get("NOX_ENVDIR", ROOT / ".nox")) / "torch"
    python = str(folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))
    uv = shutil.which("uv")
    if not Path(python).exists():
        create = (uv, "venv", "--python", sys.executable) if uv else (sys.executable, "-m", "virtualenv")
        session.run(*create, str(folder), external=True, silent=True)
    install = (uv, "pip", "install", "--python", python) if uv else (python, "-m", "pip", "install")
    dependencies = [*PYPROJECT["project"]["dependencies"], *nox.project.dependency_groups(PYPROJECT, "test")]
    session.log("installing what pyproject.toml lists; the first time this fetches torch")
    session.run(*install, "-q", *dependencies, external=True)
    session.run(python, *arguments, external=True)


if __name__ == "__main__":
    nox.main()
