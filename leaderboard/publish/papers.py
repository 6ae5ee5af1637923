"""The verdicts in short: how many of each paper's, and reported beside measured in a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmark.record import metrics
from leaderboard.publish import figures, style, words
from leaderboard.reported import check
from leaderboard.reported.check import Checked
from leaderboard.statistics import summaries

MOST_NAMED = 20  # points of a panel
COLOURS = dict(zip(("reproduced", "higher", "lower", "undecided"), style.COLOURS, strict=False))


def ordered(checked: Sequence[Checked]) -> list[Checked]:
    """Those with a verdict first, then those that can be run, then those that cannot be compared.

    Within each, by paper and task.
    """
    return sorted(
        checked,
        key=lambda one: (
            check.KINDS.index(one.kind),
            one.row.claimed_by,
            one.row.task,
            one.row.dataset,
            -one.row.value,
        ),
    )


def summary(checked: Sequence[Checked]) -> list[tuple[str, str, dict[str, int]]]:
    """Count verdicts by paper and kind: its name, its address, its counts; the longest first."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for one in checked:
        key = (one.row.claimed_by, one.row.claimed_in)
        counts.setdefault(key, Counter())[one.kind] += 1
    order = sorted(counts.items(), key=lambda pair: (-pair[1].total(), pair[0]))
    return [(*key, dict(found)) for key, found in order]


def totals(checked: Sequence[Checked]) -> str:
    """Say how many of each kind there are, and what the missing ones wait for."""
    counts = Counter(one.kind for one in checked)
    judged = sum(counts[kind] for kind in check.JUDGED)
    parts = [f"{counts[kind]} {kind}" for kind in check.JUDGED if counts[kind]]
    said = f"Of {len(checked)} reported numbers {judged} were tested"
    said += f": {words.several(parts)}. " if parts else ". "
    if second := sum(one.kind in check.JUDGED and one.row.is_second_hand for one in checked):
        said += f"{'All' if second == judged else second} of these were read second hand. "
    if some := counts["incomplete"]:
        said += f"{some} {'has' if some == 1 else 'have'} not been run with all seeds yet. "
    return said + (
        f"{counts['not run']} have not been run yet in the suite that follows their protocol, but "
        f"for the deviations that it names. {counts['not comparable']} cannot be compared with a "
        "run here, each for the reason that its row gives."
    )


def figure(checked: Sequence[Checked]) -> Any | None:
    """Plot reported over measured, a panel for each metric, with 95 % intervals of both.

    A paper's interval is made of its spread and number of runs where it says what they are. None
    without a number that is compared.
    """
    panels: dict[str, list[Checked]] = {}
    for one in checked:
        if one.kind in check.JUDGED:
            panels.setdefault(one.row.metric, []).append(one)
    if not panels:
        return None
    drawn, axes = style.figure(4.4 * len(panels), 4.2, len(panels))
    for axis, (name, ones) in zip(axes, panels.items(), strict=True):
        ends = [value for one in ones for value in (one.row.value, *one.scores)]
        axis.plot([min(ends), max(ends)], [min(ends), max(ends)], ":", color="#7f7f7f")
        for one in ones:
            ours, reach = summaries.summary(one.scores), _reach(one)
            own = [[ours.mean - (ours.low or ours.mean)], [(ours.high or ours.mean) - ours.mean]]
            axis.errorbar(
                [one.row.value],
                [ours.mean],
                xerr=[[reach], [reach]],
                yerr=own,
                fmt=style.MARKERS[check.JUDGED.index(one.kind)],
                color=COLOURS[one.kind],
                markersize=5,
                linewidth=1,
            )
        if len(ones) <= MOST_NAMED:
            figures.write_labels(
                drawn, axis, [(one.row.value, np.mean(one.scores), one.row.method) for one in ones]
            )
        label = metrics.get(name).label
        axis.set(xlabel=f"reported, {label}", ylabel=f"here, {label}")
    for kind in dict.fromkeys(one.kind for ones in panels.values() for one in ones):
        mark = style.MARKERS[check.JUDGED.index(kind)]
        axes[0].plot([], [], mark, color=COLOURS[kind], label=kind)
    style.legend(drawn, "outside lower center", 4)
    return drawn


def _reach(one: Checked) -> float:
    """Half a 95 % interval of a paper's mean; 0 where its spread or runs are unknown."""
    stated = check.published(one.row)
    if stated.deviation is None or not stated.is_sample:
        return 0.0
    return summaries.reach(stated.deviation, stated.runs)
