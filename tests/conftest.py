"""What several tests share: small network specs and random networks of them."""

from __future__ import annotations

import signal

import pytest
import torch

from nft.network import LayerSpec, NetworkSpec

# A shell starts background jobs deaf to Ctrl-C, and so would be the commands that tests start from there.
signal.signal(signal.SIGINT, signal.default_int_handler)

SPECS = {
    "siren": NetworkSpec.mlp(2, 5, 4, 3, activation="sine", omega=15.0),
    "shallow": NetworkSpec.mlp(3, 6, 2),
    "cnn": NetworkSpec((LayerSpec(4, 1, (3, 3)), LayerSpec(5, 4, (3, 3)), LayerSpec(3, 5))),
    "cnn-flattened": NetworkSpec((LayerSpec(4, 2, (2, 2)), LayerSpec(6, 4, (9,)), LayerSpec(3, 6))),
}


@pytest.fixture(params=SPECS, ids=str)
def spec(request: pytest.FixtureRequest) -> NetworkSpec:
    return SPECS[request.param]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
