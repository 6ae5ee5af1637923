"""A run's record, whatever the method does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from helpers import CPU, FEW, run_of, small
from torch import Tensor, nn

import baselines
from benchmark import suites
from benchmark.datasets import locate
from benchmark.errors import UserError
from benchmark.methods import FittedModule, Method, Problem
from benchmark.record import schema as records
from benchmark.record.schema import Record
from benchmark.runs.execute import execute, is_current
from benchmark.runs.plan import plan
from benchmark.runs.training import Monitor


@dataclass(frozen=True)
class Odd(Method):
    """Does whatever its `deed` says."""

    name = "odd"
    title = "Odd"
    paper = "none"
    deed: str = ""

    def build(self, problem: Problem) -> nn.Module:
        if self.deed == "raise":
            raise RuntimeError("no\nluck")
        outputs = problem.outputs + (self.deed == "shape")
        linear = nn.Linear(problem.spec.parameters, outputs)
        if self.deed == "overflow":
            return Overflows(linear)
        return Explodes(linear) if self.deed == "diverge" else linear

    def skip(self, problem: Problem) -> str | None:
        return "reads no SIRENs" if self.deed == "skip" else None


class Overflows(nn.Module):
    """Has a finite loss, and infinite outputs in evaluation."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) * (1 if self.training else torch.inf)


class Explodes(nn.Module):
    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear, self.steps = linear, 0

    def forward(self, x: Tensor) -> Tensor:
        self.steps += self.training
        return self.linear(x) * (torch.inf if self.steps > 4 else 1)


@pytest.fixture(autouse=True)
def _few_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = {name: small(name, 200) for name in ("fashion-inr-mini", "sine-inr-mini")}
    monkeypatch.setattr(locate, "load", lambda name: (datasets[name], "embedded"))


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Record]:
    monkeypatch.setattr(baselines, "registry", lambda: {"odd": baselines.Row(Odd)})

    def make(deed: str, seed: int = 0) -> Record:
        monkeypatch.setattr(Odd, "mini", {"deed": deed})
        run = run_of(f"mini/inr-classification/fashion-inr-mini/odd/{seed}")
        record = execute(run, tmp_path, CPU, 1, Monitor())
        assert records.read(tmp_path / run.path) == record
        return record

    return make


@pytest.mark.parametrize(
    ("deed", "status", "reason"),
    [
        ("raise", "failed", "RuntimeError: no"),
        (
            "shape",
            "failed",
            "ValueError: the module's output has shape (2, 11), "
            "which does not fit 2 networks and 10 outputs each",
        ),
        ("diverge", "diverged", "the training loss was NaN or infinite at step 5"),
        ("skip", "skipped", "reads no SIRENs"),
    ],
)
def test_what_goes_wrong_is_recorded(
    odd: Callable[..., Record], tmp_path: Path, deed: str, status: str, reason: str
) -> None:
    record = odd(deed)
    assert (record.status, record.reason) == (status, reason)
    assert record.metrics == {}
    assert bool(list(tmp_path.rglob("*.traceback.txt"))) == (status == "failed")
    assert not list(tmp_path.rglob("*.checkpoint"))


