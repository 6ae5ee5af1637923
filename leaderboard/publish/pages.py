"""The committed pages: `LEADERBOARD.md`, `VERDICTS.md`, `METHOD.md`, and the tables beside them."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from tabulate import tabulate

from benchmark import suites
from benchmark.datasets import listing
from benchmark.record import metrics, schema, sources, symmetries, traces, variance
from benchmark.suites import settings
from leaderboard import reported
from leaderboard.archive import tallies
from leaderboard.archive.entries import Archive, Entry
from leaderboard.archive.tables import Board
from leaderboard.publish import (
    claims,
    curves,
    methods,
    papers,
    reading,
    readme,
    rebuilt,
    render,
    scaling,
    sentences,
    starts,
    style,
    symmetry,
    tuning,
    words,
)
from leaderboard.publish.text import markdown
from leaderboard.reported import Reported, check, verdicts
from leaderboard.reported import simulation as claimed
from leaderboard.reported.check import Checked
from leaderboard.statistics import ranks, simulation, summaries

HERE = Path(__file__).resolve().parent.parent
RATES = HERE / "rates.json"

LEADERBOARD = """\
# Leaderboard

Written from the [records](records/). Every number comes from a run, and every record holds the
command that makes it again. Test results are of the checkpoint that is best on validation: mean ±
standard deviation over seeds. `#1` is the leading group of a column: the best method and all down
to the last that is not shown to differ from it, so that some between may. `#k` is the next group,
below k - 1 methods ([METHOD.md](METHOD.md) gives the tests). Parameters, FLOPs and times are means
over a row's datasets. Parameters and FLOPs compare across machines, times do not. Which symmetries
a method has is measured, and explained in [SYMMETRY.md](SYMMETRY.md).

To make a cell again, with all its seeds: `python -m leaderboard reproduce` and the cell, as each
table says, or with `/SEED` after it for one seed. A name with `@` says how the networks are read,
one with `+` what was changed of the method.

What the papers report, and whether it is reproduced: [VERDICTS.md](VERDICTS.md). What they claim
beyond numbers, and whether it holds here: [CLAIMS.md](CLAIMS.md). The same tables as CSV, JSON and
LaTeX: [tables/](tables/). Please cite the project ([CITATION.cff](../CITATION.cff)) and the methods
([references.bib](tables/references.bib)).
"""

VERDICTS = """\
# Reported against reproduced

Every row of [reported.csv](reported/reported.csv) has a verdict; [METHOD.md](METHOD.md) states the
tests. Where papers disagree about a method, all their rows stand. A row is compared only with
records of its own protocol's suite. Our results are those of the checkpoint that is best on
validation. `not comparable` names the difference; `not run` means that there is no record yet.
Numbers that were read elsewhere than in their own paper are marked `second hand`.
"""

REBUILT = """\
Reported on the paper's own networks, measured here on ones made again ([REBUILT.md](REBUILT.md)).
"""

OTHERS = """\
With other settings than those of a row, where its paper leaves them open or a verdict is to be
explained:

"""

EXPLAINED = """\
What these and other runs say of the verdicts:

"""

CURVES = """\
![{label}.]({file})

*Every seed during its training, on validation; the dot is the checkpoint whose test result counts.
Dotted lines are the published test results.*
"""

METHOD = """\
# How verdicts and ranks are computed

## A verdict on a reported number

Our results over seeds, x, are compared with a reported value v. The *margin* of a metric is the
largest difference that does not matter. It was declared before any run at the papers' size:

{margins}

One point of accuracy, or a hundredth of tau or R2, is more than two runs of one method mostly
differ by. Of the papers' numbers that come with a spread over a known number of runs, the median
standard deviation is {accuracy}, and {tau}. Errors differ by orders of magnitude between tasks, so
that their margin is relative. Near 100 % a point of accuracy is much of the errors that are left,
so that `reproduced` says less there.

- **reproduced**: the difference is shown to be smaller than the margin, by two one-sided t-tests at
  5 % each (TOST). One seed is never enough.
- **higher**, **lower**: the number is not reproduced; the difference is shown to be larger than the
  margin, by a one-sided t-test at 5 %.
- **undecided**: neither is shown. The difference is named with half its 95 % interval.
- **incomplete**: not all seeds of the row's suite have been run. There is no verdict before.
- **not comparable**: no suite of ours follows the row's protocol, only a reduced suite has been
  run, or we lack the dataset or the method.
