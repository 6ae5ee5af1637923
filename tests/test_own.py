"""Networks of one's own: from files and a table to a dataset, its results and a board."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from helpers import CPU, ROOT, benchmark
from hub_server import Hub
from own_networks import FEW, SPEC, zoo
from scripts import run_script
from torch import nn
from typer.testing import CliRunner

import baselines
from benchmark import __main__ as command_line
from benchmark import suites
from benchmark.datasets import foreign, listing, locate, own, state_files, storage
from benchmark.datasets.foreign import Foreign
from benchmark.datasets.own import Options
from benchmark.errors import UserError
from benchmark.record import schema
from benchmark.runs import invocation
from benchmark.runs.execute import execute
from benchmark.runs.plan import Run, plan
from benchmark.runs.training import Monitor
from leaderboard import __main__ as board_line
from leaderboard.archive import entries, lints, tables
from leaderboard.publish import own as own_board


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return zoo(tmp_path_factory.mktemp("zoo"), 60)


def make(files: tuple[Path, Path], folder: Path, **options: Any) -> storage.Manifest:
    chosen = {"targets": ("accuracy", "learning rate"), "activation": "relu"} | options
    return own.make("moons", *files, folder, Options(**chosen))


@pytest.fixture(scope="module")
def moons(files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "moons"
    make(files, folder, classes=("speed",), group="run", licence="cc0-1.0")
    return folder


@pytest.fixture
def few(tmp_path: Path) -> str:
    """A suite's file anywhere."""
    path = tmp_path / "few.toml"
    path.write_text(FEW, encoding="utf-8")
    return str(path)


def run_all(runs: list[Run], results: Path) -> list[schema.Record]:
    return [execute(run, results, CPU, 1, Monitor()) for run in runs]


def members(task: str) -> set[str]:
    return {name for name, row in baselines.registry().items() if row.is_in("own", task)}


def refuses(record: schema.Record, kind: str) -> bool:
    """Tell whether the method declined these networks because it reads another kind."""
    return record.status == "skipped" and kind in record.reason


# The journey.

ELSEWHERE = """
import sys
from benchmark.__main__ import main
for arguments in {commands!r}:
    sys.argv = ["benchmark", *arguments]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
"""


def test_three_hundred_networks_become_results_here_and_elsewhere(few: str, tmp_path: Path) -> None:
    files = zoo(tmp_path, 300)
    folder, results = tmp_path / "moons", tmp_path / "results"
    words = ["datasets", "new", "moons", "--from", str(files[0]), "--table", str(files[1])]
    words += ["--targets", "accuracy,learning rate", "--activation", "relu"]
    made = CliRunner().invoke(command_line.app, [*words, "--output", str(folder)])
    assert made.exit_code == 0, made.output
    assert "--target 'learning rate'" in made.stdout
    for target in ("accuracy", "learning rate"):
        runs = plan(few, "regression", [str(folder)], target=target)
        assert {run.cell.entrant.method for run in runs} == members("regression") > {"nft", "mean"}
        for record in run_all(runs, results):
            if refuses(record, "SIRENs"):
                continue
            assert record.status == "finished", record.reason
            assert record.dataset.name == f"moons--{storage.slug(target)}"
            assert record.dataset.origin == "a folder, not the project's"
            assert not record.dataset.pinned
            assert f"--target {target.split()[0]}" in record.command.replace("'", "")
    hub = Hub()
    try:
        settings = {
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_TOKEN": "t",
            "NO_PROXY": "127.0.0.1",
            "NFT_BENCHMARK_CACHE": str(tmp_path / "cache"),
            "PYTHONPATH": str(ROOT),
        }
        there = tmp_path / "elsewhere"
        there.mkdir()
        run = ["run", "regression", "--suite", few, "--methods", "statnn", "--workers", "1"]
        commands = [
            ["datasets", "push", str(folder), "someone/moons"],
            [*run, "--datasets", "someone/moons", "--target", "accuracy", "--results", "again"],
        ]
        script = ELSEWHERE.format(commands=commands)
        status, _, errors = run_script(script, there, os.environ | settings)
    finally:
        hub.close()
    assert status == 0, errors
    commit = hub.repositories["someone/moons"].main
    (record,) = schema.read_all(there / "again")
    assert record.dataset.origin == f"someone/moons@{commit}, not the project's"
    assert f"--datasets someone/moons@{commit} " in record.command
    (here,) = (one for one in schema.read_all(results) if one.cell == record.cell)
    assert record.predictions == here.predictions, "the same networks, wherever they come from"


# Making a dataset.


