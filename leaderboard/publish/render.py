"""Tables as text: for a terminal, as Markdown, CSV, JSON and LaTeX."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from benchmark.record.metrics import Metric
from benchmark.record.schema import EncoderPart, Record, Settings
from leaderboard.archive.tables import Board, Cell, Row
from leaderboard.publish.text import latex, markdown, spreadsheet

BIBLIOGRAPHY = Path(__file__).resolve().parent.parent / "references.bib"
CITE = "the benchmark as its CITATION.cff says, and the methods and datasets by references.bib"


def text(boards: Sequence[Board]) -> str:
    """All tables for a terminal."""
    parts = []
    for board in boards:
        parts.append(
            f"{board.task}, suite {board.suite}: test {board.metric.label}, mean ± standard deviation over seeds"
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
        parts += [
            f"* {note}"
            for note in reconstructions(board.records)
            + further(board.records)
            + troubles(board.records)
        ]
        reasons = sorted({objection for row in board.rows for objection in row.objections})
        parts += [f"* the leaderboard would not rank results {reason}" for reason in reasons]
    return "\n".join(parts)


def overview(boards: Sequence[Board]) -> str:
    """One table over several boards: methods by datasets, ranked ones and whatever else ran on the usual weights."""
    columns = [(board, dataset) for board in boards for dataset in board.datasets]
    rows: dict[str, dict[str, str]] = {}
    for board in boards:
        for row in board.rows:
            if not row.is_control:
                shown = {
                    name: _plain_cell(board, cell)
                    for name, cell in row.cells.items()
                    if cell.entries
                }
                rows.setdefault(row.title, {}).update(shown)
    headers = ["method", *(f"{dataset}\n{board.metric.label}" for board, dataset in columns)]
    lines = [
        [title, *(cells.get(dataset, "") for _, dataset in columns)]
        for title, cells in rows.items()
    ]
    layout = ["left"] + ["right"] * len(columns)
    return tabulate(lines, headers, tablefmt="simple", disable_numparse=True, colalign=layout)


def board_markdown(board: Board) -> str:
    """One board's table and what its runs shared."""
    parts = [f"## {markdown(board.task)}, suite {markdown(board.suite)}\n"]
    parts += [f"{markdown(setting)}\n" for setting in board.settings]
    parts.append(f"Test {board.metric.label}.\n")
    parts.append(table_markdown(board) + "\n")
    notes = (
        reconstructions(board.records)
        + further(board.records)
        + troubles(board.records)
        + provenance(board.records)
    )
    parts.append("\n".join(f"- {markdown(note)}" for note in notes) + "\n")
    return "\n".join(parts)


def table_markdown(board: Board) -> str:
    """One board's table alone."""
    rows = []
    for row in board.rows:
        shown, *others = _line(board, row, _ranked_cell)
        apart = f" [not ranked: {'; '.join(row.objections)}]" if row.objections else ""
        rows.append([markdown(cell) for cell in (shown + apart, *others)])
    headers = [markdown(header) for header in _headers(board)]
    return tabulate(
        rows, headers, tablefmt="pipe", disable_numparse=True, colalign=_alignment(board)
    )


def frame(board: Board) -> pd.DataFrame:
    """A row for each entrant and dataset, numbers as numbers: what CSV, JSON and Parquet hold."""
    lines = []
    for row in board.rows:
        for dataset, cell in row.cells.items():
            if not cell.entries:
                continue
            made = cell.summary
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
                    "seeds": made.seeds if made else 0,
                    "mean": made and made.mean,
                    "standard_deviation": made and made.deviation,
                    "interval_low": made and made.low,
                    "interval_high": made and made.high,
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
    """`frame` as CSV, in which no text is a formula."""
    data = frame(board)
    words = data.select_dtypes(include=["object", "string"]).columns
    data[words] = data[words].map(
        lambda value: spreadsheet(value) if isinstance(value, str) else value
    )
    return data.to_csv(index=False, lineterminator="\n", float_format="%.6g")


