"""Sine embedding: waves as DWSNets' code fits them, two views, InfoNCE, and a linear probe."""

from __future__ import annotations

from dataclasses import replace
from math import pi
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import CPU, run_of, small
from torch import nn
from torch.nn import functional

from baselines.matching import MatchedMLP
from baselines.mlp import MLP
from benchmark import suites, tasks
from benchmark.datasets import catalog, storage
from benchmark.datasets.recipes.waves import TARGETS, WaveRecipe
from benchmark.datasets.storage import Manifest, WeightDataset
from benchmark.errors import UserError
from benchmark.runs.fit import Fitted, Skipped, fit
from benchmark.runs.training import Monitor
from benchmark.seeds import generator
from benchmark.suites.protocol import Protocol
from benchmark.tasks.sine_embedding import Probe
from nft import siren

NAME = "sine-inr-dws-rebuilt"
CELL = f"dws-sine/sine-embedding/{NAME}/{{}}/0"
RECIPE = catalog.entry(NAME).recipe
FEW = Protocol(steps=12, batch_size=16, warmup_steps=0, evaluations=3, clip=1e9)


def networks(seed: int = 0) -> WeightDataset:
    """Fresh networks, and random targets."""
    random = torch.Generator().manual_seed(seed)
    columns = RECIPE.columns(None)
    splits = {}
    for split, count in {"train": 40, "validation": 12, "test": 12}.items():
        weights = siren.initialise(RECIPE.spec, count, random, scheme="dws")
        targets = 10 * torch.rand(count, 2, generator=random)
        numbers = torch.arange(count, dtype=torch.int32)
        splits[split] = storage.Split(weights, targets, numbers, 0 * numbers, torch.ones(count))
    stored = storage.StoredFile(path="data", rows=40, sha256="0" * 64)
    manifest = Manifest(
        format=1,
        name=NAME,
        spec=columns.spec.to_json(),
        classes=[],
        targets={name: [] for name in columns.several},
        recipe={},
        dropped=0,
        files={split: [stored] for split in storage.SPLITS},
        examples=None,
        image=None,
        fingerprint="0" * 64,
    )
    return WeightDataset(manifest, splits, None)


def fitted(folder: Path, dataset: WeightDataset, entrant: str = "mlp") -> Fitted:
    return fit(run_of(CELL.format(entrant), FEW), dataset, folder, CPU, Monitor())


@pytest.fixture(scope="module")
def waves() -> storage.Split:
    recipe = WaveRecipe.model_validate(
        RECIPE.model_dump() | {"runs": {"train": 6, "validation": 2, "test": 2}}
    )
    (shard,) = recipe.shards("train")
    return recipe.build(None, shard)[0]


def test_networks_compute_their_waves(waves: storage.Split) -> None:
    points = torch.linspace(-3.1, 3.1, 200, dtype=torch.float64)
    drawn = siren.render(RECIPE.spec, waves.weights.double(), points.unsqueeze(-1))[..., 0] + 0.5
    a, b = waves.targets.double().unsqueeze(-1).unbind(dim=1)
    error = (drawn - a * torch.sin(b * points)).square().mean(dim=1)
    psnr = siren.psnr(error / a[:, 0] ** 2)
    torch.testing.assert_close(psnr.float(), waves.quality, atol=1.5, rtol=0)
    assert psnr.median() > 30
    assert waves.targets.min() >= 0
    assert waves.targets.max() < 10


