"""`REBUILT.md`: networks that cannot be had, made again, and how near they are to the originals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from benchmark.record.traces import Point, Statistic, Trace, deviations, table
from leaderboard.publish import style

PAGE = """\
# Rebuilt networks

Most methods of this field are compared on two sets of INRs, SIRENs of two hidden layers of 32
neurons that draw one image each: those that NFN was published with
([arXiv:2302.14040](https://arxiv.org/abs/2302.14040)), and those of DWSNets
([arXiv:2301.12780](https://arxiv.org/abs/2301.12780)). NFN's paper has its recipe. DWSNets'
networks themselves are only on Dropbox, the recipe that their authors gave later (Adam at 5e-4,
1,000 steps, a stop at 40 dB) does not make them, and readers trained on other rebuilds stayed 20
points below the paper ([AvivNavon/DWSNets, issues 6](https://github.com/AvivNavon/DWSNets/issues/6)
and [7](https://github.com/AvivNavon/DWSNets/issues/7)).

But the mean and the standard deviation of every weight of both sets are public: the code of Neural
Graphs ([arXiv:2403.12143](https://arxiv.org/abs/2403.12143)) carries them, to standardise its
inputs. Pooled over each tensor, they narrow the recipe down. Too few steps leave the weights too
small, too many make them too large, and the six tensors grow at different speeds. Some neighbours
of a recipe agree as well: two thirds of the steps at twice the rate, for NFN's, and no weight
decay, for DWSNets' of MNIST. DWSNets' network is that of their public code: initial weights uniform
within sqrt(6 / inputs) / 30 and biases of zero in the sine layers, PyTorch's own start in the last,
0.5 added to the output, and images in [0, 1]. NFN's is the usual SIREN, of images in [-1, 1].

A third set, the INRs of sine waves from which DWSNets learn without labels, needs no search: their
public code holds the program that fits them, which ends a fit early where its error is small
enough. Of the networks themselves, which are on Dropbox, too, no statistics are published: what is
called published here are those of networks that this program fitted on a machine of this project.

`python -m benchmark datasets build NAME` makes the networks, `datasets verify NAME` holds them
against these statistics, and `datasets trace NAME` makes the tables of this page. A rebuilt
dataset counts as the paper's in the verdicts if each standard deviation is within 3 % of the
published one and each mean within three standard errors. That shows that a recipe is near, not that
it is the one: those of the images were chosen by the statistics that they are held against, and
these say little of how good the fits are. With all networks even a difference of 1 % can be told
from chance. float32 fits differ in the last bits between machines, so that the catalogue pins these
datasets by recipe and statistics, not by a fingerprint.

{parts}"""

PART = """\
## {title}

The recipe: Adam at {rate:g}, {steps:,} steps of all points at once, {decay}, every network from a
start of its own (`{dataset}`). The statistics: {source}.

{whole}

How far the standard deviation of each tensor is from the published one, in percent, when the first
{networks} networks are fitted with other settings. The recipe's own are in bold.

{points}

![The standard deviation of each tensor over the steps of a fit, at several rates; the published one
as a line.](rebuilt-{dataset}.svg)
"""

GREY = "#7f7f7f"
CHANCE = 3.0  # standard errors that the farthest of a dozen statistics is hardly off by chance


def page(traces: Sequence[Trace]) -> str:
    """Render the page; without traces it says that nothing was measured."""
    parts = [_part(trace) for trace in traces] or ["Nothing was measured yet.\n"]
    return PAGE.format(parts="\n".join(parts))


def figures(traces: Sequence[Trace]) -> dict[str, str]:
    """Draw the figure of each trace: SVG by file name."""
    return {f"rebuilt-{trace.dataset}.svg": svg(trace) for trace in traces}


def _part(trace: Trace) -> str:
    settings = trace.settings
    return PART.format(
        title=trace.title,
        dataset=trace.dataset,
        source=trace.source,
        rate=settings.learning_rate,
        steps=settings.steps,
        decay=f"weight decay {settings.weight_decay:g}"
        if settings.weight_decay
        else "no weight decay",
        networks=trace.networks,
        whole=_whole(trace),
        points=table(trace, "**"),
    )


def _whole(trace: Trace) -> str:
    if not trace.rebuilt:
        return _first(trace)
    lines = [
        [
            one.name,
            f"{one.published:z.5f}",
            f"{one.measured:z.5f}",
            f"{one.percent:+.2f} %",
            f"{one.errors:+.1f}",
        ]
        for one in trace.rebuilt
    ]
    headers = ["statistic", "published", "rebuilt", "of the deviation", "standard errors"]
    layout = ("left", "right", "right", "right", "right")
    comparison = tabulate(lines, headers, tablefmt="pipe", disable_numparse=True, colalign=layout)
    farthest = _farthest(trace.rebuilt)
    surest = max(deviations(trace.rebuilt), key=lambda one: abs(one.errors))
    if abs(surest.errors) > CHANCE:
        said = (
            "With so many networks even small differences are no chance (that of "
            f"{surest.tensor} is {abs(surest.errors):.0f} standard errors): something small in the "
            "recipe is still unknown."
        )
    else:
        said = (
            f"None is farther off than {abs(surest.errors):.1f} standard errors, which is no more "
            "than chance for so many statistics."
        )
    return (
        f"All {trace.whole:,} training networks against the published ones. The standard deviation "
        f"that is farthest off is that of {farthest.tensor}, by {farthest.percent:+.1f} %. {said}"
        f"\n\n{comparison}"
    )


def _first(trace: Trace) -> str:
    """State how near the networks of the recipe's own settings are, where there are no others."""
    said = "The whole dataset was not built here yet."
    own = next((one for one in trace.points if one.settings == trace.settings), None)
    if own is None:
        return said
    farthest = _farthest(own.statistics)
    return (
        f"{said} Of its first {trace.networks} networks, the standard deviation that is farthest "
        f"off is that of {farthest.tensor}, by {farthest.percent:+.1f} % "
        f"({farthest.errors:+.1f} standard errors)."
    )


def _farthest(statistics: Sequence[Statistic]) -> Statistic:
    """The standard deviation that is farthest off, in percent."""
    return max(deviations(statistics), key=lambda one: abs(one.percent))


def figure(trace: Trace) -> Any:
    """Plot each tensor's standard deviation over the steps: a panel each, a line for each rate."""
    lines: dict[tuple[float, float], list[Point]] = {}
    for point in trace.points:
        settings = point.settings
        lines.setdefault((settings.learning_rate, settings.weight_decay), []).append(point)
    published = deviations(trace.points[0].statistics)
    drawn, axes = style.figure(7.5, 4.4, len(published), rows=2)
    for number, (axis, known) in enumerate(zip(axes, published, strict=True)):
        for index, ((rate, decay), points) in enumerate(lines.items()):
            axis.plot(
                [point.settings.steps for point in points],
                [deviations(point.statistics)[number].measured for point in points],
                style.DASHES[index],
                color=style.COLOURS[index],
                label=f"rate {rate:g}" + (f", decay {decay:g}" if decay else ""),
            )
        thin = {"color": GREY, "linewidth": 0.8}
        axis.axhline(known.published, label="published", **thin)
        axis.axvline(trace.settings.steps, linestyle=":", label="the recipe's steps", **thin)
        axis.set(title=known.tensor, xlim=(0, None), ylim=(0, None))
    handles, labels = axes[-1].get_legend_handles_labels()
    style.legend(drawn, "outside lower center", 3, handles=handles, labels=labels)
    return drawn


def svg(trace: Trace) -> str:
    """Draw the figure for the page."""
    label = f"Standard deviations of the weights over the steps of a fit, {trace.title}"
    return style.svg(figure(trace), label, "white")
