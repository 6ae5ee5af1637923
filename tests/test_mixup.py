"""MixUp of networks: what lies between two of them, and what their labels become."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import run_of, small
from torch.nn import functional

from benchmark import tasks
from benchmark.datasets import locate
from benchmark.datasets.storage import WeightDataset
from benchmark.matching import matched
from benchmark.runs import mixup
from benchmark.runs.fit import Fitted, Skipped, fit
from benchmark.runs.mixup import between, mixing, partners
from benchmark.runs.training import Monitor
from benchmark.suites.protocol import Protocol
from nft import siren
from nft.network import VARIOUS, NetworkSpec
from nft.symmetry import canonical, residual

SPEC = NetworkSpec.mlp(2, 6, 5, 1, activation="sine", omega=30.0)
CNN = NetworkSpec.from_json(
    {
        "layers": [
            {"inputs": 1, "outputs": 4, "kernel": [3, 3]},
            {"inputs": 4, "outputs": 3, "kernel": [3, 3]},
            {"inputs": 3, "outputs": 2},
        ],
        "activation": "relu",
    }
)
KINDS = ("mixup", "mixup-permuted", "mixup-aligned")
CELL = "mini/inr-classification/mnist-inr-own-mini/{}+augmentation={}/0"


@pytest.fixture(scope="module")
def dataset() -> WeightDataset:
    return small("mnist-inr-own-mini")


def test_a_share_of_one_leaves_a_batch_as_it_is() -> None:
    torch.manual_seed(0)
    flat = siren.initialise(SPEC, 5)
    one, none = torch.ones(5, 1), torch.zeros(5, 1)
    for kind in KINDS:
        other = partners(SPEC, kind, flat)
        assert torch.equal(between(flat, other, one), flat)
        assert torch.equal(between(flat, other, none), other)


def test_a_partner_is_the_network_before_with_its_function() -> None:
    torch.manual_seed(0)
    flat = siren.initialise(SPEC, 5, dtype=torch.float64)
    assert torch.equal(partners(SPEC, "mixup", flat), flat.roll(1, 0))
    for kind in KINDS[1:]:
        other = partners(SPEC, kind, flat)
        assert not torch.equal(other, flat.roll(1, 0))
        assert residual(SPEC, flat.roll(1, 0), other) < 1e-9


@pytest.mark.parametrize("spec", [SPEC, CNN])
def test_between_a_network_and_its_permuted_copy_lies_itself(spec: NetworkSpec) -> None:
    """Once the copy is aligned; as it is, what lies between is another function."""
    torch.manual_seed(0)
    one = torch.randn(1, spec.parameters, dtype=torch.float64).expand(8, -1)
    copies = spec.permute(one, spec.random_permutations(8))
    share = torch.rand(8, 1).double()
    aligned = between(one, matched(spec, copies, one, mixup.SWEEPS), share)
    torch.testing.assert_close(aligned, one)
    assert residual(spec, one, between(one, copies, share)) > 0.1


def test_alignment_brings_partners_nearer() -> None:
    torch.manual_seed(0)
    flat = torch.randn(40, SPEC.parameters)
    distances = {kind: (partners(SPEC, kind, flat) - flat).norm(dim=1) for kind in KINDS}
    assert (distances["mixup-aligned"] <= distances["mixup"] + 1e-5).all()
    assert distances["mixup-aligned"].mean() < 0.95 * distances["mixup-permuted"].mean()


@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_mixed_as_weights_are(kind: str, dataset: WeightDataset) -> None:
    run = run_of(CELL.format("mlp", kind))
    mix = mixing(run, tasks.registry()["inr-classification"](dataset))
    flat, labels = dataset.splits["train"].weights[:20], torch.arange(20) % 10
    torch.manual_seed(1)
    weights, mixed = mix(flat, labels)
    torch.manual_seed(1)
    again, _ = mix(flat, labels)
    assert torch.equal(weights, again)
    assert not torch.equal(weights, mix(flat, labels)[0])
    share = mixed.gather(1, labels[:, None])
    assert share.unique().numel() == 20
    torch.testing.assert_close(mixed.sum(dim=1), torch.ones(20))
    torch.testing.assert_close(mixed.gather(1, labels.roll(1)[:, None]), 1 - share)
    logits = torch.randn(20, 10)
    losses = [
        functional.cross_entropy(logits, one, reduction="none") for one in (labels, labels.roll(1))
    ]
    expected = between(losses[0], losses[1], share[:, 0]).mean()
    torch.testing.assert_close(functional.cross_entropy(logits, mixed), expected)
    if kind == "mixup":
        torch.testing.assert_close(weights, between(flat, flat.roll(1, 0), share))


def test_canonical_networks_stay_canonical(dataset: WeightDataset) -> None:
    run = run_of(CELL.format("mlp", "mixup-aligned+canonical=True"))
    mix = mixing(run, tasks.registry()["inr-classification"](dataset))
    flat = canonical(dataset.spec, dataset.splits["train"].weights[:20])
    mixed, _ = mix(flat, torch.zeros(20, dtype=torch.long))
    torch.testing.assert_close(canonical(dataset.spec, mixed), mixed)


@pytest.mark.parametrize(
    ("task", "method", "why"),
    [
        ("inr-editing/mnist-dilate-mini", "mlp-editor", "labels of classes, and inr-editing"),
        ("sine-frequency/sine-inr-mini", "mlp", "labels of classes, and sine-frequency has none"),
        ("inr-classification/mnist-inr-own-mini", "inr2array-mlp", "method of two stages"),
    ],
)
def test_what_cannot_be_mixed_is_refused(task: str, method: str, why: str) -> None:
    run = run_of(f"mini/{task}/{method}+augmentation=mixup/0")
    assert why in mixup.obstacle(run, locate.load(run.cell.dataset)[0])


def test_networks_of_several_activations_are_not_mixed(dataset: WeightDataset) -> None:
    run = run_of(CELL.format("mlp", "mixup"))
    assert mixup.obstacle(run, dataset) is None
    spec = replace(dataset.spec, activation=VARIOUS)
    manifest = dataset.manifest.model_copy(update={"spec": spec.to_json()})
    assert "two activations" in mixup.obstacle(run, replace(dataset, manifest=manifest))


def few_steps(method: str, kind: str, dataset: WeightDataset, folder: Path) -> Fitted:
    protocol = Protocol(steps=6, batch_size=16, warmup_steps=2, evaluations=2, clip=1.0)
    run = replace(run_of(CELL.format(method, kind)), protocol=protocol)
    return fit(run, dataset, folder, torch.device("cpu"), Monitor())


def test_a_run_with_mixup_is_another_run_and_names_it(
    dataset: WeightDataset, tmp_path: Path
) -> None:
    losses = {
        kind: few_steps("mlp", kind, dataset, tmp_path / kind).outcome.curve[-1]["loss"]
        for kind in ("none", *KINDS)
    }
    assert len(set(losses.values())) == 4
    again = few_steps("mlp", "mixup-aligned", dataset, tmp_path / "again").outcome.curve[-1]
    assert again["loss"] == losses["mixup-aligned"]
    run = run_of(CELL.format("mlp", "mixup-aligned"))
    described = run.describe_method(None)
    assert described.title == "MLP + aligned MixUp"
    assert described.options == ("augmentation=mixup-aligned",)
    assert described.hyperparameters["augmentation"] == "mixup-aligned"
    assert run.libraries == ("scipy",)  # whose version the record names
    assert run_of(CELL.format("mlp", "mixup")).libraries == ()


def test_what_is_fitted_at_once_has_no_batches_to_mix(
    dataset: WeightDataset, tmp_path: Path
) -> None:
    with pytest.raises(Skipped, match="batches of training steps"):
        few_steps("extra-trees", "mixup", dataset, tmp_path)