def test_what_the_table_says_is_in_the_dataset(files: tuple[Path, Path], moons: Path) -> None:
    dataset, table = storage.read(moons), pd.read_csv(files[1])
    manifest = dataset.manifest
    assert manifest.targets == {
        "accuracy": [],
        "learning rate": [],
        "speed": ["fast", "slow"],
    }
    assert dataset.spec == SPEC
    assert manifest.rows == 60
    for split, part in dataset.splits.items():
        stored = pq.read_table(moons / manifest.files[split][0].path).to_pandas()
        rows = table.set_index("file").loc[stored["file"]]
        assert part.targets.shape == (len(rows), 3)
        np.testing.assert_allclose(part.targets[:, 0], rows["accuracy"], rtol=1e-6)
        np.testing.assert_allclose(part.targets[:, 1], rows["learning rate"], rtol=1e-6)
        assert [manifest.targets["speed"][int(one)] for one in part.targets[:, 2]] == list(
            rows["speed"]
        )
        assert list(stored["note"].fillna("")) == list(rows["note"].fillna(""))
        assert (stored["source_index"].to_numpy() == rows["run"].to_numpy()).all()
    first = stored.iloc[0]
    wanted = state_files.state_dict(files[0] / first["file"])
    flat = torch.cat(
        [
            wanted[f"net.{name}"].flatten()
            for name in SPEC.to_state_dict(torch.zeros(SPEC.parameters))
        ]
    )
    assert torch.equal(torch.tensor(first["weights"]), flat)


def test_a_kept_number_that_int64_does_not_hold_is_text(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    seeds = {"seed": lambda one: np.arange(len(one), dtype=np.uint64) + np.uint64(2**63)}
    manifest = make(changed(files, tmp_path, **seeds), tmp_path / "moons")
    kept = [
        seed
        for file in (file for files in manifest.files.values() for file in files)
        for seed in pq.read_table(tmp_path / "moons" / file.path)["seed"].to_pylist()
    ]
    assert sorted(kept) == [str(2**63 + row) for row in range(60)]


def test_groups_are_not_parted(moons: Path) -> None:
    runs = [set(part.source_index.tolist()) for part in storage.read(moons).splits.values()]
    assert [len(one) for one in runs] == [14, 2, 4]
    assert len(set.union(*runs)) == 20


def test_the_card_says_what_its_owner_says(
    files: tuple[Path, Path], tmp_path: Path, moons: Path
) -> None:
    assert 'license: "cc0-1.0"' in (moons / "README.md").read_text()
    make(files, tmp_path / "silent")
    card = (tmp_path / "silent/README.md").read_text()
    assert not any(word in card.lower() for word in ("license", "licence", "author", "mit\n"))


def test_made_again_it_is_left_and_another_is_refused(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    manifest = make(files, tmp_path / "moons")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "moons").rglob("*")}
    assert make(files, tmp_path / "moons") == manifest
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "moons").rglob("*")}
    with pytest.raises(UserError, match="holds a dataset already, of other networks"):
        make(files, tmp_path / "moons", seed=1)


def test_one_tensor_holds_all_networks(files: tuple[Path, Path], tmp_path: Path) -> None:
    table = pd.read_csv(files[1])
    states = [state_files.state_dict(files[0] / name) for name in table["file"]]
    like = files[0] / table["file"][0]
    spec = own._spec(like, Options(activation="relu"), "relu")
    torch.save(spec.flatten(states), tmp_path / "all.pt")
    options = Options(targets=("accuracy",), activation="relu")
    one = own.make("moons", tmp_path / "all.pt", files[1], tmp_path / "one", options, like)
    assert one.fingerprint == make(files, tmp_path / "many", targets=("accuracy",)).fingerprint


