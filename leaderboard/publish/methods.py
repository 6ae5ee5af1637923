"""`baselines/README.md`: the methods side by side, from their files, records and audits."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path

from tabulate import tabulate

from benchmark import suites
from benchmark.record import sources, symmetries
from benchmark.record.symmetries import Measurement
from leaderboard.archive.tables import Board, Row
from leaderboard.publish import render, symmetry
from leaderboard.publish.text import markdown

NOT_METHODS = {"__init__.py"}

PAGE = """\
# Methods

Written by `nox -s leaderboard` from the files here, the committed records of suite `mini` and the
audits. Each file is one method or family, with its paper's defaults. Parameters and FLOPs are those
of the first task that the method has records for: a mean over its datasets. Symmetries are those
that the audit [measured](../leaderboard/SYMMETRY.md). How to add a method:
[CONTRIBUTING.md](../CONTRIBUTING.md).

## Methods that read weights

{readers}

## Methods that evaluate the networks

They may feed a network with inputs of their choice and read its outputs. They are shown beside the
others and not ranked with them.

{probers}

## Controls

{controls}
"""


def page(boards: Sequence[Board], measurements: Sequence[Measurement]) -> str:
    """Render the page.

    Args:
        boards: Of the current records.
        measurements: Of the audit.
    """
    rows = _rows(boards)
    measured = symmetries.by_method(measurements)
    groups: dict[str, list[list[str]]] = {"readers": [], "probers": [], "controls": []}
    for path in sorted(sources.METHODS.glob("*.py")):
        if path.name in NOT_METHODS:
            continue
        for names, prose in _families(path):
            groups[_group(path, prose)].append(_line(path, names, prose, rows, measured))
    return PAGE.format(**{name: _table(lines) for name, lines in groups.items()})


def _rows(boards: Sequence[Board]) -> dict[str, tuple[Board, Row]]:
    """The first row of each method in suite mini, on networks as they are."""
    rows: dict[str, tuple[Board, Row]] = {}
    for board in boards:
        for row in board.rows:
            if board.suite == suites.MINI and not row.is_control:
                rows.setdefault(row.method, (board, row))
    return rows


def _families(path: Path) -> list[tuple[list[str], str]]:
    """Each class of a file, as the names of its rows and its docstring."""
    families: dict[str, list[str]] = {}
    for name, prose in sources.methods_in(path).items():
        families.setdefault(prose, []).append(name)
    return [(names, prose) for prose, names in families.items()]


def _group(path: Path, prose: str) -> str:
    if path.name == "constant.py":
        return "controls"
    classes = {
        node.name: node
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    }
    own = next(node for node in classes.values() if (ast.get_docstring(node) or "") == prose)
    return "probers" if _evaluates(own, classes) else "readers"


def _evaluates(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> bool:
    """Whether a class, or one of its file that it inherits from, says so."""
    lines = {ast.unparse(line) for line in node.body}
    bases = [classes[base] for base in map(ast.unparse, node.bases) if base in classes]
    return "reads_functions = True" in lines or any(_evaluates(base, classes) for base in bases)


def _line(
    path: Path,
    names: Sequence[str],
    prose: str,
    rows: Mapping[str, tuple[Board, Row]],
    measured: Mapping[str, list[Measurement]],
) -> list[str]:
    first = next((name for name in names if name in rows), names[0])
    cost, tasks = ("-", "-"), "no records yet"
    if first in rows:
        _, row = rows[first]
        cost = render.count(row.parameters), render.millions(row.flops)
        tasks = ", ".join(dict.fromkeys(rows[name][0].task for name in names if name in rows))
    idea = " ".join(prose.split("\n\n", maxsplit=1)[0].split())
    return [
        f"[{path.name}]({path.name})",
        ", ".join(f"`{name}`" for name in names),
        markdown(idea),
        symmetry.held(measured.get(first, [])),
        *cost,
        tasks,
    ]


def _table(lines: Sequence[Sequence[str]]) -> str:
    headers = ("file", "rows", "idea", "symmetries, measured", "parameters", "MFLOP", "tasks")
    layout = ("left", "left", "left", "left", "right", "right", "left")
    if not lines:
        return "None."
    return tabulate(lines, headers, tablefmt="pipe", disable_numparse=True, colalign=layout)
