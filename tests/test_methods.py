"""The contract, held against every method that the registry finds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Literal

import pytest
import torch
from helpers import SPECS
from torch import Tensor, nn

import baselines
from baselines.mlp import MLP
from benchmark import arms, suites, tasks
from benchmark.checks import new_method as scaffold
from benchmark.datasets import catalog, locate
from benchmark.errors import UserError
from benchmark.fields import recorded
from benchmark.methods import FittedModule, Method, Problem
from benchmark.record.cell import Entrant
from benchmark.runs.fit import problem_of
from benchmark.runs.plan import plan
from benchmark.suites import settings
from nft.network import NetworkSpec

METHODS = baselines.registry()


@dataclass(frozen=True)
class Shaped(Method):
    """A method with a field of each type."""

    name = "shaped"
    title = "Shaped"
    paper = "none"

    hidden: int = 4
    normalize: bool = False
    shape: Literal["round", "square"] = "round"

    def build(self, problem: Problem) -> nn.Module:
        return nn.Linear(problem.spec.parameters, self.hidden)


class BothStages(nn.Module):
    """From weights to predictions through the array of a two-stage method."""

    def __init__(self, encoder: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.encoder, self.classifier = encoder, classifier

    def forward(self, flat: Tensor) -> Tensor:
        return self.classifier(self.encoder.encode(flat))


def build(name: str, spec: NetworkSpec, outputs: int = 4) -> nn.Module:
    problem = Problem(spec, outputs, *spec.statistics(torch.randn(20, spec.parameters)), (8, 8))
    row = METHODS[name]
    variant = row.variant
    sizes = {**(row.method.mini or {}), **((variant and variant.mini) or {})}
    method = row.method(**sizes | (dict(variant.fields) if variant else {}))
    if (reason := method.skip(problem)) is not None:
        pytest.skip(reason)
    modules = [stage.build(problem) for stage in method.stages]
    return modules[0] if len(modules) == 1 else BothStages(*modules)


def test_the_expected_methods_are_there() -> None:
    assert {"mlp", "mlp-augmented", "nfn-hnp", "nfn-np", "nft"} <= set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_invariance_is_what_the_method_says(name: str, spec: NetworkSpec) -> None:
    module = build(name, spec).double().eval()
    flat = torch.randn(3, spec.parameters, dtype=torch.float64)
    predictions = module(flat)
    order = spec.random_permutations()
    permuted, expected = module(spec.permute(flat, order)), predictions
    if METHODS[name].method.edits:
        assert predictions.shape[::2] == (3, spec.parameters)
        expected = spec.permute(predictions, order)
    else:
        assert predictions.shape == (3, 4)
    assert torch.allclose(permuted, expected, atol=1e-6, rtol=0) == (
        "permutation" in METHODS[name].method.symmetries
    )
    torch.testing.assert_close(module(flat[:1]), predictions[:1])


@pytest.mark.parametrize(("name", "numbers"), [("shift-editor", 6), ("affine-editor", 12)])
def test_an_editor_by_tensor_changes_all_networks_alike(name: str, numbers: int) -> None:
    """It starts at the identity, and what it does to a weight depends on its tensor alone."""
    spec = NetworkSpec.mlp(2, 5, 4, 1, activation="sine", omega=30.0)
    module, flat = build(name, spec).double(), torch.randn(7, spec.parameters).double()
    torch.testing.assert_close(module(flat).squeeze(1), flat)
    assert sum(parameter.numel() for parameter in module.parameters()) == numbers
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += torch.arange(6) + 1
    edited, changed = (
        spec.views(module(flat).squeeze(1).unsqueeze(-1)),
        spec.views(flat.unsqueeze(-1)),
    )
    for layer, (after, before) in enumerate(zip(edited, changed, strict=True)):
        for place, (new, old) in enumerate(zip(after, before, strict=True)):
            step = 2 * layer + place + 1
            scale = 1 + step if name == "affine-editor" else 1
            torch.testing.assert_close(new, scale * old + step)


@pytest.mark.parametrize("name", METHODS)
def test_every_parameter_learns(name: str, spec: NetworkSpec) -> None:
    module = build(name, spec)
    flat = torch.randn(8, spec.parameters)
    if not list(module.parameters()):
        pytest.skip("nothing to learn")
    outputs = module(flat)
    loss = (
        outputs.square().mean()
        if METHODS[name].method.edits
        else nn.functional.cross_entropy(outputs, torch.arange(8) % 4)
    )
    if isinstance(module, BothStages):
        loss = loss + module.encoder(flat).square().mean()
    loss.backward()
    idle = [key for key, parameter in module.named_parameters() if parameter.grad is None]
    assert not idle


@pytest.mark.parametrize("kind", ["siren", "cnn-flattened"])
@pytest.mark.parametrize("name", [name for name, row in METHODS.items() if row.variant is None])
def test_modules_compile_whole(name: str, kind: str) -> None:
    spec = SPECS[kind]
    torch._dynamo.reset()
    module, flat = build(name, spec).eval(), torch.randn(2, spec.parameters)
    if isinstance(module, BothStages) and isinstance(module.encoder, FittedModule):
        pytest.skip("its first stage is not trained, and never compiled")
    # First, since it fills cached properties, whose lock in Python 3.11 is no part of a graph.
    expected = module(flat)
    compiled = torch.compile(module, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(flat), expected)


@pytest.mark.parametrize("name", METHODS)
def test_methods_describe_themselves(name: str) -> None:
    row = METHODS[name]
    assert row.title
    assert row.paper
    assert row.method.__doc__
    assert row.source
    method = row.method()
    with pytest.raises(FrozenInstanceError):
        method.learning_rate = 1.0


PLACES = [
    (suite.name, task, dataset)
    for suite in suites.registry().values()
    for task, chosen in suite.tasks.items()
    for dataset in chosen.datasets
]


@pytest.mark.parametrize(("suite", "task", "dataset"), PLACES)
def test_every_row_resolves_in_every_suite(suite: str, task: str, dataset: str) -> None:
    """What mini sizes, variants and settings files set are fields of their methods."""
    members = [row for row in METHODS.values() if row.is_in(suite, task)]
    assert members
    for row in members:
        content = settings.read(suites.get(suite).settings, row.name)
        asked = content.of(task, dataset) if content else {}
        fields = row.variant.fields if row.variant else {}
        assert (fields | asked).items() <= asdict(row.make(suite, task, dataset)).items()


def test_suites_name_what_there_is() -> None:
    for suite in suites.registry().values():
        assert (settings.FOLDER / suite.settings).is_dir()
        for task, chosen in suite.tasks.items():
            listed = (*(chosen.methods or ()), *chosen.core, *chosen.controls)
            for entrant in map(Entrant.parse, listed):
                assert task in baselines.get(entrant.method).method.tasks
                arms.get(entrant.arm)
            for dataset in chosen.datasets:
                catalog.entry(dataset)


@pytest.mark.parametrize(
    "path", sorted(settings.FOLDER.glob("*/*.*")), ids=lambda path: "/".join(path.parts[-2:])
)
def test_settings_files_are_of_suites_methods_and_tasks(path: Path) -> None:
    suite = suites.get(path.parent.name)
    row = baselines.get(path.stem)
    content = settings.read(suite.settings, row.name)
    assert path.suffix == ".toml"
    for task in {*content.tasks, *content.datasets}:
        assert task in suite.tasks
        assert row.is_in(suite.name, task)
        assert set(content.datasets[task]) <= set(suite.tasks[task].datasets)


def test_a_malformed_settings_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mini").mkdir()
    monkeypatch.setattr(settings, "FOLDER", tmp_path)
    for number, (text, message) in enumerate(
        (
            ("[a]\nb = \n", "not TOML: .*line 2"),
            ("learning_rate = 1", "learning_rate stands in no table"),
            ("[logs]\na = 'x'", "logs.a: "),
        )
    ):
        path = tmp_path / f"mini/wrong-{number}.toml"
        path.write_text(text)
        with pytest.raises(UserError, match=f"^{path}: {message}"):
            settings.read("mini", path.stem)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hidden = 'big'", "hidden is a whole number from 0 on, not 'big'"),
        ("hidden = 2.5", "hidden is a whole number from 0 on, not 2.5"),
        ("hidden = -4", "hidden is a whole number from 0 on, not -4"),
        ("hidden = true", "hidden is a whole number from 0 on, not True"),
        ("hidden = [4]", r"hidden is a whole number from 0 on, not \[4\]"),
        ("learning_rate = nan", "learning_rate is a finite number from 0 on, not nan"),
        ("learning_rate = inf", "learning_rate is a finite number from 0 on, not inf"),
        ("normalize = 'no'", "normalize is true or false, not 'no'"),
        ("augmentation = 1", "augmentation is a string, not 1"),
        ("shape = 'flat'", "shape is one of 'round', 'square', not 'flat'"),
        ("size = 3", "shaped has no field 'size'; its fields are .*hidden"),
    ],
)
def test_settings_that_no_field_can_have_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    path = tmp_path / "mini/shaped.toml"
    path.parent.mkdir()
    monkeypatch.setattr(settings, "FOLDER", tmp_path)
    row = baselines.Row(Shaped)
    task, dataset = "inr-classification", "mnist-inr-mini"
    for table in (f"[{task}]", f"[{task}.datasets.{dataset}]"):
        settings.read.cache_clear()
        path.write_text(f"{table}\n{text}\n")
        with pytest.raises(UserError, match=f"^{re.escape(f'{path}: {table}: ')}{message}"):
            row.make("mini", task, dataset)
    settings.read.cache_clear()
    path.write_text(f"[{task}]\nlearning_rate = 1\nnormalize = true\nshape = 'square'\n")
    made = row.make("mini", task, dataset)
    assert (made.learning_rate, made.normalize, made.shape) == (1, True, "square")
    assert row.canonical(["shape=round"]) == ("shape=round",)


@pytest.mark.parametrize(
    "option",
    [
        "inr2array+layers=x",
        "inr2array+classifier=x",
        "nfn-hnp-editor+layer=x",
        "extra-trees+kind=x",
    ],
)
def test_kinds_that_there_are_not_are_refused(option: str) -> None:
    entrant = Entrant.parse(option)
    with pytest.raises(UserError, match=r"is one of '.*, not 'x'"):
        baselines.get(entrant.method).canonical(entrant.options)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("generalisation", r"\[generalisation\] is no task of mlp, which does .*generalization"),
        (
            "generalization.datasets.mnist-gs-mni",
            r"\[generalization.datasets.mnist-gs-mni\] is no dataset; known: .*mnist-gs-mini",
        ),
        ("regression.datasets.my-own", None),  # networks of a user's own have any name
    ],
)
def test_settings_of_what_there_is_not_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str, message: str | None
) -> None:
    path = tmp_path / "mini/mlp.toml"
    path.parent.mkdir()
    monkeypatch.setattr(settings, "FOLDER", tmp_path)
    settings.read.cache_clear()
    path.write_text(f"[{table}]\nhidden = 4\n")
    try:
        if message is None:
            assert baselines.get("mlp").make("mini", "regression", "my-own").hidden == 4
            return
        with pytest.raises(UserError, match=f"^{path}: {message}"):
            baselines.get("mlp").make("mini", "inr-classification", "mnist-inr-mini")
    finally:
        settings.read.cache_clear()


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file beside the methods' that cannot be imported."""
    path = tmp_path / "half_done.py"
    path.write_text('"""Half done."""\n\nclass HalfDone(Method:\n')
    monkeypatch.setattr(baselines, "__path__", [*baselines.__path__, str(tmp_path)])
    known = (baselines._found, baselines.registry)
    for function in known:
        function.cache_clear()
    yield path
    monkeypatch.undo()
    for function in known:
        function.cache_clear()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('"""Half done."""\n\nclass HalfDone(Method:\n', "line 3: SyntaxError: "),
        ("import math\nimport nowhere_to_be_found\n", "line 2: ModuleNotFoundError: No module"),
    ],
)
def test_a_broken_file_is_named_and_passed_over(
    broken: Path, text: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    broken.write_text(text)
    assert baselines.registry().keys() == METHODS.keys()
    assert baselines.get("mlp").make("mini", "inr-classification", "mnist-inr-mini")
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"passed over: {broken}, {reason}")
    with pytest.raises(UserError, match=f"^unknown method 'half-done'; .*{broken}, {reason}"):
        baselines.get("half-done")


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(UserError, match=r"unknown method 'gpt'; known: .*nft"):
        baselines.get("gpt")


