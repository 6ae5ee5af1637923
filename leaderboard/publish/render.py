"""Tables for a terminal, and as Markdown, CSV, JSON and LaTeX."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from benchmark.record import symmetries
from benchmark.record.metrics import Metric
from leaderboard.archive.tables import Board, Cell, Row
from leaderboard.publish import notes, symmetry
from leaderboard.publish.text import latex, markdown, spreadsheet

BIBLIOGRAPHY = Path(__file__).resolve().parent.parent / "references.bib"
CITE = "the benchmark as its CITATION.cff says, and the methods and datasets by references.bib"


def text(boards: Sequence[Board]) -> str:
    """Render boards for a terminal."""
    parts = []
    for board in boards:
        parts.append(
            f"{board.task}, suite {board.suite}: test {board.metric.label}, "
            "mean ± standard deviation over seeds"
        )
        rows = [_line(board, row, _plain_cell) for row in board.rows]
        parts.append(
            tabulate(
                rows,
                _headers(board),
                tablefmt="simple",
                disable_numparse=True,
                colalign=_alignment(board),
            )
        )
        parts += [f"* {note}" for note in notes.results(board.records)]
        reasons = sorted({objection for row in board.rows for objection in row.objections})
        parts += [f"* the leaderboard would not rank results {reason}" for reason in reasons]
    return "\n".join(parts)


def overview(boards: Sequence[Board]) -> str:
    """Render one table of all boards but their controls: methods by datasets."""
    columns = [(board, dataset) for board in boards for dataset in board.datasets]
    rows: dict[str, dict[str, str]] = {}
    for board in boards:
        for row in board.rows:
            if not row.is_control:
                cells = {
                    name: _plain_cell(board, cell)
                    for name, cell in row.cells.items()
                    if cell.entries
                }
                rows.setdefault(row.title, {}).update(cells)
    headers = ["method", *(f"{dataset}\n{board.metric.label}" for board, dataset in columns)]
    lines = [
        [title, *(cells.get(dataset, "") for _, dataset in columns)]
        for title, cells in rows.items()
    ]
    layout = ["left"] + ["right"] * len(columns)
    return tabulate(lines, headers, tablefmt="simple", disable_numparse=True, colalign=layout)


def board_markdown(board: Board) -> str:
    """Render a board as a section of Markdown: its table, and what its runs share."""
    parts = [f"## {markdown(board.task)}, suite {markdown(board.suite)}\n"]
    parts += [f"{markdown(setting)}\n" for setting in board.settings]
    parts.append(f"Test {board.metric.label}.\n")
    parts.append(table_markdown(board) + "\n")
    lines = [
        *notes.resolutions(board.metric, board.columns),
        *notes.results(board.records),
        *notes.provenance(board.records),
    ]
    parts.append("\n".join(f"- {markdown(line)}" for line in lines) + "\n")
    return "\n".join(parts)


def table_markdown(board: Board) -> str:
    """Render a board's table alone, as Markdown, with the symmetries that were measured."""
    rows, measured = [], symmetries.by_method(symmetries.read())
    for row in board.rows:
        label, *others = _line(board, row, _ranked_cell)
        reason = f" [not ranked: {'; '.join(row.objections)}]" if row.objections else ""
        held = symmetry.held(measured.get(row.method, []))
        rows.append([markdown(cell) for cell in (label + reason, *others, held)])
    headers = [*(markdown(header) for header in _headers(board)), "symmetries, measured"]
    layout = [*_alignment(board), "left"]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True, colalign=layout)


def frame(board: Board) -> pd.DataFrame:
    """Make the table that CSV, JSON and Parquet hold: a row for each entrant and dataset."""
    lines = []
    for row in board.rows:
        for dataset, cell in row.cells.items():
            if not cell.entries:
                continue
            summary = cell.summary
            lines.append(
                {
                    "suite": board.suite,
                    "task": board.task,
                    "dataset": dataset,
                    "entrant": row.entrant,
                    "title": row.title,
                    "paper": row.paper,
                    "metric": board.metric.name,
                    "rank": cell.rank,
                    "seeds": summary.seeds if summary else 0,
                    "mean": summary and summary.mean,
                    "standard_deviation": summary and summary.deviation,
                    "interval_low": summary and summary.low,
                    "interval_high": summary and summary.high,
                    "undefined": cell.undefined,
                    "parameters": row.parameters,
                    "flops_per_network": row.flops,
                    "seconds_per_run": row.seconds,
                    "networks_per_second": row.rate,
                    "peak_memory_mib": row.memory,
                    "not_ranked_because": "; ".join(row.objections),
                }
            )
    return pd.DataFrame(lines).astype({"rank": "Int64"})


def to_csv(board: Board) -> str:
    """Write `frame` as CSV, in which no text is a formula."""
    data = frame(board)
    words = data.select_dtypes(include=["object", "string"]).columns
    data[words] = data[words].map(
        lambda value: spreadsheet(value) if isinstance(value, str) else value
    )
    return data.to_csv(index=False, lineterminator="\n", float_format="%.6g")


