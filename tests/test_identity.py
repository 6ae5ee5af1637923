"""What a result depends on: code, settings, versions and seeds, and what changes none of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from helpers import CPU, TARGETS, copy_project, edit, finished_run, run_of, small
from torch import Tensor

from benchmark import suites
from benchmark.errors import UserError
from benchmark.record import equivalence, schema, sources
from benchmark.record.cell import Cell, Entrant
from benchmark.record.equivalence import Equivalence
from benchmark.record.predictions import SPLITS, Outcome
from benchmark.record.predictions import digest as digest_of_predictions
from benchmark.record.predictions import write as write_predictions
from benchmark.record.schema import Record
from benchmark.runs import execute as execution
from benchmark.runs import fit as fitting
from benchmark.runs.execute import execute, is_current
from benchmark.runs.fit import checkpoint_path, fit
from benchmark.runs.plan import Run
from benchmark.runs.training import Data, Monitor, Stopped, Trainer
from benchmark.suites import settings
from benchmark.suites.protocol import Protocol
from leaderboard.archive import entries as archive
from leaderboard.archive import lints, provenance, tables

CHECKED = ["baselines/mlp.py", "nft/layers.py", "benchmark/runs/training.py"]
"""The method's own file, a module that it imports, and a part of the harness."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the project whose sources are digested in place of this one's."""
    folder = copy_project(tmp_path / "project")
    monkeypatch.setattr(sources, "ROOT", folder)
    monkeypatch.setattr(equivalence, "FOLDER", tmp_path / "equivalent")
    forget()
    yield folder
    monkeypatch.undo()
    forget()


def forget() -> None:
    sources.digest.cache_clear()
    equivalence.representative.cache_clear()


def digest(task: str = "inr-classification", arm: str = "permuted") -> str:
    forget()
    result = sources.digest("baselines/mlp.py", task, arm)
    assert result is not None
    return result


def rewrite(change: Callable[[str], str]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        before = path.read_text(encoding="utf-8")
        path.write_text(change(before), encoding="utf-8")
        assert path.read_text(encoding="utf-8") != before

    return apply


def change_number(path: Path) -> None:
    """Add one to the first number of a file."""
    text = path.read_text(encoding="utf-8")
    numbers = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and type(node.value) in (int, float)
    ]
    first = min(numbers, key=lambda node: (node.lineno, node.col_offset))
    lines = text.splitlines(keepends=True)
    line = lines[first.lineno - 1].encode()
    number = line[first.col_offset : first.end_col_offset]
    changed = b"(1 + " + number + b")"
    line = line[: first.col_offset] + changed + line[first.end_col_offset :]
    lines[first.lineno - 1] = line.decode()
    path.write_text("".join(lines), encoding="utf-8")


PROSE = {
    "docstrings": rewrite(lambda text: re.sub(r'"""(\w)', r'"""In other words: \1', text)),
    "the module's docstring": rewrite(lambda text: text.replace('"""', '"""More: ', 1)),
    "a comment": rewrite(lambda text: text + "\n# A remark.\n"),
    "blank lines": rewrite(lambda text: text.replace("\n\n", "\n\n\n")),
    "formatting": rewrite(lambda text: ast.unparse(ast.parse(text)) + "\n"),
}


@pytest.mark.parametrize("file", CHECKED)
@pytest.mark.parametrize("kind", PROSE)
def test_prose_and_layout_change_no_digest(project: Path, file: str, kind: str) -> None:
    before = digest()
    PROSE[kind](project / file)
    assert digest() == before


@pytest.mark.parametrize(
    "file", [*CHECKED, "baselines/editing.py", "nft/network.py", *sources.HARNESS]
)
def test_what_computes_otherwise_has_another_digest(project: Path, file: str) -> None:
    before = digest()
    (project / file).write_text((project / file).read_text(encoding="utf-8") + "\nMORE = 1\n")
    assert digest() != before


@pytest.mark.parametrize("file", ["nft/layers.py", "nft/network.py", "baselines/editing.py"])
def test_a_number_changes_the_digest(project: Path, file: str) -> None:
    before = digest()
    change_number(project / file)
    assert digest() != before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("weight_decay=self.weight_decay,", "weight_decay=2 * self.weight_decay,"),
        ("fused=True,", "fused=True, eps=1e-6,"),
        ("fused=True,", "fused=False,"),
        ("math.cos(math.pi * (step", "math.sin(math.pi * (step"),
        ("clip_grad_norm_(self.module.parameters(), self.protocol.clip)", "clip_grad_norm_([], 1)"),
    ],
)
def test_the_training_loop_is_part_of_every_digest(project: Path, old: str, new: str) -> None:
    before = digest()
    edit(project / "benchmark/runs/training.py", old, new)
    assert digest() != before


@pytest.mark.parametrize(
    "file",
    [
        "benchmark/tasks/generalization.py",
        "benchmark/arms/aligned.py",
        "baselines/statnn.py",
        "benchmark/runs/display.py",
        "leaderboard/archive/tables.py",
    ],
)
def test_what_a_result_does_not_go_through_is_no_part_of_it(project: Path, file: str) -> None:
    before = digest()
    (project / file).write_text((project / file).read_text(encoding="utf-8") + "\nMORE = 1\n")
    assert digest() == before


def test_relative_imports_are_followed(project: Path) -> None:
    edit(project / "baselines/mlp.py", "from baselines.editing import", "from .editing import")
    before = digest()
    change_number(project / "baselines/editing.py")
    assert digest() != before


def test_code_of_results_imports_where_it_can_be_followed() -> None:
    for folder in ("nft", "baselines", "benchmark/tasks", "benchmark/arms"):
        for path in (sources.ROOT / folder).glob("*.py"):
            if path.name != "__init__.py":  # which finds what lies beside it
                assert not re.search(r"importlib|__import__", path.read_text(encoding="utf-8")), (
                    path
                )


def test_tasks_and_arms_have_digests_of_their_own(project: Path) -> None:
    assert len({digest(), digest("generalization"), digest(arm="aligned")}) == 3
    before = digest("generalization")
    change_number(project / "benchmark/tasks/generalization.py")
    assert digest("generalization") != before
    assert sources.digest("baselines/gone.py", "generalization", "permuted") is None
    assert sources.digest("baselines/mlp.py", "no-task", "permuted") is None
    assert sources.digest(None, "generalization", "permuted") is None


# What becomes of records.

CELL = "mini/inr-classification/fashion-inr-mini/mlp/0"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Record]:
    run = run_of(CELL)
    record = execute(run, tmp_path_factory.mktemp("finished"), CPU, 1, Monitor())
    assert record.status == "finished", record.reason
    return run, record


def note_equivalence(*digests: str) -> None:
    """Note that each digest computes what the next one does."""
    rows = [
        Equivalence(cell=CELL, base="0" * 40, was=was, now=now) for was, now in pairwise(digests)
    ]
    equivalence.write("mlp", rows)


def test_a_record_stays_ranked_while_the_code_computes_the_same(
    project: Path, tmp_path: Path
) -> None:
    record = finished_run(tmp_path / "results", name="mlp")
    assert provenance.objections(record) == []
    PROSE["docstrings"](project / "benchmark/runs/training.py")
    forget()
    assert provenance.objections(record) == []
    change_number(project / "nft/layers.py")
    between = digest()
    change_number(project / "baselines/editing.py")
    now = digest()
    assert provenance.objections(record) == ["of code that has changed since"]
    note_equivalence(record.method.code_sha256, between)
    assert provenance.objections(record) == ["of code that has changed since"]
    note_equivalence(record.method.code_sha256, between, now)
    assert provenance.objections(record) == []


def test_a_finished_run_stays_finished_while_the_code_computes_the_same(
    project: Path, finished: tuple[Run, Record]
) -> None:
    run, record = finished
    assert is_current(run, record)
    PROSE["docstrings"](project / "baselines/mlp.py")
    forget()
    assert is_current(run, record)
    change_number(project / "nft/layers.py")
    now = digest()
    assert not is_current(run, record)
    note_equivalence("d" * 64, now)
    assert not is_current(run, record)
    note_equivalence(now, record.method.code_sha256)
    assert is_current(run, record)


def test_an_equivalence_is_of_one_method(project: Path, tmp_path: Path) -> None:
    record = finished_run(tmp_path / "results", name="statnn", method={"code_sha256": "d" * 64})
    now = sources.digest("baselines/statnn.py", "inr-classification", "permuted")
    note_equivalence("d" * 64, now)
    assert provenance.objections(record) == ["of code that has changed since"]


def test_a_malformed_equivalence_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlp.json").write_text('[{"cell": "x"}]')
    with pytest.raises(UserError, match=r"mlp\.json: .*; restore it from git"):
        equivalence.read("mlp", tmp_path)


def test_a_record_stands_where_its_dataset_is_not(
    finished: tuple[Run, Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a laptop that shows what a cluster made, say."""
    run, record = finished
    monkeypatch.setattr(execution.locate, "fingerprint", lambda name: None)
    assert is_current(run, record)