def to_json(board: Board) -> str:
    """`frame` as a list of objects."""
    rows = json.loads(frame(board).to_json(orient="records", double_precision=10))
    return json.dumps(rows, indent=1, ensure_ascii=True) + "\n"


def to_latex(board: Board, bibliography: dict[str, str]) -> str:
    """A booktabs table; the leading group of each column is bold, and methods whose paper is in the bibliography are cited."""

    def method(row: Row) -> str:
        key = cite_key(row.paper)
        return latex(row.shown) + (rf"~\cite{{{key}}}" if key in bibliography else "")

    def cell(board: Board, found: Cell) -> str:
        shown = latex(_plain_cell(board, found))
        return rf"\textbf{{{shown}}}" if found.rank == 1 else shown

    shown = [row for row in board.rows if not row.objections]
    lines = [
        [method(row), *(cell(board, found) for found in row.cells.values()), count(row.parameters)]
        for row in shown
    ]
    headers = ["Method", *map(latex, board.datasets), "Parameters"]
    body = (
        pd.DataFrame(lines, columns=headers)
        .style.hide(axis="index")
        .to_latex(hrules=True, column_format="l" + "r" * (len(board.datasets) + 1))
    )
    caption = (
        f"{latex(board.task)}, suite {latex(board.suite)}: test {latex(board.metric.label)}, mean "
        r"\(\pm\) standard deviation over seeds. Bold: not told apart from the best at 5\,\%."
    )
    head = f"% Needs booktabs. Please cite: {CITE}\n"
    return (
        head + "\\begin{table}\n\\centering\n\\caption{" + caption + "}\n" + body + "\\end{table}\n"
    )


def files(board: Board, bibliography: dict[str, str]) -> dict[str, str]:
    """A board's table for other programs, by the ending of its file."""
    return {".csv": to_csv(board), ".json": to_json(board), ".tex": to_latex(board, bibliography)}


def read_bibliography(path: Path = BIBLIOGRAPHY) -> dict[str, str]:
    """Every entry, by its key."""
    entries = re.split(r"\n(?=@)", path.read_text(encoding="utf-8").strip())
    return {re.match(r"@\w+\{([^,]+),", entry).group(1): entry + "\n" for entry in entries}


def to_bibtex(boards: Sequence[Board], bibliography: dict[str, str]) -> str:
    """The entries of just the methods and datasets in these boards."""
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
    """ "arXiv:2305.13546" to "arxiv-2305-13546"."""
    return re.sub(r"[^a-z0-9]+", "-", paper.lower())


def reconstructions(records: Sequence[Record]) -> list[str]:
    """One line for each two-stage method and dataset: how well its arrays let unseen networks be redrawn."""
    found: dict[tuple[str, str], list[EncoderPart]] = {}
    for record in records:
        if record.encoder:
            found.setdefault((record.method.title, record.dataset.name), []).append(record.encoder)
    lines = []
    for (title, dataset), parts in sorted(found.items()):
        made = pd.Series([part.test_psnr for part in parts])
        spread = f" ± {made.std():.1f}" if len(made) > 1 else ""
        drawn = f"redraws unseen networks at {made.mean():.1f}{spread} dB"
        lines.append(
            f"{title} on {dataset} {drawn}; their mean image is at {parts[0].mean_image_psnr:.1f} dB"
        )
    return lines


FURTHER = {
    "test_r2": "R2",
    "test_low": "lower end of Kendall's tau's 95 % bootstrap interval over networks",
    "test_high": "upper end of Kendall's tau's 95 % bootstrap interval over networks",
    "test_fit": "error of the unedited INRs on their own images, which fitting costs",
    "test_ceiling": "error of the same networks fitted to the edited images directly, the ceiling",
}
"""Metrics beside a task's own that tables tell of."""


