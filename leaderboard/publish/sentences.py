"""What these tables say: a few sentences, with numbers that are computed from the records.

A sentence stands only where the records support it, by the tests that ranks use, corrected by
Holm's method over what the sentence says of several methods. Where they contradict it, or are
missing, there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchmark import suites
from benchmark.record import symmetries
from benchmark.record.metrics import Metric
from leaderboard.archive import pools
from leaderboard.archive.pools import Pool
from leaderboard.archive.tables import Board, Row
from leaderboard.publish import words
from leaderboard.publish.front import PROJECT
from leaderboard.publish.symmetry import CEILING, CHANCE, ONE, OWN, TASK
from leaderboard.reported import judgements, verdicts
from leaderboard.statistics import ranks
from leaderboard.statistics.ranks import LEVEL, Column, Difference

OWN_ALIKE = "mnist-inr-own-starts-100-steps-mini"
"""Networks that differ from `ONE` in their starts alone."""

CANONICAL, AUGMENTED, SCATTERED = "+canonical=True", "+augmentation=scattering", "@scattered"
SIMPLE = ("extra-trees", "boosted-trees", "statnn")
"""Readers that were not designed for the weights of networks."""

EDITING = "inr-editing"
BY_TENSOR = "affine-editor"
"""An editor with the same scale and shift of a tensor for all networks."""
MLP_EDITORS = ("mlp-editor", "mlp-editor-augmented")


@dataclass(frozen=True)
class Findings:
    """The results that sentences are made of.

    pools: by task and dataset; of suites that train differently, the first.
    rows: of suite mini, by task and entrant.
    titles: by method.
    signed: the methods whose outputs no sign and no phase of a neuron changes, as measured.
    permuted: those that ignore the order of neurons, as measured, and are not among the signed.
    """

    pools: Mapping[tuple[str, str], Pool]
    rows: Mapping[str, Mapping[str, Row]]
    titles: Mapping[str, str]
    signed: frozenset[str]
    permuted: frozenset[str]

    @classmethod
    def of(cls, boards: Sequence[Board]) -> Findings:
        """Gather what the boards hold."""
        found: dict[tuple[str, str], Pool] = {}
        for pool in pools.pools(boards):
            found.setdefault((pool.task, pool.dataset), pool)
        mini = [board for board in boards if board.suite == suites.MINI]
        rows = {board.task: {row.entrant: row for row in board.rows} for board in mini}
        titles = {row.entrant: row.title for board in boards for row in board.rows}
        has: dict[str, set[str]] = {}
        for method, ones in symmetries.by_method(symmetries.read()).items():
            changes = symmetries.by_change(ones).items()
            has[method] = {
                name for name, of in changes if all(one.holds and one.conclusive for one in of)
            }
        signed = frozenset(name for name, held in has.items() if {"sign", "phase"} <= held)
        permuted = frozenset(name for name, held in has.items() if "permutation" in held) - signed
        return cls(found, rows, titles, signed, permuted)

    def columns(self, *datasets: str) -> list[Column]:
        """The columns of INR classification that there are; an empty one where there is none."""
        empty = Column({}, {})
        found = [self.pools.get((TASK, dataset)) for dataset in datasets]
        return [empty if pool is None else pool.column for pool in found]


def sentences(boards: Sequence[Board]) -> list[str]:
    """Say what the boards show, in a sentence each."""
    findings = Findings.of(boards)
    return [said for say in SENTENCES if (said := say(findings)) is not None]


def own_starts(findings: Findings) -> str | None:
    """Say what networks' own starts cost, all else being equal: in canonical form, equal fits."""
    one, own = findings.columns(ONE, OWN_ALIKE)
    readers = [
        name
        for name in one.spreads
        if name.endswith(CANONICAL)
        and name in own.spreads
        and one.samples[name].mean > CHANCE / 100
    ]
    losses = [ranks.across(one, own, name) for name in readers]
    if not readers or not _all_shown(losses):
        return None
    pairs = [(one.samples[name].mean, own.samples[name].mean) for name in readers]
    shares = sorted(100 * (1 - after / before) for before, after in pairs)
    best = max(readers, key=lambda name: one.samples[name].mean)
    title = words.named(findings.titles[best.removesuffix(CANONICAL)])
    before, after = one.samples[best].mean, own.samples[best].mean
    return (
        f"Initialisation matters a lot: when every network has its own initialisation rather than "
        f"a shared one, and nothing else changes, methods lose {_span(shares, '%')} of their "
        f"accuracy. {title}, the best of them, falls from {100 * before:.1f} to "
        f"{100 * after:.1f} % (MNIST, canonical form, fits of 100 steps)."
    )


