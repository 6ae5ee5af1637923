"""Whether a record may be ranked: from a clean commit, on a pinned dataset, of the method's present code."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from benchmark.record.schema import Record

ROOT = Path(__file__).resolve().parent.parent.parent


@cache
def code_sha256(source: str) -> str | None:
    """SHA-256 over a method's file and every file of `nft/` and `baselines/` that it imports, directly or not; None without it."""
    files = _sources(source.removesuffix(".py").replace("/", "."))
    if not files:
        return None
    return sha256_of(sorted(files))


def sha256_of(files: Iterable[Path]) -> str:
    """SHA-256 over files of the project, their names and contents, in the given order."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def methods_in(path: Path) -> dict[str, str]:
    """What the classes of a method's file call themselves, each with its docstring, read without running anything."""
    return {
        line.value.value: ast.get_docstring(node) or ""
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
        for line in node.body
        if isinstance(line, ast.Assign)
        and [getattr(target, "id", "") for target in line.targets] == ["name"]
        and isinstance(line.value, ast.Constant)
        and isinstance(line.value.value, str)
    }


def objections(record: Record) -> list[str]:
    """Why a record is shown apart and never ranked; none for one that may be."""
    made, found = record.environment, []
    if made.commit is None:
        found.append("from no commit")
    elif not made.clean:
        found.append("from a tree with uncommitted changes")
    if not record.dataset.pinned:
        found.append("on a dataset whose fingerprint the catalogue does not pin")
    if record.method.source is None or code_sha256(record.method.source) != record.method.code_sha256:
        found.append("of a method whose code has changed since")
    return found


def _sources(module: str) -> set[Path]:
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        path = ROOT / (waiting.pop().replace(".", "/") + ".py")
        if path in found or not path.exists():
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in ("nft", "baselines"):
                # `from nft import siren` names a module, `from nft.siren import fit` something inside one.
                waiting += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found
