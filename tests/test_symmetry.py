"""The exact symmetries of neurons, the canonical form, the arms that use them, and the audit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import pi
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from helpers import finished_run
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import baselines
from benchmark import arms
from benchmark.arms import scattering
from benchmark.checks import audit, changes
from benchmark.datasets import locate
from benchmark.errors import UserError
from benchmark.methods import Method, Problem
from benchmark.record import symmetries
from benchmark.record.symmetries import Measurement
from benchmark.runs.plan import plan
from leaderboard.publish import starts
from leaderboard.publish import symmetry as page
from nft import siren, symmetry
from nft.network import LayerSpec, NetworkSpec

SINE = NetworkSpec.mlp(2, 6, 5, 1, activation="sine", omega=15.0)
TANH = NetworkSpec.mlp(3, 6, 5, 2, activation="tanh")
RELU = NetworkSpec(
    (LayerSpec(4, 1, (3, 3)), LayerSpec(5, 4, (3, 3)), LayerSpec(6, 5, (4,)), LayerSpec(3, 6)),
    "relu",
)
SPECS = [SINE, TANH, RELU]


def networks(spec: NetworkSpec, seed: int = 0, count: int = 6) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return 0.3 * torch.randn(count, spec.parameters, generator=random, dtype=torch.float64)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.activation)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_scattering_keeps_the_function(spec: NetworkSpec, seed: int) -> None:
    flat, random = networks(spec, seed), torch.Generator().manual_seed(seed)
    for kinds in (*((kind,) for kind in symmetry.symmetries(spec)), symmetry.symmetries(spec)):
        changed = symmetry.scatter(spec, flat, kinds, random)
        assert symmetry.residual(spec, flat, changed) < 1e-11
        assert (changed - flat).abs().max() > 0.05


def test_a_residual_shows_another_function() -> None:
    flat = networks(SINE)
    other = flat.clone()
    other[:, 0] += 1e-3
    assert symmetry.residual(SINE, flat, other) > 1e-5


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.activation)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_the_canonical_form_undoes_scattering(spec: NetworkSpec, seed: int) -> None:
    """All but the order, with which it commutes."""
    flat, random = networks(spec, seed), torch.Generator().manual_seed(seed)
    form = symmetry.canonical(spec, flat)
    assert symmetry.residual(spec, flat, form) < 1e-11
    assert torch.allclose(symmetry.canonical(spec, form), form, atol=1e-13)
    moved = symmetry.scatter(spec, flat, symmetry.symmetries(spec)[1:], random)
    assert torch.allclose(symmetry.canonical(spec, moved), form, atol=1e-12)
    order = spec.random_permutations(len(flat), random)
    permuted = symmetry.canonical(spec, spec.permute(flat, order))
    assert torch.allclose(permuted, spec.permute(form, order), atol=1e-13)


def test_the_canonical_form_is_what_it_says() -> None:
    for _, bias in SINE.to_layers(symmetry.canonical(SINE, networks(SINE)))[:-1]:
        assert ((bias * SINE.omega >= 0) & (bias * SINE.omega <= pi / 2 + 1e-12)).all()
    weight, bias = RELU.to_layers(symmetry.canonical(RELU, networks(RELU)))[0]
    norms = weight.flatten(2).square().sum(2) + bias.square()
    assert torch.allclose(norms, torch.ones_like(norms))
    zeros = torch.zeros(1, RELU.parameters, dtype=torch.float64)
    assert torch.equal(symmetry.canonical(RELU, zeros), zeros)
    gelu = replace(TANH, activation="gelu")
    assert torch.equal(symmetry.canonical(gelu, networks(gelu)), networks(gelu))


def test_the_canonical_form_has_a_gradient_and_jumps_where_it_says() -> None:
    flat = networks(SINE, count=2).requires_grad_()
    (gradient,) = torch.autograd.grad(symmetry.canonical(SINE, flat).square().sum(), flat)
    assert torch.isfinite(gradient).all() and (gradient != 0).any()
    spec = NetworkSpec.mlp(1, 1, 1, activation="sine", omega=1.0)
    below, above = (torch.tensor([[0.7, edge, 0.5, 0.0]]) for edge in (-1e-6, 1e-6))
    jump = symmetry.canonical(spec, below) - symmetry.canonical(spec, above)
    assert jump.abs().max() > 1


def test_sines_without_their_factor_are_refused() -> None:
    spec = NetworkSpec.mlp(2, 6, 1, activation="sine")
    for change in (symmetry.canonical, lambda *batch: symmetry.scatter(*batch, ("phase",))):
        with pytest.raises(ValueError, match="need omega, the factor inside the sine"):
            change(spec, networks(spec))


def test_a_change_that_the_activation_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="'tanh' have no phase symmetry, only permutation, sign"):
        symmetry.scatter(TANH, networks(TANH), ("phase",))
    with pytest.raises(ValueError, match="positive factor"):
        symmetry.scale(RELU, networks(RELU), [-torch.ones(6, n) for n in RELU.neurons[1:-1]])
    with pytest.raises(ValueError, match="do not fit hidden layers of"):
        symmetry.flip(SINE, networks(SINE), [torch.ones(6, 6)])


@pytest.mark.parametrize("name", ["sign", "phase", "scattered"])
def test_an_arm_draws_the_same(name: str) -> None:
    dataset, _ = locate.load("mnist-inr-mini")
    arm, stored = arms.get(name), dataset.splits["test"].weights
    changed = arm.weights(dataset, "test")
    assert torch.equal(changed, arm.weights(dataset, "test"))
    moved = (changed != stored).any(dim=1)
    assert moved.float().mean() > 0.99
    grid = siren.grid(14, 14, torch.float64)
    drawings = [siren.render(dataset.spec, part[:50], grid) for part in (stored, changed)]
    assert (drawings[0] - drawings[1]).abs().max() < 1e-5


def test_a_zoo_is_scattered_by_each_network_s_own_activation() -> None:
    dataset, _ = locate.load("mnist-gs-mini")
    stored, tanh = dataset.splits["test"].weights, dataset.activations("test") == "tanh"
    assert 0.4 < tanh.mean() < 0.6
    for name, own in (("sign", tanh), ("scaled", ~tanh)):
        moved = (arms.get(name).weights(dataset, "test") != stored).any(dim=1).numpy()
        assert (moved == own).all()
    with pytest.raises(UserError, match="'various' have no phase symmetry; arm 'phase' is not"):
        arms.get("phase").weights(dataset, "test")


def test_an_arm_that_changes_the_function_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, _ = locate.load("mnist-inr-mini")
    scatter = symmetry.scatter
    monkeypatch.setattr(scattering.symmetry, "scatter", lambda *given: scatter(*given) * (1 + 1e-4))
    with pytest.raises(UserError, match="changes the networks' functions by"):
        arms.get("scattered").weights(dataset, "test")


def test_any_method_can_read_the_canonical_form() -> None:
    names = ["mlp+canonical=True", "nft+augmentation=scattering", "mlp+augmentation=permutation"]
    runs = plan("mini", "inr-classification", ["mnist-inr-mini"], names, [0])
    assert [run.describe_method(None).title for run in runs] == [
        "MLP + canonical form",
        "NFT + scattering",
        "MLP + permutation augmentation",
    ]
    assert len({run.seed_for("parameters") for run in runs if run.row.name == "mlp"}) == 1
    with pytest.raises(UserError, match="augmentation is one of none, permutation, scattering"):
        _ = plan("mini", "inr-classification", None, ["mlp+augmentation=noise"], [0])[0].method


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.activation)
@pytest.mark.parametrize("change", changes.CHANGES, ids=lambda change: change.name)
def test_an_audited_change_keeps_the_function(spec: NetworkSpec, change: changes.Change) -> None:
    if not change.applies(spec):
        pytest.skip("the activation lacks it")
    for share in (0.1, 1.0):
        random = torch.Generator().manual_seed(0)
        before, after = change.pair(spec, networks(spec), share, random)
        assert symmetry.residual(change.spec(spec), before, after) < symmetries.LARGEST_RESIDUAL
        assert not torch.equal(before, after)
    if change.has_shares:
        few, all_of_them = (
            change.pair(spec, networks(spec), share, torch.Generator().manual_seed(0))[1]
            for share in (0.1, 1.0)
        )
        assert (few != networks(spec)).sum() < (all_of_them != networks(spec)).sum()


@dataclass(frozen=True)
class Liar(Method):
    """A method that claims what it does not have."""

    name = "liar"
    title = "liar"
    paper = "none"
    tasks = ("inr-classification",)
    symmetries = ("permutation", "sign")
    mini = {}

    def build(self, problem: Problem) -> nn.Module:
        return nn.Linear(problem.spec.parameters, problem.outputs)


def test_a_false_claim_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "registry", lambda: {"liar": baselines.Row(Liar)} | _registered)
    measured = audit.audit(["liar"], stages=("initial",))
    false = audit.violations(measured)
    assert len(false) == 2
    assert false[0].startswith("liar claims permutation symmetry, but its output moves by")
    assert "(CLAIMED)" in audit.table(measured)


_registered = dict(baselines.registry())


def test_a_true_claim_stands_and_the_canonical_form_adds_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = baselines.get("statnn")
    canonical = baselines.Row(
        row.method, baselines.Variant("statnn-canonical", "", {"canonical": True}, mini={})
    )
    monkeypatch.setattr(
        baselines, "registry", lambda: {"statnn-canonical": canonical} | _registered
    )
    plain, formed = (
        {one.change: one for one in audit.audit([name], stages=("initial",)) if "inr" in one.task}
        for name in ("statnn", "statnn-canonical")
    )
    assert plain["permutation"].holds and not plain["sign"].holds
    assert all(formed[name].holds and formed[name].claimed for name in ("sign", "phase"))
    assert not formed["dead"].holds
    assert audit.violations([*plain.values(), *formed.values()]) == []
    assert np.all(np.diff(list(plain["sign"].movement.values())) > 0)


# The page.


def measurement(**changes: Any) -> Measurement:
    data = {
        "method": "mlp",
        "task": "inr-classification",
        "dataset": "small",
        "code_sha256": None,
        "change": "sign",
        "stage": "initial",
        "claimed": False,
        "residual": 1e-13,
        "movement": {0.5: 0.3, 1.0: 0.6},
    }
    return Measurement.model_validate(data | changes)


def test_a_false_claim_and_a_hidden_symmetry_are_marked() -> None:
    table = page.audit_table(
        [
            measurement(claimed=True),
            measurement(change="permutation", movement={1.0: 1e-12}),
            measurement(change="scale", residual=1e-3),
        ]
    )
    row = table.splitlines()[2]
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "`mlp`",
        "0.6 (claimed)",
        "exact (not claimed)",
        "inconclusive",
    ]
    assert page.held([measurement(claimed=True)]) == "not sign, which it claims"


def test_the_page_says_what_each_method_loses(tmp_path: Path) -> None:
    conditions = {
        ("mini-symmetry", page.ONE, (), "permuted"): 80,
        ("mini-symmetry", page.ONE, (), "scattered"): 60,
        ("mini", page.OWN, (), "permuted"): 30,
        ("mini-symmetry", page.OWN, ("canonical=True",), "permuted"): 50,
    }
    records = [
        finished_run(
            tmp_path,
            right,
            seed,
            suite=suite,
            dataset={"name": dataset, "arm": arm},
            method={"options": list(options)},
            metrics={"test": right / 100, "validation": 0.5, "shifted": 0.2},
        )
        for (suite, dataset, options, arm), right in conditions.items()
        for seed in range(3)
    ]
    scores = page.Scores.of(records, page.INRS)
    line = next(line for line in scores.table().splitlines() if line.startswith("| NFT"))
    numbers = [cell.strip().split(" ±")[0] for cell in line.strip("|").split("|")]
    assert numbers == ["NFT", "80.0", "60.0", "20.0", "30.0", "50.0", "not run"]
    sentences = scores.meaning()
    assert "costs NFT 20 points, the most of all, although not one function changes." in sentences
    assert "lose 60 points or more on scattered ones." in sentences
    assert "worth 20 points on average, and up to 20 (NFT)" in sentences
    assert "too few runs" in page.Scores.of(records[:3], page.INRS).meaning()


def test_the_axis_of_starts_is_tabulated_and_drawn(tmp_path: Path) -> None:
    grid = {
        ("mini-starts", "mnist-inr-10-starts-500-steps-mini", "scattered", ()): 30,
        ("mini-starts", "mnist-inr-10-starts-500-steps-mini", "permuted", ("canonical=True",)): 60,
        ("mini", "mnist-inr-own-mini", "permuted", ()): 33,  # own starts scatter by themselves
        ("mini-symmetry", "mnist-inr-mini", "permuted", ()): 80,  # and those of one start do not
    }
    records = [
        finished_run(
            tmp_path,
            right + seed,
            seed,
            suite=suite,
            dataset={"name": dataset, "arm": arm},
            method={"options": list(options)},
        )
        for (suite, dataset, arm, options), right in grid.items()
        for seed in range(3)
    ]
    lines = starts.table(records).splitlines()
    assert [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]] == [
        ["500", "10", "scattered", "not run", "not run", "not run", "31.0 ± 1.0"],
        ["500", "10", "canonical form", "not run", "not run", "not run", "61.0 ± 1.0"],
        ["500", "own", "scattered", "not run", "not run", "not run", "34.0 ± 1.0"],
    ]
    lines = [line for axis in starts.figure(records).axes for line in axis.get_lines()]
    drawn = [(line.get_linestyle(), list(line.get_xdata())) for line in lines]
    assert ("--", [1, 3]) in drawn  # 10 and own starts, as scattered
    assert ("-", [1]) in drawn
    assert starts.table([]) == "No runs yet."
    ElementTree.fromstring(starts.svg([]))