- **not run**: everything is there, but no run yet. Where it can be counted, the cost of a seed
  stands beside it, in PFLOP: three times the matrix products of the method alone, for every network
  of every training step. How many a second two cores do at best is in `speed/SPEED.md`.

What a paper's ± means decides the test. With a standard deviation, a standard error or the half
range of a known number of runs, the two samples are compared by Welch's test. Where the number of
runs is not stated, they are two at least, since one run has no ±: the number is taken for the mean
of two, with the larger of the paper's deviation and ours, so that the standard error of the
difference is `sqrt(max(s, t)² / 2 + s² / n)`, with t the paper's deviation and s that of our n
seeds, and n - 1 degrees of freedom. (This rule was adopted when rows had been seen. Taken for one
run, the number for the MLP on DWSNets' MNIST INRs would be undecided.) For a number without a ±, or
with one whose meaning is not stated, we assume the spread of our own seeds, and one run if no
number of runs is given. A printed number stands for every value that rounds to it (.020 for .020 ±
.0005); each test uses the end of that range that is least favourable to its claim. The rows of a
paper's table that were run are corrected together, by Holm's method.

A verdict says what it rests on: `if theirs is a mean of 2 runs`; `if their spread is like ours`;
`with size of our choice`, where the size, or what else it names, was not found in what we read of
the paper, and its code has no more than a default, and another choice might give another verdict;
`on rebuilt networks` ([REBUILT.md](REBUILT.md)).

The suite fixes how many seeds a row is run with, and there is no verdict on fewer: whoever adds
seeds until a row is decided is wrong more often. For suites dws and probegen the numbers were fixed
by what a run costs, when 2 to 10 seeds of the rows had been seen, and not by what they gave.

How often these verdicts are wrong is simulated ([SIMULATION.md](SIMULATION.md)). Where the paper
gives a spread and the number of runs, at most {stated:.1f} % are in the cases simulated. Other
numbers keep that only where their spread is no larger than ours. With one five times as large, up
to {uncounted:.0f} % of the verdicts are wrong on a mean of two runs with their deviation, and up to
{lone:.0f} % on a lone number.

## Seeds

Every seed of a run is derived from the dataset, the method (a variant has the seeds of the method
that it varies), the role (the initial parameters, the order of the batches, ...) and the run's
number, and from nothing else. An *arm* is a transformation of the networks' weights that leaves
the functions that they compute exactly as they are: `permuted`, the default, puts hidden neurons in
random order, `scattered` changes their signs and phases too. All arms of a method start from the
same parameters and see the networks in the same order, so that arms compare in pairs; adding a
method or a dataset changes no other result.

## Ranks

Two things vary: the seed of a run, and the networks of the test set, which are the same for all
methods. The difference of two means has the variance v₁/n₁ + v₂/n₂ + w, where v is a method's
variance over its n seeds and w that of the difference over networks (for Kendall's tau and R2, of
their first-order influences; errors are compared by their logarithms). With few seeds v is badly
known. It is drawn towards what the methods of a column have in common, by the empirical Bayes of
Smyth (2004): where the spreads differ by no more than chance, one stands for all of them; where
they differ by more, they are drawn together less, and one that is larger than the common one stays
as it is. The quotients are compared with Tukey's studentized range, for all pairs of a column at
once, at 5 %.

The best method leads the first group, which goes down to the last method that does not differ from
it. So no method is ranked below the leader of the group above without a test that says so, and none
above one with a better mean. The best of the others leads the next group. A rank needs
{fewest_seeds} seeds; with fewer there is none, nor is there in a field of one. Below each table
stands the difference that its seeds resolve: that which is found four times out of five. Intervals
over seeds are Student's.

Two arms of one method start alike. Where a sentence on the board says that a method loses less than
the margin between them, they were compared in pairs of seeds, by two one-sided t-tests. That is
sharper than the test of the claims, which may leave the same comparison undecided.

A group is as wide as its seeds leave it. Three seeds tell apart what differs by several points, so
that `#1` often holds methods whose means look different; they are not shown to be equal. How often
ranks are wrong is simulated as well ([SIMULATION.md](SIMULATION.md)): one of several equal methods
is ranked below another in about 5 of 100 tables.

## What the ± holds

The ± of a table is the standard deviation over seeds of training alone: the networks that are read
stay the same. For some methods the starts of those networks and the order of their neurons were
drawn anew, too, five times each, while all else stayed. The table has each method's mean result on
the first draw, the three standard deviations in the same unit, and in brackets the shares in the
sum of the three variances:

{variance}

{tuning}## Limits

- **Small networks, one architecture a dataset.** The ranked INRs have two hidden layers of 10 or 12
  neurons and draw 14 x 14 or 16 x 16 pixels; the ranked CNNs have three layers of 8 channels. What
  leads there need not lead on wider or deeper networks, or on other sizes of images.
- **Few steps.** Every method of suite mini trains for as many steps on as many networks, and not to
  its end. One that learns slowly looks worse than it is; suite mini-seconds gives equal time.
- **Hardly any tuning.** In suite mini, a search chose settings for {searched}. All others are those
  of the papers, or were chosen by hand on validation, for some methods with more care than for
  others. A gap between two methods is in part one between their settings. What the same search for
  every method changes was measured on one column (above), and not on the others, for its cost.
- **One draw of the networks.** The ± and the ranks hold what training and the sample of test
  networks vary, and not what another draw of starts would, which can be several times as large
  (above).
- **Images that somebody drew.** INRs were fitted to standard images. Nothing here tells how methods
  do on networks that were trained for other ends.

## What is not ranked

A result is printed but not ranked where

- it comes from no commit, or from a tree with uncommitted changes;
- it is on a dataset that the catalogue pins neither by a fingerprint nor, where networks are
  rebuilt, by a recipe and published statistics, or those of what a paper's public program makes
  ([REBUILT.md](REBUILT.md));
- its code has changed since. A record holds a digest of the syntax of its method, task and arm,
  with what they import of the project, and of what every run goes through: reading the dataset,
  seeds, training loop, encoding, predictions and metrics. Docstrings, comments and layout do not
  count. Two digests are equivalent where a canary is bit-equal under both: the whole protocol
  squeezed into 16 steps, with every loss, the final and the selected predictions, and all metrics
  compared (`python -m benchmark canary COMMIT`). It does not see what acts only in longer or larger
  runs, so that whoever reviews a change looks for that. What is compiled or computed in bfloat16
  has no canary;
- it read networks that are not those of the catalogue's fingerprint;
- its settings have changed since: the suite's protocol, or the method's hyperparameters;
- it ran with other code, data or library versions than the newest result of its cell: no mean is
  over runs with different code, data or versions.

*Controls* are not ranked either: an MLP that learns from other networks' labels (the arm
`random-targets`) must stay at chance, so that a leak would show. Arms other than `permuted`, and
methods that may run the networks that they read, stand beside the ranked ones for comparison.
Methods with a changed option (`+`) are ranked like others.

