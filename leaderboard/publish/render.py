"""Tables for a terminal, and as Markdown, CSV, JSON and LaTeX."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from benchmark.record import symmetries
from benchmark.record.metrics import Metric
from leaderboard.archive.tables import Board, Cell, Row
from leaderboard.publish import citation, notes, symmetry, words
from leaderboard.publish.text import latex, markdown, spreadsheet

BIBLIOGRAPHY = Path(__file__).resolve().parent.parent / "references.bib"
RING = (
    "° the project ran it again, with seeds and orders of neurons drawn then, and the result agreed"
)
STAR = "* may also run the networks that it reads; not ranked with the others"


def text(boards: Sequence[Board]) -> str:
    """Render boards for a terminal."""
    parts = []
    for board in boards:
        parts.append(
            f"{words.task(board.task).title}, suite {board.suite}: test {board.metric.label}, "
            "mean ± standard deviation over seeds\n"
        )
        parts.append(table_text(board))
        if any(row.reads_functions for row in board.rows):
            parts.append(f"\n{STAR}")
        if any(row.rerun for row in board.rows):
            parts.append(f"\n{RING}")
        parts += [f"* {note}" for note in notes.results(board)]
        reasons = sorted({objection for row in board.rows for objection in row.objections})
        parts += [f"* the leaderboard would not rank results {reason}" for reason in reasons]
    return "\n".join(parts)


def table_text(board: Board) -> str:
    """Render a board's table alone, for a terminal of 100 columns."""
    headers = ["", *map(words.dataset, board.datasets), "params", "MFLOP", "seconds"]
    return _columns([headers], [_line(board, row, _plain_cell)[:-1] for row in board.rows])


def overview(boards: Sequence[Board]) -> str:
    """Render one table of means of all boards but their controls: methods by datasets."""
    columns = [(board, dataset) for board in boards for dataset in board.datasets]
    rows: dict[str, dict[str, str]] = {}
    for board in boards:
        for row in board.rows:
            if not row.is_control:
                cells = {
                    name: board.metric.show(cell.summary.mean)
                    for name, cell in row.cells.items()
                    if cell.summary
                }
                rows.setdefault(row.label, {}).update(cells)
    lines = [
        [title, *(cells.get(dataset, "") for _, dataset in columns)]
        for title, cells in rows.items()
    ]
    # A heading has a line for each of its words, and below them the metric.
    split = [re.sub("-(?=[A-Z])", "-\n", words.dataset(name)).split() for _, name in columns]
    deep = max(map(len, split), default=0)
    heads = [[""] * (deep - len(parts)) + parts for parts in split]
    headers = [["", *(parts[line] for parts in heads)] for line in range(deep)]
    headers.append(["mean", *(words.UNITS[board.metric.name] for board, _ in columns)])
    return _columns(headers, lines)


def _columns(headers: Sequence[Sequence[str]], rows: Sequence[Sequence[str]]) -> str:
    """Lay text out in columns, the first to the left, with two spaces between them.

    tabulate widens headings, which pushes our tables over the edge of a terminal.
    """
    every = [*headers, *rows]
    widths = [max(len(line[place]) for line in every) for place in range(len(every[0]))]
    lines = [
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip()
        for line in every
    ]
    rule = "  ".join("-" * width for width in widths)
    return "\n".join([*lines[: len(headers)], rule, *lines[len(headers) :]])


def board_markdown(board: Board, told: Collection[str] = ()) -> str:
    """Render a board as a section of Markdown: its table, and what its runs share.

    Args:
        board: The board.
        told: What suites say of themselves and has been said already.
    """
    said = words.task(board.task)
    parts = [f"## {markdown(said.title)}, suite {markdown(board.suite)}\n"]
    parts += [f"{markdown(setting)}\n" for setting in board.settings if setting not in told]
    parts += [f"{markdown(said.text)}\n"] if said.text else []
    names = ", ".join(f"{words.dataset(name)} is `{name}`" for name in board.datasets)
    parts.append(f"Test {board.metric.label}. {names}. A row's cells: {cell_pattern(board)}.\n")
    parts.append(table_markdown(board) + "\n")
    lines = [
        *(["With a star: " + STAR[2:]] if any(row.reads_functions for row in board.rows) else []),
        *(["With a ring: " + RING[2:]] if any(row.rerun for row in board.rows) else []),
        *notes.resolutions(board.metric, board.columns),
        *notes.results(board),
        *notes.provenance(board.records),
    ]
    parts.append("\n".join(f"- {markdown(line)}" for line in lines) + "\n")
    return "\n".join(parts)


def cell_pattern(board: Board) -> str:
    """What `reproduce` takes for a table's cells, with the words to replace in capitals."""
    return f"`{board.suite}/{board.task}/DATASET/NAME`"


def table_markdown(board: Board) -> str:
    """Render a board's table alone, as Markdown, with the symmetries that were measured."""
    rows, measured = [], symmetries.by_method(symmetries.read())
    for row in board.rows:
        label, *others = _line(board, row, _ranked_cell)
        reason = f" [not ranked: {'; '.join(row.objections)}]" if row.objections else ""
        held = symmetry.held(measured.get(row.method, []))
        cells = [markdown(cell) for cell in (label + reason, *others, held)]
        rows.append([cells[0], f"`{row.entrant}`", *cells[1:]])
    headers = [
        "method",
        "name",
        *(markdown(words.dataset(name)) for name in board.datasets),
        "parameters",
        "MFLOP per network",
        "seconds per run",
        "networks per second",
        "symmetries, measured",
    ]
    layout = ["left"] * 2 + ["right"] * (len(headers) - 3) + ["left"]
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


