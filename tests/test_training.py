"""The training loop: the same numbers again, also after a kill; divergence names its step."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from benchmark.runs import checkpoints
from benchmark.runs.environment import can_compile
from benchmark.runs.training import Data, Diverged, Monitor, Outcome, Stopped, Trainer
from benchmark.seeds import named_seed
from benchmark.suites.protocol import Protocol
from nft.network import NetworkSpec

SPEC = NetworkSpec.mlp(2, 4, 1)
PROTOCOL = Protocol(steps=200, batch_size=16, warmup_steps=5, evaluations=4, clip=1.0)


class Killed(Exception):
    pass


def data() -> list[Data]:
    random = torch.Generator().manual_seed(1)
    weights = torch.randn(500, SPEC.parameters, generator=random)
    labels = (weights[:, -1] > 0).long()  # the output bias, which no permutation moves
    return [
        Data(weights[part], labels[part]) for part in (slice(300), slice(300, 400), slice(400, 500))
    ]


def trainer(
    folder: Path, kill_at: int | None = None, module: nn.Module | None = None, identity: str = "x"
) -> Trainer:
    torch.manual_seed(named_seed("test"))
    default = nn.Sequential(
        nn.Linear(SPEC.parameters, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 2)
    )

    def report(step: int) -> None:
        if kill_at is not None and step >= kill_at:
            raise Killed

    return Trainer(
        identity=identity,
        order_seed=lambda epoch: named_seed("test", "order", epoch),
        module=module or default,
        loss=nn.functional.cross_entropy,
        score=accuracy,
        protocol=PROTOCOL,
        learning_rate=1e-2,
        weight_decay=0.0,
        mixing=None,
        augmentation=lambda flat, _: SPEC.permute(flat, SPEC.random_permutations(len(flat))),
        checkpoint=folder / "run.checkpoint",
        monitor=Monitor(step=report),
    )


def accuracy(predictions: Tensor, labels: Tensor) -> float:
    return (predictions.argmax(dim=1) == labels).double().mean().item()


def numbers(outcome: Outcome) -> tuple[object, ...]:
    return {split: stage.tolist() for split, stage in outcome.predictions.items()}, outcome.curve


def test_the_loop_learns(tmp_path: Path) -> None:
    train, validation, test = data()
    outcome = trainer(tmp_path).run(train, validation, test)
    assert accuracy(outcome.predictions["test"], test.targets) > 0.8
    assert [point["step"] for point in outcome.curve] == [50, 100, 150, 200]
    best = max(point["validation"] for point in outcome.curve)
    assert accuracy(outcome.predictions["validation"], validation.targets) == best


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ([math.nan] * 4, 3),
        ([math.nan, 0.2, math.nan, 0.1], 1),
        ([0.1, 0.3, math.nan, 0.2], 1),
        ([math.nan, math.nan, -2.0, -3.0], 2),
    ],
)
def test_a_score_that_is_no_number_selects_nothing(
    tmp_path: Path, scores: list[float], kept: int
) -> None:
    """The newest module is kept until a score is a number, and then the best."""
    evaluated: list[Tensor] = []
    remaining = iter(scores)
    run = replace(
        trainer(tmp_path),
        score=lambda *_: next(remaining),
        monitor=Monitor(evaluated=lambda step, score, scored: evaluated.append(scored)),
    )
    predictions = run.run(*data()).predictions["validation"]
    assert [torch.equal(predictions, one) for one in evaluated] == [i == kept for i in range(4)]


def test_a_killed_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    whole = numbers(trainer(tmp_path / "whole").run(*data()))
    with pytest.raises(Killed):
        trainer(tmp_path / "killed", kill_at=120).run(*data())
    torch.manual_seed(99)  # whatever the new process starts with
    assert (tmp_path / "killed/run.checkpoint").exists()
    assert numbers(trainer(tmp_path / "killed").run(*data())) == whole
    assert numbers(trainer(tmp_path / "again").run(*data())) == whole


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("step", [20, 100, 140, 200])
def test_a_run_that_time_ended_goes_on_at_that_very_step(
    tmp_path: Path, step: int, precision: str
) -> None:
    """Also where an evaluation is due at that step."""
    protocol = PROTOCOL.model_copy(update={"precision": precision})
    whole = numbers(replace(trainer(tmp_path / "whole"), protocol=protocol).run(*data()))

    def stop(at: int) -> None:
        if at == step:
            raise Stopped

    with pytest.raises(Stopped):
        stopped = replace(trainer(tmp_path / "stopped"), protocol=protocol)
        replace(stopped, monitor=Monitor(step=stop)).run(*data())
    torch.manual_seed(99)
    seen: list[int] = []
    resumed = replace(trainer(tmp_path / "stopped"), protocol=protocol)
    resumed = replace(resumed, monitor=Monitor(step=seen.append))
    assert numbers(resumed.run(*data())) == whole
    assert seen == list(range(step + 20, 201, 20))


def test_compiled_steps_learn_the_same(tmp_path: Path) -> None:
    if not can_compile(torch.device("cpu")):
        pytest.skip("torch.compile does not work here")
    outcomes = []
    for on in (False, True):
        stage = trainer(tmp_path / str(on), module=linear())
        torch.manual_seed(0)
        outcomes.append(
            replace(stage, protocol=PROTOCOL.model_copy(update={"compiled": on})).run(*data())
        )
    one, other = outcomes
    torch.testing.assert_close(
        other.predictions["test"], one.predictions["test"], atol=0.02, rtol=0
    )
    assert [point["loss"] for point in other.curve] == pytest.approx(
        [point["loss"] for point in one.curve], rel=1e-3
    )


def linear() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(SPEC.parameters, 16), nn.Tanh(), nn.Linear(16, 2))


@pytest.mark.parametrize("how", ["cut", "garbage", "other run"])
def test_an_unusable_checkpoint_costs_only_time(tmp_path: Path, how: str) -> None:
    whole = numbers(trainer(tmp_path / "whole").run(*data()))
    with pytest.raises(Killed):
        trainer(tmp_path / "killed", kill_at=120, identity="y" if how == "other run" else "x").run(
            *data()
        )
    path = tmp_path / "killed/run.checkpoint"
    if how == "cut":
        path.write_bytes(path.read_bytes()[:500])
    elif how == "garbage":
        path.write_bytes(b"\x80\x04 not a checkpoint")
    assert numbers(trainer(tmp_path / "killed").run(*data())) == whole


def test_divergence_names_its_step(tmp_path: Path) -> None:
    class Explodes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.calls = nn.Linear(SPEC.parameters, 2), 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += self.training
            return self.linear(x) * (float("nan") if self.calls == 7 else 1.0)

    with pytest.raises(Diverged, match="step 7") as caught:
        trainer(tmp_path, module=Explodes()).run(*data())
    assert caught.value.step == 7


def test_every_network_is_scored_once(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    weights = torch.randn(23, SPEC.parameters)
    torch.testing.assert_close(
        run.predict(weights, batch_size=5), run.predict(weights, batch_size=23)
    )


def test_seeds_depend_on_their_names_alone() -> None:
    assert named_seed("a", 0) == named_seed("a", 0)
    assert len({named_seed("a", 0), named_seed("a", 1), named_seed("b", 0), named_seed("a0")}) == 4
    assert 0 <= named_seed("a") < 2**63


@pytest.mark.parametrize("size", [100, 2500])
def test_checkpoints_are_cut_into_files_that_can_be_carried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(checkpoints, "LARGEST", 1000)
    path, data = tmp_path / "a.checkpoint", bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    checkpoints.write(path, b"y" * 1700)
    checkpoints.write(path, data)
    assert checkpoints.read(path) == data
    files = sorted(tmp_path.iterdir())
    assert len(files) == (1 if size <= 1000 else 4)
    assert max(file.stat().st_size for file in files) <= 1000
    if size > 1000:
        files[-1].write_bytes(b"z")
        with pytest.raises(ValueError, match="was changed"):
            checkpoints.read(path)
    checkpoints.remove(path)
    assert not list(tmp_path.iterdir())


def test_small_moments_resume_at_a_checkpoint_to_the_same_bits(tmp_path: Path) -> None:
    """Moments are rounded where a checkpoint is written, in the run that goes on too."""
    small = PROTOCOL.model_copy(update={"precision": "bfloat16"})
    whole = numbers(replace(trainer(tmp_path / "whole"), protocol=small).run(*data()))
    with pytest.raises(Killed):
        replace(trainer(tmp_path / "killed", kill_at=120), protocol=small).run(*data())
    assert numbers(replace(trainer(tmp_path / "killed"), protocol=small).run(*data())) == whole
    sizes = [
        (tmp_path / name / "run.checkpoint").stat().st_size
        for name in ("killed",)
        if (tmp_path / name / "run.checkpoint").exists()
    ]
    full = trainer(tmp_path / "full", kill_at=120)
    with pytest.raises(Killed):
        full.run(*data())
    assert sizes[0] < (tmp_path / "full" / "run.checkpoint").stat().st_size


def test_a_constant_rate_does_not_know_how_long_it_goes_on(tmp_path: Path) -> None:
    curves = {}
    for schedule in ("constant", "cosine"):
        for steps in (100, 200):
            protocol = PROTOCOL.model_copy(
                update={"schedule": schedule, "steps": steps, "evaluations": steps // 50}
            )
            own = replace(trainer(tmp_path / f"{schedule} {steps}"), protocol=protocol)
            curves[schedule, steps] = own.run(*data()).curve
    assert curves["constant", 200][:2] == curves["constant", 100]
    assert curves["cosine", 200][:2] != curves["cosine", 100]


def test_amsgrad_is_another_optimizer_and_resumes_to_the_same_bits(tmp_path: Path) -> None:
    protocol = PROTOCOL.model_copy(update={"amsgrad": True})
    whole = numbers(replace(trainer(tmp_path / "whole"), protocol=protocol).run(*data()))
    assert whole != numbers(trainer(tmp_path / "plain").run(*data()))
    with pytest.raises(Killed):
        replace(trainer(tmp_path / "killed", kill_at=120), protocol=protocol).run(*data())
    assert numbers(replace(trainer(tmp_path / "killed"), protocol=protocol).run(*data())) == whole


def test_later_choices_are_no_part_of_a_protocol_that_does_not_make_them() -> None:
    """So that records from before there was a choice are current."""
    assert set(PROTOCOL.model_dump()) == {
        "steps",
        "batch_size",
        "warmup_steps",
        "evaluations",
        "clip",
        "compiled",
        "precision",
    }
    chosen = PROTOCOL.model_copy(update={"schedule": "constant", "amsgrad": True})
    assert Protocol(**chosen.model_dump()) == chosen
    assert chosen.model_dump().items() >= {"schedule": "constant", "amsgrad": True}.items()