## Reproduction

`python -m leaderboard reproduce` runs a committed cell again, and `python -m benchmark run`
compares each new run with the committed one of the same cell, where there is one that may be
ranked. Both say

- **bit-equal**: all predictions are equal;
- **within noise**: the result lies inside the 95 % prediction interval of the committed seeds, or
  differs from the committed one by no more than the metric's margin;
- **different**: neither.

With `--all` it runs one seed of every ranked row of a suite again, and notes how many came out as
committed on that machine. Where rounding alone differs, one run in twenty falls outside its
interval by chance. An interval of three seeds is wide (five times their standard deviation to
either side), so that `within noise` excludes large faults, not small ones.

{tallies}

## What is checked in every record

`nox -s verify` checks that each record fits its schema, that its seeds are those of its cell, that
all seeds of a cell ran with equivalent code and the same library versions, and that its metrics
follow from the predictions beside it. It looks for mix-ups and leaks: the same predictions in two
cells, results beyond the bounds of the metric, test predictions that equal those on validation,
and, in the control that learns from other networks' labels, anything better than chance.
"""


SIMULATION = """\
# How often verdicts and ranks are wrong

`python -m leaderboard simulate` makes these numbers; [METHOD.md](METHOD.md) states the tests.

## Verdicts

Each line is simulated {trials:,} times, with normal results whose standard deviations, ours and
theirs, are in margins, as is the true difference. If that is below 1, `higher` and `lower` are
errors; if it is above, `reproduced` and `lower` are. Shares are in percent. Read a line as: if the
truth were this, so many in a hundred verdicts would say that.

{rates}

## Ranks

Each line is simulated {rank_trials:,} times, with methods of equal accuracy but for the last, on
2,000 test networks of which each method finds others easy. The deviation over seeds is in points of
accuracy; where there are two, every other method has the second. `torn apart`: one of the equal
methods is ranked below another, which the test allows in 5 of 100 tables; the simulation itself is
uncertain by {rank_error:.1f} points either way. `found`: the last method is ranked below an equal
one, as it should be.

