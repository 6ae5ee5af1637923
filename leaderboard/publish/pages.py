"""The committed pages: `LEADERBOARD.md`, `VERDICTS.md`, `METHOD.md`, and the tables beside them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from benchmark.record import metrics
from benchmark.record import schema as record
from leaderboard.archive.entries import Archive, Entry
from leaderboard.archive.tables import Board
from leaderboard.publish import render
from leaderboard.publish.text import markdown
from leaderboard.reported import Reported, check, verdicts
from leaderboard.reported.check import Checked, Gap
from leaderboard.statistics import comparison as statistics

HERE = Path(__file__).resolve().parent.parent
RATES = HERE / "rates.json"

LEADERBOARD = """\
# Leaderboard

Made from the [records](records/); every number comes from a run, and every record holds the command that makes it again
(`python -m leaderboard reproduce SUITE/TASK/DATASET/METHOD/SEED`). Test results are of the checkpoint that was best on validation: mean ±
standard deviation over seeds. `#1` is the group that leads a column: its methods cannot be told from the best; `#k` is the next
group, below k - 1 methods ([METHOD.md](METHOD.md) says how). Costs compare only on one machine, except parameters and FLOPs.

What the papers report, and whether it was reproduced: [VERDICTS.md](VERDICTS.md). The same tables as CSV, JSON and LaTeX:
[tables/](tables/). Please cite the project ([CITATION.cff](../CITATION.cff)) and the methods ([references.bib](tables/references.bib)).
"""

VERDICTS = """\
# Reported against reproduced

Every row of [reported.csv](reported/reported.csv) with a verdict; [METHOD.md](METHOD.md) states the tests. Where papers disagree about a
method, all their rows stand. A row is held against records of its own protocol's suite alone; `not comparable` says in what it differs,
`not run` that there is no record yet.
"""

METHOD = """\
# How verdicts and ranks are made

## A verdict on a reported number

Our results over seeds, x, are held against a reported value v. The margin of a metric says which difference does not matter. It was
declared before any run at the papers' size:

{margins}

- **reproduced**: the difference is shown to be smaller than the margin, by two one-sided t-tests at 5 % each (TOST). Never from one seed.
- **higher**, **lower**: it is not, our mean lies further than the margin from v, and differs from it by a two-sided t-test at 5 %.
- **undecided**: neither. `needs m more seeds`: with so many the difference and the spread seen so far would be decided four times out of
  five.
- **not comparable**: the row's protocol is none of our suites', or there are only records of a reduced suite. **not run**: no record.

What a paper's ± means decides the test. With a standard deviation, a standard error or the half range of a known number of runs, the two
samples are compared as Welch does. A number without them is one new observation against our seeds: it is taken to have their
variance, so that the error of the difference is s √(1 + 1/n). A spread whose meaning or number of runs is not stated is not used.

How often these verdicts are wrong, simulated {trials:,} times for each line, with normal results of a standard deviation of
{deviation:g} margins in both samples. The true difference is in margins: at 0 `higher` and `lower` are wrong, from 1 on `reproduced` is.
Shares in percent.

{rates}

## Ranks

