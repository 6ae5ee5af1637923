"""The site's figures, as SVG inside its pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from benchmark.record import metrics, symmetries
from benchmark.record.cell import DEFAULT_ARM
from benchmark.record.schema import Record
from benchmark.record.symmetries import Measurement, Stage
from leaderboard.archive.tables import Board, Row
from leaderboard.publish import charts, style, symmetry, words

MOST_COMPARED = 40
MOST_LABELS = 30
FAR = (0, 1, -1, 2, -2, 3, -3, 4, -4)  # lines above or below its point at which a name may stand
WIDE = 100.0  # times the best error is the worst, where a linear axis hides the differences
LEAST_MOVEMENT = 1e-17  # what is plotted for an output that does not move at all


def curves(records: Sequence[Record]) -> Markup:
    """Plot a method's mean validation metric over steps, with a line for each of its cells.

    A plot is of one task and suite, and the mean of all seeds.
    """
    groups: dict[tuple[str, str, str, str], list[Record]] = {}
    for record in records:
        if record.curve:
            key = (record.suite, record.task, record.dataset.name, str(record.cell.entrant))
            groups.setdefault(key, []).append(record)
    title = min((record.method.title for record in records), key=len, default="")
    plots: dict[str, list[charts.Line]] = {}
    for (suite, task, _, _), runs in sorted(groups.items()):
        metric = metrics.get(runs[0].metric)
        points: dict[int, list[float]] = {}
        for record in runs:
            for point in record.curve:
                if point.validation is not None:
                    points.setdefault(point.step, []).append(metric.scale * point.validation)
        line = [(float(step), sum(values) / len(values)) for step, values in sorted(points.items())]
        if line:
            caption = f"{words.task(task).title}, suite {suite}: {metric.label} on validation"
            plots.setdefault(caption, []).append((_name(runs[0], title), line))
    drawn = [charts.lines(caption, lines, "steps") for caption, lines in plots.items()]
    return Markup("").join(drawn)


def movements(measurements: Sequence[Measurement]) -> Markup:
    """Plot how far a method's outputs move over the share of changed neurons.

    The logarithm is plotted, with a line for each change. Changes of one neuron have no curve.
    """
    plots: dict[tuple[str, Stage], list[charts.Line]] = {}
    for one in measurements:
        if len(one.movement) > 1 and one.conclusive:
            line = [
                (100 * share, math.log10(max(moved or 0.0, LEAST_MOVEMENT)))
                for share, moved in sorted(one.movement.items())
            ]
            plots.setdefault((one.task, one.stage), []).append((one.change, line))
    when = {"initial": "before training", "trained": "after 200 steps"}
    drawn = [
        charts.lines(
            f"{words.task(task).title}, {when[stage]}: how far the output moves",
            lines,
            "percent of the neurons changed",
            charts.power,
            math.log10(symmetries.UNMOVED),
        )
        for (task, stage), lines in plots.items()
    ]
    return Markup("").join(drawn)


def _name(record: Record, title: str) -> str:
    """A method's cell in a key: its dataset, its arm, and what its title adds to the method's."""
    arm = "" if record.dataset.arm == DEFAULT_ARM else f", {record.dataset.arm.replace('-', ' ')}"
    return words.dataset(record.dataset.name) + arm + record.method.title.removeprefix(title)


def costs(board: Board) -> Markup | None:
    """Plot results over each cost; None for fewer than two methods, or without any cost."""
    plots = [
        style.inline(figure, f"{words.task(board.task).title}: result over {axis}")
        for axis, figure in cost_figures(board).items()
    ]
    return Markup("").join(plots) if plots else None


def cost_figures(board: Board) -> dict[str, Any]:
    """Plot the mean result over parameters, over FLOPs and, on boards of one machine, over seconds.

    Colours and marks tell which symmetries a method has. Controls, and methods that may run the
    networks, are left out. None are made for fewer than two methods.
    """
    rows = [row for row in board.rows if row.is_ranked and _mean(board, row) is not None]
    axes = {"parameters": "parameters", "FLOPs per network": "flops"}
    if len(board.hardware) == 1:
        axes["seconds per run"] = "seconds"
    figures: dict[str, Any] = {}
    for label, name in axes.items():
        points = [(row, cost) for row in rows if (cost := getattr(row, name))]
        if len(points) > 1:
            figures[label] = _cost_figure(board, label, points)
    return figures


def _cost_figure(board: Board, label: str, points: Sequence[tuple[Row, float]]) -> Any:
    figure, (axis,) = style.figure(5.2, 4.4)
    measured, classes = symmetries.by_method(symmetries.read()), {}
    for row, cost in points:
        held = symmetry.held(measured.get(row.method, []))
        classes.setdefault(held, []).append((row, cost, _mean(board, row)))
    for index, (held, members) in enumerate(sorted(classes.items())):
        axis.plot(
            [cost for _, cost, _ in members],
            [mean for _, _, mean in members],
            style.MARKERS[index % len(style.MARKERS)],
            color=style.COLOURS[index % len(style.COLOURS)],
            label="ignores no symmetry" if held == "none" else f"ignores {held}",
        )
    names = f"mean of {len(board.datasets)} datasets" if len(board.datasets) > 1 else ""
    what = ", ".join(part for part in (board.metric.label, names) if part)
    axis.set(xscale="log", xlabel=label, ylabel=what)
    axis.margins(x=0.25, y=0.1)
    costs_of = [cost for _, cost in points]
    _label_costs(axis, max(costs_of) / min(costs_of))
    style.legend(figure, "outside upper left", columns=2)
    places = [(cost, _mean(board, row) or 0.0, row.title_with_arm) for row, cost in points]
    if len(places) <= MOST_LABELS:
        write_labels(figure, axis, places)
    return figure


def _label_costs(axis: Any, ratio: float) -> None:
    """Label a logarithmic axis with numbers, as "50k": several in a decade where it has few."""
    from matplotlib import ticker

    axis.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if ratio < 100 else (1,)))
    axis.xaxis.set_major_formatter(ticker.EngFormatter(sep=""))
    axis.xaxis.set_minor_formatter("")


def results(board: Board) -> Any:
    """Plot each method's mean with its 95 % interval, a panel for each dataset, the best on top."""
    rows = [
        row
        for row in reversed(board.rows)
        if not row.objections and any(cell.summary for cell in row.cells.values())
    ]
    stars = "; * may run the networks" * any(row.reads_functions for row in rows)
    width = 2.2 + 1.7 * len(board.datasets)
    figure, axes = style.figure(width, 0.8 + 0.2 * len(rows), len(board.datasets))
    scale = board.metric.scale
    for axis, dataset in zip(axes, board.datasets, strict=True):
        for place, row in enumerate(rows):
            if (summary := row.cells[dataset].summary) is None:
                continue
            colour = style.COLOURS[0 if row.cells[dataset].rank == 1 else 6]
            ends = [scale * (end or summary.mean) for end in (summary.low, summary.high)]
            axis.plot(ends, [place, place], color=colour, linewidth=1.2)
            axis.plot(scale * summary.mean, place, "o", color=colour, markersize=4)
        title = words.dataset(dataset).replace(", ", "\n")
        axis.set(title=title, ylim=(-0.6, len(rows) - 0.4), yticks=[])
        axis.grid(axis="x", color="#e3e3e3", linewidth=0.6)
        axis.set_axisbelow(True)
        means = [row.cells[dataset].summary.mean for row in rows if row.cells[dataset].summary]
        if min(means, default=0.0) > 0 and max(means) / min(means) > WIDE:
            axis.set_xscale("log")
    labels = [style.plain(row.label) for row in rows]
    axes[0].set_yticks(range(len(rows)), labels, fontsize=style.SIZE - 1)
    what = f"test {board.metric.label}\nblue: not significantly worse than the best{stars}"
    figure.supxlabel(what, fontsize=style.SIZE)
    return figure


