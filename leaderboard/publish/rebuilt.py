"""`REBUILT.md`: networks that cannot be had, made again, and how near they are to the originals."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tabulate import tabulate

from benchmark.record.traces import Point, Settings, Statistic, Trace
from leaderboard.publish import style

PAGE = """\
# Rebuilt networks

Most methods of this field are compared on the INRs that DWSNets were published with
([arXiv:2301.12780](https://arxiv.org/abs/2301.12780)): one SIREN of two hidden layers of 32 neurons
for each image of MNIST and of Fashion-MNIST. The networks themselves are only on Dropbox, the
recipe that their authors gave later (Adam at 5e-4, 1,000 steps, a stop at 40 dB) does not make
them, and readers trained on other rebuilds stayed 20 points below the paper
([AvivNavon/DWSNets, issues 6](https://github.com/AvivNavon/DWSNets/issues/6) and
[7](https://github.com/AvivNavon/DWSNets/issues/7)).

But the mean and the standard deviation of every weight of those networks are public: the code of
Neural Graphs ([arXiv:2403.12143](https://arxiv.org/abs/2403.12143)) carries them, to standardise
its inputs. They tell the recipe. Too few steps leave the weights too small, too many make them too
large, and the six tensors grow at different speeds, so that few recipes make all six agree. The
network is that of the public code: initial weights uniform within sqrt(6 / inputs) / 30 and biases
of zero in the sine layers, PyTorch's own start in the last, 0.5 added to the output, and images in
[0, 1].

`python -m benchmark datasets build NAME` makes the networks, `datasets verify NAME` holds them
against the published statistics, and `datasets trace NAME` makes the tables of this page. A rebuilt
dataset counts as the paper's in the verdicts if each standard deviation is within 3 % of the
published one and each mean within three standard errors. float32 fits differ in the last bits
between machines, so that the catalogue pins these datasets by recipe and statistics, not by a
fingerprint.

{parts}"""

PART = """\
## {title}

The recipe: Adam at {rate:g}, {steps:,} steps of all pixels at once, {decay}, for every image from a
start of its own (`{dataset}`).

{whole}

How far the standard deviation of each tensor is from the published one, in percent, when the first
{networks} networks are fitted with other settings. The recipe's own are in bold.

{points}

![The standard deviation of each tensor over the steps of a fit, at several rates; the published one
as a line.](rebuilt-{dataset}.svg)
"""

COLOURS = style.COLOURS[:4]
WIDTH, HEIGHT, GAP, LEFT, TOP = 190, 120, 62, 56, 40


def page(traces: Sequence[Trace]) -> str:
    """Render the page; without traces it says that nothing was measured."""
    parts = [_part(trace) for trace in traces] or ["Nothing was measured yet.\n"]
    return PAGE.format(parts="\n".join(parts))


def figures(traces: Sequence[Trace]) -> dict[str, str]:
    """Draw the figure of each trace: SVG by file name."""
    return {f"rebuilt-{trace.dataset}.svg": figure(trace) for trace in traces}


def _part(trace: Trace) -> str:
    settings = trace.settings
    return PART.format(
        title=trace.title,
        dataset=trace.dataset,
        rate=settings.learning_rate,
        steps=settings.steps,
        decay=f"weight decay {settings.weight_decay:g}"
        if settings.weight_decay
        else "no weight decay",
        networks=trace.networks,
        whole=_whole(trace),
        points=_points(trace),
    )


def _whole(trace: Trace) -> str:
    if not trace.rebuilt:
        return "The whole dataset was not built here yet."
    lines = [
        [
            f"{one.kind} of {one.tensor}",
            f"{one.published:.5f}",
            f"{one.measured:.5f}",
            f"{one.percent:+.2f} %",
            f"{one.errors:+.1f}",
        ]
        for one in trace.rebuilt
    ]
    headers = ["statistic", "published", "rebuilt", "of the deviation", "standard errors"]
    layout = ("left", "right", "right", "right", "right")
    table = tabulate(lines, headers, tablefmt="pipe", disable_numparse=True, colalign=layout)
    deviations = _deviations(trace.rebuilt)
    farthest = max(deviations, key=lambda one: abs(one.percent))
    surest = max(deviations, key=lambda one: abs(one.errors))
    return (
        f"All {trace.whole:,} training networks against the published ones. The standard deviation "
        f"that is farthest off is that of {farthest.tensor}, by {farthest.percent:+.1f} %. With so "
        f"many networks even small differences are no chance (that of {surest.tensor} is "
        f"{abs(surest.errors):.0f} standard errors): something small in the recipe is still "
        f"unknown.\n\n{table}"
    )


def _points(trace: Trace) -> str:
    tensors = [one.tensor for one in _deviations(trace.points[0].statistics)]
    lines = []
    for point in trace.points:
        settings = point.settings
        line = [
            f"{settings.learning_rate:g}",
            f"{settings.weight_decay:g}",
            f"{settings.steps:,}",
            *(f"{one.percent:+.1f}" for one in _deviations(point.statistics)),
        ]
        if settings == trace.settings:
            line = [f"**{text}**" for text in line]
        lines.append(line)
    headers = ["rate", "decay", "steps", *tensors]
    layout = ["right"] * len(headers)
    return tabulate(lines, headers, tablefmt="pipe", disable_numparse=True, colalign=layout)


def _deviations(statistics: Sequence[Statistic]) -> list[Statistic]:
    return [one for one in statistics if one.kind == "standard deviation"]


def figure(trace: Trace) -> str:
    """Draw each tensor's standard deviation over the steps: a panel each, a line for each rate."""
    tensors = [one.tensor for one in _deviations(trace.points[0].statistics)]
    lines: dict[tuple[float, float], list[Point]] = {}
    for point in trace.points:
        settings = point.settings
        lines.setdefault((settings.learning_rate, settings.weight_decay), []).append(point)
    across = LEFT + 3 * (WIDTH + GAP)
    down = TOP + 2 * (HEIGHT + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across} {down + 30}" '
        'font-family="sans-serif" font-size="12" role="img">',
        f"<title>Standard deviations of the weights over the steps, {escape(trace.title)}</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    for number, tensor in enumerate(tensors):
        left = LEFT + number % 3 * (WIDTH + GAP)
        top = TOP + number // 3 * (HEIGHT + GAP)
        parts += _panel(trace.settings, list(lines.values()), number, tensor, left, top)
    x = LEFT
    for (rate, decay), colour in zip(lines, COLOURS, strict=False):
        text = f"rate {rate:g}" + (f", decay {decay:g}" if decay else "")
        parts += [
            f'<line x1="{x}" x2="{x + 24}" y1="{down}" y2="{down}" stroke="{colour}" '
            'stroke-width="2.5"/>',
            f'<text x="{x + 30}" y="{down + 4}">{text}</text>',
        ]
        x += 170
    parts.append(
        f'<text x="{LEFT}" y="{down + 24}">'
        "dashed: published; dotted: the steps of the recipe</text>"
    )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(
    recipe: Settings, lines: list[list[Point]], number: int, tensor: str, left: int, top: int
) -> list[str]:
    published = _deviations(lines[0][0].statistics)[number].published
    values = [
        [(one.settings.steps, _deviations(one.statistics)[number].measured) for one in line]
        for line in lines
    ]
    highest = 1.1 * max([published, *(value for line in values for _, value in line)])
    longest = max(steps for line in values for steps, _ in line)

    def place(steps: float, value: float) -> tuple[float, float]:
        return left + WIDTH * steps / longest, top + HEIGHT * (1 - value / highest)

    _, level = place(0, published)
    middle, _ = place(recipe.steps, 0)
    parts = [
        f'<text x="{left}" y="{top - 8}" font-weight="bold">{escape(tensor)}</text>',
        f'<path d="M{left},{top} V{top + HEIGHT} H{left + WIDTH}" fill="none" stroke="#777777"/>',
        f'<line x1="{left}" x2="{left + WIDTH}" y1="{level:.1f}" y2="{level:.1f}" '
        'stroke="#333333" stroke-dasharray="6 4"/>',
        f'<text x="{left - 5}" y="{level + 4:.1f}" text-anchor="end">{published:.3f}</text>',
        f'<line x1="{middle:.1f}" x2="{middle:.1f}" y1="{top}" y2="{top + HEIGHT}" '
        'stroke="#333333" stroke-dasharray="2 3"/>',
        f'<text x="{middle:.1f}" y="{top + HEIGHT + 16}" text-anchor="middle">'
        f"{recipe.steps:,} steps</text>",
    ]
    for line, colour in zip(values, COLOURS, strict=False):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
    return parts
