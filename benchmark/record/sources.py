"""What code computes, as a digest of its sources that prose and layout do not change.

A result is of four sources: the method's file, the task, the arm, and the harness that every run
goes through, each with what it imports of the packages where results come from.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
METHODS = ROOT / "baselines"
"""The folder of the methods' files."""

HARNESS = (
    "benchmark/arms/scattered.py",
    "benchmark/arms/scattering.py",
    "benchmark/datasets/storage.py",
    "benchmark/disturbance.py",
    "benchmark/matching.py",
    "benchmark/methods.py",
    "benchmark/record/metrics.py",
    "benchmark/record/predictions.py",
    "benchmark/record/seeds.py",
    "benchmark/runs/augmentation.py",
    "benchmark/runs/encoding.py",
    "benchmark/runs/fit.py",
    "benchmark/runs/mixup.py",
    "benchmark/runs/training.py",
    "benchmark/seeds.py",
    "benchmark/suites/protocol.py",
    "nft/network.py",
    "nft/symmetry.py",
)
"""The modules that every run goes through, from the project's root."""

FOLLOWED = ("nft", "baselines", "benchmark.tasks", "benchmark.arms")
"""The packages whose modules belong to whatever imports them."""

IGNORED = {"ctx", "kind", "type_comment", "type_params", "type_ignores"}
"""Fields of syntax trees that say nothing, or that not every version of Python has."""


@cache
def digest(source: str | None, task: str, arm: str) -> str | None:
    """SHA-256 of the code that a run's numbers come from, without docstrings, comments and layout.

    Args:
        source: the method's file from the project's root, as "baselines/mlp.py".
        task, arm: their names.

    Returns:
        None where one of the three has no file in the project.
    """
    roots = [ROOT / _file(f"benchmark/tasks/{task}"), ROOT / _file(f"benchmark/arms/{arm}")]
    if source is None or not all(path.is_file() for path in [*roots, ROOT / source]):
        return None
    return digest_of(closure([ROOT / source, *roots, *(ROOT / name for name in HARNESS)]))


def digest_of(paths: Iterable[Path]) -> str:
    """SHA-256 over the syntax of Python files, in the order of their places in the project."""
    hashed = hashlib.sha256()
    for path in sorted(paths, key=lambda path: path.relative_to(ROOT).as_posix()):
        hashed.update(_syntax_of(_text(path)) + b"\0")
    return hashed.hexdigest()


def closure(roots: Iterable[Path]) -> set[Path]:
    """The files and all that they import of the packages that are followed, directly or not."""
    files: set[Path] = set()
    waiting = list(roots)
    while waiting:
        path = waiting.pop()
        if path in files:
            continue
        files.add(path)
        for module in _imports(path):
            if any(f"{module}.".startswith(f"{package}.") for package in FOLLOWED):
                place = ROOT / module.replace(".", "/")
                places = (place.with_suffix(".py"), place / "__init__.py")
                waiting += [file for file in places if file.is_file()]
    return files


def methods_in(path: Path) -> dict[str, str]:
    """The methods and variants that a file defines, each with its docstring, without running it."""
    methods: dict[str, str] = {}
    for node in ast.parse(_text(path)).body:
        if not isinstance(node, ast.ClassDef):
            continue
        prose = ast.get_docstring(node) or ""
        for line in node.body:
            target = _target(line)
            if target == "name" and isinstance(line.value, ast.Constant):
                methods[str(line.value.value)] = prose
            if target == "variants":
                methods |= dict.fromkeys(_variants(line.value), prose)
    return methods


def arms() -> dict[str, str]:
    """What each arm does to networks, by name, without running its file."""
    return {
        name: prose
        for path in sorted((ROOT / "benchmark" / "arms").glob("*.py"))
        for name, prose in methods_in(path).items()
    }


def all_methods() -> list[str]:
    """The methods and variants of all methods' files, without running them."""
    return sorted(name for path in METHODS.glob("*.py") for name in methods_in(path))


@cache
def titles() -> frozenset[str]:
    """The texts in the methods' files, the titles of all methods among them."""
    return frozenset(
        node.value
        for path in METHODS.glob("*.py")
        for node in ast.walk(ast.parse(_text(path)))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _target(line: ast.stmt) -> str | None:
    if isinstance(line, ast.Assign) and len(line.targets) == 1:
        return getattr(line.targets[0], "id", None)
    return None


def _variants(value: ast.expr) -> Iterator[str]:
    for node in ast.walk(value):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Variant" and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant):
                yield str(first.value)


def _file(place: str) -> str:
    return place.replace("-", "_") + ".py"


def _imports(path: Path) -> Iterator[str]:
    package = path.relative_to(ROOT).parent.parts
    for level, name in _imported(_text(path)):
        above = package[: len(package) - level + 1] if level else ()
        yield ".".join([*above, *([name] if name else [])])


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


# Nearly all modules belong to the sources of every method. What is remembered is remembered by the
# text, so that an edited file is read anew.


@cache
def _imported(text: str) -> tuple[tuple[int, str], ...]:
    """What a module imports: how many packages up, and the dotted name from there."""
    imports = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            imports += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # `from nft import siren` names a module, `from nft.siren import fit` a part of one.
            inside = [node.module] if node.module else []
            imports.append((node.level, ".".join(inside)))
            imports += [(node.level, ".".join([*inside, alias.name])) for alias in node.names]
    return tuple(imports)


@cache
def _syntax_of(text: str) -> bytes:
    return "\n".join(_syntax(ast.parse(text))).encode()


def _syntax(node: ast.AST) -> Iterator[str]:
    """A syntax tree as lines that are the same in every version of Python."""
    yield type(node).__name__
    for name, value in ast.iter_fields(node):
        if name in IGNORED or value is None or value == []:
            continue
        for item in value if isinstance(value, list) else [value]:
            if _is_prose(item):
                continue
            if isinstance(item, ast.AST):
                yield f"{name}("
                yield from _syntax(item)
                yield ")"
            else:
                yield f"{name}={type(item).__name__} {item!r}"


def _is_prose(item: object) -> bool:
    """Whether a statement is nothing but a string."""
    return (
        isinstance(item, ast.Expr)
        and isinstance(item.value, ast.Constant)
        and isinstance(item.value.value, str)
    )