def scattering(findings: Findings) -> str | None:
    """Say what signs and phases alone take, and from which methods they take nothing."""
    (one,) = findings.columns(ONE)
    readers = [
        name
        for name in one.spreads
        if name + SCATTERED in one.spreads and one.samples[name].mean > CHANCE / 100
    ]
    permuted = [name for name in readers if name in findings.permuted]
    losses = [one.difference(name, name + SCATTERED) for name in permuted]
    points = sorted(100 * loss.size for loss in _shown(losses) if loss.size > 0)
    if not points or len(points) < len(_shown(losses)):
        return None
    metric = findings.pools[TASK, ONE].metric
    spared = [
        name
        for name in readers
        if name in findings.signed - {CEILING} and _stays(metric, one, name, name + SCATTERED)
    ]
    said = (
        "On MNIST networks of one shared initialisation, scattering the signs and phases of "
        f"neurons changes no function. Yet it is shown to cost {len(points)} of the "
        f"{len(permuted)} methods that are invariant to the order of neurons alone "
        f"{_span(points, 'points')}, although they were trained on scattered networks"
    )
    if spared:
        kept = words.several(
            [
                f"{words.named(findings.titles[name])} ({100 * one.samples[name].mean:.1f} %)"
                for name in spared
            ]
        )
        said += f". {words.begun(kept)} {'loses' if len(spared) == 1 else 'lose'} less than "
        said += f"{metric.margin:g} point{'s' * (metric.margin != 1)}"
    return f"{said}."


def canonical_form(findings: Findings) -> str | None:
    """Say what a canonical form is worth to the NFT, beside augmentation and what is built in."""
    (own,) = findings.columns(OWN)
    form = PROJECT + CANONICAL
    gain = own.difference(form, PROJECT)
    if gain is None or not _all_shown([gain]):
        return None
    title = findings.titles[PROJECT]
    said = (
        f"When each network has its own initialisation, reading the weights in canonical form "
        f"gains {title} {100 * gain.size:.0f} points ({_percent(own, PROJECT)} to "
        f"{_percent(own, form)} %, MNIST, fits of 500 steps)"
    )
    augmented = own.difference(form, PROJECT + AUGMENTED)
    if augmented and _all_shown([augmented]):
        said += (
            f". Training on scattered copies instead leaves it at "
            f"{_percent(own, PROJECT + AUGMENTED)} %"
        )
    rows = findings.rows.get(TASK, {})
    built_in = [
        name
        for name, row in rows.items()
        if name in findings.signed & set(own.spreads) and row.is_ranked
    ]
    best = max(built_in, key=lambda name: own.samples[name].mean, default=None)
    if best and (lead := own.difference(best, form)) and _all_shown([lead]):
        said += (
            f". {words.begun(words.named(findings.titles[best]))}, which has these symmetries "
            f"built in, reaches {_percent(own, best)} %"
        )
    return said + "."


def rendered(findings: Findings) -> str | None:
    """Say how far reading weights is from reading what the networks draw."""
    parts: list[str] = []
    named = ""
    leads: list[Difference | None] = []
    rows = findings.rows.get(TASK, {})
    if CEILING not in rows:
        return None
    for dataset in rows[CEILING].cells:
        column = findings.pools[TASK, dataset].column
        readers = [name for name, row in rows.items() if row.is_ranked and name in column.spreads]
        if CEILING not in column.spreads or not readers:
            continue
        best = max(readers, key=lambda name: column.samples[name].mean)
        leads.append(column.difference(CEILING, best))
        title = "" if best == named else f" ({words.named(findings.titles[best])})"
        named = best
        parts.append(
            f"{_percent(column, CEILING)} against {_percent(column, best)} %{title} on "
            f"{words.dataset(dataset)}"
        )
    if not parts or not _all_shown(leads):
        return None
    return (
        "Much is left to read. A small CNN that sees what the networks draw is far better than the "
        f"best method that reads their weights: {words.several(parts)}."
    )


