"""What a search of settings changes: a suite that is based on another, beside that one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import kendalltau
from tabulate import tabulate

from benchmark import suites
from benchmark.record.metrics import Metric
from benchmark.suites import settings
from benchmark.tuning import log as logs
from benchmark.tuning.log import SearchLog
from leaderboard.archive.tables import Board, Cell
from leaderboard.publish import render, words
from leaderboard.publish.text import markdown

SECTION = """\
## What tuning changes

Suite {suite} reads the networks of suite {base} ({dataset}) for as many steps, after a search with
the same budget for every method (`nox -s tune`): {trials} trials, from suite {base}'s settings on,
or {minutes:.0f} minutes of CPU time, by validation, with a seed that no ranked run has. Trials that
are not in the better half of those before them, after a quarter or half of their steps, are given
up, and settings that are drawn twice are trained once. Which fields are searched is the method's
own choice, and some may grow. {count} methods were searched: not the slowest, nor all variants. The
logs lie [beside the settings](../benchmark/suites/settings/{suite}/logs). Test {metric}:

{table}

{said}

"""

AS_BEFORE = "as before"


@dataclass(frozen=True)
class Change:
    """A method before and after its search."""

    title: str
    before: Cell
    after: Cell
    log: SearchLog

    def gain(self, better: int) -> float:
        """By how much its mean is better after the search, in the metric's unit."""
        assert self.before.summary and self.after.summary
        return better * (self.after.summary.mean - self.before.summary.mean)

    def chosen(self) -> str:
        """The fields that the search changed: their old and new values."""
        best = self.log.best
        old = self.log.first
        new = best.settings if best else old
        changed = [
            f"{name} {old.get(name)} → {value}"
            for name, value in new.items()
            if value != old.get(name)
        ]
        return ", ".join(changed) or AS_BEFORE


def sections(boards: Sequence[Board]) -> str:
    """Render a section for each dataset of a suite that is based on another; nothing without."""
    known, parts = suites.registry(), []
    places = {(board.suite, board.task): board for board in boards}
    for board in boards:
        base = known[board.suite].base if board.suite in known else None
        untuned = places.get((base or "", board.task))
        for dataset in board.datasets if untuned else ():
            if len(changes := _changes(untuned, board, dataset)) > 1:
                parts.append(_section(untuned, board, dataset, changes))
    return "".join(parts)


def _changes(untuned: Board, tuned: Board, dataset: str) -> list[Change]:
    before = {row.entrant: row.cells.get(dataset) for row in untuned.rows}
    changes = []
    for row in tuned.rows:
        cells = before.get(row.entrant), row.cells.get(dataset)
        log = logs.read(settings.log_path(tuned.suite, row.method, dataset))
        if log and all(cell and cell.summary for cell in cells):
            changes.append(Change(row.label, *cells, log))
    return changes


def _section(untuned: Board, tuned: Board, dataset: str, changes: Sequence[Change]) -> str:
    headers = [
        "method",
        f"suite {untuned.suite}",
        "after the search",
        "chosen",
        "trials",
        "seconds of the search",
    ]
    lines = [
        [
            markdown(change.title),
            render.plain(tuned.metric, change.before),
            render.plain(tuned.metric, change.after),
            markdown(change.chosen()),
            len(change.log.trials),
            f"{change.log.cpu_seconds:,.0f}",
        ]
        for change in changes
    ]
    budget = changes[0].log.budget  # the same for all
    return SECTION.format(
        suite=tuned.suite,
        base=untuned.suite,
        dataset=words.dataset(dataset),
        count=len(changes),
        trials=budget.trials,
        minutes=budget.cpu_seconds / 60,
        metric=tuned.metric.label,
        table=tabulate(lines, headers, tablefmt="pipe", disable_numparse=True),
        said=_said(tuned, changes),
    )


def _said(tuned: Board, changes: Sequence[Change]) -> str:
    """Say how many are better for it, how much of that may be chance, and what the order does."""
    better, show = (1 if tuned.metric.direction == "max" else -1), tuned.metric.show
    kept = [change.gain(better) for change in changes if change.chosen() == AS_BEFORE]
    gains = sorted(
        (change.gain(better), change.title.removesuffix(" *"))
        for change in changes
        if change.chosen() != AS_BEFORE
    )
    parts = [_of_changed(tuned.metric, gains)] if gains else []
    if gains and kept:
        chance = max(map(abs, kept))
        within = sum(abs(gain) <= chance for gain, _ in gains)
        parts.append(
            f"Those that kept theirs differ by up to {show(chance)} between the suites, which ran "
            f"on processors that round differently, and {within} of the changes are no larger than "
            "that."
        )
    text = f"Kendall's tau between the two orders is {_agreement(changes):.2f}"
    alone = [change for change in changes if not change.title.endswith(" *")]
    if 1 < len(alone) < len(changes):
        text += (
            f", and {_agreement(alone):.2f} for the {len(alone)} methods that read weights alone"
        )
    return " ".join([*parts, f"{text}."])


def _of_changed(metric: Metric, gains: Sequence[tuple[float, str]]) -> str:
    """Say what became of the methods whose settings changed, from the worst to the best."""
    (least, loser), (most, winner) = gains[0], gains[-1]
    better, worse = (sum(sign * gain > 0 for gain, _ in gains) for sign in (1, -1))
    text = f"Of the {len(gains)} methods whose settings changed, {better} are better after it"
    if better:
        text += f", by up to {metric.show(most)} ({winner})"
    if worse:
        text += (
            f", and {worse} worse, by up to {metric.show(-least)} ({loser}). One seed chose the "
            "settings, so that the best trial is in part the luckiest"
        )
    return f"{text}."


def _agreement(changes: Sequence[Change]) -> float:
    means = [
        [cell.summary.mean for cell in (change.before, change.after) if cell.summary]
        for change in changes
    ]
    return kendalltau(*zip(*means, strict=True)).statistic
