"""The contract, held against every method that the registry finds."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict, dataclass
from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from benchmark import methods
from benchmark.errors import UserError
from nft.network import NetworkSpec

METHODS = methods.registry()


class BothStages(nn.Module):
    """From weights to predictions through the array of a two-stage method."""

    def __init__(self, encoder: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.encoder, self.classifier = encoder, classifier

    def forward(self, flat: Tensor) -> Tensor:
        return self.classifier(self.encoder.encode(flat))


def build(name: str, spec: NetworkSpec, outputs: int = 4) -> nn.Module:
    problem = methods.Problem(spec, outputs, *spec.statistics(torch.randn(20, spec.parameters)), (8, 8))
    method = methods.make(name, next(iter(METHODS[name].suites)))
    if (reason := method.skip(problem)) is not None:
        pytest.skip(reason)
    module = method.build(problem)
    if isinstance(method, methods.TwoStageMethod):
        return BothStages(method.build_encoder(problem), module)
    return module


def test_the_expected_methods_are_there() -> None:
    assert {"mlp", "mlp-augmented", "nfn-hnp", "nfn-np", "nft"} <= set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_invariance_is_what_the_method_says(name: str, spec: NetworkSpec) -> None:
    module = build(name, spec).double().eval()
    flat = torch.randn(3, spec.parameters, dtype=torch.float64)
    predictions = module(flat)
    assert predictions.shape == (3, 4)
    permuted = module(spec.permute(flat, spec.random_permutations(3)))
    assert torch.allclose(permuted, predictions, atol=1e-5, rtol=0) == METHODS[name].invariant
    torch.testing.assert_close(module(flat[:1]), predictions[:1])


@pytest.mark.parametrize("name", METHODS)
def test_every_parameter_learns(name: str, spec: NetworkSpec) -> None:
    module = build(name, spec)
    flat = torch.randn(8, spec.parameters)
    loss = nn.functional.cross_entropy(module(flat), torch.arange(8) % 4)
    if isinstance(module, BothStages):
        loss = loss + module.encoder(flat).square().mean()
    loss.backward()
    idle = [key for key, parameter in module.named_parameters() if parameter.grad is None]
    assert not idle


@pytest.mark.parametrize("name", METHODS)
def test_modules_compile_whole(name: str, spec: NetworkSpec) -> None:
    torch._dynamo.reset()
    module, flat = build(name, spec).eval(), torch.randn(2, spec.parameters)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(flat), module(flat))


@pytest.mark.parametrize("name", METHODS)
def test_methods_describe_themselves(name: str) -> None:
    method = METHODS[name]
    assert method.title
    assert method.paper
    assert method.__doc__
    for suite in method.suites:
        made = methods.make(name, suite)
        assert asdict(made).items() >= method.suites[suite].items()
        with pytest.raises(FrozenInstanceError):
            made.learning_rate = 1.0


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(UserError, match=r"unknown method 'nfd'; known: .*nft"):
        methods.make("nfd", "mini")


def test_the_code_hash_follows_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def digest(files: dict[str, str]) -> str:
        methods.code_sha256.cache_clear()
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        return methods.code_sha256(Mine)

    @dataclass(frozen=True)
    class Mine(METHODS["mlp"]):
        pass

    Mine.__module__ = "baselines.mine"
    monkeypatch.setattr(methods, "ROOT", tmp_path)
    first = digest({"baselines/mine.py": "from nft.layers import x", "nft/layers.py": "x = 1", "nft/other.py": "y = 1"})
    assert digest({"nft/other.py": "y = 2"}) == first
    assert digest({"nft/layers.py": "x = 2"}) != first
    methods.code_sha256.cache_clear()


def test_the_method_in_contributing_works(spec: NetworkSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).resolve().parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (tmp_path / "mean.py").write_text(text.split("```python\n")[1].split("```")[0], encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    mean = import_module("mean").Mean
    flat = torch.randn(3, spec.parameters, dtype=torch.float64)
    module = mean().build(methods.Problem(spec, 4, *spec.statistics(flat), (6, 6))).double().eval()
    torch.testing.assert_close(module(spec.permute(flat, spec.random_permutations(3))), module(flat))
