"""The speed report compares things that compute the same."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from benchmark.errors import UserError
from benchmark.speed import cases, clones, measure, reference, report
from benchmark.speed.measure import Case, time_case
from nft import siren
from nft.layers import CrossAttentionPooling, NFTBlock

CPU = torch.device("cpu")


def shake(module: nn.Module) -> None:
    """Move every parameter, gains and zero biases too."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.1 * torch.randn_like(parameter)


def test_the_published_block_computes_the_same() -> None:
    spec = cases.spec(6)
    ours = NFTBlock(spec, 16, cases.HEADS)
    shake(ours)
    x = torch.randn(2, spec.tokens, 16)
    theirs = reference.from_reference(spec, reference.Block(ours)(reference.to_reference(spec, x)))
    torch.testing.assert_close(ours(x), theirs, atol=1e-4, rtol=1e-4)


def test_the_published_pooling_computes_the_same() -> None:
    spec = cases.spec(6)
    ours = CrossAttentionPooling(16, 4)
    x = torch.randn(2, spec.tokens, 16)
    theirs = reference.pooling(spec, ours)(reference.to_reference(spec, x))
    torch.testing.assert_close(ours(x), theirs, atol=1e-5, rtol=1e-5)


def test_the_published_autoencoder_computes_the_same() -> None:
    ours, theirs, flat = cases.autoencoder(16, 2, 3, CPU)
    torch.testing.assert_close(ours(flat), theirs(flat), atol=1e-3, rtol=1e-3)


def test_fitting_together_is_as_good_as_one_at_a_time() -> None:
    spec, points = cases.spec(), siren.grid(8, 8)
    start, targets = siren.initialise(spec, 4), torch.rand(4, 64, 1)
    together, apart = (
        fit(spec, start, targets, points, 60, 1e-3)
        for fit in (lambda *given: siren.fit(*given, schedule="constant"), reference.one_at_a_time)
    )
    torch.testing.assert_close(siren.psnr(together[1]), siren.psnr(apart[1]), atol=0.05, rtol=0)
    torch.testing.assert_close(together[0], apart[0], atol=1e-3, rtol=1e-2)


STUB = """
from torch import nn

class DWSLayer(nn.Module):
    def __init__(self, weight_shapes, bias_shapes, inputs, outputs, num_heads):
        super().__init__()
        self.shapes = weight_shapes + bias_shapes
        self.map = nn.Linear(inputs, outputs)

    def forward(self, x):
        weights, biases = x
        assert all(part.shape[1:-1] == s for part, s in zip(weights + biases, self.shapes))
        return tuple(map(self.map, weights)), tuple(map(self.map, biases))
"""


def test_published_layers_are_read_from_a_clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"no clone of .*DWSNets: git clone it"):
        clones.PublishedDWSLayer(tmp_path, cases.spec(), 8, 8)
    for name in ("nn", "nn.layers", "nn.layers.layers"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    folder = tmp_path / "nn" / "layers"
    folder.mkdir(parents=True)
    (folder / "layers.py").write_text(STUB, encoding="utf-8")
    (folder / "__init__.py").write_text("from nn.layers.layers import DWSLayer", encoding="utf-8")
    name = "DWSNet layer, 64 channels"
    assert name not in cases.cases(CPU)
    case = cases.cases(CPU, tmp_path)[name](CPU)
    assert list(case.contestants) == ["ours", "DWSNets"]
    for call in case.contestants.values():
        call()
    for name in ("nn", "nn.layers", "nn.layers.layers"):
        monkeypatch.delitem(sys.modules, name)


def test_a_report_tells_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that the calls move themselves, ours by one second and the other by three."""
    small = cases.block(cases.spec(8), 16, 2, CPU, alone=True)
    seconds = 0.0

    def lasting(duration: float) -> Callable[[], object]:
        def call() -> object:
            nonlocal seconds
            seconds += duration
            return small.contestants["ours"]()

        return call

    monkeypatch.setattr(measure, "time", SimpleNamespace(perf_counter=lambda: seconds))
    case = Case("slow", {"batch": 1}, {"ours": lasting(1), "nfn": lasting(3)}, 8)
    timing = vars(time_case(case, CPU, minimum_seconds=0.05))
    assert report.ratio(timing)["eager"] == 3
    assert (
        timing["flops"] > 2 * 3 * 2 * cases.spec(8).tokens * 16 * 16 * 11
    )  # projections and feed-forward, there and back
    assert timing["kept"]["ours"] > 2 * cases.spec(8).tokens * 16 * 4
    measured = {
        "environment": {
            "processor": "a processor",
            "threads": 1,
            "versions": {"torch": "2"},
            "commit": None,
            "clean": False,
        },
        "ceilings": {"flops_per_second": 1e11, "bytes_per_second": 1e10},
        "compared": {"slow": timing},
        "growth": {"batch": [timing | {"value": 1}, timing | {"value": 2}]},
    }
    report.write(measured, tmp_path)
    text = (tmp_path / "SPEED.md").read_text(encoding="utf-8")
    assert "a processor" in text
    assert "1 to 2" in text
    assert (tmp_path / "growth.png").stat().st_size > 1000
