"""What methods predicted for the test networks, drawn from the predictions beside the records.

Written as SVG directly, since a site has hundreds of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from benchmark.datasets import listing
from benchmark.record.predictions import Outcome
from leaderboard.archive.entries import Entry
from leaderboard.publish import charts, style, words
from leaderboard.publish.charts import text

SIDE, LEFT, BELOW, ABOVE = 240, 78, 40, 12
MOST_POINTS = 600
BINS = 24
WIDEST = 10  # letters of a class's name
RARE = 0.005  # of the networks, which lie on the histogram's first bar, however small their error
LEAST_ERROR = 1e-12


def drawings(entries: Sequence[Entry]) -> Markup:
    """Draw one run of each task and dataset, the first that is given and has its predictions.

    Classes become a confusion matrix, numbers a scatter of predicted over true, and errors their
    histogram.
    """
    first: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        if entry.has_predictions:
            first.setdefault((entry.record.task, entry.record.dataset.name), entry)
    return Markup("").join(_drawing(entry) for entry in first.values())


def _drawing(entry: Entry) -> Markup:
    outcome, name = entry.predictions["test"], entry.record.dataset.name
    if not len(outcome.targets):
        return _errors(outcome, name)
    if np.issubdtype(outcome.targets.dtype, np.integer):
        return _confusion(outcome, name)
    return _scatter(outcome, name)


def _confusion(outcome: Outcome, name: str) -> Markup:
    """A square for each pair of true and predicted class, as dark as the pair is frequent."""
    manifest = listing.get(name).manifest
    count = int(max(outcome.targets.max(), outcome.predictions.max())) + 1
    classes = manifest["classes"] if manifest else [str(index) for index in range(count)]
    pairs = np.zeros((len(classes), len(classes)))
    np.add.at(pairs, (outcome.targets, outcome.predictions), 1)
    shares = pairs / np.maximum(pairs.sum(axis=1, keepdims=True), 1)
    cell = SIDE / len(classes)
    parts = [
        Markup(
            '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="{}" '
            'fill-opacity="{:.3f}"><title>{} read as {}: {:.0f} %</title></rect>'
        ).format(
            LEFT + place * cell,
            ABOVE + row * cell,
            cell,
            cell,
            style.COLOURS[0],
            share,
            classes[row],
            classes[place],
            100 * share,
        )
        for row, line in enumerate(shares)
        for place, share in enumerate(line)
        if share >= 0.005
    ]
    short = all(len(one) <= 3 for one in classes)
    for row, one in enumerate(classes):
        middle = (row + 0.5) * cell
        parts.append(text(LEFT - 6, ABOVE + middle + 4, _short(one), "end"))
        if short:
            parts.append(text(LEFT + middle, ABOVE + SIDE + 16, one, "middle"))
    right = 100 * float((outcome.targets == outcome.predictions).mean())
    order = "" if short else ", in the same order"
    said = f"true classes down, predicted classes across{order}; {right:.0f} % are right"
    return _framed(parts, f"{words.dataset(name)}: {said}", "predicted", "true" * short)


def _scatter(outcome: Outcome, name: str) -> Markup:
    """A point for each network, predicted over true, and the diagonal on which both agree."""
    rows = np.linspace(0, len(outcome.targets) - 1, min(MOST_POINTS, len(outcome.targets)))
    chosen = outcome.take(rows.astype(int))
    low, high = float(outcome.targets.min()), float(outcome.targets.max())
    span = max(high - low, 1e-12)
    across = (chosen.targets - low) / span
    up = np.clip((chosen.predictions - low) / span, -0.02, 1.02)
    parts = [
        Markup('<line class="grid" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
            LEFT, ABOVE + SIDE, LEFT + SIDE, ABOVE
        )
    ]
    parts += [
        Markup('<circle cx="{:.1f}" cy="{:.1f}" r="2" fill="{}" fill-opacity=".5"/>').format(
            LEFT + SIDE * x, ABOVE + SIDE * (1 - y), style.COLOURS[0]
        )
        for x, y in zip(across, up, strict=True)
    ]
    for value in charts.ticks(low, high):
        place = SIDE * (value - low) / span
        parts.append(text(LEFT - 6, ABOVE + SIDE - place + 4, charts.number(value), "end"))
        parts.append(text(LEFT + place, ABOVE + SIDE + 16, charts.number(value), "middle"))
    said = "predicted over true value of each network"
    return _framed(parts, f"{words.dataset(name)}: {said}", "true", "predicted")


def _errors(outcome: Outcome, name: str) -> Markup:
    """A histogram of the networks' errors, on a logarithmic axis, and a line at their mean."""
    errors = np.maximum(outcome.predictions, LEAST_ERROR)
    low, high = np.log10(np.quantile(errors, (RARE, 1.0)))
    high = max(high, low + 0.1)
    logs = np.clip(np.log10(errors), low, high)
    counts, _ = np.histogram(logs, bins=BINS, range=(low, high))
    width, most = SIDE / BINS, max(int(counts.max()), 1)
    parts = [
        Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="{}"/>').format(
            LEFT + place * width,
            ABOVE + SIDE * (1 - count / most),
            width - 1,
            SIDE * count / most,
            style.COLOURS[0],
        )
        for place, count in enumerate(counts)
    ]
    mean = float(outcome.predictions.mean())
    place = LEFT + SIDE * min(max((np.log10(max(mean, LEAST_ERROR)) - low) / (high - low), 0), 1)
    parts.append(
        Markup('<line class="threshold" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/>').format(
            place, ABOVE, ABOVE + SIDE
        )
    )
    for value in _decades(low, high):
        place = SIDE * (np.log10(value) - low) / (high - low)
        parts.append(text(LEFT + place, ABOVE + SIDE + 16, f"{value:g}", "middle"))
    for value in charts.ticks(0, most):
        parts.append(text(LEFT - 6, ABOVE + SIDE * (1 - value / most) + 4, f"{value:g}", "end"))
    said = f"squared error of each network; the dashed line is their mean, {mean:.2g}"
    return _framed(parts, f"{words.dataset(name)}: {said}", "squared error", "networks")


def _decades(low: float, high: float) -> list[float]:
    """Round numbers between two logarithms: powers of ten, or some between where there are few."""
    parts = (1, 2, 5) if high - low < 2 else (1,)
    powers = range(int(np.floor(low)), int(np.ceil(high)) + 1)
    values = [part * 10.0**power for power in powers for part in parts]
    inside = [value for value in values if low <= np.log10(value) <= high]
    return inside[:: 1 + len(inside) // 6]


def _short(name: str) -> str:
    """A class's name beside its row."""
    return name if len(name) <= WIDEST else f"{name[: WIDEST - 1]}…"


def _framed(parts: Sequence[Markup], label: str, across: str, down: str) -> Markup:
    """Put a drawing into a square with names of its axes, and a caption under it."""
    frame = Markup('<rect class="frame" x="{}" y="{}" width="{}" height="{}" fill="none"/>').format(
        LEFT, ABOVE, SIDE, SIDE
    )
    names = [text(LEFT + SIDE / 2, ABOVE + SIDE + 34, across, "middle")]
    if down:
        middle = ABOVE + SIDE / 2
        names.append(
            Markup(
                '<text transform="rotate(-90 12 {})" x="12" y="{}" text-anchor="middle">{}</text>'
            ).format(middle, middle, down)
        )
    return Markup(
        '<figure class="example"><svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
        "<figcaption>{}</figcaption></figure>"
    ).format(
        LEFT + SIDE + 16,
        ABOVE + SIDE + BELOW,
        label,
        Markup("").join([frame, *parts, *names]),
        label,
    )