{rank_rates}

## Claims

Each line is simulated {rank_trials:,} times, with claims about each pair of eight equal methods on
two datasets, and one claim that is true by 10 points on both; the rest is as above. `wrong`: any of
the 56 claims about equal methods is decided. `found`: the true one holds, on a dataset.

{claim_rates}
"""


def build(archive: Archive, boards: Sequence[Board], rows: Sequence[Reported]) -> dict[Path, str]:
    """Render every committed file of the leaderboard.

    Args:
        archive: The committed records.
        boards: The boards of the archive's current records.
        rows: The reported numbers.

    Returns:
        The content of each file, by its path.
    """
    bibliography = render.read_bibliography()
    records = [entry.record for entry in archive.current]
    measured = traces.read()
    checked = check.check(rows, records)
    trained = curves.figures(checked, records)
    pages = {
        HERE / "LEADERBOARD.md": leaderboard(boards, archive),
        HERE / "VERDICTS.md": verdict_page(checked, trained),
        HERE / "CLAIMS.md": claims_page(boards),
        HERE / "METHOD.md": method(boards),
        HERE / "SIMULATION.md": simulation_page(),
        HERE / "SYMMETRY.md": symmetry_page(archive),
        HERE / "symmetry.svg": symmetry.svg(),
        HERE / "starts.svg": starts.svg(records),
        HERE / "reading.svg": reading.svg(reading.example(archive.current)),
        HERE / "REBUILT.md": rebuilt.page(measured),
        readme.PATH: readme.page(boards),
        scaling.PATH: scaling.page(records),
        sources.METHODS / "README.md": methods.page(boards, symmetries.read()),
        HERE / "record.schema.json": schema.schema(),
        HERE / "tables" / "references.bib": render.to_bibtex(boards, bibliography),
    }
    pages |= {HERE / name: text for name, text in rebuilt.figures(measured).items()}
    pages |= {
        HERE / curves.file(name): style.svg(drawn, curves.label(name), "white")
        for name, drawn in trained.items()
    }
    for board in boards:
        pages |= {
            HERE / "tables" / f"{board.name}{ending}": text
            for ending, text in render.files(board, bibliography).items()
        }
    return pages


def leaderboard(boards: Sequence[Board], archive: Archive) -> str:
    """Render `LEADERBOARD.md`."""
    parts, told = [LEADERBOARD], set()
    if said := sentences.sentences(boards):
        lines = "\n".join(f"- {markdown(sentence)}" for sentence in said)
        parts.append(f"## What these tables say\n\n{lines}\n")
    for board in boards:
        parts.append(render.board_markdown(board, told))
        told |= set(board.settings)
    parts += [] if boards else ["No runs yet.\n"]
    if changes := history(archive):
        headers = ["cell", "was", "is", "since", "why"]
        parts.append("## Numbers that changed\n\nMeans over the seeds that ran again.\n")
        parts.append(_table(headers, changes))
    return "\n".join(parts)


def claims_page(boards: Sequence[Board]) -> str:
    """Render `CLAIMS.md`."""
    return claims.page(boards, [row["wrong"] for row in read_rates()["claims"]])


def symmetry_page(archive: Archive) -> str:
    """Render `SYMMETRY.md`."""
    records = [entry.record for entry in archive.current]
    return symmetry.page(records, symmetries.read())


def history(archive: Archive) -> list[list[str]]:
    """List the cells whose mean changed: the cell, the old mean, the new one, the day, the reason.

    The means are over the seeds whose records were superseded.
    """
    changes: dict[tuple[str, ...], list[tuple[Entry, Entry]]] = {}
    for before, after in archive.superseded:
        cell = after.record.cell.row
        key = (cell, after.record.finished_at[:10], after.why or "")
        changes.setdefault(key, []).append((before, after))
    lines = []
    for (cell, since, why), pairs in changes.items():
        metric = metrics.get(pairs[0][1].record.metric)
        was, now = (
            _mean([pair[side].record.metrics.get("test") for pair in pairs]) for side in (0, 1)
        )
        numbers = ["-" if value is None else metric.show(value) for value in (was, now)]
        if numbers[0] != numbers[1]:
            lines.append([cell, *numbers, since, why])
    return lines


def verdict_page(checked: Sequence[Checked], drawn: Collection[str] = ()) -> str:
    """Render `VERDICTS.md`: how many of each paper, then the verdicts by task and dataset.

    Args:
        checked: The reported rows with their verdicts.
        drawn: The datasets of which there is a figure of the runs' training.
    """
    headers = ["paper", "", *check.KINDS]
    counts = [
        [name, place, *(str(found.get(kind, 0)) for kind in check.KINDS)]
        for name, place, found in papers.summary(checked)
    ]
    parts = [VERDICTS, papers.totals(checked) + "\n", _table(headers, counts)]
    by_task: dict[str, dict[tuple[str, str], list[Checked]]] = {}
    for verdict in checked:
        columns = by_task.setdefault(verdict.row.task, {})
        columns.setdefault((verdict.row.dataset, verdict.row.metric), []).append(verdict)
    for task, columns in by_task.items():
        parts.append(f"## {markdown(words.task(task).title)}\n")
        for (dataset, name), column in columns.items():
            metric = metrics.get(name)
            title = f"{words.dataset(dataset)} (`{dataset}`), {metric.label}"
            parts.append(f"### {title}\n")
            if listing.is_rebuilt(dataset):
                parts.append(REBUILT)
            parts.append(_verdict_table(column, metric.direction == "max"))
            if any(verdict.others for verdict in column):
                parts.append(OTHERS + "\n".join(_others(column)) + "\n")
            if explained := [one for one in column if one.explanation is not None]:
                lines = [
                    f"- {markdown(one.row.method)}, {one.kind}: {markdown(explained_by(one))}"
                    for one in explained
                ]
                parts.append(EXPLAINED + "\n".join(lines) + "\n")
            if dataset in drawn:
                file = curves.file(dataset)
                parts.append(CURVES.format(label=curves.label(dataset), file=file))
    return "\n".join(parts)


def _others(column: Sequence[Checked]) -> list[str]:
    """List the results of a table's rows with other settings."""
    return [
        f"- {markdown(verdict.row.method)}, {markdown(options)}: {result(verdict.row, scores)}"
        for verdict in column
        for options, scores in verdict.others.items()
    ]


