# /// script
# requires-python = ">=3.11"
# dependencies = ["nox>=2025.2.9", "virtualenv", "filelock"]
# ///
"""The front door: every thing a person does with this project is a session. `nox -l` lists them.

Sessions share environments: `.nox/torch`, which is several GB, `.nox/leaderboard`, `.nox/lint` and
`.nox/tools`. The board needs no torch, and where `.nox/torch` is there it is made in that. Each
environment has the versions in `locks/` and is made anew when they or Python change. With
`-- --latest` a session runs with the newest versions that pyproject.toml allows, in `.nox/latest`.

Packages are checked against the hashes in `locks/NAME.txt`. torch is not, and is installed after
the others by its version alone: there is one build for every GPU driver and one for none, each with
hashes of its own, and which of them fits is for the machine's pip or uv to say.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from pathlib import Path

import nox
from filelock import FileLock  # comes with virtualenv, which comes with nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "none"  # `run_python` makes the environments, which are shared
nox.options.envdir = os.environ.get("NOX_ENVDIR", ".nox")  # --envdir goes before it
nox.options.sessions = ["lint", "tests"]

ROOT = Path(__file__).resolve().parent
PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
LOCKS = ROOT / "locks"
LATEST = "--latest"
STAMP = "lock.sha256"
TORCH = "torch==2.13.0"  # of the committed records; another version may give other numbers

# What each environment is for, as dependency groups of pyproject.toml. The first has the package's
# own dependencies, too, with those of the benchmark.
GROUPS = {"torch": "test", "leaderboard": "leaderboard", "lint": "lint", "tools": "tools"}

SCRIPT = """
import os, sys, sysconfig
os.execv(os.path.join(sysconfig.get_path("scripts"), sys.argv[1]), sys.argv[1:])
"""
"""Runs a program of an environment that is no module of Python."""

READY: set[Path] = set()  # environments that were seen to since nox started


@nox.session
def benchmark(session: nox.Session) -> None:
    """Run every task of a suite, and print one table over all; the mini suite takes 40 minutes."""
    run_python(session, "torch", "-m", "benchmark", "run", "all", *session.posargs)


@nox.session(name="benchmark-editing")
def benchmark_editing(session: nox.Session) -> None:
    """Train every editor to change what INRs draw, and print the table."""
    run_python(session, "torch", "-m", "benchmark", "run", "inr-editing", *session.posargs)


@nox.session(name="benchmark-generalization")
def benchmark_generalization(session: nox.Session) -> None:
    """Train every method to tell a CNN's accuracy from its weights, and print the table."""
    run_python(session, "torch", "-m", "benchmark", "run", "generalization", *session.posargs)


@nox.session(name="benchmark-frequency")
def benchmark_frequency(session: nox.Session) -> None:
    """Train every method to tell which sine an INR computes, and print the table."""
    run_python(session, "torch", "-m", "benchmark", "run", "sine-frequency", *session.posargs)


@nox.session(name="benchmark-inr")
def benchmark_inr(session: nox.Session) -> None:
    """Tell images from INRs' weights in under five minutes; `-- --methods all`: every method."""
    command = ("run", "inr-classification", "--core")  # one seed of the suite's core methods
    run_python(session, "torch", "-m", "benchmark", *command, *session.posargs)


@nox.session(name="benchmark-speed")
def benchmark_speed(session: nox.Session) -> None:
    """Time the layers beside the papers' own, with nothing else running; takes ten minutes."""
    run_python(session, "torch", "-m", "benchmark", "speed", *session.posargs)


@nox.session
def audit(session: nox.Session) -> None:
    """Measure the symmetries of every method, in under ten minutes: `-- METHOD` for one."""
    run_python(session, "torch", "-m", "benchmark", "audit", *session.posargs)


@nox.session
def variance(session: nox.Session) -> None:
    """Measure what the variance of results comes from: `-- METHOD`; reads the source images."""
    run_python(session, "torch", "-m", "benchmark", "variance", *session.posargs)


@nox.session
def canary(session: nox.Session) -> None:
    """Compare results bit by bit with a commit's: `-- COMMIT`; without one, with the board's."""
    run_python(session, "torch", "-m", "benchmark", "canary", *session.posargs)