def _mean(board: Board, row: Row) -> float | None:
    """The mean over datasets, of a method that has results on all of them."""
    means = [cell.summary.mean for cell in row.cells.values() if cell.summary]
    return float(np.mean(means)) * board.metric.scale if len(means) == len(board.datasets) else None


def write_labels(figure: Any, axis: Any, places: Sequence[tuple[float, float, str]]) -> None:
    """Name points, each on the side where its name meets the fewest others."""
    figure.draw_without_rendering()  # settles where the axes are
    dots = axis.transData.transform([(x, y) for x, y, _ in places])
    dot = figure.dpi / 72  # pixels of a point
    high = 1.1 * style.SIZE * dot
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in dots]
    inside = axis.get_window_extent().extents
    for (x, y), (cost, mean, name) in zip(dots, places, strict=True):
        trial = axis.text(0, 0, style.plain(name), fontsize=style.SIZE - 1)
        width = trial.get_window_extent().width + 2
        trial.remove()
        options = []
        for up, side in product(FAR, (1, -1, 0)):
            left = x + 7 if side > 0 else x - 7 - width if side < 0 else x - width / 2
            low = y - high / 2 + up * high * (0.7 if side else 1.0)
            box = (left, low, left + width, low + high)
            outside = width * high - _overlap(box, [tuple(inside)])
            cost_of = 3 * _overlap(box, taken) + outside + width * abs(up)
            options.append((cost_of, len(options), up, box))
        _, _, up, box = min(options)
        taken.append(box)
        line = {"arrowstyle": "-", "color": "#7f7f7f", "linewidth": 0.6}
        written = axis.annotate(
            style.plain(name),
            (cost, mean),
            xytext=((box[0] - x) / dot, (box[1] + high / 2 - y) / dot),
            textcoords="offset points",
            va="center",
            fontsize=style.SIZE - 1,
            annotation_clip=False,
            arrowprops=line if abs(up) > 1 else None,
        )
        written.set_in_layout(False)


