"""Our models, with the settings of the papers' suite, compute what the published ones compute."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from published import (
    adopt,
    classifier,
    editor,
    generalization,
    mlp,
    mlp_editor,
    statnn,
)
from torch import nn

import baselines
from benchmark.methods import Method, Problem
from nft.network import LayerSpec, NetworkSpec

SIREN = NetworkSpec.mlp(2, 5, 4, 3, activation="sine", omega=30.0)
CNN = NetworkSpec(
    (LayerSpec(3, 1, (3, 3)), LayerSpec(4, 3, (3, 3)), LayerSpec(3, 4, (3, 3)), LayerSpec(5, 3))
)
HIDDEN = {"hidden": 7}
NFN = {"channels": 3, "frequencies": 4, **HIDDEN}


def method(name: str, task: str, dataset: str, **sizes: int) -> Method:
    """A method as the suite `paper` sets it, but small."""
    return replace(baselines.get(name).make("paper", task, dataset), **sizes)


def ours(method: Method, spec: NetworkSpec, flat: torch.Tensor, outputs: int) -> nn.Module:
    return method.build(Problem(spec, outputs, *spec.statistics(flat), (8, 8)))


def random_networks(spec: NetworkSpec, count: int = 6) -> torch.Tensor:
    """Networks whose tensors differ in mean and spread, so that standardising them shows."""
    scale = torch.linspace(0.02, 0.5, spec.parameters)
    return 0.1 + scale * torch.randn(count, spec.parameters)


def check(own: nn.Module, theirs: nn.Module, spec: NetworkSpec, flat: torch.Tensor) -> None:
    own, theirs, flat = own.double().eval(), theirs.double().eval(), flat.double()
    adopt(own, theirs, spec)
    expected = theirs(flat)
    assert expected.std(dim=0).max() > 1e-4  # it depends on the networks
    torch.testing.assert_close(own(flat), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", ["hnp", "np"])
def test_classifiers(kind: str) -> None:
    flat = random_networks(SIREN)
    own = ours(method(f"nfn-{kind}", "inr-classification", "mnist-inr", **NFN), SIREN, flat, 10)
    check(own, classifier(SIREN, kind, 3, 7, 10), SIREN, flat)


@pytest.mark.parametrize("kind", ["hnp", "np"])
def test_predictors_of_generalization(kind: str) -> None:
    """Both read CNNs without Fourier features; NP standardised, here by tensor, and embedded."""
    flat = random_networks(CNN)
    chosen = method(f"nfn-{kind}", "generalization", "cifar10-gs-unterthiner", **HIDDEN)
    assert (chosen.channels, chosen.last_channels, chosen.dropout) == (16, 5, 0.0)
    theirs = generalization(CNN, kind, [16, 16, 5], 7)
    if kind == "np":
        theirs = nn.Sequential(Standardised(CNN, flat), theirs)
    check(ours(chosen, CNN, flat, 1), theirs, CNN, flat)


class Standardised(nn.Module):
    """Networks whose tensors have mean 0 and variance 1 over all of `flat`."""

    def __init__(self, spec: NetworkSpec, flat: torch.Tensor) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("flat", flat)

    def forward(self, flat: torch.Tensor) -> torch.Tensor:
        parts = []
        for layer, all_layer in zip(
            self.spec.to_layers(flat), self.spec.to_layers(self.flat), strict=True
        ):
            parts.append(
                tuple(
                    (own - every.mean()) / every.std(correction=0)
                    for own, every in zip(layer, all_layer, strict=True)
                )
            )
        return self.spec.to_flat(parts)


def test_statnn() -> None:
    flat = random_networks(CNN)
    chosen = method("statnn", "generalization", "cifar10-gs-unterthiner", **HIDDEN)
    own, theirs = ours(chosen, CNN, flat, 1), statnn(CNN, 7)
    adopt(own, theirs, CNN)
    torch.testing.assert_close(own(flat), theirs(flat))


@pytest.mark.parametrize("kind", ["hnp", "np", "pointwise"])
def test_editors(kind: str) -> None:
    flat = random_networks(SIREN)
    name = "pointwise-editor" if kind == "pointwise" else f"nfn-{kind}-editor"
    sizes = {"channels": 3, "frequencies": 4}
    own = ours(method(name, "inr-editing", "mnist-dilate", **sizes), SIREN, flat, SIREN.parameters)
    check(own, editor(SIREN, kind, 3), SIREN, flat)


def test_mlps() -> None:
    flat = random_networks(SIREN)
    chosen = method("mlp", "inr-classification", "mnist-inr", **HIDDEN)
    check(ours(chosen, SIREN, flat, 10), mlp(SIREN, 7, 10), SIREN, flat)
    chosen = method("mlp-editor", "inr-editing", "mnist-dilate", **HIDDEN)
    check(ours(chosen, SIREN, flat, SIREN.parameters), mlp_editor(SIREN, 7), SIREN, flat)
