"""A run's record, whatever the method does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from benchmark import methods
from benchmark.methods import Method, Problem
from benchmark.record import schema as records
from benchmark.record.schema import Record
from benchmark.runs import execute as runner
from benchmark.runs.training import Protocol

PROTOCOL = Protocol(steps=20, batch_size=8, warmup_steps=2, evaluations=2, clip=1.0)


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
        return Explodes(linear) if self.deed == "diverge" else linear

    def skip(self, problem: Problem) -> str | None:
        return "reads no SIRENs" if self.deed == "skip" else None


class Explodes(nn.Module):
    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear, self.steps = linear, 0

    def forward(self, x: Tensor) -> Tensor:
        self.steps += self.training
        return self.linear(x) * (torch.inf if self.steps > 4 else 1)


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[object]:
    def run(deed: str, seed: int = 0) -> Record:
        monkeypatch.setattr(methods, "registry", lambda: {"odd": Odd})
        monkeypatch.setattr(Odd, "suites", {"mini": {"deed": deed}})
        made = runner.Run(
            "mini",
            "inr-classification",
            "fashion-inr-mini",
            "permuted",
            "odd",
            seed,
            PROTOCOL,
            PROTOCOL,
        )
        record = runner.execute(made, tmp_path, torch.device("cpu"), 1, lambda _: None)
        assert records.read(tmp_path / made.path) == record
        return record

    threads = torch.get_num_threads()
    yield run
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("deed", "status", "reason"),
    [
        ("raise", "failed", "RuntimeError: no"),
        (
            "shape",
            "failed",
            "ValueError: the module's output has shape (2, 11), which does not fit 2 networks and 10 outputs each",
        ),
        ("diverge", "diverged", "the training loss was NaN or infinite at step 5"),
        ("skip", "skipped", "reads no SIRENs"),
    ],
)
def test_what_goes_wrong_is_recorded(
    odd: object, tmp_path: Path, deed: str, status: str, reason: str
) -> None:
    record = odd(deed)
    assert (record.status, record.reason) == (status, reason)
    assert record.metrics == {}
    assert bool(list(tmp_path.rglob("*.traceback.txt"))) == (status == "failed")
    assert not list(tmp_path.rglob("*.checkpoint"))


def test_the_same_seed_gives_the_same_record(odd: object) -> None:
    first, again, other = odd(""), odd(""), odd("", seed=1)
    assert (first.metrics, first.curve) == (again.metrics, again.curve)
    assert first.curve != other.curve
    assert first.method.parameters == 151 * 10 + 10
    assert first.command.endswith(
        "--suite mini --datasets fashion-inr-mini --methods odd --seeds 0"
    )
    assert first.dataset.fingerprint == again.dataset.fingerprint


def test_the_mini_suite_is_whole() -> None:
    runs = runner.plan("mini", "inr-classification")
    entrants = {run.entrant for run in runs}
    assert "mlp@random-targets" in entrants
    assert {"mlp", "mlp@aligned", "mlp-augmented", "nfn-hnp", "nfn-np", "nft"} <= entrants
    assert len(runs) == len({run.path for run in runs}) == 2 * 3 * len(entrants)
    order = [(run.seed, run.dataset, run.entrant) for run in runs]
    for seed in range(3):
        shared = order.index((seed, "mnist-inr-mini", "inr2array-mlp"))
        assert shared > order.index((seed, "fashion-inr-mini", "nft"))


def test_a_two_stage_method_shares_its_encoder(tmp_path: Path) -> None:
    """Trained once, told with its costs and its picture, and found again by a method with another classifier."""
    few = Protocol(steps=20, batch_size=8, warmup_steps=2, evaluations=2, clip=1.0)
    made = {}
    for method in ("inr2array", "inr2array-mlp"):
        run = runner.Run(
            "mini", "inr-classification", "fashion-inr-mini", "permuted", method, 0, PROTOCOL, few
        )
        steps: list[int] = []
        made[method] = runner.execute(run, tmp_path, torch.device("cpu"), 1, steps.append)
        assert made[method].status == "finished", made[method].reason
        assert steps[-1] == run.steps == 40
        assert (tmp_path / run.path.with_suffix(".png")).stat().st_size > 1000
        assert runner.is_current(run, made[method])
        other = replace(run, encoder_protocol=few.model_copy(update={"steps": 30}))
        assert not runner.is_current(other, made[method])
    first, second = (made[method].encoder for method in made)
    assert (first.from_cache, second.from_cache) == (False, True)
    assert first == second.model_copy(update={"from_cache": False})
    assert first.test_psnr > 5
    assert made["inr2array"].cost.training_seconds > first.training_seconds
    assert not list(tmp_path.rglob("*checkpoint"))
    # A damaged cache costs its time and nothing else.
    (kept,) = tmp_path.glob("cache/*.arrays")
    kept.write_bytes(kept.read_bytes()[:1000])
    again = runner.execute(run, tmp_path, torch.device("cpu"), 1, steps.append)
    assert again.encoder.from_cache is False
    assert (again.metrics, again.curve) == (
        made["inr2array-mlp"].metrics,
        made["inr2array-mlp"].curve,
    )
