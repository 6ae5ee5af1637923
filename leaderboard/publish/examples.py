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
from leaderboard.publish import style, words

SIDE, LEFT, BELOW, ABOVE = 240, 52, 40, 12
MOST_POINTS = 600
BINS = 24


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
    for row, one in enumerate(classes if short else []):
        middle = (row + 0.5) * cell
        parts.append(_text(LEFT - 6, ABOVE + middle + 4, one, "end"))
        parts.append(_text(LEFT + middle, ABOVE + SIDE + 16, one, "middle"))
    said = "predicted class across, true class down"
    return _framed(parts, f"{words.dataset(name)}: {said}, one seed", "predicted", "true")


def _scatter(outcome: Outcome, name: str) -> Markup:
    """A point for each network, predicted over true, and the diagonal."""
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
    for place, value in ((0.0, low), (1.0, high)):
        parts.append(_text(LEFT - 6, ABOVE + SIDE * (1 - place) + 4, f"{value:.3g}", "end"))
        parts.append(_text(LEFT + SIDE * place, ABOVE + SIDE + 16, f"{value:.3g}", "middle"))
    return _framed(parts, f"{words.dataset(name)}: predicted over true, one seed", "true", "")


def _errors(outcome: Outcome, name: str) -> Markup:
    """A histogram of the errors of the networks."""
    counts, edges = np.histogram(outcome.predictions, bins=BINS)
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
    for place, value in ((0.0, edges[0]), (1.0, edges[-1])):
        parts.append(_text(LEFT + SIDE * place, ABOVE + SIDE + 16, f"{value:.2g}", "middle"))
    parts.append(_text(LEFT - 6, ABOVE + 10, str(most), "end"))
    return _framed(parts, f"{words.dataset(name)}: error of each network, one seed", "error", "")


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        x, y, anchor, text
    )


def _framed(parts: Sequence[Markup], label: str, across: str, down: str) -> Markup:
    """Put a drawing into a square with names of its axes, and a caption under it."""
    frame = Markup('<rect class="frame" x="{}" y="{}" width="{}" height="{}" fill="none"/>').format(
        LEFT, ABOVE, SIDE, SIDE
    )
    names = [_text(LEFT + SIDE / 2, ABOVE + SIDE + 34, across, "middle")]
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
