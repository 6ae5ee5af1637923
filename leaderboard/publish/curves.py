"""How the runs behind verdicts came to their results: scores on validation over training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from benchmark.record import metrics
from benchmark.record.cell import DEFAULT_ARM
from benchmark.record.metrics import Metric
from benchmark.record.schema import Record
from leaderboard.archive import provenance
from leaderboard.publish import style, words
from leaderboard.reported import check
from leaderboard.reported.check import Checked

GREY = "#7f7f7f"


def figures(checked: Sequence[Checked], records: Sequence[Record]) -> dict[str, Any]:
    """Draw a figure for each dataset with reported numbers that were tested, by its name."""
    tested = [one for one in checked if one.is_complete]
    titles = list(dict.fromkeys(one.row.method for one in tested))
    colours = {
        title: style.COLOURS[index % len(style.COLOURS)] for index, title in enumerate(titles)
    }
    drawn = {}
    for dataset in dict.fromkeys(one.row.dataset for one in tested):
        ones = [one for one in tested if one.row.dataset == dataset]
        runs = _runs(ones, records)
        if any(len(record.curve) > 1 for record in runs):
            drawn[dataset] = _figure(ones, runs, colours)
    return drawn


def file(dataset: str) -> str:
    """The name of a dataset's figure."""
    return f"curves-{dataset}.svg"


def label(dataset: str) -> str:
    """What the figure shows, for who does not see it."""
    return f"Scores on validation over the training of every seed, {words.dataset(dataset)}"


def _runs(tested: Sequence[Checked], records: Sequence[Record]) -> list[Record]:
    """The runs whose results were tested, as far as they learn by steps."""
    cells = {(one.row.suite, one.row.task, one.dataset, one.row.method) for one in tested}
    return [
        record
        for record in records
        if (record.suite, record.task, record.dataset.name, record.method.title) in cells
        and record.dataset.arm == DEFAULT_ARM
        and not record.method.options
        and record.status == "finished"
        and not provenance.objections(record)
        and record.seed in check.planned(record)
        and record.curve
    ]


def _figure(tested: Sequence[Checked], runs: Sequence[Record], colours: dict[str, str]) -> Any:
    """Draw a thin line for each seed, a dot where it was best, and the published numbers."""
    metric = metrics.get(tested[0].row.metric)
    drawn, (axis,) = style.figure(6.4, 3.6)
    for record in runs:
        colour, steps = colours[record.method.title], record.curve[-1].step
        places = [100 * point.step / steps for point in record.curve]
        scores = [_score(metric, point.validation) for point in record.curve]
        axis.plot(places, scores, color=colour, linewidth=0.8, alpha=0.8)
        if (best := _best(metric, scores)) is not None:
            axis.plot(places[best], scores[best], "o", color=colour, markersize=3.5)
    for one in tested:
        colour = colours[one.row.method]
        axis.axhline(one.row.value, linestyle=":", color=colour, linewidth=1.2)
        axis.plot([], [], color=colour, label=style.plain(one.row.method))
    axis.plot([], [], "o", color=GREY, markersize=3.5, label="the checkpoint that is tested")
    axis.plot([], [], ":", color=GREY, label="published test result")
    axis.set(xlim=(0, 101), xlabel="steps of training, in percent")
    axis.set_ylabel(f"{metric.label}, on validation")
    style.legend(drawn, "outside lower center", 2)
    return drawn


def _score(metric: Metric, validation: float | None) -> float:
    return math.nan if validation is None else metric.scale * validation


def _best(metric: Metric, scores: Sequence[float]) -> int | None:
    """The place of the best score, the first of equals; None where none is a number."""
    sign = 1 if metric.direction == "max" else -1
    known = [place for place, score in enumerate(scores) if not math.isnan(score)]
    return max(known, key=lambda place: sign * scores[place], default=None)
