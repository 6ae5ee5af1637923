"""Plots of lines as SVG, written directly: matplotlib is slow for the thousands that a site has."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from markupsafe import Markup

from leaderboard.publish import style

WIDTH, HEIGHT, LEFT, RIGHT, ABOVE, BELOW = 380, 230, 52, 22, 12, 40
STROKES = ("none", "7 3", "2 3", "9 3 2 3", "none", "5 2")
STEPS = (1.0, 2.0, 5.0, 10.0)
"""What ticks may be apart, times a power of ten."""

Line = tuple[str, Sequence[tuple[float, float]]]
"""A name and points, from left to right."""


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Choose round numbers between two ends: at most so many, and at least one."""
    span = high - low
    if span <= 0:
        return [low]
    most -= 1  # spaces
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(step * power for step in STEPS if span / (step * power) <= most + 1e-9)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def number(value: float) -> str:
    """A tick as text: "1,500", "0.25"."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{round(value, 10):g}"


def power(value: float) -> str:
    """A tick of a logarithm to base ten as text: "10⁻⁶"."""
    digits = f"{value:.0f}".translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{digits}"


def text(x: float, y: float, words: str, anchor: str) -> Markup:
    """Write words at a place."""
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        x, y, anchor, words
    )


def lines(
    caption: str,
    drawn: Sequence[Line],
    across: str,
    label: Callable[[float], str] = number,
    threshold: float | None = None,
) -> Markup:
    """Plot lines over a common axis that starts at zero, with a key in the caption.

    Args:
        caption: What the plot shows.
        drawn: The lines.
        across: What the horizontal axis counts.
        label: How the ticks of the vertical axis are written.
        threshold: A value that has a line of its own.
    """
    every = [point for _, line in drawn for point in line]
    last = max(step for step, _ in every)
    values = [value for _, value in every] + ([] if threshold is None else [threshold])
    low, high = min(values), max(values)
    low, high = (low, high) if high > low else (low - 1, high + 1)
    low, high = low - 0.04 * (high - low), high + 0.04 * (high - low)

    def place(step: float, value: float) -> tuple[float, float]:
        x = LEFT + step / last * (WIDTH - LEFT - RIGHT)
        return x, ABOVE + (high - value) / (high - low) * (HEIGHT - ABOVE - BELOW)

    parts = [
        Markup('<figure class="curve"><svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
            WIDTH, HEIGHT, caption
        )
    ]
    across_line = Markup('<line class="{}" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>')
    for value in ticks(low, high):
        _, y = place(0, value)
        parts.append(across_line.format("grid", LEFT, WIDTH - RIGHT, y, y))
        parts.append(text(LEFT - 6, y + 4, label(value), "end"))
    if threshold is not None:
        _, y = place(0, threshold)
        parts.append(across_line.format("threshold", LEFT, WIDTH - RIGHT, y, y))
    for step in ticks(0, last):
        x, _ = place(step, low)
        parts.append(text(x, HEIGHT - BELOW + 16, number(step), "middle"))
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, across, "middle"))
    for index, (_, line) in enumerate(drawn):
        path = " ".join("{:.1f},{:.1f}".format(*place(*point)) for point in line)
        parts.append(
            Markup(
                '<polyline fill="none" stroke="{}" stroke-width="2" stroke-dasharray="{}" '
                'points="{}"/>'
            ).format(*_stroke(index), path)
        )
    parts.append(Markup("</svg><figcaption>{}.").format(caption))
    for index, (name, _) in enumerate(drawn):
        parts.append(
            Markup(
                ' <span class="key"><svg viewBox="0 0 24 8" aria-hidden="true"><line x2="24" '
                'y1="4" y2="4" stroke="{}" stroke-width="3" stroke-dasharray="{}"/></svg> {}</span>'
            ).format(*_stroke(index), name)
        )
    return Markup("").join([*parts, Markup("</figcaption></figure>")])


def _stroke(index: int) -> tuple[str, str]:
    """The colour and the dashes of a line."""
    return style.COLOURS[index % len(style.COLOURS)], STROKES[index % len(STROKES)]
