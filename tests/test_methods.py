"""The contract, held against every method that the registry finds."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict
from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from benchmark import methods
from benchmark.checks import new_method as scaffold
from benchmark.errors import UserError
from leaderboard.archive import provenance
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
    problem = methods.Problem(
        spec, outputs, *spec.statistics(torch.randn(20, spec.parameters)), (8, 8)
    )
    method = methods.make(name, next(iter(METHODS[name].suites)), "")
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
    order = spec.random_permutations()
    permuted, wanted = module(spec.permute(flat, order)), predictions
    if METHODS[name].edits:
        assert predictions.shape[::2] == (3, spec.parameters)
        wanted = spec.permute(predictions, order)
    else:
        assert predictions.shape == (3, 4)
    assert torch.allclose(permuted, wanted, atol=1e-6, rtol=0) == METHODS[name].invariant
    torch.testing.assert_close(module(flat[:1]), predictions[:1])


@pytest.mark.parametrize("name", METHODS)
def test_every_parameter_learns(name: str, spec: NetworkSpec) -> None:
    module = build(name, spec)
    flat = torch.randn(8, spec.parameters)
    if not list(module.parameters()):
        pytest.skip("nothing to learn")
    outputs = module(flat)
    loss = (
        outputs.square().mean()
        if METHODS[name].edits
        else nn.functional.cross_entropy(outputs, torch.arange(8) % 4)
    )
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
        made = methods.make(name, *(suite.split("/") if "/" in suite else (suite, "")))
        assert asdict(made).items() >= method.suites[suite].items()
        with pytest.raises(FrozenInstanceError):
            made.learning_rate = 1.0


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(UserError, match=r"unknown method 'nfd'; known: .*nft"):
        methods.make("nfd", "mini", "generalization")


def test_the_code_hash_follows_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def digest(files: dict[str, str]) -> str | None:
        provenance.code_sha256.cache_clear()
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        return provenance.code_sha256("baselines/mine.py")

    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    assert digest({}) is None
    first = digest(
        {
            "baselines/mine.py": "from nft.layers import x",
            "nft/layers.py": "x = 1",
            "nft/other.py": "y = 1",
        }
    )
    assert digest({"nft/other.py": "y = 2"}) == first
    assert digest({"nft/layers.py": "x = 2"}) != first
    provenance.code_sha256.cache_clear()


def test_a_new_methods_file_works(
    spec: NetworkSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = scaffold.write("brand-new", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    made = import_module(path.stem).BrandNew
    flat = torch.randn(3, spec.parameters, dtype=torch.float64)
    module = made().build(methods.Problem(spec, 4, *spec.statistics(flat), (6, 6))).double().eval()
    torch.testing.assert_close(
        module(spec.permute(flat, spec.random_permutations(3))), module(flat)
    )


@pytest.mark.parametrize(
    "name", ["../evil", "Nft", "a b", "", "x" * 41, "class", "nft", "a--b", "é"]
)
def test_a_name_that_cannot_be_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be a method's name|there is a method"):
        scaffold.write(name, tmp_path)
    assert not list(tmp_path.iterdir())