def test_other_versions_budgets_and_data_make_a_run_stale(finished: tuple[Run, Record]) -> None:
    run, record = finished
    environment = record.environment

    def other(**changes: object) -> bool:
        return is_current(run, record.model_copy(update=changes))

    assert other()
    versions = environment.versions | {"torch": "1.0"}
    assert not other(environment=environment.model_copy(update={"versions": versions}))
    assert other(environment=environment.model_copy(update={"processor": "another"}))
    assert not other(protocol=record.protocol | {"steps": 21})
    dataset = record.dataset.model_copy(update={"fingerprint": "0" * 64})
    assert not other(dataset=dataset)
    changed = record.method.hyperparameters | {"hidden": 7}
    assert not other(method=record.method.model_copy(update={"hyperparameters": changed}))


def test_records_of_other_networks_are_objected_to(tmp_path: Path) -> None:
    record = finished_run(tmp_path / "results")
    named = record.dataset.model_copy(update={"name": "mnist-inr-mini"})
    other = record.model_copy(update={"dataset": named})
    assert "on networks that are not the catalogue's" in provenance.objections(other)


def test_changed_settings_are_objected_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = finished_run(tmp_path / "results")
    monkeypatch.setattr(settings, "FOLDER", tmp_path / "settings")
    path = tmp_path / "settings/mini/nft.toml"
    path.parent.mkdir(parents=True)

    def objections(text: str, record: Record = record) -> list[str]:
        path.write_text(text)
        settings.read.cache_clear()
        return provenance.objections(record)

    try:
        assert objections("[inr-classification]\nchannels = 8\n") == []
        assert objections("[generalization]\nchannels = 9\n") == []
        assert objections("[inr-classification.datasets.another]\nchannels = 9\n") == []
        changed = ["of settings that have changed since"]
        assert objections("[inr-classification]\nchannels = 9\n") == changed
        assert objections("[inr-classification.datasets.small]\nchannels = 9\n") == changed
        assert objections("[inr-classification]\nblocks = 9\n") == changed
        method = record.method.model_copy(update={"options": ("channels=8",)})
        own = record.model_copy(update={"method": method})
        assert objections("[inr-classification]\nchannels = 9\n", own) == []
    finally:
        monkeypatch.undo()
        settings.read.cache_clear()