@nox.session
def tune(session: nox.Session) -> None:
    """Search a method's settings on validation, and write a suite's: `-- METHOD [DATASET]`."""
    run_python(session, "torch", "-m", "benchmark", "tune", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests."""
    run_python(session, "torch", "-m", "pytest", "-n", "auto", *session.posargs)


@nox.session
def slurm(session: nox.Session) -> None:
    """Run benchmarks on a Slurm cluster of this machine's own; needs slurm-wlm and munge."""
    command = ("-m", "pytest", "-m", "slurm", "-rs", "tests/test_slurm.py")
    run_python(session, "torch", *command, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting; `-- --fix` mends what can be mended."""
    run_python(session, "lint", "-m", "ruff", "check", *session.posargs)
    check = () if "--fix" in session.posargs else ("--check",)
    run_python(session, "lint", "-m", "ruff", "format", *check)


@nox.session
def leaderboard(session: nox.Session) -> None:
    """Write the board's pages, tables and site from committed records; `-- --check` compares."""
    run_board(session, "build", *session.posargs)


@nox.session
def figures(session: nox.Session) -> None:
    """Write the board's plots as PDF and PNG, for papers and talks, into build/figures."""
    run_python(session, "leaderboard", "-m", "leaderboard", "figures", *session.posargs)


@nox.session
def verify(session: nox.Session) -> None:
    """Print the verdict on every reported number, and check every committed record."""
    run_board(session, "verify", *session.posargs)


@nox.session
def submit(session: nox.Session) -> None:
    """Check a method's results and copy them to the leaderboard's records: `-- NAME`."""
    run_board(session, "submit", *session.posargs)


@nox.session
def comment(session: nox.Session) -> None:
    """Turn a review into a comment: `-- FILE`."""
    run_board(session, "comment", *session.posargs)


@nox.session
def describe(session: nox.Session) -> None:
    """Write what the code says of methods, which records are held against: `-- METHOD`."""
    run_python(session, "torch", "-m", "benchmark", "describe", *session.posargs)


@nox.session
def rerun(session: nox.Session) -> None:
    """Run cells again under hidden conditions, and note it for the board: `-- CELL`."""
    run_python(session, "torch", "-m", "leaderboard", "rerun", *session.posargs)


@nox.session
def review(session: nox.Session) -> None:
    """Review methods that changed since a commit, as CI does: `-- COMMIT --output FILE`."""
    run_python(session, "torch", "-m", "leaderboard", "review", *session.posargs)  # runs methods


@nox.session
def reproduce(session: nox.Session) -> None:
    """Run a committed cell, or `--all` ranked rows, again, and compare bit by bit: `-- CELL`."""
    run_python(session, "torch", "-m", "leaderboard", "reproduce", *session.posargs)


@nox.session(name="new-method")
def new_method(session: nox.Session) -> None:
    """Write baselines/NAME.py, a method that runs as it is: `-- NAME`."""
    run_python(session, "torch", "-m", "benchmark", "new-method", *session.posargs)


@nox.session
def lock(session: nox.Session) -> None:
    """Write locks/ with the newest versions but torch's; `-- --no-upgrade` keeps what fits."""
    folder = Path(session.create_tmp())
    held = folder / "held.txt"
    held.write_text(TORCH)
    options = "--universal --python-version 3.11 --fork-strategy fewest --generate-hashes"
    command = ("-m", "uv", "pip", "compile", *options.split(), "--quiet", "--no-header")
    for name, group in GROUPS.items():
        made = folder / f"{name}.txt"
        made.write_text("".join(path.read_text() for path in lock_of(name) if path.exists()))
        own = ("pyproject.toml", "--extra", "benchmark") if name == "torch" else ()
        wanted = ("--group", group, *own)
        files = ("--constraint", str(held), "--output-file", str(made))
        run_python(session, "tools", *command, *wanted, *files, "--upgrade", *session.posargs)
        write_lock(name, made.read_text())
        held = lock_of("torch")[0]  # what two environments have, they have of one version


@nox.session(name="audit-packages")
def audit_packages(session: nox.Session) -> None:
    """Look for known vulnerabilities of the packages in locks/."""
    pins = Path(session.create_tmp()) / "pins.txt"  # pip-audit takes hashes for all or for none
    text = "\n".join(path.read_text() for path in LOCKS.glob("*.txt"))
    lines = re.findall(r"^\w.*?(?= \\$|$)", text, flags=re.MULTILINE)
    pins.write_text("\n".join(sorted(set(lines))))
    audit = ("-m", "pip_audit", "--strict", "--no-deps", "--disable-pip", "-r", str(pins))
    run_python(session, "tools", *audit, *session.posargs)


@nox.session(name="audit-workflows")
def audit_workflows(session: nox.Session) -> None:
    """Look for what is insecure in the workflows of continuous integration."""
    run_python(session, "tools", "-c", SCRIPT, "zizmor", "--offline", ".github", *session.posargs)


@nox.session
def release(session: nox.Session) -> None:
    """Build the package, and the bill of materials of its locks, into build/release."""
    folder = ROOT / "build" / "release"
    run_python(session, "tools", "-m", "uv", "build", "--quiet", "--out-dir", str(folder))
    locked = Path(session.create_tmp()) / "locked.txt"
    locked.write_text("\n".join(path.read_text() for path in lock_of("torch")))
    bill = ("-m", "cyclonedx_py", "requirements", "--pyproject", "pyproject.toml")
    files = ("--output-file", str(folder / "sbom.cdx.json"), str(locked))
    run_python(session, "tools", *bill, "--output-reproducible", *files, *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Harm files at random, and read them, for ten minutes: `-- --seed 1 --inputs 3000`."""
    session.env["PYTHONPATH"] = str(ROOT)
    run_python(session, "torch", "-W", "ignore", "tests/fuzz.py", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Kill commands at random, fill their disk, jump their clock: `-- --seed 1`; ten minutes."""
    session.env["PYTHONPATH"] = str(ROOT)
    run_python(session, "torch", "-W", "ignore", "tests/faults.py", *session.posargs)


def own_dependencies() -> list[str]:
    """What the package needs, with what the benchmark needs."""
    project = PYPROJECT["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["benchmark"]]


def lock_of(name: str) -> list[Path]:
    """The files that say what an environment has: all with hashes, then torch without."""
    return [LOCKS / f"{name}.txt", *([LOCKS / "torch-build.txt"] if name == "torch" else [])]


def write_lock(name: str, text: str) -> None:
    """Write what uv found: versions with hashes, but those of torch and CUDA without."""
    pins = re.split(r"^(?=\S)", text, flags=re.MULTILINE)
    built = [pin for pin in pins if re.match("torch==|triton==|cuda-|nvidia-", pin)]
    hashed, *others = lock_of(name)
    rest = "".join(pin for pin in pins if pin not in built)
    head = "# For Python 3.11 to 3.13 on any system. `nox -s lock` writes this file.\n"
    hashed.write_text(head + rest, newline="\n")
    for path in others:
        head += "# Without hashes, as noxfile.py explains. A CPU's build needs torch alone.\n"
        lines = [pin.splitlines()[0].removesuffix(" \\") + "\n" for pin in built]
        path.write_text(head + "".join(lines), newline="\n")


def run_board(session: nox.Session, *arguments: str) -> None:
    """Run the leaderboard's command line where torch is installed, or else where it need not be."""
    torch = folder_of(session, "torch")
    name = "torch" if fits(torch, digest_of("torch", torch)) else "leaderboard"
    run_python(session, name, "-m", "leaderboard", *arguments)


def run_python(session: nox.Session, name: str, *arguments: str) -> None:
    """Run Python in an environment that sessions share, once it has what it should."""
    options, folder = session._runner.global_config, folder_of(session, name)
    python = str(folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))
    if folder not in READY:
        envdir = Path(options.envdir)
        envdir.mkdir(parents=True, exist_ok=True)
        with FileLock(envdir / f"{name}.lock"):  # another nox may be at it
            there = Path(python).exists() and options.reuse_venv != "never"
            if not (there and options.no_install):
                prepare(session, name, folder, python, there)
        READY.add(folder)
    session.run(python, *(word for word in arguments if word != LATEST), external=True)


def folder_of(session: nox.Session, name: str) -> Path:
    """The folder of an environment, which --envdir moves."""
    # nox has no public way to ask for --envdir, -R and --reuse-venv.
    envdir = Path(session._runner.global_config.envdir)
    return envdir / "latest" / name if LATEST in session.posargs else envdir / name


def digest_of(name: str, folder: Path) -> str:
    """A digest of what an environment should have."""
    latest = folder.parent.name == "latest"
    contents = [b"latest"] if latest else [path.read_bytes() for path in lock_of(name)]
    parts = [sys.implementation.cache_tag.encode(), *contents]
    return hashlib.sha256(b"\n".join(parts)).hexdigest()


def fits(folder: Path, digest: str) -> bool:
    """Whether a file in an environment says that it has what it should."""
    stamp = folder / STAMP
    return stamp.is_file() and stamp.read_text() == digest


def prepare(session: nox.Session, name: str, folder: Path, python: str, there: bool) -> None:
    """Make an environment, unless it has what its lock says."""
    latest, now = folder.parent.name == "latest", digest_of(name, folder)
    fit = there and fits(folder, now)
    if fit and not latest:
        return
    session.log(f"installing into {folder}")
    if not fit:
        virtualenv = (sys.executable, "-m", "virtualenv", "--clear", "--quiet", str(folder))
        session.run_install(*virtualenv, external=True)
    uv = shutil.which("uv")
    install = (uv, "pip", "install", "--python", python) if uv else (python, "-m", "pip", "install")
    if latest:
        wanted = [*nox.project.dependency_groups(PYPROJECT, GROUPS[name])]
        wanted += own_dependencies() if name == "torch" else []
        eager = {"PIP_UPGRADE_STRATEGY": "eager"}  # uv always is
        session.run_install(*install, "--upgrade", *wanted, env=eager, external=True)
    else:
        hashed, *built = map(str, lock_of(name))
        exactly = ("--quiet", "--no-deps", "--require-hashes", "--requirement", hashed)
        session.run_install(*install, *exactly, external=True)
        for versions in built:  # not quiet: torch is large, and pip shows how far it is
            session.run_install(*install, "torch", "--constraint", versions, external=True)
    (folder / STAMP).write_text(now)


if __name__ == "__main__":
    nox.main()