def simple(findings: Findings) -> str | None:
    """Say that no reader built for weights is shown to beat simple ones on the CNN zoo."""
    board = findings.rows.get("generalization", {})
    datasets = list(dict.fromkeys(dataset for row in board.values() for dataset in row.cells))
    for dataset in datasets:
        pool = findings.pools["generalization", dataset]
        column, show = pool.column, pool.metric.show
        ranked = [name for name, row in board.items() if row.is_ranked and name in column.spreads]
        plain = sorted(
            (name for name in SIMPLE if name in ranked), key=lambda name: -column.samples[name].mean
        )
        built = [name for name in ranked if name in findings.permuted and name not in SIMPLE]
        if not plain or not built:
            return None
        best = max(built, key=lambda name: column.samples[name].mean)
        if any(_is_above(column, name, plain[0], len(built)) for name in built):
            return None
        results = [
            f"{findings.titles[name]} {show(column.samples[name].mean)}" for name in plain[:2]
        ]
        return (
            "For predicting the accuracy of small CNNs, no specialised weight-space method is "
            f"shown to beat simple ones: in {pool.metric.label}, {words.several(results)}, against "
            f"{show(column.samples[best].mean)} of {words.named(findings.titles[best])}."
        )
    return None


def editing(findings: Findings) -> str | None:
    """Say that one scale and shift by tensor, the same for all networks, edit better than MLPs."""
    parts: list[str] = []
    leads: list[Difference | None] = []
    for dataset in suites.get(suites.MINI).tasks[EDITING].datasets:
        pool = findings.pools.get((EDITING, dataset))
        names = (BY_TENSOR, *MLP_EDITORS)
        if pool is None or not set(names) <= set(pool.column.spreads):
            continue
        errors = [float(np.exp(pool.column.samples[name].scores).mean()) for name in names]
        leads += [pool.column.difference(name, BY_TENSOR) for name in MLP_EDITORS]
        parts.append(
            f"{pool.metric.show(errors[0])} against {pool.metric.show(min(errors[1:]))} on "
            f"{words.dataset(dataset)}"
        )
    if not parts or not _all_shown(leads):
        return None
    steps = suites.get(suites.MINI).tasks[EDITING].protocol.steps
    return (
        "An editor has to beat what needs no look at the network. One scale and one shift of each "
        "weight and bias tensor, the same for all networks, edit better than MLPs that read all "
        f"weights (suite mini, {steps:,} steps): in mean squared error, {words.several(parts)}."
    )


SENTENCES: tuple[Callable[[Findings], str | None], ...] = (
    own_starts,
    scattering,
    canonical_form,
    rendered,
    simple,
    editing,
)


def _all_shown(differences: Sequence[Difference | None]) -> bool:
    """Whether each difference is shown to be above zero."""
    shown = _shown(differences)
    return len(shown) == len(differences) and all(one.size > 0 for one in shown)


def _shown(differences: Sequence[Difference | None]) -> list[Difference]:
    """Select the differences that are shown, all of them being tested."""
    known = [one for one in differences if one is not None]
    corrected = verdicts.holm([one.p_value for one in known])
    return [one for one, p in zip(known, corrected, strict=True) if p < LEVEL]


def _is_above(column: Column, name: str, other: str, tests: int) -> bool:
    """Whether a method is shown to be above another, in one of so many tests."""
    difference = column.difference(name, other)
    return difference is not None and difference.size > 0 and tests * difference.p_value < LEVEL


def _stays(metric: Metric, column: Column, name: str, other: str) -> bool:
    """Whether two arms are shown to differ by less than the margin, in pairs of seeds.

    The arms of a method start alike, so that their seeds compare in pairs.
    """
    first, second = column.samples[name].scores, column.samples[other].scores
    if len(first) != len(second):
        return False
    pairs = first - second
    error = float(pairs.std(ddof=1) / np.sqrt(len(pairs)))
    reach = judgements.margin(metric) - abs(float(pairs.mean()))
    if error == 0:
        return reach > 0
    return float(stats.t.sf(reach / error, len(pairs) - 1)) < LEVEL


def _percent(column: Column, name: str) -> str:
    return f"{100 * column.samples[name].mean:.1f}"


def _span(values: Sequence[float], unit: str) -> str:
    """The ends of sorted values: "49 to 65 %"."""
    low, high = f"{values[0]:.0f}", f"{values[-1]:.0f}"
    return f"{low} {unit}" if low == high else f"{low} to {high} {unit}"
