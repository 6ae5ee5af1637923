"""How the runs behind verdicts came to their results: scores on validation over training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from benchmark.record import metrics
from benchmark.record.cell import DEFAULT_ARM
from benchmark.record.schema import Record
from leaderboard.archive import provenance
from leaderboard.publish import style, words
from leaderboard.reported.check import Checked

GREY = "#7f7f7f"


def figures(checked: Sequence[Checked], records: Sequence[Record]) -> dict[str, Any]:
    """Draw a figure for each dataset with reported numbers that were tested, by its name."""
    drawn = {}
    for dataset in dict.fromkeys(one.row.dataset for one in checked if one.is_complete):
        tested = [one for one in checked if one.row.dataset == dataset and one.is_complete]
        if any(len(record.curve) > 1 for record in _runs(tested, records)):
            drawn[dataset] = _figure(tested, _runs(tested, records))
    return drawn


def file(dataset: str) -> str:
    """The name of a dataset's figure."""
    return f"curves-{dataset}.svg"


def label(dataset: str) -> str:
    """What the figure shows, for who does not see it."""
    return f"Scores on validation over the training of every seed, {words.dataset(dataset)}"


def _runs(tested: Sequence[Checked], records: Sequence[Record]) -> list[Record]:
    """The runs of suites in which a number was tested, without options, that learn by steps."""
    places = {(one.row.suite, one.row.task, one.dataset) for one in tested}
    return [
        record
        for record in records
        if (record.suite, record.task, record.dataset.name) in places
        and record.dataset.arm == DEFAULT_ARM
        and not record.method.options
        and record.status == "finished"
        and not provenance.objections(record)
        and record.curve
    ]


def _figure(tested: Sequence[Checked], runs: Sequence[Record]) -> Any:
    """Draw a thin line for each seed, and the published number of each row that was tested."""
    metric = metrics.get(tested[0].row.metric)
    titles = list(dict.fromkeys(record.method.title for record in runs))
    drawn, (axis,) = style.figure(6.4, 3.6)
    for record in runs:
        index = titles.index(record.method.title)
        axis.plot(
            [100 * point.step / record.curve[-1].step for point in record.curve],
            [
                math.nan if point.validation is None else metric.scale * point.validation
                for point in record.curve
            ],
            color=style.COLOURS[index % len(style.COLOURS)],
            linewidth=0.8,
            alpha=0.8,
        )
    for one in tested:
        colour = style.COLOURS[titles.index(one.row.method) % len(style.COLOURS)]
        axis.axhline(one.row.value, linestyle=":", color=colour, linewidth=1.2)
    for index, title in enumerate(titles):
        colour = style.COLOURS[index % len(style.COLOURS)]
        axis.plot([], [], color=colour, label=style.plain(title))
    axis.plot([], [], ":", color=GREY, label="published")
    axis.set(xlim=(0, 100), xlabel="steps of training, in percent", ylabel=metric.label)
    style.legend(drawn, "outside lower center", 3)
    return drawn
