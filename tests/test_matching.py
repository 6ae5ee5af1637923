"""Weight matching: the same network in another order of neurons becomes the same again."""

from __future__ import annotations

import torch

from baselines.matching import Matching, descended
from benchmark.matching import matched
from nft import siren
from nft.network import NetworkSpec

SPEC = NetworkSpec.mlp(2, 8, 7, 1, activation="sine", omega=30.0)


def test_permuted_copies_of_the_reference_become_the_reference() -> None:
    torch.manual_seed(0)
    networks = siren.initialise(SPEC, 5)
    matching = Matching(SPEC, (4, 4), sweeps=3)
    matching.fit(networks, torch.zeros(5), seed=12)
    assert torch.equal(matching.reference, networks[2])
    copies = SPEC.permute(networks[2].expand(30, -1), SPEC.random_permutations(30))
    assert torch.equal(matching.encode(copies), networks[2].expand(30, -1))


def test_descent_stops_where_no_layer_alone_comes_nearer() -> None:
    """As published, it depends on the order at the start; its function stays the same."""
    torch.manual_seed(0)
    networks, grid = torch.randn(40, SPEC.parameters).double(), siren.grid(4, 4).double()
    reference = networks[:1]
    found = descended(SPEC, networks, reference)
    torch.testing.assert_close(siren.render(SPEC, found, grid), siren.render(SPEC, networks, grid))
    products = (found @ reference[0])[1:]
    assert (products >= (networks @ reference[0])[1:]).all()
    assert torch.equal(descended(SPEC, found, reference), found)
    for _ in range(20):
        for layer in range(2):
            orders = [torch.arange(size).expand(40, -1) for size in (8, 7)]
            orders[layer] = torch.stack([torch.randperm(orders[layer].shape[1]) for _ in range(40)])
            moved = SPEC.permute(found, orders)
            assert ((moved @ reference[0])[1:] <= products + 1e-9).all()
    permuted = SPEC.permute(networks, SPEC.random_permutations(40))
    again = (descended(SPEC, permuted, reference) @ reference[0])[1:]
    assert not torch.allclose(again, products)
    best = (matched(SPEC, networks, reference, 3) @ reference[0])[1:]
    assert products.mean() < best.mean()


def test_sweeps_bring_networks_nearer_to_the_reference() -> None:
    torch.manual_seed(0)
    networks, grid = torch.randn(50, SPEC.parameters).double(), siren.grid(4, 4).double()
    products = []
    for sweeps in (0, 3):
        matching = Matching(SPEC, (4, 4), sweeps).double()
        matching.fit(networks, torch.zeros(50), seed=0)
        found = matching.encode(networks)
        torch.testing.assert_close(
            siren.render(SPEC, found, grid), siren.render(SPEC, networks, grid)
        )
        products.append((found @ networks[0])[1:].mean().item())
    assert (networks @ networks[0])[1:].mean().item() < products[0] < products[1]
