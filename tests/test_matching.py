"""Weight matching: the same network in another order of neurons becomes the same again."""

from __future__ import annotations

import torch

from baselines.matching import Matching
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


def test_sweeps_bring_networks_nearer_to_the_reference() -> None:
    torch.manual_seed(0)
    networks, grid = torch.randn(50, SPEC.parameters).double(), siren.grid(4, 4).double()
    products = []
    for sweeps in (0, 3):
        matching = Matching(SPEC, (4, 4), sweeps).double()
        matching.fit(networks, torch.zeros(50), seed=0)
        matched = matching.encode(networks)
        torch.testing.assert_close(
            siren.render(SPEC, matched, grid), siren.render(SPEC, networks, grid)
        )
        products.append((matched @ networks[0])[1:].mean().item())
    assert (networks @ networks[0])[1:].mean().item() < products[0] < products[1]
