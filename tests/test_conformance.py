"""The conformance report finds what breaks the contract."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import pytest
from test_archive import run
from torch import Tensor, nn

from benchmark import methods, suites
from benchmark.checks import conformance
from benchmark.errors import UserError
from benchmark.methods import Method, Problem
from benchmark.record.schema import RecordError
from leaderboard.archive import entries as archive
from leaderboard.archive import provenance
from leaderboard.submissions import reproduce, review


class Peeks(nn.Module):
    """Depends on the order of neurons, though nobody said so."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.linear = nn.Linear(problem.spec.parameters, problem.outputs)

    def forward(self, flat: Tensor) -> Tensor:
        random.seed(0)
        return self.linear(flat)


@dataclass(frozen=True)
class Careless(Method):
    """Claims an invariance that it lacks, and seeds Python's generator for everybody."""

    name = "careless"
    title = "Careless"
    paper = "none"
    tasks = ("sine-frequency",)
    suites = {"mini": {}}

    def build(self, problem: Problem) -> nn.Module:
        return Peeks(problem)


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = {**methods.registry(), "careless": Careless}
    monkeypatch.setattr(methods, "registry", lambda: registry)
    settings = suites.get("mini").tasks
    only = suites.get("mini").model_copy(update={"tasks": {"sine-frequency": settings["sine-frequency"]}})
    monkeypatch.setattr(suites, "get", lambda _: only)


def test_what_is_broken_is_found(careless: None) -> None:
    findings = {found.what: found for found in conformance.conform("careless")}
    assert findings["sine-frequency: invariant to hidden layer 1"].holds is False
    assert findings["sine-frequency: leaves no global state behind"].told == "Python's random state"
    assert findings["sine-frequency: test targets change nothing"].holds is True
    assert findings["sine-frequency: output"].holds is True


def test_a_sound_method_conforms(careless: None) -> None:
    findings = conformance.conform("statnn")
    assert all(found.holds is not False for found in findings)
    measured = [found for found in conformance.conform("mlp") if "invariant" in found.what]
    assert {found.holds for found in measured} == {None}
    assert all("none claimed" in found.told for found in measured)
    with pytest.raises(UserError, match="none of the tasks"):
        conformance.conform("nft-editor")


def test_two_runs_of_a_cell_are_held_against_each_other(tmp_path: Path) -> None:
    for name, right, shift in (("one", 70, 1), ("same", 70, 1), ("near", 71, 1), ("far", 40, 1)):
        run(tmp_path / name, right, shift=shift)
    one, same, near, far = (archive.of_results(tmp_path / name)[0] for name in ("one", "same", "near", "far"))
    assert reproduce.compare(one, same).verdict == "bit-equal"
    assert reproduce.compare(one, near).verdict == "within noise"
    assert reproduce.compare(one, far).verdict == "different"
    assert "accuracy was 70.0, is 40.0" in str(reproduce.compare(one, far))
    kept = archive.Archive([one])
    assert reproduce.find(kept, "mini/inr-classification/small/nft/0") is one
    with pytest.raises(RecordError, match="one that is: mini/inr-classification/small/nft/0"):
        reproduce.find(kept, "mini/x")


def test_a_review_tells_what_stands(tmp_path: Path) -> None:
    fine = review.MethodReview(
        name="nft", conforms=True, conformance="ok  all\n<script>", reproductions=["a: bit-equal"], stands=True
    )
    good = review.Review(methods=[fine], failures=[])
    told = review.comment(good)
    assert told.startswith("**The submission stands.**")
    assert "    <script>" in told  # inside a block of code, where it is text
    bad = review.Review(methods=[fine.model_copy(update={"stands": False})], failures=["<img src=x>"])
    assert "does not stand" in review.comment(bad)
    assert "<img" not in review.comment(bad)
    with pytest.raises(ValueError, match="at most 4000"):
        review.MethodReview(name="nft", conforms=True, conformance="x" * 5000, reproductions=[], stands=True)
    with pytest.raises(RecordError, match="git cannot tell"):
        review.changed_methods("no-such-commit")


def test_changed_methods_are_found_by_their_files() -> None:
    assert list(provenance.methods_in(Path(conformance.__file__).parent.parent / "baselines/mlp.py")) == [
        "mlp",
        "mlp-augmented",
    ]
