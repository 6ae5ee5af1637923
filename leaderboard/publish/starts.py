"""The part of `SYMMETRY.md` on what the networks' initialisations and fits are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from tabulate import tabulate

from benchmark.record import metrics
from benchmark.record.schema import Record
from leaderboard.archive import provenance
from leaderboard.publish import style
from leaderboard.publish.text import markdown
from leaderboard.statistics import summaries

SUITES = ("mini-starts", "mini-symmetry", "mini")
TASK = "inr-classification"
STARTS = ("1", "10", "100", "own")
STEPS = (100, 500)
DATASETS = {
    "mnist-inr-mini": ("1", 100),
    "mnist-inr-10-starts-100-steps-mini": ("10", 100),
    "mnist-inr-100-starts-100-steps-mini": ("100", 100),
    "mnist-inr-own-starts-100-steps-mini": ("own", 100),
    "mnist-inr-1-start-500-steps-mini": ("1", 500),
    "mnist-inr-10-starts-500-steps-mini": ("10", 500),
    "mnist-inr-100-starts-500-steps-mini": ("100", 500),
    "mnist-inr-own-mini": ("own", 500),
}
"""The number of initialisations of each dataset, and the steps of its fits."""

METHODS = ("mlp-matched", "statnn", "nfn-hnp", "nft")
READINGS = {"@scattered": "scattered", "+canonical=True": "canonical form"}
CHANCE = 10.0  # percent


@dataclass(frozen=True)
class Point:
    """Networks of so many initialisations and steps, read as they are scattered or in a form."""

    starts: str
    steps: int
    reading: str


Scores = Mapping[tuple[str, Point], Sequence[float]]


def scores(records: Sequence[Record]) -> tuple[Scores, dict[str, str]]:
    """Gather results over seeds, in percent, of records that may be ranked, and methods' titles."""
    values: dict[tuple[str, Point], list[float]] = {}
    titles: dict[str, str] = {}
    for record in records:
        ready = record.status == "finished" and not provenance.objections(record)
        grid = DATASETS.get(record.dataset.name)
        if not (ready and grid and record.task == TASK and record.suite in SUITES):
            continue
        name, score = record.method.name, record.metrics.get("test")
        if name not in METHODS or score is None:
            continue
        reading = READINGS.get(str(record.cell.entrant).removeprefix(name))
        if reading is None and grid[0] == "own" and str(record.cell.entrant) == name:
            reading = "scattered"  # as they were fitted, they are
        if not record.method.options:
            titles[name] = record.method.title
        if reading is not None:
            scale = metrics.get(record.metric).scale
            values.setdefault((name, Point(*grid, reading)), []).append(scale * score)
    return values, titles


def table(records: Sequence[Record]) -> str:
    """Tabulate results by fit, starts and reading."""
    values, titles = scores(records)
    lines = [
        [
            str(steps),
            starts,
            reading,
            *(_cell(values, name, Point(starts, steps, reading)) for name in METHODS),
        ]
        for steps, starts, reading in product(STEPS, STARTS, READINGS.values())
        if any((name, Point(starts, steps, reading)) in values for name in METHODS)
    ]
    if not lines:
        return "No runs yet."
    names = [markdown(titles.get(name, name)) for name in METHODS]
    headers = ["steps of a fit", "starts", "read as", *names]
    layout = ["right", "right", "left"] + ["right"] * len(METHODS)
    return tabulate(lines, headers, tablefmt="pipe", disable_numparse=True, colalign=layout)


def _cell(values: Scores, name: str, point: Point) -> str:
    found = values.get((name, point))
    return summaries.summary(found).show(1) if found else "not run"


def figure(records: Sequence[Record]) -> Any:
    """Plot results over the number of starts: a panel for each fit, a line for each reading."""
    values, titles = scores(records)
    highest = 5 + max((max(found) for found in values.values()), default=90.0)
    drawn, axes = style.figure(5.4, 3.4, len(STEPS))
    for axis, steps in zip(axes, STEPS, strict=True):
        for index, name in enumerate(METHODS):
            for reading, dashes in zip(READINGS.values(), ("--", "-"), strict=True):
                found = [values.get((name, Point(starts, steps, reading))) for starts in STARTS]
                means = [summaries.summary(each).mean if each else None for each in found]
                axis.plot(
                    [place for place, mean in enumerate(means) if mean is not None],
                    [mean for mean in means if mean is not None],
                    dashes,
                    marker=style.MARKERS[index],
                    markersize=4,
                    color=style.COLOURS[index],
                )
        axis.axhline(CHANCE, color="#7f7f7f", linewidth=0.8)
        axis.set(xticks=range(len(STARTS)), xticklabels=STARTS, ylim=(0, highest))
        axis.set(xlabel="initialisations", title=f"fits of {steps} steps")
    axes[0].set_ylabel("test accuracy in percent")
    axes[0].text(len(STARTS) - 1, CHANCE + 1, "chance", ha="right", color="#666666", fontsize=8)
    for index, name in enumerate(METHODS):
        if name not in {method for method, _ in values}:
            continue
        title = style.plain(titles.get(name, name))
        mark, colour = style.MARKERS[index], style.COLOURS[index]
        axes[0].plot([], [], marker=mark, color=colour, label=title)
    for dashes, words in (("-", "in canonical form"), ("--", "as scattered")):
        axes[0].plot([], [], dashes, color="#666666", label=words)
    style.legend(drawn, "outside lower center", 3)
    return drawn


def svg(records: Sequence[Record]) -> str:
    """Render the plot as a picture of its own."""
    title = "Test accuracy over the number of initialisations of the networks"
    return style.svg(figure(records), title, "white")
