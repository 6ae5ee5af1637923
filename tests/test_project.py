"""What holds for the repository as a whole."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from helpers import PACKAGES, ROOT
from pydantic import ValidationError

import baselines
import nft
from benchmark.datasets import catalog
from benchmark.datasets.sources import ImageSource
from benchmark.fields import recorded
from leaderboard.archive import entries, provenance

MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {module_of(path): path for path in MODULES}


def imports(path: Path, top: bool = False) -> set[str]:
    """Modules of this project that a file imports, or that it imports at its top, when loaded."""
    tree, names = parse(path), set()
    for node in at_top(tree) if top else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            # `from nft import siren` loads a module, `from nft.siren import fit` a part of one.
            names |= (parts & NAMES.keys()) | ({node.module} if parts - NAMES.keys() else set())
    return {name for name in names if name.split(".")[0] in PACKAGES}


def at_top(tree: ast.AST) -> Iterator[ast.stmt]:
    """The statements that loading a module runs, less what only type checkers read."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.stmt):
            yield node
        yield from at_top(node)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


ALLOWED = {
    "nft": ("nft",),
    "baselines": (
        "nft",
        "baselines",
        "benchmark.methods",
        "benchmark.matching",
        "benchmark.fields",
        "benchmark.datasets.listing",
        "benchmark.plugins",
        "benchmark.suites",
        "benchmark.tuning.space",
        "benchmark.errors",
    ),
    "benchmark": ("nft", "baselines", "benchmark"),
    "leaderboard": (
        "leaderboard",
        "benchmark.record",
        "benchmark.suites",
        "benchmark.errors",
        "benchmark.datasets.listing",
        "benchmark.sandbox",
        "benchmark.tuning.log",
    ),
}
COMMAND_LINE = ("benchmark/__main__.py", "benchmark/runs/invocation.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    """nft knows nobody, the baselines know nft and the contract, the leaderboard the records; only
    the command line of the benchmark knows the leaderboard.
    """
    place = path.relative_to(ROOT)
    allowed = ALLOWED[place.parts[0]]
    allowed += ("leaderboard",) if place.as_posix() in COMMAND_LINE else ()
    names = imports(path) - {"benchmark"}
    strangers = {
        name for name in names if not any(f"{name}.".startswith(f"{known}.") for known in allowed)
    }
    assert not strangers


def test_no_module_waits_for_one_that_waits_for_it() -> None:
    graph = {
        name: (imports(path, top=True) & NAMES.keys()) - {name} for name, path in NAMES.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("a cycle of imports: " + " -> ".join(reversed(error.args[1])))


@pytest.mark.parametrize("name", ["benchmark.checks.hidden", "leaderboard.submissions.review"])
def test_what_judges_loads_no_methods_code(name: str) -> None:
    waiting, loaded = [name], set()
    while waiting:
        if (module := waiting.pop()) in NAMES and module not in loaded:
            loaded.add(module)
            waiting += imports(NAMES[module], top=True)
    assert len(loaded) > 20
    assert not [module for module in loaded if module.startswith("baselines")]


OTHERS = {"leaderboard": ("benchmark", "baselines"), "benchmark": ("leaderboard",)}


def paths_into(tree: ast.AST, others: Sequence[str]) -> list[str]:
    """File paths that are built from the names of other packages."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            parts = [node.left, node.right]
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name.split(".")[-1] not in ("Path", "joinpath", "join", "glob", "rglob"):
                continue
            parts = node.args
        else:
            continue
        for part in parts:
            text = part.value if isinstance(part, ast.Constant) else None
            if isinstance(text, str) and text.split("/")[0] in others:
                names.append(ast.unparse(node))
    return names


@pytest.mark.parametrize("package", OTHERS)
def test_no_package_reaches_into_anothers_files(package: str) -> None:
    names = {
        str(path.relative_to(ROOT)): paths
        for path in (ROOT / package).rglob("*.py")
        if (paths := paths_into(parse(path), OTHERS[package]))
    }
    assert not names


def test_what_can_be_made_is_not_subclassed() -> None:
    """Whoever wants a variant of a class makes it of parts: only abstract classes have children."""
    classes = {
        value
        for name in NAMES
        if name.split(".")[0] in ("nft", "baselines")
        or name.startswith(("benchmark.methods", "benchmark.tasks", "benchmark.arms"))
        for value in vars(importlib.import_module(name)).values()
        if isinstance(value, type) and value.__module__.split(".")[0] in PACKAGES
    }
    subclassed = {
        base
        for child in classes
        for base in child.__bases__
        if base.__module__.split(".")[0] in PACKAGES
    }
    assert subclassed
    assert not [base.__qualname__ for base in subclassed if not inspect.isabstract(base)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_public_names_are_documented(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            plain = node.name in ("main", "outputs", "targets") or node.name.endswith("Part")
            assert plain or ast.get_docstring(node), node.name


def test_the_leaderboard_never_imports_torch() -> None:
    names = ", ".join(name for name in NAMES if name.startswith("leaderboard"))
    code = f"import sys, {names}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_committed_leaderboard_is_what_the_records_say() -> None:
    branch = subprocess.run(
        ["git", "branch", "--show-current"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if branch.stdout.strip() != "main" or "GITHUB_ACTIONS" in os.environ:
        pytest.skip("a branch brings records; the pages are made after the merge")
    command = [sys.executable, "-m", "leaderboard", "build", "--check"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr


def test_ranked_records_have_the_present_settings() -> None:
    """Also those that a file no longer names, and fall back on the method's own."""
    methods, ranked = baselines.registry(), 0
    for entry in entries.read().current:
        record, cell = entry.record, entry.record.cell
        if record.status != "finished" or provenance.objections(record):
            continue
        made = methods[record.method.name].make(
            cell.suite, cell.task, cell.dataset, cell.entrant.options
        )
        assert json.loads(json.dumps(recorded(made))) == record.method.hyperparameters, cell
        ranked += 1
    assert ranked > 100


def commands() -> list[str]:
    return re.findall(
        r"^python3 -m venv .*$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )


def test_the_readme_starts_with_the_two_commands_and_ci_runs_the_second() -> None:
    first, second = commands()[:2]
    assert first.endswith("nox -s benchmark-inr")
    assert second.endswith("nox -s tests")
    assert second in (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()


def test_the_readmes_python_runs_in_any_folder(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("## Use the layers alone\n")[1]
    code = text.split("```python\n")[1].split("```")[0]
    check = """
assert logits.shape == (8, 10) and edited[0][0].shape == (8, 32, 2)
assert array.shape == (8, 16, 64) and image.shape == (8, 1024, 3)
"""
    assert len([line for line in code.splitlines() if line.strip()]) < 20
    elsewhere(tmp_path, "-c", code + check).check_returncode()


def elsewhere(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder that is not the project's, with the project on its path."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_layers_names_are_in_reach_and_typed(tmp_path: Path) -> None:
    stub = (ROOT / "nft/__init__.pyi").read_text(encoding="utf-8")
    for name, place in nft.PLACES.items():
        assert getattr(nft, name) is getattr(importlib.import_module(place), name)
        assert f"from {place} import {name} as {name}\n" in stub
    assert len(stub.splitlines()) == len(nft.PLACES) + 2
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    # Loading the package loads nothing else: whoever wants a part has it without the others.
    code = "import sys, nft; print(nft.__version__, 'torch' in sys.modules)"
    assert elsewhere(tmp_path, "-c", code).stdout == f"{version['version']} False\n"


CONSOLE = "import sys, nft_benchmark; sys.argv[1:] = ['list']; nft_benchmark.benchmark()"


def test_other_packages_of_the_same_names_are_no_trap(tmp_path: Path) -> None:
    """The console script finds its own; `python -m benchmark` takes the folder's, and says so."""
    for name in ("baselines", "leaderboard"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('not mine')")
    process = elsewhere(tmp_path, "-m", "benchmark", "list")
    assert process.returncode == 2
    other = tmp_path.resolve() / "baselines/__init__.py"
    assert process.stderr.startswith(f"error: {other} is another package than this project's base")
    assert len(process.stderr.splitlines()) == 1
    (tmp_path / "benchmark.py").write_text("raise SystemExit('not mine')")
    process = elsewhere(tmp_path, "-c", CONSOLE)
    assert process.returncode == 0, process.stderr
    assert "inr-classification" in process.stdout


def test_without_the_benchmarks_packages_the_console_script_says_what_to_install(
    tmp_path: Path,
) -> None:
    code = f"import sys; sys.modules['typer'] = None; {CONSOLE}"
    process = elsewhere(tmp_path, "-c", code)
    assert process.returncode == 2
    assert process.stderr.startswith("error: typer is not installed")
    assert len(process.stderr.splitlines()) == 1


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


WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_name_commits_and_begin_with_few_rights(path: Path) -> None:
    """A tag of an action can be moved; whoever moves it has what the job may do."""
    text = path.read_text(encoding="utf-8")
    actions = re.findall(r"uses: (.*)", text)
    assert actions
    for action in actions:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v[0-9.]+", action), action
    top = text.split("\njobs:")[0]
    assert top.endswith(("permissions: {}", "permissions:\n  contents: read", "concurrency: pages"))
    assert text.count("persist-credentials: false") == text.count("actions/checkout@")


def test_source_images_are_of_a_commit() -> None:
    """And which one is no part of what a dataset is: built ones stay what they are."""
    entry = catalog.entry("mnist-inr-mini")
    with pytest.raises(ValidationError, match="revision"):
        ImageSource.model_validate(entry.images.model_dump() | {"revision": "main"})
    folder = ROOT / "benchmark/datasets/embedded/mnist-inr-mini"
    made = json.loads((folder / "manifest.json").read_bytes())
    assert made["recipe"]["images"]["revision"] != entry.images.revision
    assert entry.made(made["recipe"])
    assert not entry.made(made["recipe"] | {"steps": 1})
