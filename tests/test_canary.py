"""The canary: what computes the same is equal in every bit, and little else is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmark.checks import canary
from benchmark.checks.canary import Canaries, Canary
from benchmark.record import equivalence
from benchmark.record.predictions import Outcome
from benchmark.runs.plan import Run
from benchmark.tasks.sine_frequency import SineFrequency

CELL = "mini/sine-frequency/sine-inr-mini/mlp/0"


@pytest.fixture(scope="module")
def run() -> Run:
    return next(run for run in canary.runs() if str(run.cell) == CELL)


@pytest.fixture(scope="module")
def made(run: Run) -> Canary:
    return canary._canary(run)


def test_a_canary_repeats(run: Run, made: Canary) -> None:
    assert canary._canary(run) == made


def test_a_canary_sees_the_decay(run: Run, made: Canary) -> None:
    decayed = replace(run.method, weight_decay=2 * run.method.weight_decay)

    class Decayed(Run):
        method = decayed

    other = canary._canary(Decayed(run.cell, run.protocol, run.encoder_protocol))
    assert other.selected != made.selected


def test_a_canary_sees_what_a_task_makes_of_predictions(
    run: Run, made: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = SineFrequency.outcome

    def halved(self: SineFrequency, predictions: torch.Tensor, targets: torch.Tensor) -> Outcome:
        outcome = whole(self, predictions, targets)
        return replace(outcome, predictions=outcome.predictions / 2)

    monkeypatch.setattr(SineFrequency, "outcome", halved)
    assert canary._canary(run).outcomes != made.outcomes


def test_options_and_both_stages_have_canaries() -> None:
    entrants = {str(run.cell.entrant) for run in canary.runs()}
    assert {"mlp", "inr2array", "mlp@scattered", "nft+canonical=True"} <= entrants


def canaries(**cells: str) -> Canaries:
    """Of cells, each with its code and its results in a word each."""
    made = {
        cell: Canary(code=code, losses=rest[0], final="", selected="", outcomes="")
        for cell, (code, *rest) in ((name, text.split()) for name, text in cells.items())
    }
    return Canaries(processor="any", capability="any", versions={}, cells=made)


def test_one_cell_refutes_what_another_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A method and its options have one code: it is the same only where all of them are."""
    monkeypatch.setattr(equivalence, "FOLDER", tmp_path)
    equivalence.representative.cache_clear()
    options = "mini/sine-frequency/sine-inr-mini/mlp+canonical=True/0"
    old, new = "a" * 64, "b" * 64
    before = canaries(**{CELL: f"{old} one", options: f"{old} two"})
    apart = canaries(**{CELL: f"{new} one", options: f"{new} other"})
    assert canary.add_equivalences("c" * 40, before, apart) == []
    same = canaries(**{CELL: f"{new} one", options: f"{new} two"})
    assert [path.stem for path in canary.add_equivalences("c" * 40, before, same)] == ["mlp"]
    assert canary.false_claims(before, same) == []
    equivalence.representative.cache_clear()
    assert canary.false_claims(before, apart) == [options]