def _overlap(box: tuple[float, ...], others: Sequence[tuple[float, ...]]) -> float:
    """The area that a box shares with others."""
    return sum(
        max(0.0, min(box[2], other[2]) - max(box[0], other[0]))
        * max(0.0, min(box[3], other[3]) - max(box[1], other[1]))
        for other in others
    )


def critical_difference(board: Board) -> Markup | None:
    """Plot mean ranks over datasets, with a bar over methods that a Nemenyi test does not separate.

    Returns:
        None for fewer than three datasets or methods, or for too many methods to be readable.
    """
    import scikit_posthocs

    complete = [
        row
        for row in board.rows
        if row.is_ranked and all(cell.summary for cell in row.cells.values())
    ]
    if len(board.datasets) < 3 or not 3 <= len(complete) <= MOST_COMPARED:
        return None
    sign = -1 if board.metric.direction == "max" else 1
    scores = pd.DataFrame(
        {
            style.plain(row.entrant): [
                sign * cell.summary.mean for cell in row.cells.values() if cell.summary
            ]
            for row in complete
        }
    )
    ranks = scores.rank(axis=1).mean()
    figure, (axis,) = style.figure(7, 0.5 + 0.25 * len(complete))
    scikit_posthocs.critical_difference_diagram(
        ranks, scikit_posthocs.posthoc_nemenyi_friedman(scores), ax=axis
    )
    return style.inline(figure, f"critical differences, {board.name}")


def quality(folder: Path, manifest: dict[str, Any]) -> Markup | None:
    """Plot a histogram of how well a dataset's networks fit."""
    import pyarrow.parquet as pq

    name = manifest.get("quality", "psnr")
    paths = [folder / part["path"] for parts in manifest["files"].values() for part in parts]
    values = np.concatenate(
        [pq.read_table(path, columns=[name])[name].to_numpy() for path in paths]
    )
    figure, (axis,) = style.figure(5, 2.4)
    axis.hist(values, bins=40, color=style.COLOURS[0])
    label = "PSNR of each network in dB" if name == "psnr" else "accuracy on the training images"
    axis.set(xlabel=label, ylabel="networks")
    return style.inline(figure, f"{label}, of {manifest['name']}")