def test_a_changed_budget_is_objected_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = finished_run(tmp_path)
    mini = suites.get("mini")
    task = mini.tasks["inr-classification"]
    longer = task.protocol.model_copy(update={"steps": 99})
    tasks = {"inr-classification": task.model_copy(update={"protocol": longer})}
    known = {"mini": mini.model_copy(update={"tasks": tasks})}
    monkeypatch.setattr(suites, "registry", lambda: known)
    assert provenance.objections(record) == ["of settings that have changed since"]


def test_seeds_made_alike_are_no_mixture(project: Path, tmp_path: Path) -> None:
    for seed in range(3):
        finished_run(tmp_path / "results", 70 + seed, seed, name="mlp")
    finished_run(tmp_path / "results", 70, 3, name="mlp", method={"code_sha256": "d" * 64})
    entries = archive.of_results(tmp_path / "results")
    assert list(provenance.mixtures(entry.record for entry in entries)) == [
        "mini/inr-classification/small/mlp/0"
    ]
    note_equivalence("d" * 64, digest())
    assert provenance.mixtures(entry.record for entry in entries) == {}
    assert lints.failures(entries) == []


def test_no_mean_is_of_two_datasets_of_one_name(tmp_path: Path) -> None:
    """However many test networks each has."""
    finished_run(tmp_path, 90, 0, dataset={"fingerprint": "d" * 64})
    for seed, networks, day in ((1, 50, 2), (2, 60, 2), (3, 70, 3)):
        finished = {"finished_at": f"2026-02-0{day}T00:00:00+00:00"}
        fingerprint = str(networks)[0] * 64
        record = finished_run(tmp_path, 60, seed, dataset={"fingerprint": fingerprint}, **finished)
        part = dict.fromkeys(SPLITS, Outcome(TARGETS[:networks], TARGETS[:networks]))
        record = record.model_copy(update={"predictions": digest_of_predictions(part)})
        path = schema.write(record, tmp_path)
        write_predictions(path.with_suffix(".npz"), [(record.predictions, part)])
    entries = archive.of_results(tmp_path)
    (mixture,) = provenance.mixtures(entry.record for entry in entries).values()
    assert len(mixture) == 4
    assert "data dddddddddddd" in "\n".join(lints.failures(entries))
    (board,) = tables.boards(entries, lambda _: [])
    newest, others = board.rows
    assert (newest.is_ranked, newest.cells["small"].summary.seeds) == (True, 1)
    assert others.objections == ("on other networks than its cell's newest",)


