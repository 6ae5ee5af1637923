"""`SYMMETRY.md`: the symmetries of networks, what methods lose to them, and which they have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import floor
from typing import Any

import numpy as np
from scipy import stats
from tabulate import tabulate

from benchmark.record import metrics, symmetries
from benchmark.record.predictions import SHIFTED
from benchmark.record.schema import Record
from benchmark.record.symmetries import Measurement
from leaderboard.archive import provenance
from leaderboard.publish import starts, style, words
from leaderboard.publish.text import markdown
from leaderboard.statistics import summaries

SUITE = "mini-symmetry"
SUITES = (SUITE, "mini")
TASK = "inr-classification"
ONE, OWN, ZOO = "mnist-inr-mini", "mnist-inr-own-mini", "mnist-gs-mini"
EDITED = "mnist-dilate-mini"

PAGE = """\
# Symmetries of networks

Many different weights compute the same function. Swap two hidden neurons of a network, with all
weights that touch them: it computes what it did before, but its weight matrices look different. A
method that reads weights has to know this, or learn it from data. This page says which changes
leave a network's function as it is, how much each method loses to them, and which of them each
method ignores.

![The outgoing signal of one hidden neuron of a SIREN, before and after two changes of its weights;
the three signals are the same.](symmetry.svg)

## Which changes leave the function as it is

A hidden neuron reads its inputs x with weights w and a bias b, and sends u φ(w·x + b) on, where u
are its outgoing weights. For a SIREN, the usual network that draws an image, φ(z) = sin(ω z).

| change | weights | holds for | since |
| :-- | :-- | :-- | :-- |
| permutation | two neurons of a layer change places | every φ | a sum has no order |
| sign | (w, b, u) becomes (-w, -b, -u) | sine, tanh | φ(-z) = -φ(z) |
| phase | b becomes b + kπ/ω, and u becomes (-1)ᵏ u | sine | sin(z + kπ) = (-1)ᵏ sin(z) |
| scale | (w, b, u) becomes (cw, cb, u/c), with c > 0 | ReLU | φ(cz) = c φ(z) |
| duplicate | a neuron twice, each with half of u | every φ | u/2 + u/2 = u |
| dead | one more neuron, with u = 0 | every φ | it sends nothing on |

The first four keep the network's size, and each hidden neuron can be changed independently of the
others. A SIREN with 20 hidden neurons has 2²⁰ choices of signs alone. `scattered` applies all that
a network's activation allows at once, at random.

## The canonical form

Of all the weights that compute one function, a rule can choose one set. For a sine, subtract from
the phase ωb its nearest multiple of π, then flip the sign of each neuron with a negative bias, so
that 0 ≤ ωb ≤ π/2. For tanh, flip the sign of each neuron with a negative bias. For ReLU, give
(w, b) norm one. Only the order of the neurons stays free. The function does not change, and any
method can read networks in this form (`METHOD+canonical=True`). The rule is not continuous: two
sines with phases just above and just below 0 or π/2 are close, but their forms have opposite signs.

The other way is augmentation: scatter each network anew whenever it is read in training
(`METHOD+augmentation=scattering`).

## What methods lose, and what gives it back

{losses}

{meaning}

One start: all networks were fitted from the same initialisation, so that most neurons can be told
apart by it; `permuted` shuffles them, `scattered` changes signs and phases too, and `shifted` are
methods that were trained on permuted networks and are tested on scattered ones. Own starts: every
network has an initialisation of its own, as networks that people train do.

## CNNs and edits

The CNNs of the zoo have tanh or ReLU: a neuron's sign or its scale is free. Here methods predict
the CNNs' test accuracies, and the table gives Kendall's τ. `scaled` multiplies each ReLU neuron by
a factor between 1/4 and 4, `scattered` changes order, sign and scale by each network's own
activation.

{zoo}

Editors read networks with an initialisation each, and are compared by the error of the dilated
image that the edited network draws; less is better.

{edits}

## Effect of initialisation and fit

How far the networks' initialisations agree decides how much of a network's weights is what it
learned, and how much is where it began. All networks here draw the same images of MNIST. They were
fitted for 100 or 500 steps from 1, 10 or 100 initialisations, or from one each. Networks with an
initialisation each are scattered by it: for them, `scattered` are the board's own results.

