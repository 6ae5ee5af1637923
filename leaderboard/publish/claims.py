"""`CLAIMS.md`: what papers say beyond single numbers, held against the records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import expm1

from tabulate import tabulate

from benchmark.record.metrics import Metric
from leaderboard.archive import pools
from leaderboard.archive.tables import Board
from leaderboard.publish import links, words
from leaderboard.publish.text import markdown
from leaderboard.reported import claims, judgements
from leaderboard.reported.claims import Claim
from leaderboard.reported.judgements import Judgement

PAGE = """\
# What papers claim, held against the records

{totals}

Each claim is a row of `leaderboard/reported/claims.csv`, in our words: that one method is better
than another (`>`), or near it (`≈`). It is held against every dataset on which both were run with
three seeds or more, in one suite or in suites that train alike. (In suite mini-tuned a search may
change a method's size.) Most are small networks and short trainings, of another protocol than the
papers': `reversed` says that a claim does not carry over to here, not that its paper is wrong. What
is `inferred` is not stated in the paper: it follows from what its authors chose.

The effect is the first method's result less the second's, in points of accuracy, in tau, or in
percent of the second's error, where less is better. Its interval covers 95 % for each line alone.
The verdict is by a test at 5 % with the standard error of the ranks ([METHOD.md](METHOD.md)), which
Holm's method corrects over all {comparisons} different comparisons, so that any at all is wrong in
about 5 of 100 pages like this. Simulated ([SIMULATION.md](SIMULATION.md)), it is {least:.0f} to
{most:.0f}, the most where three seeds of some methods spread four times as much as those of others.

- **holds**: the difference is significant and as claimed; for `≈`, it is shown to be smaller than
  the metric's margin, by two one-sided tests.
- **reversed**: it is significant and the other way; for `≈`, it is larger than the margin.
- **undecided**: neither is shown.

{judged}
"""

WAITING = """\
## Not run

Claims whose two methods have no common records of three seeds yet.

{table}
"""
SIGNS = {"better": ">", "near": "≈"}


def page(boards: Sequence[Board], rates: Sequence[float]) -> str:
    """Render `CLAIMS.md`.

    Args:
        boards: The boards.
        rates: How often any claim about equal methods is decided, as simulated.
    """
    known = claims.read()
    judged = judgements.judge(known, pools.pools(boards))
    there = {one.claim for one in judged}
    waiting = [claim for claim in known if claim not in there]
    comparisons = {(one.claim.row, one.claim.kind, one.claim.other, _place(one)) for one in judged}
    text = PAGE.format(
        totals=totals(known, judged),
        comparisons=len(comparisons),
        least=100 * min(rates),
        most=100 * max(rates),
        judged=_table(judged) if judged else "No claim could be judged yet.",
    )
    return text + ("\n" + WAITING.format(table=_waiting(waiting)) if waiting else "")


def totals(known: Sequence[Claim], judged: Sequence[Judgement]) -> str:
    """Say how many claims were judged, and how they came out."""
    lines = Counter(one.verdict for one in judged)
    by_claim: dict[Claim, set[str]] = {}
    for one in judged:
        by_claim.setdefault(one.claim, set()).add(one.verdict)
    ways = Counter(frozenset(found - {"undecided"}) for found in by_claim.values())
    papers = len({claim.claimed_in for claim in known})
    inferred = sum(claim.inferred == "yes" for claim in known)
    ours = f", {inferred} of them only inferred by us," if inferred else ""
    said = (
        f"Of {len(known)} claims of {papers} papers{ours} {len(by_claim)} were judged, in "
        f"{len(judged)} lines: {lines['holds']} hold, {lines['reversed']} are reversed and "
        f"{lines['undecided']} are undecided. By claim, {ways[frozenset({'holds'})]} hold "
        "wherever they are decided, "
        f"{ways[frozenset({'reversed'})]} are reversed wherever they are decided, "
    )
    if both := ways[frozenset({"holds", "reversed"})]:
        said += f"{both} hold on one dataset and are reversed on another, "
    waiting = len(known) - len(by_claim)
    return said + (
        f"and {ways[frozenset()]} are decided nowhere; {waiting} "
        f"{'has' if waiting == 1 else 'have'} not been run."
    )


def effect(metric: Metric, size: float) -> str:
    """Format a difference as the page explains it: "+7.4", "+0.016", "-35 %"."""
    if metric.relative:
        return f"{100 * expm1(size):+.0f} %"
    return f"{metric.scale * size:+.{metric.digits}f}"


def _table(judged: Sequence[Judgement]) -> str:
    """Tabulate judgements, the decided ones first."""
    lines = [
        [
            markdown(one.claim.claim),
            _compared(one.claim),
            _source(one.claim),
            markdown(" and ".join(one.suites)),
            markdown(words.dataset(one.dataset)),
            effect(one.metric, one.difference.size),
            " to ".join(effect(one.metric, end) for end in one.difference.interval),
            f"**{one.verdict}**" if one.verdict != "undecided" else one.verdict,
        ]
        for one in sorted(judged, key=lambda one: one.verdict == "undecided")
    ]
    headers = ["claim", "compared", "claimed by", "suite", "on", "effect", "95 %", "verdict"]
    layout = ["left"] * 5 + ["right"] * 2 + ["left"]
    return tabulate(lines, headers, tablefmt="pipe", disable_numparse=True, colalign=layout)


def _waiting(waiting: Sequence[Claim]) -> str:
    lines = [
        [
            markdown(claim.claim),
            _compared(claim),
            _source(claim),
            markdown(words.task(claim.task).title),
            "not run",
        ]
        for claim in waiting
    ]
    headers = ["claim", "compared", "claimed by", "task", "verdict"]
    return tabulate(lines, headers, tablefmt="pipe", disable_numparse=True)


def _compared(claim: Claim) -> str:
    return f"`{claim.row}` {SIGNS[claim.kind]} `{claim.other}`"


def _source(claim: Claim) -> str:
    link = f"[{markdown(claim.claimed_by)}]({links.address(claim.claimed_in)})"
    where = f", {markdown(claim.where)}" if claim.where else ""
    said = "; inferred from" if claim.inferred else "; read in"
    return f"{link}{where}{said} {markdown(claim.read_in)}"


def _place(one: Judgement) -> tuple[object, ...]:
    return one.claim.task, one.dataset, one.suites