def test_no_mean_is_of_two_versions(tmp_path: Path) -> None:
    newer = {"versions": {"torch": "2.9", "numpy": "2.3"}}
    finished_run(tmp_path, 60, 0)
    finished_run(tmp_path, 62, 1)
    finished_run(tmp_path, 90, 2, environment=newer, finished_at="2026-02-01T00:00:00+00:00")
    entries = archive.of_results(tmp_path)
    (mixture,) = provenance.mixtures(entry.record for entry in entries).values()
    assert {identity[-1] for identity in mixture} == {"torch 2.8", "torch 2.9"}
    (line,) = lints.failures(entries)
    assert line.startswith("mini/inr-classification/small/nft/0: its seeds")
    assert "torch 2.8" in line
    assert "torch 2.9" in line
    (board,) = tables.boards(entries)
    latest, older = board.rows
    assert latest.is_ranked
    assert not older.is_ranked
    summaries = [row.cells["small"].summary for row in (latest, older)]
    assert [(summary.seeds, summary.mean) for summary in summaries] == [
        (1, 0.9),
        (2, pytest.approx(0.61)),
    ]


# What becomes of checkpoints.

LONGER = Protocol(steps=80, batch_size=8, warmup_steps=2, evaluations=2, clip=1.0)


def steps_of(run: Run, folder: Path, until: int | None = None) -> tuple[list[int], list[str]]:
    """Train on a few networks, up to a step: the steps that were reported, and the notes."""
    steps: list[int] = []
    notes: list[str] = []

    def step(number: int) -> None:
        steps.append(number)
        if number == until:
            raise Stopped

    monitor = Monitor(step=step, note=notes.append)
    if until is None:
        fit(run, small("fashion-inr-mini"), folder, CPU, monitor)
    else:
        with pytest.raises(Stopped):
            fit(run, small("fashion-inr-mini"), folder, CPU, monitor)
    return steps, notes


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:500])


def test_a_checkpoint_of_the_same_is_taken_up(project: Path, tmp_path: Path) -> None:
    run = run_of(CELL, LONGER)
    assert steps_of(run, tmp_path, until=40) == ([20, 40], [])
    PROSE["docstrings"](project / "benchmark/runs/training.py")
    forget()
    assert steps_of(run, tmp_path) == ([60, 80], [])