def test_a_new_methods_file_works(
    spec: NetworkSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = scaffold.write("brand-new", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    method = import_module(path.stem).BrandNew
    flat = torch.randn(3, spec.parameters, dtype=torch.float64)
    module = method().build(Problem(spec, 4, *spec.statistics(flat), (6, 6))).double().eval()
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


@pytest.mark.parametrize(
    "dataset",
    ["mnist-inr-own-mini", "cifar10-jpeg-inr-own-mini", "mnist-dilate-mini", "sine-inr-mini"],
)
def test_no_method_of_mini_declines_the_inrs(dataset: str) -> None:
    """Records of a method that declines say "skipped", and its row is missing from the table."""
    stored, _ = locate.load(dataset)
    runs = plan("mini", "all", [dataset], seeds=[0])
    assert runs
    for run in runs:
        task = tasks.registry()[run.cell.task](stored)
        problem = problem_of(task, stored, stored.splits["train"].weights[:8])
        assert run.method.skip(problem) is None, run.cell


def test_records_leave_out_the_default_of_a_field_that_came_after_them() -> None:
    assert "batch_norm" not in recorded(MLP())
    assert recorded(MLP(batch_norm=True)) == recorded(MLP()) | {"batch_norm": True}


def test_a_suite_has_the_settings_of_its_base_where_its_own_say_nothing() -> None:
    task, dataset = "inr-classification", "mnist-inr-own-mini"
    for name in suites.get("mini-tuned").tasks[task].methods:
        row, own = baselines.get(name), settings.read("mini-tuned", name)
        base = row.make("mini", task, dataset)
        assert row.make("mini-tuned", task, dataset) == replace(
            base, **(own.of(task, dataset) if own else {})
        )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('base = "mini"', "a base is for suites of the project"),
        ('settings = "mini-tuned"', None),
    ],
)
def test_a_suite_of_ones_own_has_the_base_of_its_settings(
    lines: str, message: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"{lines}\n[tasks]\n", encoding="utf-8")
    if message:
        with pytest.raises(UserError, match=message):
            suites.get(str(path))
    else:
        assert suites.get(str(path)).layers == ("mini", "mini-tuned")


@pytest.mark.parametrize(
    ("base", "settings"),
    [("nothing", "one"), ("one", "one"), ("mini-tuned", "one"), ("mini", "mini")],
)
def test_a_base_that_is_none_is_refused(
    base: str, settings: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in suites.HERE.glob("mini*.toml"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    text = f'title = "one"\nnote = ""\nsettings = "{settings}"\nbase = "{base}"\n[tasks]\n'
    (tmp_path / "one.toml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(suites, "HERE", tmp_path)
    suites.registry.cache_clear()
    with pytest.raises(UserError, match=f"suite one: a base is .*not '{base}'"):
        suites.registry()
    monkeypatch.undo()
    suites.registry.cache_clear()


def test_the_tuned_suite_trains_as_its_base_does() -> None:
    for task, tuned in suites.get("mini-tuned").tasks.items():
        base = suites.get("mini").tasks[task]
        assert tuned.protocols("mlp") == base.protocols("mlp")
        assert set(tuned.datasets) <= set(base.datasets)
