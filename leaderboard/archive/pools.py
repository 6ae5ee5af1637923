"""Pools: all entrants on one dataset, of suites that train alike, ready to be compared.

What a method reads with and without its canonical form stands in two suites, `mini` and
`mini-symmetry`, which have the same networks, settings and protocol. Such results compare as those
of one suite do.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from benchmark import suites
from benchmark.record.metrics import Metric
from leaderboard.archive import tables
from leaderboard.archive.tables import Board
from leaderboard.statistics.ranks import Column, Sample


@dataclass(frozen=True)
class Pool:
    """The entrants on one dataset whose records have no objections, controls among them.

    suites: that of each entrant's runs. Of several, it is the one whose settings the others have.
    """

    task: str
    dataset: str
    metric: Metric
    column: Column
    suites: Mapping[str, str]


def pools(boards: Sequence[Board]) -> list[Pool]:
    """Pool the boards of suites that train alike, in the boards' order."""
    metrics: dict[tuple[Hashable, str], Metric] = {}
    samples: dict[tuple[Hashable, str], dict[str, Sample]] = {}
    sources: dict[tuple[Hashable, str], dict[str, str]] = {}
    for board in sorted(boards, key=_is_a_satellite):
        training = _training(board.suite, board.task)
        for dataset, found in board.samples.items():
            place = (training, dataset)
            metrics[place] = board.metric
            for entrant, sample in found.items():
                if entrant not in samples.setdefault(place, {}):
                    samples[place][entrant] = sample
                    sources.setdefault(place, {})[entrant] = board.suite
    tasks = {_training(board.suite, board.task): board.task for board in boards}
    return [
        Pool(tasks[place[0]], place[1], metrics[place], tables.column(found), sources[place])
        for place, found in samples.items()
    ]


def _is_a_satellite(board: Board) -> bool:
    """Whether a suite has another's settings."""
    known = suites.registry()
    return board.suite in known and known[board.suite].settings != board.suite


def _training(suite: str, task: str) -> Hashable:
    """What suites that train a task alike have in common; else the suite's name."""
    known = suites.registry()
    if suite not in known or task not in known[suite].tasks:
        return suite, task
    settings = known[suite].tasks[task]
    steps = tuple(sorted(settings.steps.items()))
    return known[suite].layers, task, settings.protocol, settings.encoder_protocol, steps