Two methods are compared on the same test networks: with one common seed and right-or-wrong answers by McNemar's exact test, else by a
bootstrap of {resamples:,} resamples over networks and seeds ({resamples_whole} for Kendall's tau, which is no mean over networks). In
each column the leader is compared with every other method, and the p-values are corrected by Holm's method. What cannot be told from the
leader at 5 % shares its rank; the best of the others leads the next group. Intervals over seeds are Student's.

A result from a tree with uncommitted changes, on a dataset whose fingerprint the catalogue does not pin, or of a method whose code has
changed since, is shown apart and never ranked. Arms other than `permuted` are controls and not ranked either.

## What is checked in every record

`nox -s verify` checks that each record fits its schema, that its metrics follow from the predictions beside it, and looks for mix-ups and
leaks: the same predictions in two cells, results beyond what the metric allows, test predictions that equal those on
validation, and, in the control that learns from other networks' labels, anything better than chance.
"""


def build(archive: Archive, boards: Sequence[Board], rows: Sequence[Reported]) -> dict[Path, str]:
    """Every committed file of the leaderboard, by its path, from the records alone. boards: of the archive's current records."""
    bibliography = render.read_bibliography()
    records = [entry.record for entry in archive.current]
    pages = {
        HERE / "LEADERBOARD.md": leaderboard(boards, archive),
        HERE / "VERDICTS.md": verdict_page(check.check(rows, records), check.gaps(rows, records)),
        HERE / "METHOD.md": method(),
        HERE / "record.schema.json": record.schema(),
        HERE / "tables" / "references.bib": render.to_bibtex(boards, bibliography),
    }
    for board in boards:
        stem = HERE / "tables" / board.name
        pages |= {
            stem.with_suffix(ending): text
            for ending, text in render.files(board, bibliography).items()
        }
    return pages


def leaderboard(boards: Sequence[Board], archive: Archive) -> str:
    """`LEADERBOARD.md`."""
    parts = [LEADERBOARD]
    parts += [render.board_markdown(board) for board in boards] or ["No runs yet.\n"]
    if changes := history(archive):
        headers = ["cell", "was", "is", "since", "why"]
        cells = [[markdown(cell) for cell in line] for line in changes]
        parts.append("## Numbers that changed\n\nMeans over the seeds that were run again.\n")
        parts.append(tabulate(cells, headers, tablefmt="pipe", disable_numparse=True) + "\n")
    return "\n".join(parts)


def history(archive: Archive) -> list[list[str]]:
    """A line for each cell whose number changed as records were superseded: what it was, what it is, since when, and why."""
    changes: dict[tuple[str, ...], list[tuple[Entry, Entry]]] = {}
    for before, after in archive.superseded:
        key = (
            str(after.record.cell.column).rpartition("/")[0],
            after.record.finished_at[:10],
            after.why or "",
        )
        changes.setdefault(key, []).append((before, after))
    lines = []
    for (cell, since, why), pairs in changes.items():
        metric = metrics.get(pairs[0][1].record.metric)
        shown = []
        for side in (0, 1):
            scores = [pair[side].record.metrics.get("test") for pair in pairs]
            known = [score for score in scores if score is not None]
            shown.append(metric.show(sum(known) / len(known)) if known else "-")
        if shown[0] != shown[1]:
            lines.append([cell, *shown, since, why])
    return lines


def verdict_page(checked: Sequence[Checked], gaps: Sequence[Gap]) -> str:
    """`VERDICTS.md`: the verdicts by task and dataset, then every pair of numbers by distance."""
    counts = Counter(found.kind for found in checked)
    parts = [VERDICTS, ", ".join(f"{counts[kind]} {kind}" for kind in check.KINDS) + ".\n"]
    for task in dict.fromkeys(found.row.task for found in checked):
        parts.append(f"## {markdown(task)}\n")
        mine = [found for found in checked if found.row.task == task]
        for dataset, metric in dict.fromkeys(
            (found.row.dataset, found.row.metric) for found in mine
        ):
            shown = [
                found
                for found in mine
                if (found.row.dataset, found.row.metric) == (dataset, metric)
            ]
            shown.sort(
                key=lambda found: found.row.value, reverse=metrics.get(metric).direction == "max"
            )
            parts.append(f"### {markdown(dataset)}, {markdown(metrics.get(metric).label)}\n")
            lines = [
                [
                    found.row.method,
                    found.row.shown,
                    f"{found.row.claimed_by} {found.row.claimed_in}",
                    found.row.read_in,
                    ours(found),
                    found.text,
                    found.row.note,
                ]
                for found in shown
            ]
            headers = ["method", "reported", "claimed by", "read in", "here", "verdict", "note"]
            cells = [[markdown(cell) for cell in line] for line in lines]
            parts.append(tabulate(cells, headers, tablefmt="pipe", disable_numparse=True) + "\n")
    parts.append(
        "## Gaps\n\nEvery reported number beside ours for the same method, in whatever suite; the farthest apart first.\n"
    )
    lines = [
        [gap.row.method, gap.row.dataset, f"{gap.row.value:g}", f"{gap.ours:.4g} (n={gap.seeds})", f"{gap.distance:+.3g}",
         gap.row.claimed_by, "; ".join(gap.deviations) or "none known"]
        for gap in gaps
    ]  # fmt: skip
    headers = [
        "method",
        "dataset",
        "reported",
        "here",
        "distance",
        "claimed by",
        "what sets them apart",
    ]
    cells = [[markdown(cell) for cell in line] for line in lines]
    parts.append(
        tabulate(cells, headers, tablefmt="pipe", disable_numparse=True) if gaps else "None yet."
    )
    return "\n".join(parts) + "\n"


def ours(found: Checked) -> str:
    """Our mean ± standard deviation of a reported row's cell."""
    if not found.scores:
        return ""
    made = statistics.summary(found.scores)
    spread = "" if made.deviation is None else f" ± {made.deviation:.2g}"
    return f"{made.mean:.4g}{spread} (n={made.seeds})"


def method() -> str:
    """`METHOD.md`."""
    rates = read_rates()
    margins = [
        [
            metric.label,
            f"{metric.margin:.0%} of the reported value"
            if metric.relative
            else f"{metric.margin:g}",
        ]
        for metric in metrics.METRICS.values()
    ]
    kinds = ("reproduced", "higher", "lower", "undecided")
    lines = [
        [
            row["paper"],
            f"{row['difference']:g}",
            row["seeds"],
            *(f"{100 * row[kind]:.1f}" for kind in kinds),
        ]
        for row in rates["rows"]
    ]
    headers = ["the paper gives", "true difference", "our seeds", *kinds]
    return METHOD.format(
        margins=tabulate(margins, ["metric", "margin"], tablefmt="pipe", disable_numparse=True),
        trials=rates["trials"],
        deviation=verdicts.DEVIATION,
        rates=tabulate(lines, headers, tablefmt="pipe", disable_numparse=True),
        resamples=statistics.RESAMPLES,
        resamples_whole=statistics.RESAMPLES_OF_WHOLE,
    )


def read_rates() -> dict[str, Any]:
    """The simulated rates that `python -m leaderboard simulate` wrote."""
    return json.loads(RATES.read_text(encoding="utf-8"))


def write_rates(trials: int) -> Path:
    """Simulate the rates anew, for `METHOD.md`."""
    rates = {"trials": trials, "rows": verdicts.simulate(trials)}
    RATES.write_text(json.dumps(rates, indent=1) + "\n", encoding="utf-8")
    return RATES
