"""What holds for the repository as a whole."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("nft", "baselines", "benchmark", "leaderboard")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Modules of this project that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return {name for name in found if name.split(".")[0] in PACKAGES}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    """nft knows nobody, the baselines know nft and the contract, the leaderboard knows nobody."""
    package = path.relative_to(ROOT).parts[0]
    allowed = {
        "nft": ("nft",),
        "baselines": ("nft", "baselines", "benchmark.methods"),
        "benchmark": ("nft", "baselines", "benchmark", "leaderboard"),
        "leaderboard": ("leaderboard",),
    }[package]
    strangers = {
        name
        for name in imports(path)
        if not any(f"{name}.".startswith(f"{known}.") for known in allowed)
    }
    assert not strangers


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_public_names_are_documented(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            plain = node.name in ("main", "outputs", "targets") or node.name.endswith("Part")
            assert plain or ast.get_docstring(node), node.name


def test_the_leaderboard_never_imports_torch() -> None:
    code = "import sys, leaderboard.site, leaderboard.review, leaderboard.__main__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_committed_leaderboard_is_what_the_records_say() -> None:
    command = [sys.executable, "-m", "leaderboard", "build", "--check"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr


def commands() -> list[str]:
    return re.findall(
        r"^python3 -m venv .*$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )


def test_the_readme_starts_with_the_two_commands_and_ci_runs_the_second() -> None:
    first, second = commands()[:2]
    assert first.endswith("nox -s benchmark-inr")
    assert second.endswith("nox -s tests")
    assert second in (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()


def test_the_readmes_python_runs() -> None:
    code = (ROOT / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    check = """
assert logits.shape == (8, 10) and edited[0][0].shape == (8, 32, 2)
assert array.shape == (8, 16, 64) and image.shape == (8, 1024, 3)
"""
    assert len([line for line in code.splitlines() if line.strip()]) < 20
    subprocess.run([sys.executable, "-c", code + check], cwd=ROOT, check=True)


def test_nothing_is_unpickled_and_no_remote_code_is_trusted() -> None:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert "trust_remote_code" not in keywords
                if ast.unparse(node.func) == "torch.load":
                    assert keywords.get("weights_only") == "True"
                assert ast.unparse(node.func) not in ("pickle.load", "pickle.loads", "eval", "exec")


def test_the_package_holds_its_data() -> None:
    """What pyproject.toml lists as package data is all that the packages need."""
    from setuptools import find_packages
    from setuptools.glob import glob

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "setuptools"
    ]
    packages = find_packages(str(ROOT), include=settings["packages"]["find"]["include"])
    assert {path.parent.relative_to(ROOT).as_posix().replace("/", ".") for path in MODULES} == set(
        packages
    )
    for package, patterns in settings["package-data"].items():
        listed = {
            path
            for pattern in patterns
            for path in glob(str(ROOT / package / pattern), recursive=True)
        }
        tracked = subprocess.run(
            ["git", "ls-files", "-z", package],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        ).stdout.split("\0")
        data = {str(ROOT / name) for name in tracked if name and not name.endswith(".py")}
        assert data <= listed