def explained_by(one: Checked) -> str:
    """Write a verdict's explanation, with its results."""
    return one.explanation.written(partial(result, one.row))


def result(row: Reported, scores: Sequence[float]) -> str:
    """Format the mean ± standard deviation of scores, with the decimals of a reported row."""
    if not scores:
        return ""
    summary = summaries.summary(scores)
    return f"{summary.show(len(row.printed.partition('.')[2]))} (n={summary.seeds})"


def method(boards: Sequence[Board]) -> str:
    """Render `METHOD.md`."""
    margins = [
        [
            metric.label,
            f"{100 * metric.margin:.0f} % of the reported value"
            if metric.relative
            else f"{metric.margin:g}",
        ]
        for metric in metrics.METRICS.values()
    ]
    wrong = dict.fromkeys(("stated", "lone", "uncounted"), 0.0)
    kinds = {verdicts.LONE.name: "lone", verdicts.UNCOUNTED.name: "uncounted"}
    for row in read_rates()["verdicts"]:
        kind = kinds.get(row["paper"], "stated")
        wrong[kind] = max(wrong[kind], 100 * row["wrong"])
    return METHOD.format(
        margins=tabulate(margins, ["metric", "margin"], tablefmt="pipe", disable_numparse=True),
        accuracy=_usual_spread("accuracy"),
        tau=_usual_spread("kendall_tau"),
        **wrong,
        fewest_seeds=ranks.FEWEST_SEEDS,
        variance=variance.table(variance.read()),
        tallies=tallies.table(tallies.read()),
        searched=_searched(),
        tuning=tuning.sections(boards),
    )


def _searched() -> str:
    """Name the methods whose settings of suite mini come from a search, with their datasets."""
    logs = sorted(settings.log_path(suites.MINI, "*", "*").parent.glob("*.json"))
    pairs = [path.stem.split(".") for path in logs]
    return ", ".join(f"`{method}` on {dataset}" for method, dataset in pairs) or "none"


def _usual_spread(name: str) -> str:
    """Say what the median standard deviation of a metric is, of the papers that give it."""
    found = [
        (row.claimed_by, number.deviation)
        for row in reported.read()
        if row.metric == name and (number := check.published(row)).is_sample
    ]
    papers = words.several(sorted({paper for paper, _ in found}))
    digits, unit = (1, "points") if metrics.get(name).scale != 1 else (3, "of tau")
    value = median(deviation for _, deviation in found)
    return f"{value:.{digits}f} {unit} ({len(found)} numbers of {papers})"