def further(records: Sequence[Record]) -> list[str]:
    """One line for each dataset and further metric: means over seeds."""
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for record in records:
        for name in FURTHER.keys() & record.metrics.keys():
            if (value := record.metrics[name]) is not None:
                found.setdefault((record.dataset.name, name), {}).setdefault(
                    record.method.title, []
                ).append(value)
    lines = []
    for (dataset, name), methods in sorted(found.items()):
        means = sorted(
            ((sum(values) / len(values), title) for title, values in methods.items()), reverse=True
        )
        told = ", ".join(
            f"{title} {mean:.4g}" if len(means) > 1 else f"{mean:.4g}" for mean, title in means
        )
        lines.append(f"{dataset}, {FURTHER[name]}: {told}")
    return lines


def troubles(records: Sequence[Record]) -> list[str]:
    """One line for every run that did not finish."""
    return [
        f"{record.method.title} ({record.dataset.arm}) on {record.dataset.name}, seed {record.seed}: {record.status}: {record.reason}"
        for record in records
        if record.status != "finished"
    ]


def provenance(records: Sequence[Record]) -> list[str]:
    """What the runs shared: protocol, seeds, data, and where they were made."""
    protocols = {_settings(record.protocol) for record in records}
    encoders = {_settings(record.encoder.protocol) for record in records if record.encoder}
    seeds = sorted({record.seed for record in records})
    data = sorted(
        {f"{record.dataset.name} {record.dataset.fingerprint[:12]}" for record in records}
    )
    environments = sorted({_environment(record) for record in records})
    return [
        *(f"Protocol: {protocol}" for protocol in sorted(protocols)),
        *(f"Protocol of the first of two stages: {protocol}" for protocol in sorted(encoders)),
        f"Seeds: {', '.join(map(str, seeds))}",
        f"Datasets, with their fingerprints: {', '.join(data)}",
        *(f"Made with {environment}" for environment in environments),
    ]


def count(value: float | None) -> str:
    """A number with thousands apart."""
    return "-" if value is None else f"{value:,.0f}"


def millions(value: float | None) -> str:
    """A number in millions."""
    return "-" if value is None else f"{value / 1e6:,.1f}"


def plain(metric: Metric, cell: Cell) -> str:
    """ "81.3 ± 0.4", and what is missing: few seeds, runs whose metric has no value."""
    told = ["undefined"] if cell.undefined and not cell.summary else []
    if cell.summary:
        spread = (
            "" if cell.summary.deviation is None else f" ± {metric.show(cell.summary.deviation)}"
        )
        told = [metric.show(cell.summary.mean) + spread]
        if cell.summary.deviation is None:
            told.append("(n=1)")
        if cell.undefined:
            told.append(f"({cell.undefined} undefined)")
    return " ".join(told) or "-"


def _plain_cell(board: Board, cell: Cell) -> str:
    shown = plain(board.metric, cell)
    if cell.summary and 1 < cell.summary.seeds < board.most_seeds:
        return f"{shown} (n={cell.summary.seeds})"
    return shown


def _ranked_cell(board: Board, cell: Cell) -> str:
    rank = f"#{cell.rank} " if cell.rank else ""
    return rank + _plain_cell(board, cell)


def _line(board: Board, row: Row, cell: Callable[[Board, Cell], str]) -> list[str]:
    cells = [cell(board, row.cells[name]) for name in board.datasets]
    costs = [count(row.parameters), millions(row.flops), count(row.seconds), count(row.rate)]
    return [row.shown, *cells, *costs]


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


def _settings(protocol: Settings) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in protocol.items())


def _environment(record: Record) -> str:
    made = record.environment
    commit = made.commit[:12] if made.commit else "no commit"
    versions = ", ".join(f"{name} {version}" for name, version in made.versions.items())
    state = "" if made.clean else " with uncommitted changes"
    shared = f"{made.workers} runs at a time with {made.threads} threads each"
    return f"commit {commit}{state}, {versions}, {made.device}: {made.processor}, {shared}"