def to_json(board: Board) -> str:
    """Write `frame` as a list of objects."""
    rows = json.loads(frame(board).to_json(orient="records", double_precision=10))
    return json.dumps(rows, indent=1, ensure_ascii=True) + "\n"


def to_latex(board: Board, bibliography: dict[str, str]) -> str:
    """Render a booktabs table.

    The leading group of each column is bold, and methods whose paper is in the bibliography are
    cited.
    """

    def method(row: Row) -> str:
        key = cite_key(row.paper)
        return latex(row.label) + (rf"~\cite{{{key}}}" if key in bibliography else "")

    def result(cell: Cell) -> str:
        text = latex(_plain_cell(board, cell))
        return rf"\textbf{{{text}}}" if cell.rank == 1 else text

    lines = [
        [method(row), *map(result, row.cells.values()), count(row.parameters)]
        for row in board.rows
        if not row.objections
    ]
    headers = ["Method", *map(latex, board.datasets), "Parameters"]
    body = (
        pd.DataFrame(lines, columns=headers)
        .style.hide(axis="index")
        .to_latex(hrules=True, column_format="l" + "r" * (len(board.datasets) + 1))
    )
    caption = (
        f"{latex(board.task)}, suite {latex(board.suite)}: test {latex(board.metric.label)}, mean "
        r"\(\pm\) standard deviation over seeds. "
        r"Bold: no significant difference from the best at 5\,\%."
    )
    head = f"% Needs booktabs. Please cite: {CITE}\n"
    return (
        head + "\\begin{table}\n\\centering\n\\caption{" + caption + "}\n" + body + "\\end{table}\n"
    )


def files(board: Board, bibliography: dict[str, str]) -> dict[str, str]:
    """Export a board's table, by the suffix of the file."""
    return {".csv": to_csv(board), ".json": to_json(board), ".tex": to_latex(board, bibliography)}


def read_bibliography(path: Path = BIBLIOGRAPHY) -> dict[str, str]:
    """Read the entries of a bibliography, by their keys."""
    entries = re.split(r"\n(?=@)", path.read_text(encoding="utf-8").strip())
    return {re.match(r"@\w+\{([^,]+),", entry).group(1): entry + "\n" for entry in entries}


def to_bibtex(boards: Sequence[Board], bibliography: dict[str, str]) -> str:
    """Select the entries of the methods and datasets in these boards."""
    keys = {cite_key(row.paper) for board in boards for row in board.rows}
    names = {dataset for board in boards for dataset in board.datasets}
    keys |= {
        key for prefix, key in DATASET_KEYS.items() for name in names if name.startswith(prefix)
    }
    return "\n".join(bibliography[key] for key in sorted(keys & set(bibliography)))


DATASET_KEYS = {
    "mnist": "lecun1998",
    "fashion": "arxiv-1708-07747",
    "cifar": "krizhevsky2009",
    "svhn": "netzer2011",
}
"""Bibliography keys of source images, by how the datasets' names begin."""


def cite_key(paper: str) -> str:
    """Convert a paper to its key: "arXiv:2305.13546" to "arxiv-2305-13546"."""
    return re.sub(r"[^a-z0-9]+", "-", paper.lower())


def count(value: float | None) -> str:
    """Format a number with separators of thousands."""
    return "-" if value is None else f"{value:,.0f}"


def millions(value: float | None) -> str:
    """Format a number in millions."""
    return "-" if value is None else f"{value / 1e6:,.1f}"


def plain(metric: Metric, cell: Cell) -> str:
    """Format a result, "81.3 ± 0.4", with a single seed and undefined metrics marked."""
    summary = cell.summary
    if summary is None:
        return "undefined" if cell.undefined else "-"
    if summary.deviation is None:
        parts = [metric.show(summary.mean), "(n=1)"]
    else:
        parts = [f"{metric.show(summary.mean)} ± {metric.show(summary.deviation)}"]
    if cell.undefined:
        parts.append(f"({cell.undefined} undefined)")
    return " ".join(parts)


def _plain_cell(board: Board, cell: Cell) -> str:
    text = plain(board.metric, cell)
    if cell.summary and 1 < cell.summary.seeds < board.most_seeds:
        return f"{text} (n={cell.summary.seeds})"
    return text


def _ranked_cell(board: Board, cell: Cell) -> str:
    rank = f"#{cell.rank} " if cell.rank else ""
    return rank + _plain_cell(board, cell)


def _line(board: Board, row: Row, cell: Callable[[Board, Cell], str]) -> list[str]:
    cells = [cell(board, row.cells[name]) for name in board.datasets]
    costs = [count(row.parameters), millions(row.flops), count(row.seconds), count(row.rate)]
    return [row.label, *cells, *costs]


def _headers(board: Board) -> list[str]:
    return [
        "method",
        *board.datasets,
        "parameters",
        "MFLOP a network",
        "seconds a run",
        "networks/s",
    ]


def _alignment(board: Board) -> list[str]:
    return ["left"] + ["right"] * (len(board.datasets) + 4)
