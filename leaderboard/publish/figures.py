"""The site's figures, as SVG inside its pages."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from benchmark.record import metrics
from benchmark.record.schema import Record
from benchmark.record.symmetries import Measurement, Stage
from leaderboard.archive.tables import Board

MOST_COMPARED = 40
LEAST_MOVEMENT = 1e-17  # what is plotted for an output that does not move at all
COLOURS = ("#2563eb", "#d97706", "#059669", "#db2777", "#7c3aed", "#0891b2", "#65a30d", "#dc2626")


def curves(records: Sequence[Record]) -> Markup:
    """Plot the mean validation metric of all seeds over steps, with a line for each dataset.

    Written as SVG directly, since matplotlib is slow for the thousands of lines that a site has.
    """
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        if record.curve:
            key = (record.suite, record.task, record.dataset.name + _arm(record))
            groups.setdefault(key, []).append(record)
    figures: dict[tuple[str, str], list[tuple[str, list[tuple[float, float]]]]] = {}
    for (suite, task, name), runs in sorted(groups.items()):
        metric = metrics.get(runs[0].metric)
        points: dict[int, list[float]] = {}
        for record in runs:
            for point in record.curve:
                if point.validation is not None:
                    points.setdefault(point.step, []).append(metric.scale * point.validation)
        line = [(float(step), sum(values) / len(values)) for step, values in sorted(points.items())]
        if line:
            figures.setdefault((suite, task), []).append((name, line))
    plots = []
    for (suite, task), lines in figures.items():
        metric = metrics.get(_first(records, suite, task).metric)
        label = f"{task}, suite {suite}: {metric.label} on validation"
        plots.append(_lines(label, lines))
    return Markup("").join(plots)


def movements(measurements: Sequence[Measurement]) -> Markup:
    """Plot how far a method's outputs move over the share of changed neurons.

    The logarithm is plotted, with a line for each change. Changes of one neuron have no curve.
    """
    figures: dict[tuple[str, Stage], list[tuple[str, list[tuple[float, float]]]]] = {}
    for one in measurements:
        if len(one.movement) > 1 and one.conclusive:
            line = [
                (100 * share, math.log10(max(moved or 0.0, LEAST_MOVEMENT)))
                for share, moved in sorted(one.movement.items())
            ]
            figures.setdefault((one.task, one.stage), []).append((one.change, line))
    words = {"initial": "before training", "trained": "after 200 steps"}
    plots = [
        _lines(
            f"{task}, {words[stage]}: log10 of the output's movement",
            lines,
            "percent of the neurons that are changed",
        )
        for (task, stage), lines in figures.items()
    ]
    return Markup("").join(plots)


def _arm(record: Record) -> str:
    return str(record.cell.entrant).removeprefix(record.method.name)


def _first(records: Sequence[Record], suite: str, task: str) -> Record:
    return next(record for record in records if (record.suite, record.task) == (suite, task))


def _lines(
    label: str, lines: Sequence[tuple[str, Sequence[tuple[float, float]]]], across: str = "steps"
) -> Markup:
    width, height, left, bottom = 520, 240, 56, 34
    every = [point for _, line in lines for point in line]
    last = max(step for step, _ in every)
    low, high = min(value for _, value in every), max(value for _, value in every)
    low, high = (low, high) if high > low else (low - 1, high + 1)

    def place(step: float, value: float) -> tuple[float, float]:
        x = left + step / last * (width - left - 12)
        return x, 12 + (high - value) / (high - low) * (height - bottom - 12)

    parts = [
        Markup('<figure class="curve"><svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
            width, height, label
        )
    ]
    for value in np.linspace(low, high, 4):
        _, y = place(0, float(value))
        parts.append(
            Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(
                left, width - 12, y, y
            )
        )
        parts.append(
            Markup('<text x="{}" y="{:.1f}" text-anchor="end">{:.4g}</text>').format(
                left - 6, y + 4, value
            )
        )
    for step, anchor in ((0.0, "middle"), (last / 2, "middle"), (last, "end")):
        x, _ = place(step, low)
        parts.append(
            Markup('<text x="{:.1f}" y="{}" text-anchor="{}">{:,.0f}</text>').format(
                x, height - 14, anchor, step
            )
        )
    for index, (_, line) in enumerate(lines):
        path = " ".join("{:.1f},{:.1f}".format(*place(*point)) for point in line)
        colour = COLOURS[index % len(COLOURS)]
        parts.append(
            Markup('<polyline fill="none" stroke="{}" stroke-width="2" points="{}"/>').format(
                colour, path
            )
        )
    parts.append(Markup("</svg><figcaption>{}, over {}.").format(label, across))
    for index, (name, _) in enumerate(lines):
        parts.append(
            Markup(' <span style="color:{}">&#9644;</span> {}').format(
                COLOURS[index % len(COLOURS)], name
            )
        )
    return Markup("").join([*parts, Markup("</figcaption></figure>")])


def costs(board: Board) -> Markup | None:
    """Plot the result over parameters, over FLOPs and, on boards of one machine, over seconds.

    Returns:
        None for fewer than two methods, or without any cost.
    """
    rows = [
        row
        for row in board.rows
        if not row.is_control and any(cell.summary for cell in row.cells.values())
    ]
    panels = [("parameters", "parameters"), ("FLOPs a network", "flops")]
    if len(board.hardware) == 1:
        panels.append(("seconds a run", "seconds"))
    panels = [(label, name) for label, name in panels if any(getattr(row, name) for row in rows)]
    if len(rows) < 2 or not panels:
        return None
    figure, axes = _figure(4.2 * len(panels), 3.4, len(panels))
    for axis, (label, name) in zip(axes, panels, strict=True):
        for index, row in enumerate(rows):
            if cost := getattr(row, name):
                means = [cell.summary.mean for cell in row.cells.values() if cell.summary]
                point = (cost, np.mean(means) * board.metric.scale)
                axis.plot(*point, "o", color=COLOURS[index % len(COLOURS)])
                if len(rows) <= 20:
                    label_place = {"xytext": (4, 3), "textcoords": "offset points"}
                    axis.annotate(_plain(row.entrant), point, fontsize=7, **label_place)
        axis.set(xscale="log", xlabel=label, ylabel=f"test {board.metric.label}")
    return _svg(figure, f"cost against result, {board.name}")


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
            _plain(row.entrant): [
                sign * cell.summary.mean for cell in row.cells.values() if cell.summary
            ]
            for row in complete
        }
    )
    ranks = scores.rank(axis=1).mean()
    figure, (axis,) = _figure(7, 0.5 + 0.25 * len(complete), 1)
    scikit_posthocs.critical_difference_diagram(
        ranks, scikit_posthocs.posthoc_nemenyi_friedman(scores), ax=axis
    )
    return _svg(figure, f"critical differences, {board.name}")


def quality(folder: Path, manifest: dict[str, Any]) -> Markup | None:
    """Plot a histogram of how well a dataset's networks fit."""
    import pyarrow.parquet as pq

    name = manifest.get("quality", "psnr")
    paths = [folder / part["path"] for parts in manifest["files"].values() for part in parts]
    values = np.concatenate(
        [pq.read_table(path, columns=[name])[name].to_numpy() for path in paths]
    )
    figure, (axis,) = _figure(5, 2.4, 1)
    axis.hist(values, bins=40, color=COLOURS[0])
    label = "PSNR of each network, dB" if name == "psnr" else "accuracy on the training images"
    axis.set(xlabel=label, ylabel="networks")
    return _svg(figure, f"{label}, of {manifest['name']}")


def _figure(width: float, height: float, panels: int) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, list(axes)


def _plain(text: str) -> str:
    return text.replace("$", r"\$")


def _svg(figure: Any, label: str) -> Markup:
    """Render as SVG, with text as text and black as the page's text colour."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": label}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = svg.replace("#000000", "currentColor")
    # Markup is safe here: matplotlib has escaped the names.
    return (
        Markup('<figure class="drawn" role="img" aria-label="{}">').format(label)
        + Markup(svg)  # noqa: S704
        + Markup("</figure>")
    )