![Test accuracy over the number of initialisations, for two qualities of fits, with networks as they
are scattered and in canonical form.](starts.svg)

{starts}

## The perception gap

Everything that the networks' images show is in their weights. What a method misses of it is the
perception gap (a word of ITheClixs/project-siren-gap). Its ceiling here is a small CNN that reads
the rendered images, its floor is chance. The table gives the share of the way between the two that
a method recovers, in percent, with the half width of a 95 % interval over seeds.

{recovered}

## Which symmetries methods have

Each change is made to 16 test networks in float64. The function's residual is measured first. Then
the table gives how far the method's output moves, relative to the mean distance between its outputs
for different networks. It is the largest value over INRs and CNNs, before training and after 200
steps, with a tenth to all of the neurons changed. `exact` is below {unmoved:g}, and `-` was not
measured: scale concerns the ReLU networks of the CNN zoo alone. `(claimed)` stands beside a claim
that does not hold, `(not claimed)` beside a symmetry that holds without one.

{audit}

## Related work

"Symmetries in Weight Space Learning: To Retain or Remove?" (ICML workshop HiLD, 2025) asks when a
reader should remove symmetries and when they carry information. ITheClixs/project-siren-gap (2026)
changes the weights of MNIST SIRENs by each symmetry, measures what a plain MLP loses, and tries a
canonical form, alignment and equivariant readers against it. Here the methods of the field are
measured alike, with permutation as the baseline that they build in, on networks of one start and of
their own, and on CNNs and edits too.
"""


@dataclass(frozen=True)
class Condition:
    """A column of the table: networks, and how methods read them.

    Attributes:
        title: What it is called.
        dataset: Name of the dataset.
        condition: What follows a method's name in the entrant, as "@scattered".
        split: Of the predictions.
    """

    title: str
    dataset: str
    condition: str = ""
    split: str = "test"


@dataclass(frozen=True)
class Comparison:
    """A table of methods by condition.

    Attributes:
        unit: Of its numbers.
        conditions: Its columns.
        order: Title of the column that sorts the rows.
        digits: Decimals.
        largest_first: Whether more is better.
    """

    unit: str
    conditions: tuple[Condition, ...]
    order: str
    digits: int = 1
    largest_first: bool = True


PERMUTED, SCATTERED, SHIFT = ("one start, " + arm for arm in ("permuted", "scattered", "shifted"))
OWN_STARTS, CANONICAL = "own starts", "own starts, canonical form"
INRS = Comparison(
    "test accuracy in percent",
    (
        Condition(PERMUTED, ONE),
        Condition(SCATTERED, ONE, "@scattered"),
        Condition(SHIFT, ONE, split=SHIFTED),
        Condition(OWN_STARTS, OWN),
        Condition(CANONICAL, OWN, "+canonical=True"),
        Condition("own starts, trained with scattering", OWN, "+augmentation=scattering"),
    ),
    order=CANONICAL,
)
CNNS = Comparison(
    "Kendall's τ",
    (
        Condition("as trained, permuted", ZOO),
        Condition("scaled", ZOO, "@scaled"),
        Condition("scattered", ZOO, "@scattered"),
        Condition("trained on permuted, tested on scattered", ZOO, split=SHIFTED),
        Condition("canonical form", ZOO, "+canonical=True"),
    ),
    order="as trained, permuted",
    digits=3,
)
EDITS = Comparison(
    "mean squared error",
    (
        Condition("as fitted, permuted", EDITED),
        Condition("canonical form", EDITED, "+canonical=True"),
    ),
    order="as fitted, permuted",
    digits=3,
    largest_first=False,
)


def page(records: Sequence[Record], measurements: Sequence[Measurement]) -> str:
    """Render `SYMMETRY.md`.

    Args:
        records: The current records.
        measurements: Of the audit.
    """
    scores = Scores.of(records, INRS)
    return PAGE.format(
        losses=scores.table(),
        meaning=scores.meaning(),
        zoo=Scores.of(records, CNNS).table(),
        edits=Scores.of(records, EDITS).table(),
        starts=starts.table(records),
        recovered=scores.recovered(),
        audit=audit_table(measurements),
        unmoved=symmetries.UNMOVED,
    )


@dataclass(frozen=True)
class Scores:
    """Results over seeds by method and condition, as tables show them, of records to be ranked."""

    comparison: Comparison
    titles: dict[str, str]
    values: dict[tuple[str, str], list[float]]

    @classmethod
    def of(cls, records: Sequence[Record], comparison: Comparison) -> Scores:
        titles: dict[str, str] = {}
        values: dict[tuple[str, str], list[float]] = {}
        compared: set[str] = set()  # suite mini ranks every method
        for record in records:
            for condition in _conditions(record, comparison):
                score = record.metrics.get(condition.split)
                if score is not None:
                    name = record.method.name
                    if record.suite == SUITE:
                        compared.add(name)
                    if not record.method.options:
                        titles[name] = record.method.title
                    scale = metrics.get(record.metric).scale
                    values.setdefault((name, condition.title), []).append(scale * score)
        return cls(comparison, {name: titles.get(name, name) for name in sorted(compared)}, values)

    def mean(self, method: str, condition: str) -> float | None:
        """The mean over seeds; None where there is none."""
        scores = self.values.get((method, condition))
        return summaries.summary(scores).mean if scores else None

    def table(self) -> str:
        """Tabulate the methods, the best with the canonical form first."""
        if not self.titles:
            return "No runs yet."
        lines = [
            [
                markdown(self.titles[name]),
                *(self._cell(name, one.title) for one in self.comparison.conditions),
            ]
            for name in self._order()
        ]
        return self._tabulated(self.comparison.unit, lines)

    def _cell(self, method: str, condition: str) -> str:
        scores = self.values.get((method, condition))
        return summaries.summary(scores).show(self.comparison.digits) if scores else "not run"

    def recovered(self) -> str:
        """Tabulate the shares of the perception gap that methods recover."""
        lines = []
        for name in self._order():
            shares = [self._share(name, one.title) for one in self.comparison.conditions]
            if name != CEILING and any(shares):
                lines.append(
                    [markdown(self.titles[name]), *(share or "not run" for share in shares)]
                )
        if not lines:
            return "No runs yet."
        return self._tabulated("recovered", lines)

    def _tabulated(self, unit: str, lines: Sequence[Sequence[str]]) -> str:
        """Render lines of a method and a cell for each condition."""
        headers = [unit, *(one.title for one in self.comparison.conditions)]
        layout = ["left"] + ["right"] * len(self.comparison.conditions)
        return tabulate(lines, headers, tablefmt="pipe", disable_numparse=True, colalign=layout)

    def _share(self, method: str, condition: str) -> str | None:
        """Compute (score - chance) / (ceiling - chance), with its interval by the delta method."""
        start = OWN_STARTS if condition.startswith("own") else PERMUTED
        score, ceiling = self.values.get((method, condition)), self.values.get((CEILING, start))
        if not score or not ceiling:
            return None
        ours, best = summaries.summary(score), summaries.summary(ceiling)
        span = best.mean - FLOOR
        share = (ours.mean - FLOOR) / span
        if ours.deviation is None or best.deviation is None:
            return f"{100 * share:.0f}"
        variance = ours.deviation**2 / ours.seeds + share**2 * best.deviation**2 / best.seeds
        freedom = min(ours.seeds, best.seeds) - 1
        reach = float(stats.t.ppf(1 - summaries.LEVEL / 2, freedom)) * variance**0.5 / span
        return f"{100 * share:.0f} ± {100 * reach:.0f}"

    def _order(self) -> list[str]:
        sign = -1 if self.comparison.largest_first else 1
        order = self.comparison.order
        return sorted(self.titles, key=lambda name: sign * (self.mean(name, order) or 0.0))

    def meaning(self) -> str:
        """Say in three sentences what the table shows."""
        losses = self._differences(PERMUTED, SCATTERED)
        shifts = self._differences(PERMUTED, SHIFT)
        gains = self._differences(CANONICAL, OWN_STARTS)
        immune = [name for name, points in shifts if abs(points) < UNCHANGED]
        shifts = [(name, points) for name, points in shifts if name not in immune]
        if not (losses and shifts and gains):
            return "There are too few runs to sum up."
        most, large = max(losses, key=lambda pair: pair[1])
        _, weakest = min(shifts, key=lambda pair: pair[1])
        best, gain = max(gains, key=lambda pair: pair[1])
        mean_gain = sum(gain for _, gain in gains) / len(gains)
        spared = (
            words.several([words.named(self.titles[name]) for name in immune]) if immune else ""
        )
        but = (
            f", and {spared} lose{'' if len(immune) > 1 else 's'} less than a point"
            if immune
            else ""
        )
        others = "All others that read weights and" if immune else "Methods that"
        return (
            f"Scattering networks of one start costs {self.titles[most]} {large:.0f} points, the "
            f"most of all, although not one function changes{but}. {others} were trained on "
            f"permuted networks alone lose {floor(weakest)} points or more on scattered ones. On "
            "networks with starts of their own, which scatter by themselves, the canonical form "
            f"is worth {mean_gain:.0f} points on "
            f"average, and up to {gain:.0f} ({self.titles[best]})."
        )

    def _differences(self, first: str, second: str) -> list[tuple[str, float]]:
        """The methods that are better than chance on the first, with the difference."""
        pairs = []
        for name in self.titles:
            one, other = self.mean(name, first), self.mean(name, second)
            if name != CEILING and one is not None and other is not None and one > CHANCE:
                pairs.append((name, one - other))
        return pairs


CEILING = "rendered-cnn"
UNCHANGED = 1.0  # points: the loss of a method that ignores signs and phases
FLOOR = 10.0  # percent: ten classes, equally frequent
CHANCE = 15.0  # in percent: what is not clearly above a tenth has nothing to lose


def _conditions(record: Record, comparison: Comparison) -> Iterator[Condition]:
    """Yield the columns to which a record contributes."""
    if record.status != "finished" or record.suite not in SUITES:
        return
    own = str(record.cell.entrant).removeprefix(record.method.name)
    columns = [
        one
        for one in comparison.conditions
        if one.dataset == record.dataset.name and one.condition == own
    ]
    if columns and not provenance.objections(record):
        yield from columns


def audit_table(measurements: Sequence[Measurement]) -> str:
    """Tabulate by method and change how far outputs move, beside what the method claims."""
    if not measurements:
        return "Not measured yet."
    changes = list(symmetries.by_change(measurements))
    lines = []
    for method, ones in symmetries.by_method(measurements).items():
        measured = symmetries.by_change(ones)
        lines.append(
            [f"`{method}`", *(symmetries.describe(measured.get(change, [])) for change in changes)]
        )
    return tabulate(lines, ["method", *changes], tablefmt="pipe", disable_numparse=True)


def held(measured: Sequence[Measurement]) -> str:
    """List the symmetries that a method has, measured, with a false claim beside it."""
    if not measured:
        return "not measured"
    had = []
    for change, ones in symmetries.by_change(measured).items():
        holds = all(one.holds and one.conclusive for one in ones)
        if holds:
            had.append(change)
        elif ones[0].claimed:
            had.append(f"not {change}, which it claims")
    return ", ".join(had) or "none"


def figure() -> Any:
    """Draw one neuron of a SIREN, and what it sends on, before and after two changes."""
    panels = (
        ("as it is\n(w, b, u)", 1.0, 0.0, 1.0),
        ("sign\n(-w, -b, -u)", -1.0, 0.0, -1.0),
        ("phase\n(w, b + π/ω, -u)", 1.0, 1.0, -1.0),
    )
    drawn, axes = style.figure(6.4, 2.5, len(panels))
    x = np.linspace(0, 1, 101)
    for axis, (title, sign, turn, outgoing) in zip(axes, panels, strict=True):
        activation = np.sin(sign * (9.0 * x + 0.7) + turn * np.pi)
        axis.axhline(0, color="#bbbbbb", linewidth=0.8)
        sent = axis.plot(x, outgoing * activation, color=style.COLOURS[0], linewidth=4)
        inner = axis.plot(x, activation, "--", color=style.COLOURS[1])
        axis.set(title=title, xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    names = ["activation, sin(ω(wx + b))", "what is sent on, u sin(ω(wx + b)): the same"]
    style.legend(drawn, "outside lower center", 2, handles=[*inner, *sent], labels=names)
    return drawn


def svg() -> str:
    """Render the neuron as a picture of its own."""
    title = "One hidden neuron of a SIREN: three sets of weights, one signal"
    return style.svg(figure(), title, "white")
