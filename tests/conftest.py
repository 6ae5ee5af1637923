"""Fixtures for all tests."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator

import pytest
import torch
from helpers import SPECS, Command, end_commands

from benchmark.__main__ import main
from nft.network import NetworkSpec

# A shell starts background jobs deaf to Ctrl-C, and so would be the commands that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests share the cores with other tests, and their results must not depend on how many there are.
torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _own_cache() -> Iterator[None]:
    """A cache of this process alone, so that no test sees another's, nor the user's, datasets."""
    with tempfile.TemporaryDirectory() as folder:
        before = os.environ.get("NFT_BENCHMARK_CACHE")
        os.environ["NFT_BENCHMARK_CACHE"] = folder
        yield
        if before is None:
            del os.environ["NFT_BENCHMARK_CACHE"]
        else:
            os.environ["NFT_BENCHMARK_CACHE"] = before


@pytest.fixture(params=SPECS, ids=str)
def spec(request: pytest.FixtureRequest) -> NetworkSpec:
    return SPECS[request.param]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _no_leftovers() -> Iterator[None]:
    yield
    end_commands()


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """The command line in this process, which has loaded what a new one would have to load."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["benchmark", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        return caught.value.code or 0, *capfd.readouterr()

    return call