def test_an_infinite_metric_is_undefined(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(baselines, "registry", lambda: {"odd": baselines.Row(Odd)})
    monkeypatch.setattr(Odd, "mini", {"deed": "overflow"})
    run = run_of("mini/sine-frequency/sine-inr-mini/odd/0")
    record = execute(run, tmp_path, CPU, 1, Monitor())
    assert (record.status, record.metrics["test"]) == ("finished", None)
    assert records.read(tmp_path / run.path) == record


def test_the_same_seed_gives_the_same_record(odd: Callable[..., Record]) -> None:
    first, again, other = odd(""), odd(""), odd("", seed=1)
    assert (first.metrics, first.curve) == (again.metrics, again.curve)
    assert first.curve != other.curve
    assert first.method.parameters == 151 * 10 + 10
    assert first.command.endswith(
        "--suite mini --datasets fashion-inr-mini --methods odd --seeds 0"
    )
    assert first.dataset.fingerprint == again.dataset.fingerprint


def test_the_mini_suite_is_whole() -> None:
    runs = plan("mini", "inr-classification")
    entrants = {str(run.cell.entrant) for run in runs}
    assert "mlp@random-targets" in entrants
    assert {"mlp", "mlp-augmented", "nfn-hnp", "nfn-np", "nft", "rendered-cnn"} <= entrants
    assert "mlp@aligned" not in entrants  # networks of own starts have no order in common
    assert len(runs) == len({run.path for run in runs}) == 3 * 3 * len(entrants)
    order = [(run.cell.seed, run.cell.dataset, str(run.cell.entrant)) for run in runs]
    for seed in range(3):
        shared = order.index((seed, "fashion-inr-own-mini", "inr2array-mlp"))
        assert shared > order.index((seed, "mnist-inr-own-mini", "nft"))


@pytest.mark.parametrize(("option", "is_shared"), [("hidden=64", True), ("sweeps=0", False)])
def test_a_first_stage_is_shared_by_what_it_does(
    tmp_path: Path, option: str, is_shared: bool
) -> None:
    """Also where neither its tensors nor its text say that it does something else."""
    cell = "mini/inr-classification/fashion-inr-mini/mlp-matched{}/0"
    execute(run_of(cell.format("")), tmp_path, CPU, 1, Monitor())
    record = execute(run_of(cell.format(f"+{option}")), tmp_path, CPU, 1, Monitor())
    assert record.encoder.from_cache is is_shared, record.reason


def test_the_images_of_matched_networks_can_be_moved(tmp_path: Path) -> None:
    """After the matching, which is of the networks as they are."""
    cell = "mini/inr-classification/fashion-inr-mini/mlp-matched{}/0"
    still, moved, permuted = (
        execute(run_of(cell.format(option)), tmp_path, CPU, 1, Monitor())
        for option in ("", "+augmentation=image", "+augmentation=permutation")
    )
    assert (still.encoder.from_cache, moved.encoder.from_cache) == (False, True)
    assert moved.curve != still.curve
    assert (permuted.status, moved.status) == ("skipped", "finished")


def test_a_two_stage_method_shares_its_encoder(tmp_path: Path) -> None:
    """Trained once, and taken up by a method with another classifier."""
    results = {}
    for method in ("inr2array", "inr2array-mlp"):
        run = run_of(f"mini/inr-classification/fashion-inr-mini/{method}/0")
        steps: list[int] = []
        results[method] = execute(run, tmp_path, CPU, 1, Monitor(step=steps.append))
        assert results[method].status == "finished", results[method].reason
        assert steps[-1] == run.steps == 40
        picture = tmp_path / run.path.with_suffix(".reconstructions.png")
        assert picture.stat().st_size > 1000
        assert is_current(run, results[method])
        other = replace(run, encoder_protocol=FEW.model_copy(update={"steps": 30}))
        assert not is_current(other, results[method])
    first, second = (results[method].encoder for method in results)
    assert (first.from_cache, second.from_cache) == (False, True)
    assert first == second.model_copy(update={"from_cache": False})
    assert first.test_psnr > 5
    assert results["inr2array"].cost.training_seconds > first.training_seconds
    assert not list(tmp_path.rglob("*checkpoint"))
    # One that reads networks otherwise trains an encoder of its own.
    (cache,) = tmp_path.glob("cache/*.arrays")
    scattering = run_of(f"{run.cell}".replace("-mlp/", "-mlp+augmentation=scattering/"))
    assert execute(scattering, tmp_path, CPU, 1, Monitor()).encoder.from_cache is False
    # A damaged cache costs its time and nothing else.
    cache.write_bytes(cache.read_bytes()[:1000])
    again = execute(run, tmp_path, CPU, 1, Monitor())
    assert again.encoder.from_cache is False
    assert (again.metrics, again.curve) == (
        results["inr2array-mlp"].metrics,
        results["inr2array-mlp"].curve,
    )


class Nearest(FittedModule):
    """The label of the nearest training network."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.register_buffer("weights", torch.zeros(1, 1))
        self.register_buffer("labels", torch.zeros(1, dtype=torch.long))

    def fit(self, weights: Tensor, targets: Tensor, seed: int) -> None:
        self.weights, self.labels = weights, targets

    def forward(self, flat: Tensor) -> Tensor:
        width = min(flat.shape[1], self.weights.shape[1])
        place = torch.cdist(flat[:, :width], self.weights[:, :width]).argmin(dim=1)
        return nn.functional.one_hot(self.labels[place], self.outputs).float()


@dataclass(frozen=True)
class Neighbour(Method):
    """Is fitted in one go."""

    name = "neighbour"
    title = "Neighbour"
    paper = "none"
    symmetries = ()
    mini = {}

    def build(self, problem: Problem) -> nn.Module:
        return Nearest(problem.outputs)


def test_what_is_fitted_in_one_go_leaves_a_whole_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baselines, "registry", lambda: {"neighbour": baselines.Row(Neighbour)})
    seeds: list[int] = []
    original = Nearest.fit

    def fit(self: Nearest, weights: Tensor, targets: Tensor, seed: int) -> None:
        seeds.append(seed)
        original(self, weights, targets, seed)

    monkeypatch.setattr(Nearest, "fit", fit)
    runs = [
        run_of(f"mini/inr-classification/fashion-inr-mini/neighbour@aligned/{seed}")
        for seed in (0, 1)
    ]
    results = [execute(run, tmp_path, CPU, 1, Monitor()) for run in runs]
    for run, record in zip(runs, results, strict=True):
        assert record.status == "finished", record.reason
        assert record.curve == []
        assert record.method.parameters == 0
        assert record.metrics["test"] > 0.15  # of ten classes
        assert record.cost.training_seconds >= 0
        assert records.read(tmp_path / run.path) == record
        assert is_current(run, record) is False  # its code is outside the project
    assert seeds == [run.seed_for("order of epoch 0") for run in runs]
    assert seeds[0] != seeds[1]
    assert not list(tmp_path.rglob("*checkpoint"))


def test_the_core_is_one_seed_of_a_suites_own_choice() -> None:
    """As `benchmark run --core` asks for it."""
    runs = plan("mini", "inr-classification", None, ["core"], [0])
    entrants = {str(run.cell.entrant) for run in runs}
    assert entrants == set(suites.get("mini").tasks["inr-classification"].core)
    assert {"mlp", "nft"} <= entrants
    assert {run.cell.seed for run in runs} == {0}
    assert len(runs) == len(entrants) * 2
    more = plan("mini", "inr-classification", ["mnist-inr-own-mini"], ["core", "mlp"], [0])
    assert {str(run.cell.entrant) for run in more} == entrants
    with pytest.raises(UserError, match="names no core of methods for sine-frequency"):
        plan("mini", "sine-frequency", None, ["core"], [0])