@pytest.mark.parametrize("what", ["code", "settings", "versions", "damage"])
def test_another_checkpoint_is_told_of_once_and_left(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    run = run_of(CELL, LONGER)
    steps_of(run, tmp_path, until=40)
    reason = "is of other code, settings, data or versions: starting anew"
    if what == "code":
        change_number(project / "nft/layers.py")
        forget()
    elif what == "settings":
        run = run_of(CELL, LONGER.model_copy(update={"clip": 2.0}))
    elif what == "versions":
        monkeypatch.setattr(fitting, "versions", lambda *_: {"torch": "1.0"})
    else:
        damage(checkpoint_path(run, tmp_path))
        reason = "is damaged: starting anew"
    assert steps_of(run, tmp_path) == ([20, 40, 60, 80], [f"seed-0.checkpoint {reason}"])


def test_a_damaged_encoders_checkpoint_is_told_of(tmp_path: Path) -> None:
    shorter = LONGER.model_copy(update={"steps": 40})
    run = run_of("mini/inr-classification/fashion-inr-mini/inr2array-mlp/0", shorter)
    steps_of(run, tmp_path, until=20)
    (path,) = (tmp_path / "cache").glob("*.checkpoint")
    damage(path)
    steps, notes = steps_of(run, tmp_path)
    assert steps == list(range(20, 81, 20))
    assert notes == [f"{path.name} is damaged: starting anew"]


def test_a_superseded_encoders_checkpoint_is_told_of_and_removed(
    project: Path, tmp_path: Path
) -> None:
    run = run_of("mini/inr-classification/fashion-inr-mini/inr2array-mlp/0", LONGER)
    steps_of(run, tmp_path, until=40)
    (before,) = (tmp_path / "cache").glob("*.checkpoint")
    change_number(project / "nft/layers.py")
    forget()
    _, notes = steps_of(run, tmp_path, until=40)
    (after,) = (tmp_path / "cache").glob("*.checkpoint")
    assert after != before
    assert notes == [f"{before.name} is of other code, settings, data or versions: removed"]
    steps, notes = steps_of(run, tmp_path)
    assert (steps[0], notes) == (60, [])
    assert not [*tmp_path.rglob("*.encoder"), *tmp_path.rglob("*.checkpoint")][1:]


# Cells and their seeds.


@pytest.fixture
def start_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[Tensor]]:
    """The parameters of a cell's first stage before any step."""

    class Started(BaseException):
        pass

    parameters: list[Tensor] = []

    def run(self: Trainer, *splits: Data) -> None:
        parameters[:] = [value.detach().clone() for value in self.module.parameters()]
        raise Started

    monkeypatch.setattr(Trainer, "run", run)

    def start(cell: str) -> list[Tensor]:
        cell_run = run_of(cell)
        with pytest.raises(Started):
            fit(cell_run, small(cell_run.cell.dataset), tmp_path, CPU, Monitor())
        return list(parameters)

    return start


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("mini/{}/mlp/0", "mini/{}/mlp@aligned/0", True),
        ("mini/{}/mlp+hidden=512/0", "mini/{}/mlp-augmented+hidden=512/0", True),
        ("mini/{}/mlp/0", "mini/{}/mlp+dropout=0.5/0", True),
        ("mini/{}/mlp+hidden=512/0", "paper/{}/mlp+hidden=512/0", True),
        ("mini/{}/inr2array/0", "mini-ablations/{}/inr2array/0", True),
        ("mini/{}/inr2array/0", "mini/{}/inr2array-mlp/0", True),
        ("mini/{}/mlp/0", "mini/{}/mlp/1", False),
    ],
)
def test_where_runs_start(
    start_of: Callable[[str], list[Tensor]], one: str, other: str, alike: bool
) -> None:
    place = "inr-classification/fashion-inr-mini"
    left, right = start_of(one.format(place)), start_of(other.format(place))
    assert [part.shape for part in left] == [part.shape for part in right]
    assert all(map(torch.equal, left, right)) == alike
    again = start_of(one.format(place))
    assert all(map(torch.equal, left, again))


def test_datasets_and_methods_start_otherwise(start_of: Callable[[str], list[Tensor]]) -> None:
    names = ("fashion-inr-mini", "mnist-inr-mini")
    left, right = (start_of(f"mini/inr-classification/{name}/mlp/0") for name in names)
    assert not torch.equal(left[0], right[0])


def test_seeds_are_of_dataset_method_role_and_seed() -> None:
    base = Cell.parse("mini/inr-classification/small/mlp/0")
    same = [
        base.seed_for("parameters", "mlp"),
        Cell.parse("paper/inr-classification/small/mlp@aligned/0").seed_for("parameters", "mlp"),
        Cell.parse("mini/inr-classification/small/mlp+hidden=3/0").seed_for("parameters", "mlp"),
    ]
    assert len(set(same)) == 1
    others = [
        base.seed_for("order of epoch 0", "mlp"),
        base.seed_for("parameters", "nft"),
        Cell.parse("mini/inr-classification/other/mlp/0").seed_for("parameters", "mlp"),
        Cell.parse("mini/inr-classification/small/mlp/1").seed_for("parameters", "mlp"),
    ]
    assert len({*same, *others}) == 5