def to_latex(board: Board, bibliography: dict[str, str], narrow: bool = False) -> str:
    """Render a booktabs table, for a page's width or for one of two columns.

    The leading group of each column is bold, and methods whose paper is in the bibliography are
    cited. Methods that may run the networks, and controls, stand below a line. What would still
    be too wide is shrunk.
    """

    def method(row: Row) -> str:
        keys = [key for key in row_keys(row) if key in bibliography]
        cited = rf"~\cite{{{','.join(keys)}}}" if keys and not narrow else ""
        return latex(row.label) + cited

    def result(cell: Cell) -> str:
        mean, _, spread = _plain_cell(board, cell).partition(" ± ")
        mean = rf"\textbf{{{latex(mean)}}}" if cell.rank == 1 else latex(mean)
        return mean + (rf"\,{{\tiny\(\pm\){latex(spread)}}}" if spread else "")

    def lines(rows: Sequence[Row], names: Sequence[str]) -> list[str]:
        parts = [
            [method(row), *(result(row.cells[name]) for name in names), count(row.parameters)]
            for row in rows
            if any(row.cells[name].entries for name in names)
        ]
        return [" & ".join(part[: -1 if narrow else None]) + r" \\" for part in parts]

    def heading(name: str) -> str:
        stacked = latex(words.dataset(name)).replace(", ", r"\\")
        return rf"\shortstack[r]{{{stacked}}}" if r"\\" in stacked else stacked

    rows = [row for row in board.rows if not row.objections]
    ranked, apart = ([row for row in rows if row.is_ranked is side] for side in (True, False))
    body: list[str] = []
    most = 3 if narrow else 4
    size = min(most, len(board.datasets))
    for start in range(0, len(board.datasets), most):  # further datasets stand below the first
        names = board.datasets[start : start + most]
        headers = ["Method", *map(heading, names), *([] if narrow else ["Parameters"])]
        body += [r"\midrule"] if body else []
        body += [" & ".join(headers) + r" \\", r"\midrule", *lines(ranked, names)]
        below = lines(apart, names)
        body += [r"\midrule", *below] if ranked and below else below
    star = " * may also run the networks." * any(row.reads_functions for row in apart)
    cited = [
        latex(words.dataset(name)) + rf"~\cite{{{','.join(keys)}}}"
        for name in board.datasets
        if (keys := [key for key in dataset_keys(name) if key in bibliography])
    ]
    caption = (
        f"{latex(words.task(board.task).title)}, suite {latex(board.suite)}"
        rf"~\cite{{{citation.KEY}}}: test {latex(board.metric.label)}, mean "
        r"\(\pm\) standard deviation over seeds. "
        r"Bold: no significant difference from the best at 5\,\%."
        + star
        + (f" Networks of {', '.join(cited)}." if cited else "")
    )
    letters = r"\scriptsize" if narrow else r"\footnotesize"
    return "\n".join(
        [
            "% Needs booktabs and graphicx, and references.bib for what it cites.",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}}}",
            rf"\label{{tab:{board.name}{'-narrow' * narrow}}}",
            letters + r"\setlength{\tabcolsep}{4pt}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{l{'r' * (size + (not narrow))}}}",
            r"\toprule",
            *body,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
            "",
        ]
    )


def files(board: Board, bibliography: dict[str, str]) -> dict[str, str]:
    """Export a board's table, by the ending of the file's name."""
    return {
        ".csv": to_csv(board),
        ".json": to_json(board),
        ".tex": to_latex(board, bibliography),
        "-narrow.tex": to_latex(board, bibliography, narrow=True),
    }


def read_bibliography(path: Path = BIBLIOGRAPHY) -> dict[str, str]:
    """Read the entries of a bibliography, by their keys."""
    entries = re.split(r"\n(?=@)", path.read_text(encoding="utf-8").strip())
    return {re.match(r"@\w+\{([^,]+),", entry).group(1): entry + "\n" for entry in entries}


def to_bibtex(boards: Sequence[Board], bibliography: dict[str, str]) -> str:
    """Select the entries of the methods and datasets in these boards, after the benchmark's."""
    keys = {key for board in boards for row in board.rows for key in row_keys(row)}
    keys |= {key for board in boards for name in board.datasets for key in dataset_keys(name)}
    chosen = [bibliography[key] for key in sorted(keys & set(bibliography))]
    return "\n".join([citation.bibtex(), *chosen])


DATASET_KEYS = {
    "^mnist": "lecun1998",
    "^fashion": "arxiv-1708-07747",
    "^cifar": "krizhevsky2009",
    "^svhn": "netzer2011",
    "-gs": "arxiv-2002-11448",
    "-inr": "arxiv-2006-09661",
    "-(dilate|contrast)": "arxiv-2302-14040",
    "^sine|-dws": "arxiv-2301-12780",
}
"""Bibliography keys of source images, networks and targets, by what datasets' names hold."""


def dataset_keys(name: str) -> list[str]:
    """The bibliography keys of what a dataset is made of."""
    return [key for pattern, key in DATASET_KEYS.items() if re.search(pattern, name)]


def row_keys(row: Row) -> list[str]:
    """The bibliography keys of a row: its method's, and its augmentation's."""
    mixes = "+augmentation=mixup" in row.entrant
    return [cite_key(row.paper), *(["arxiv-2402-04081"] if mixes else [])]


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
    return [row.label + " °" * row.rerun, *cells, *costs]