def test_a_fit_is_that_of_the_public_code(waves: storage.Split) -> None:
    """The loop of experiments/ssl/inr_trainer.py, in torch, from the same start."""
    steps = 60
    recipe = RECIPE.model_copy(update={"steps": steps, "runs": dict.fromkeys(storage.SPLITS, 1)})
    (shard,) = recipe.shards("train")
    ours = recipe.build(None, shard)[0].weights[0]
    start = siren.initialise(recipe.spec, 1, generator("waves", "start", 0, 0), scheme="dws")
    (first, second, last) = recipe.spec.to_layers(start)
    parameters = [p[0].clone().requires_grad_() for layer in (first, second, last) for p in layer]
    optimizer = torch.optim.Adam(parameters, lr=1e-3, weight_decay=1e-4)
    x = torch.from_numpy(np.arange(-np.pi, np.pi, np.pi / 1000)).float().unsqueeze(1)
    a, b = waves.targets[0]
    y = (a.double() * torch.sin(x.double() * 2 * pi / (1 / b.double() * 2 * pi))).float()
    for _ in range(steps):
        w1, b1, w2, b2, w3, b3 = parameters
        hidden = torch.sin(30 * functional.linear(x, w1, b1))
        hidden = torch.sin(30 * functional.linear(hidden, w2, b2))
        loss = functional.mse_loss(functional.linear(hidden, w3, b3) + 0.5, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    theirs = torch.cat([p.detach().flatten() for p in parameters])
    moved = (theirs - start[0]).abs().mean()
    assert (ours - theirs).abs().mean() < 0.02 * moved


def test_targets_are_stored_under_their_names(tmp_path: Path, waves: storage.Split) -> None:
    columns = RECIPE.columns(None)
    storage.write_shard(tmp_path / "x.parquet", columns, waves, {})
    assert list(columns.types) == ["weights", *TARGETS, "source_index", "copy", "psnr"]


def test_the_loss_is_infonce() -> None:
    task = tasks.registry()["sine-embedding"](networks())
    z = torch.randn(8, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    unit = z / z.norm(dim=1, keepdim=True)
    losses = []
    for i in range(8):
        pair = (i + 4) % 8
        others = [torch.exp(unit[i] @ unit[j] / 0.1) for j in range(8) if j != i]
        losses.append(-torch.log(torch.exp(unit[i] @ unit[pair] / 0.1) / sum(others)))
    torch.testing.assert_close(task.loss(z, torch.empty(4, 2)), torch.stack(losses).mean())


@pytest.mark.parametrize("change", [None, lambda flat, rows: flat + rows[:, None]])
def test_one_view_is_as_the_method_reads_it_and_one_disturbed(change) -> None:
    task = tasks.registry()["sine-embedding"](networks())
    flat, rows = task.dataset.splits["train"].weights[:10], torch.arange(10)
    views = task.reading(change)(flat, rows)
    read, other = views.split(10)
    assert torch.equal(read, flat if change is None else change(flat, rows))
    kept = other != 0
    assert 0.45 < kept.double().mean() < 0.55
    (weight, _), *_ = task.dataset.spec.to_layers(flat)
    (changed, _), *_ = task.dataset.spec.to_layers(other)
    expected = 2 * (weight + 0.2 * weight.std(dim=(1, 2), keepdim=True))
    torch.testing.assert_close(changed[changed != 0], expected[changed != 0])


def test_the_probe_is_least_squares_and_follows_training() -> None:
    torch.manual_seed(0)
    body = nn.Linear(5, 3)
    inputs, targets = torch.randn(50, 5), torch.randn(50, 2)
    probe = Probe(body, 3, inputs, targets)
    assert probe.train()(inputs).shape == (50, 3)

    def expected() -> np.ndarray:
        features = body(inputs).detach().numpy()
        matrix = np.column_stack([features, np.ones(50)])
        return matrix @ np.linalg.lstsq(matrix, targets.numpy(), rcond=None)[0]

    with torch.inference_mode():
        before = probe.eval()(inputs)
    np.testing.assert_allclose(before, expected(), atol=1e-5)
    with torch.no_grad():
        body.weight[0] *= -3
        body.weight[1] = 0
    probe.train()
    with torch.inference_mode():
        after = probe.eval()(inputs)
    np.testing.assert_allclose(after, expected(), atol=1e-5)
    assert not torch.allclose(before, after)


def test_targets_change_no_features(tmp_path: Path) -> None:
    dataset = networks()
    other = {
        name: replace(part, targets=part.targets.flip(0)) for name, part in dataset.splits.items()
    }
    one = fitted(tmp_path / "one", dataset)
    two = fitted(tmp_path / "two", replace(dataset, splits=other))
    assert [point["loss"] for point in one.outcome.curve] == [
        point["loss"] for point in two.outcome.curve
    ]
    assert one.predictions["test"].predictions.shape == (12,)
    assert set(one.predictions) == {"test", "validation", "shifted"}


def test_what_is_kept_is_the_best_checkpoint_with_its_probe(tmp_path: Path) -> None:
    for entrant in ("mlp", "mlp-augmented", "dwsnet"):
        run = fitted(tmp_path / entrant, networks(), entrant)
        best = max(point["validation"] for point in run.outcome.curve)
        assert run.predictions["validation"].predictions.mean() == pytest.approx(-best, rel=1e-5)


def test_parameters_are_the_methods_alone(tmp_path: Path) -> None:
    run = fitted(tmp_path, networks())
    expected = sum(p.numel() for p in run.modules["head"].parameters() if p.requires_grad)
    assert run.parameters == expected
    assert not isinstance(run.modules["head"], Probe)


def test_a_dataset_has_as_many_targets_as_the_task() -> None:
    with pytest.raises(UserError, match=r"has 1 to predict .* sine-embedding needs 2"):
        tasks.registry()["sine-embedding"](small("sine-inr-mini"))
    with pytest.raises(UserError, match=r"has 2 to predict .* sine-frequency needs 1"):
        tasks.registry()["sine-frequency"](networks())


def test_suite_and_recipe_are_those_of_the_public_code() -> None:
    settings = suites.get("dws-sine").tasks["sine-embedding"]
    epochs, remainder = divmod(settings.protocol.steps, 8000 // settings.protocol.batch_size)
    assert (epochs, remainder) == (500, 0)
    assert RECIPE.runs == {"train": 8000, "validation": 1000, "test": 1000}


@pytest.mark.parametrize(
    ("entrant", "reason"), [("extra-trees", "fitted to targets"), ("mlp-matched", "two stages")]
)
def test_what_cannot_learn_without_targets_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entrant: str, reason: str
) -> None:
    monkeypatch.setattr(MatchedMLP, "skip", lambda *_: None)
    run = run_of(CELL.format(entrant), FEW)
    with pytest.raises(Skipped, match=reason):
        fit(run, networks(), tmp_path, CPU, Monitor())


def test_a_module_of_the_wrong_size_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MLP, "build", lambda self, problem: nn.Linear(problem.spec.parameters, 3))
    with pytest.raises(ValueError, match=r"shape \(2, 3\), which does not fit .* 16 outputs"):
        fitted(tmp_path, networks())


def test_features_that_are_no_numbers_are_a_bad_score() -> None:
    probe = Probe(nn.Linear(5, 3), 3, torch.full((9, 5), torch.nan), torch.randn(9, 2)).eval()
    assert probe(torch.randn(4, 5)).isnan().all()
