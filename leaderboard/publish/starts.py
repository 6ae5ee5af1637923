"""The part of `SYMMETRY.md` on what the networks' initialisations and fits are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from tabulate import tabulate

from benchmark.record import metrics
from benchmark.record.schema import Record
from leaderboard.archive import provenance
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
COLOURS = ("#dc2626", "#059669", "#d97706", "#2563eb")


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
    if not found:
        return "not run"
    moments = summaries.summary(found)
    spread = "" if moments.deviation is None else f" ± {moments.deviation:.1f}"
    return f"{moments.mean:.1f}{spread}"


def figure(records: Sequence[Record]) -> str:
    """Draw results over the number of starts: a panel for each fit, a line for each reading."""
    values, titles = scores(records)
    width, height, gap, left, top = 340, 260, 40, 50, 40
    highest = 10 * (1 + max((max(found) for found in values.values()), default=90.0) // 10)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" '
        f'viewBox="0 0 {left + 2 * width + gap} {top + height + 100}" '
        'font-family="sans-serif" font-size="13" role="img">',
        "<title>Test accuracy over the number of initialisations of the networks</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    for number, steps in enumerate(STEPS):
        origin = left + number * (width + gap)

        def place(starts: str, value: float, origin: int = origin) -> tuple[float, float]:
            x = origin + 24 + STARTS.index(starts) * (width - 48) / (len(STARTS) - 1)
            return x, top + height * (1 - value / highest)

        parts.append(
            f'<text x="{origin + width / 2}" y="{top - 16}" text-anchor="middle" '
            f'font-weight="bold">fits of {steps} steps</text>'
        )
        _, chance = place("1", 10)
        parts.append(
            f'<line x1="{origin}" x2="{origin + width}" y1="{chance:.1f}" y2="{chance:.1f}" '
            'stroke="#777777" stroke-dasharray="2 3"/>'
        )
        for value in range(0, int(highest) + 1, 20):
            _, y = place("1", value)
            parts += [
                f'<line x1="{origin}" x2="{origin + width}" y1="{y:.1f}" y2="{y:.1f}" '
                'stroke="#dddddd"/>',
                f'<text x="{origin - 6}" y="{y + 4:.1f}" text-anchor="end">{value}</text>',
            ]
        for starts in STARTS:
            x, _ = place(starts, 0)
            parts.append(
                f'<text x="{x:.1f}" y="{top + height + 18}" text-anchor="middle">{starts}</text>'
            )
        for name, colour in zip(METHODS, COLOURS, strict=True):
            for reading in READINGS.values():
                points = []
                for starts in STARTS:
                    if found := values.get((name, Point(starts, steps, reading))):
                        points.append(place(starts, summaries.summary(found).mean))
                if not points:
                    continue
                dash = ' stroke-dasharray="5 4"' if reading == "scattered" else ""
                path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
                parts.append(
                    f'<polyline points="{path}" fill="none" stroke="{colour}" '
                    f'stroke-width="2.5"{dash}/>'
                )
                parts += [
                    f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>'
                    for x, y in points
                ]
    parts += _legend(titles, left, top + height + 44)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _legend(titles: Mapping[str, str], left: int, below: int) -> list[str]:
    parts = [
        f'<text x="{left}" y="{below}">test accuracy in percent, over the number of '
        "initialisations; dotted: chance</text>"
    ]
    x = left
    for name, colour in zip(METHODS, COLOURS, strict=True):
        title = titles.get(name, name).replace("&", "&amp;").replace("<", "&lt;")
        parts += [
            f'<circle cx="{x + 5}" cy="{below + 22}" r="4" fill="{colour}"/>',
            f'<text x="{x + 14}" y="{below + 26}">{title}</text>',
        ]
        x += 40 + 8 * len(title)
    for x, dash, words in (
        (left, "", "in canonical form"),
        (left + 190, ' stroke-dasharray="5 4"', "as scattered"),
    ):
        parts += [
            f'<line x1="{x}" x2="{x + 40}" y1="{below + 42}" y2="{below + 42}" stroke="#444444" '
            f'stroke-width="2.5"{dash}/>',
            f'<text x="{x + 48}" y="{below + 46}">{words}</text>',
        ]
    return parts