@pytest.mark.parametrize(
    ("text", "entrant"),
    [
        ("mlp", Entrant("mlp")),
        ("mlp@aligned", Entrant("mlp", (), "aligned")),
        ("mlp+hidden=64", Entrant("mlp", ("hidden=64",))),
        (
            "mlp+dropout=0.1+hidden=64@aligned",
            Entrant("mlp", ("dropout=0.1", "hidden=64"), "aligned"),
        ),
    ],
)
def test_a_cell_is_a_text_a_path_and_a_command(text: str, entrant: Entrant) -> None:
    cell = Cell.parse(f"mini/inr-classification/small/{text}/2")
    assert cell == Cell("mini", "inr-classification", "small", entrant, 2)
    assert Cell.parse(str(cell)) == cell
    assert cell.path.as_posix() == f"mini/inr-classification/small/{text}/seed-2.json"
    assert cell.command == (
        "python -m benchmark run inr-classification --suite mini --datasets small "
        f"--methods {text} --seeds 2"
    )
    assert cell.column.seed == 0
    assert cell.column.entrant == entrant


def test_options_have_one_order_and_the_default_arm_no_name() -> None:
    assert str(Entrant.parse("mlp+hidden=64+dropout=0.1@permuted")) == "mlp+dropout=0.1+hidden=64"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mini",
        "a/b/c/mlp",
        "a/b/c/mlp/0/1",
        "a/b/c/mlp/-1",
        "a/b/c/mlp/0x1",
        "a/b/c/mlp/1234567890",
        "a/b/c/mlp/0\n",
        "a\n/b/c/mlp/0",
        "../b/c/mlp/0",
        "a/../c/mlp/0",
        "A/b/c/mlp/0",
        "a/b/c/mlp;rm -rf ~/0",
        "a/b/c/$(id)/0",
        "a/b/c/mlp+hidden/0",
        "a/b/c/mlp+=1/0",
        "a/b/c/mlp+hidden=1 2/0",
        "a/b/c/mlp+__class__=x'/0",
        "a/b/c/mlp@/0",
        "a/b/c/mlp@a@b/0",
        "a/b/c/-mlp/0",
        "a/b/c/mlp/٣",
        "a/b/c/" + "m" * 300 + "/0",
        "a" * 100_000,
    ],
)
def test_what_is_no_cell_is_refused(text: str) -> None:
    with pytest.raises(UserError) as caught:
        Cell.parse(text)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def test_options_set_fields() -> None:
    run = run_of(
        "mini/inr-classification/fashion-inr-mini/mlp+augmentation=scattering+dropout=0.5+hidden=64/0"
    )
    assert (run.method.hidden, run.method.dropout, run.method.augmentation) == (
        64,
        0.5,
        "scattering",
    )
    described = run.describe_method(None)
    assert described.options == ("augmentation=scattering", "dropout=0.5", "hidden=64")
    assert described.title == "MLP + scattering, dropout 0.5, hidden 64"
    assert described.hyperparameters["hidden"] == 64
    assert (described.name, described.base) == ("mlp", "mlp")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("size=3", "mlp has no field 'size'; its fields are learning_rate, .*hidden"),
        ("hidden=many", "hidden is a whole number from 0 on, not 'many'"),
        ("hidden=1.5", "hidden is a whole number from 0 on, not '1.5'"),
        ("hidden=-4", "hidden is a whole number from 0 on, not -4"),
        ("canonical=1", "canonical is true or false, not '1'"),
        ("dropout=half", "dropout is a finite number from 0 on, not 'half'"),
        ("dropout=nan", "dropout is a finite number from 0 on, not nan"),
    ],
)
def test_options_that_fit_no_field_are_refused(option: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        _ = run_of(f"mini/inr-classification/fashion-inr-mini/mlp+{option}/0").method