def changed(
    files: tuple[Path, Path], folder: Path, **columns: Callable[[pd.Series], Any]
) -> tuple[Path, Path]:
    """The same networks, and the table with other columns."""
    table = pd.read_csv(files[1])
    for name, change in columns.items():
        table[name] = change(table["accuracy"])
    table.to_csv(folder / "table.csv", index=False)
    return files[0], folder / "table.csv"


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({}, {"targets": ("loss",)}, "no column 'loss'; it has file, accuracy"),
        ({}, {"targets": ("speed",)}, "'speed' holds other things than numbers; .* --classes"),
        ({}, {"targets": ()}, "name what is to be predicted"),
        ({}, {"activation": "swish"}, "'swish' is neither an activation .* nor a column"),
        ({}, {"split": "speed"}, "'speed' holds 'fast', but the splits are train, validation"),
        ({}, {"file": "speed"}, "slow is in two rows|fast is in two rows"),
        ({"file": lambda one: "no-" + one.index.astype(str)}, {}, "no-0: not found; column 'file'"),
        ({"accuracy": lambda one: one.where(one.index != 4)}, {}, "row 5 has no 'accuracy'"),
        ({"Accuracy": lambda one: one}, {"targets": ("accuracy", "Accuracy")}, "no name of its"),
        ({"weights": lambda one: one}, {}, "a column 'weights' is the dataset's own"),
        (
            {"kind": lambda one: np.array(["relu", "sine"])[one.index % 2]},
            {"activation": "kind"},
            "column 'kind' holds 'sine'; networks with sines need --omega",
        ),
        (
            {"activation": lambda one: one},
            {"targets": ("activation",)},
            "'activation' is what a dataset calls the networks' own activations",
        ),
        (
            {"activation": lambda one: one, "kind": lambda one: "relu"},
            {"activation": "kind"},
            "'kind' holds the networks' activations, which the dataset has as 'activation'",
        ),
        (
            {"part": lambda one: np.array(["train", "validation", "test"])[one.index % 3]},
            {"split": "part", "group": "run"},
            "networks of run 0 are in several splits",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_table_is_named(
    files: tuple[Path, Path],
    tmp_path: Path,
    columns: dict[str, Any],
    options: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(UserError, match=message):
        make(changed(files, tmp_path, **columns), tmp_path / "moons", **options)
    assert not (tmp_path / "moons/manifest.json").exists()


def module(**changes: Any) -> nn.Module:
    return nn.Sequential(nn.Linear(2, changes.get("hidden", 8)), nn.ReLU(), nn.Linear(8, 1))


def write(folder: Path, content: list[Any]) -> tuple[Path, Path]:
    """Files of networks, or of what is taken for them, and a table."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, one in enumerate(content):
        torch.save(one, folder / f"{index}.pt")
    rows = {
        "file": [f"{index}.pt" for index in range(len(content))],
        "accuracy": np.linspace(0, 1, len(content)),
        "kind": ["a", "b"] * (len(content) // 2),
    }
    pd.DataFrame(rows).to_csv(folder / "table.csv", index=False)
    return folder, folder / "table.csv"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda state: state | {"0.bias": state["0.bias"] / 0}, "0.bias holds NaN or infinite"),
        (lambda state: {"0.weight": state["0.weight"]}, "it has no '2'"),
        (lambda state: state | {"2.bias": torch.zeros(2)}, r"2.bias has shape \(2,\)"),
        (lambda state: module(), "save the state_dict alone"),
        (lambda state: [1, 2], "holds no state_dict of tensors; save one"),
    ],
)
def test_a_bad_network_is_named_by_its_file(
    tmp_path: Path, spoil: Callable[[Any], Any], message: str
) -> None:
    states = [module().state_dict() for _ in range(10)]
    states[7] = spoil(states[7])
    files = write(tmp_path / "networks", states)
    with pytest.raises(UserError, match=rf"7\.pt: .*{message}"):
        make(files, tmp_path / "moons", targets=("accuracy",))
    assert {path.name for path in tmp_path.iterdir()} == {"networks"}, "nothing is half made"


def test_networks_that_are_not_there_are_said_to_be(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="nowhere: not found; --from names the folder"):
        make((tmp_path / "nowhere", files[1]), tmp_path / "moons")


def test_a_checkpoint_holds_a_state_dict_beside_other_things(tmp_path: Path) -> None:
    states = [module().state_dict() for _ in range(10)]
    whole = write(tmp_path / "networks", states)
    nested = write(tmp_path / "nested", [{"epoch": 3, "model": state} for state in states])
    first, second = (
        make(files, tmp_path / name, targets=("accuracy",))
        for name, files in (("a", whole), ("b", nested))
    )
    assert first.fingerprint == second.fingerprint


CORE = {"nft", "nfn-np", "nfn-hnp", "statnn", "mlp", "deepsets"}
"""Methods that read whatever has neurons; others say what they do not read."""
KINDS = {
    "siren without biases": (
        lambda: nn.Sequential(*(nn.Linear(*size, bias=False) for size in ((2, 6), (6, 6), (6, 1)))),
        {"activation": "sine", "omega": 20.0},
    ),
    "grouped convolutions in one dimension": (
        lambda: nn.Sequential(
            nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.Conv1d(4, 8, 3, groups=2), nn.Linear(8, 2)
        ),
        {"activation": "tanh", "fold_batch_norm": 1e-5},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_method_trains_on_networks_of_any_kind(kind: str, few: str, tmp_path: Path) -> None:
    network, options = KINDS[kind]
    files = write(tmp_path / "networks", [network().state_dict() for _ in range(30)])
    make(files, tmp_path / "moons", targets=(), classes=("kind",), **options)
    runs = plan(few, "classification", [str(tmp_path / "moons")])
    assert {run.cell.entrant.method for run in runs} == members("classification")
    for record in run_all(runs, tmp_path / "results"):
        name = record.method.name
        if name in CORE or record.status != "skipped":
            assert record.status == "finished", (name, record.reason)


# Finding it, and naming it.


def test_a_dataset_is_found_wherever_it_lies(
    moons: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(moons.parent)
    monkeypatch.setenv("HOME", str(moons.parent))
    for text in ("moons", "./moons", "~/moons", str(moons)):
        assert foreign.find(text) == Foreign(str(moons))
    mirror = tmp_path / "mirror/datasets/someone"
    mirror.mkdir(parents=True)
    (mirror / "moons").symlink_to(moons)
    place = foreign.find("someone/moons", tmp_path / "mirror")
    assert locate.load(Foreign(place.place, "speed"))[0].classes == ["fast", "slow"]


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [
        ("nothing", None, "unknown dataset 'nothing'; known: .*; or name a folder"),
        ("./nothing", None, "no dataset in .*nothing, which would hold a manifest.json"),
        ("~/nothing", None, "no dataset in .*nothing, which would hold a manifest.json"),
        ("{moons}", None, "moons has several targets; name one with --target: accuracy, learning"),
        ("{moons}", "loss", "moons has no target 'loss'"),
        ("mnist-gs-mini", "accuracy", "mnist-gs-mini has one target, so it needs no --target"),
    ],
)
def test_what_is_no_dataset_is_named(
    moons: Path, text: str, target: str | None, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        plan("own", "regression", [text.format(moons=moons)], ["statnn"], [0], target)


def test_a_name_of_the_catalogue_stays_with_its_weights(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="'mnist-gs-mini' is a dataset of the catalogue"):
        own.make("mnist-gs-mini", *files, tmp_path / "a", Options(activation="relu"))
    make(files, tmp_path / "moons", targets=("accuracy",))
    manifest = tmp_path / "moons/manifest.json"
    manifest.write_text(manifest.read_text().replace('"moons"', '"mnist-gs-mini"'))
    with pytest.raises(UserError, match="calls itself 'mnist-gs-mini', as the catalogue's does"):
        foreign.choose(str(tmp_path / "moons"), None)
    copy = listing.EMBEDDED / "mnist-gs-mini"
    assert foreign.choose(str(copy), None) == ("mnist-gs-mini", Foreign(str(copy)))


def test_accuracies_go_through_the_projects_task_and_other_numbers_do_not(moons: Path) -> None:
    (run,) = plan("mini", "generalization", [str(moons)], ["statnn"], [0], "accuracy")
    dataset, _ = locate.load(run.dataset)
    invocation.check_datasets([run])
    assert dataset.name == run.cell.dataset == "moons--accuracy"
    wrong = plan("mini", "generalization", [str(moons)], ["statnn"], [0], "learning rate")
    with pytest.raises(UserError, match="lies between 0 and 1"):
        invocation.check_datasets(wrong)


# Suites of one's own.


def test_a_file_is_a_suite_with_the_sizes_of_mini(few: str, moons: Path) -> None:
    (run,) = plan(few, "regression", [str(moons)], ["nft"], [0], "accuracy")
    assert run.cell.suite == "few"
    assert run.protocol.steps == 3
    own_sizes = plan("own", "regression", [str(moons)], ["nft"], [0], "accuracy")[0].method
    assert run.method == own_sizes != baselines.get("nft").method()
    assert f"--suite {few}" in run.command


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("mini.toml", FEW, "'mini' is a suite of the project"),
        ("My Suite.toml", FEW, "'My Suite' is no name of a suite"),
        ("mine.toml", FEW.replace("steps = 3", "steps = 0"), "tasks.regression.protocol.steps: "),
        ("mine.toml", "\na = \nb = 1", "not TOML: .*line 2"),
        ("mine.toml", f"colour = 1\n{FEW}", "mine.toml: colour: "),
        ("mine.toml", FEW.replace("steps = 3", 'steps = "few"'), "protocol.steps: .*integer"),
        ("mine.toml", FEW.replace("clip = 1.0", "clip = inf"), "protocol.clip: .*finite"),
        ("mine.toml", FEW.replace("steps = 3\n", ""), "protocol.steps: Field required"),
        ("mine.toml", f'settings = "../x"\n{FEW}', "mine.toml: settings: "),
        ("mine.toml", FEW.replace("tasks.regression", 'tasks."../y"'), "mine.toml: tasks.../y"),
        ("mine.toml", FEW.replace("seeds", 'methods = ["../y"]\nseeds'), "methods.0: "),
        ("mine.toml", FEW.replace("seeds", 'core = ["../y"]\nseeds'), "core.0: "),
        ("mine.toml", f'settings = "gpt"\n{FEW}', "not 'gpt'"),
        ("mine.toml", FEW.replace("few", 100 * "few"), "mine.toml: note: .* 300 characters"),
        ("other/mine.toml", None, "No such file"),
    ],
)
def test_what_is_no_suite_is_named(
    tmp_path: Path, name: str, text: str | None, message: str
) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message) as caught:
        suites.get(str(path))
    assert "\n" not in str(caught.value)


TITLED = f'title = "wrong"\n{FEW}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = \nb = 1", "not TOML: .*line 1"),
        (f"colour = 1\n{TITLED}", "colour: "),
        (f'settings = "../x"\n{TITLED}', "settings: "),
    ],
)
def test_a_wrong_suite_of_the_project_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    monkeypatch.setattr(suites, "HERE", tmp_path)
    with pytest.raises(UserError, match=f"^{path}: .*{message}") as caught:
        suites.registry.__wrapped__()
    assert "\n" not in str(caught.value)


# A board of one's own.


def test_results_are_ranked_on_ones_own_board_alone(few: str, moons: Path, tmp_path: Path) -> None:
    names = ["statnn", "mlp"]
    runs = plan(few, "regression", [str(moons)], names, [0, 1, 2], "accuracy")
    run_all(runs, tmp_path)
    found = entries.of_results(tmp_path)
    assert not lints.failures(found)
    (board,) = tables.boards(found)
    assert all("catalogue does not pin" in str(row.objections) for row in board.rows)
    done = CliRunner().invoke(board_line.app, ["build", "--records", str(tmp_path)])
    assert done.exit_code == 0, done.output
    page = (tmp_path / "LEADERBOARD.md").read_text()
    assert "not a board of the project" in page
    assert "not ranked" not in page
    assert "#1" in page
    assert (tmp_path / "tables/few--regression.csv").is_file()
    (tmp_path / "nothing/trials").mkdir(parents=True)
    with pytest.raises(UserError, match=r"no records; .*; trials are not ranked"):
        own_board.build(tmp_path / "nothing")


# Paths.


def test_every_path_of_the_command_lines_is_made_whole() -> None:
    """No shell expands a ~ after a =, and a relative path is of the folder that it was said in."""
    groups = [*command_line.app.registered_groups, *board_line.app.registered_groups]
    apps = [command_line.app, board_line.app, *(group.typer_instance for group in groups)]
    bare = [
        f"{command.callback.__name__} {name}"
        for app in apps
        for command in app.registered_commands
        for name, hint in get_type_hints(command.callback, include_extras=True).items()
        if get_origin(hint) is Annotated
        and Path in (hint.__origin__, *get_args(hint.__origin__))
        and hint.__metadata__[0].callback is None
    ]
    assert len(apps) > 2
    assert not bare


def test_a_home_is_found_in_variables_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NFT_BENCHMARK_CACHE", "~/c")
    assert locate.cache_folder() == tmp_path / "c"
    (tmp_path / "m/datasets").mkdir(parents=True)
    monkeypatch.setenv("NFT_BENCHMARK_HUB_MIRROR", "~/m")
    assert locate.mirror_folder() == tmp_path / "m"


def test_a_target_that_is_not_there_is_one_line(moons: Path) -> None:
    code, _, errors = benchmark("run", "regression", "--datasets", str(moons), "--target", "loss")
    assert (code, errors.count("\n")) == (2, 1)
    assert "moons has no target 'loss'" in errors


@pytest.mark.parametrize(
    ("task", "target", "message"),
    [
        ("classification", "accuracy", "holds numbers, which classification .*: run regression"),
        ("inr-classification", "accuracy", "holds numbers, which inr-classification .*regression"),
        ("regression", "speed", "holds classes, which regression .*: run classification"),
    ],
)
def test_a_task_for_another_kind_of_target_is_named(
    moons: Path, task: str, target: str, message: str
) -> None:
    suite = "own" if task in suites.get("own").tasks else "mini"
    with pytest.raises(UserError, match=f"'{target}' of .*moons {message}"):
        plan(suite, task, [str(moons)], ["mlp"], [0], target)