def simulation_page() -> str:
    """Render `SIMULATION.md`."""
    rates, kinds = read_rates(), check.JUDGED
    lines = [
        [
            row["paper"],
            f"{row['ours']:g}, {row['theirs']:g}",
            f"{row['difference']:g}",
            row["seeds"],
            *(f"{100 * row[kind]:.1f}" for kind in (*kinds, "wrong")),
        ]
        for row in rates["verdicts"]
    ]
    headers = ["the paper gives", "spreads", "true difference", "our seeds", *kinds, "wrong"]
    return SIMULATION.format(
        trials=rates["trials"],
        rates=tabulate(lines, headers, tablefmt="pipe", disable_numparse=True),
        rank_trials=rates["rank_trials"],
        rank_error=200 * (0.05 * 0.95 / rates["rank_trials"]) ** 0.5,
        rank_rates=_rank_rates(rates["ranks"]),
        claim_rates=_claim_rates(rates["claims"]),
    )


def _claim_rates(rows: Sequence[dict[str, Any]]) -> str:
    body = [
        [
            row["seeds"],
            _deviation(row),
            f"{100 * row['wrong']:.1f}",
            f"{100 * row['found']:.0f}",
        ]
        for row in rows
    ]
    headers = ["seeds", "deviation", "wrong", "found"]
    return tabulate(body, headers, tablefmt="pipe", disable_numparse=True)


def _deviation(row: dict[str, Any]) -> str:
    """The deviations over seeds of a simulated line, in points: "1 and 4"."""
    return " and ".join(sorted({f"{100 * value:g}" for value in row["deviations"]}))


def _rank_rates(rows: Sequence[dict[str, Any]]) -> str:
    """Tabulate the simulated ranks, the differences of a setting side by side."""
    lines: dict[tuple[object, ...], dict[float, dict[str, Any]]] = {}
    for row in rows:
        key = (row["methods"], row["seeds"], _deviation(row))
        lines.setdefault(key, {})[row["difference"]] = row
    headers = ["methods", "seeds", "deviation", "torn apart"]
    differences = [difference for difference in next(iter(lines.values())) if difference]
    headers += [f"found: {100 * difference:g} points behind" for difference in differences]
    body = [
        [
            *key,
            f"{100 * max(row['wrong'] for row in by_difference.values()):.1f}",
            *(f"{100 * by_difference[difference]['found']:.0f}" for difference in differences),
        ]
        for key, by_difference in lines.items()
    ]
    return tabulate(body, headers, tablefmt="pipe", disable_numparse=True)


def read_rates() -> dict[str, Any]:
    """Read the rates that `python -m leaderboard simulate` wrote."""
    return json.loads(RATES.read_text(encoding="utf-8"))


def write_rates(trials: int) -> Path:
    """Simulate the rates of `METHOD.md`, and write them. Returns the file."""
    fewer = max(1, trials // 20)  # a table of ranks takes longer than a verdict
    rates = {
        "trials": trials,
        "verdicts": verdicts.simulate(trials),
        "rank_trials": fewer,
        "ranks": simulation.simulate(fewer),
        "claims": claimed.simulate(fewer),
    }
    RATES.write_text(json.dumps(rates, indent=1) + "\n", encoding="utf-8")
    return RATES


def _verdict_table(column: Sequence[Checked], descending: bool) -> str:
    headers = ["method", "reported", "claimed by", "read in", "here", "verdict", "note"]
    lines = [
        [
            verdict.row.method,
            verdict.row.text,
            f"{verdict.row.claimed_by} {verdict.row.claimed_in}",
            verdict.row.read_in + " (second hand)" * verdict.row.is_second_hand,
            result(verdict.row, verdict.scores),
            verdict.text,
            verdict.row.note,
        ]
        for verdict in sorted(column, key=lambda verdict: verdict.row.value, reverse=descending)
    ]
    return _table(headers, lines)


def _table(headers: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    cells = [[markdown(cell) for cell in line] for line in lines]
    return tabulate(cells, headers, tablefmt="pipe", disable_numparse=True) + "\n"


def _mean(values: Sequence[float | None]) -> float | None:
    scores = [value for value in values if value is not None]
    return sum(scores) / len(scores) if scores else None
