"""Trials: runs with something changed, which never pass for a suite's own."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import CPU, FEW, ROOT, UNFINISHED, example_record, finished_run

import leaderboard
from benchmark.errors import UserError
from benchmark.record import schema
from benchmark.runs import trial_table, trials
from benchmark.runs.execute import execute
from benchmark.runs.plan import Run, plan
from benchmark.runs.training import Monitor, Stopped
from leaderboard.archive import entries
from leaderboard.submissions import submit

TASK, DATASET = "sine-frequency", "sine-inr-mini"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A method in a file outside the project."""
    text = (ROOT / "baselines/deepsets.py").read_text(encoding="utf-8")
    path = tmp_path / "my code" / "mine.py"
    path.parent.mkdir()
    path.write_text(text.replace('name = "deepsets"', 'name = "my-sets"'), encoding="utf-8")
    return path


def planned(methods: str, *options: str, steps: int | None = None) -> list[Run]:
    names, trial = trials.read(methods.split(","), options, steps)
    return plan("mini", TASK, None, names, [0], trial=trial)


def test_a_trial_is_named_by_what_it_changes_and_starts_as_the_suites_run_does() -> None:
    (usual,) = planned("mlp")
    assert usual.trial is None
    (run,) = planned("mlp", "hidden=64", "learning_rate=1e-3", steps=300)
    folder = f"trial-mini-300-steps/{TASK}/{DATASET}/mlp+hidden=64+learning_rate=0.001"
    assert str(run.path) == f"{folder}/seed-0.json"
    assert (run.method.hidden, run.method.learning_rate, run.protocol.steps) == (64, 1e-3, 300)
    assert run.method.normalize is True  # the rest is the suite's
    assert run.protocol == usual.protocol.model_copy(update={"steps": 300})
    assert run.seeds == usual.seeds
    assert run.command == (
        f"python -m benchmark run {TASK} --suite mini --datasets {DATASET} --methods mlp --seeds 0 "
        "--set hidden=64 --set learning_rate=0.001 --steps 300"
    )
    (arm,) = planned("mlp@scattered", "hidden=64")
    assert "--methods mlp@scattered --seeds 0 --set hidden=64" in arm.command


def test_a_first_stage_is_shortened_by_the_same_factor() -> None:
    names, trial = trials.read(["inr2array"], (), 16)
    run = plan("mini", "inr-classification", ["mnist-inr-own-mini"], names, [0], trial=trial)[0]
    assert (run.protocol.steps, run.encoder_protocol.steps) == (16, 12)


def test_a_trial_is_never_submitted(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown suite 'trial-mini'"):
        record = finished_run(tmp_path, name="mlp")
        schema.write(record.model_copy(update={"suite": "trial-mini"}), tmp_path)
        submit.submit("mlp", "trial-mini", tmp_path, None)


def test_a_method_in_a_file_runs_and_is_known_by_no_code(mine: Path, tmp_path: Path) -> None:
    (run,) = planned(f"{mine}:DeepSets", "channels=8")
    assert str(run.cell.entrant) == "my-sets+channels=8"
    assert f"--methods '{mine}:DeepSets' --seeds 0 --set channels=8" in run.command
    assert (run.code, run.cell.suite) == (None, "trial-mini")
    record = execute(replace(run, protocol=FEW), tmp_path, CPU, 1, Monitor())
    assert record.status == "finished", record.reason
    assert (record.method.source, record.method.hyperparameters["channels"]) == (None, 8)
    assert record.setting.startswith("A trial, which is not what the suite says.")


@pytest.mark.parametrize(
    ("methods", "options", "message"),
    [
        ("mlp", ("hidden=64", "hidden=32"), "hidden is set twice"),
        ("mlp", ("channels=64",), "mlp has no field 'channels'; its fields are"),
        ("mlp", ("hidden=many",), "hidden is a whole number from 0 on, not 'many'"),
        ("mlp", ("hidden",), "--set takes FIELD=VALUE"),
        ("{mine}", (), "name the file and the class in it, as ./mine.py:Mine"),
        ("{mine}:", (), "name the file and the class in it, as ./mine.py:Mine"),
        ("{mine}:Other", (), "Other is no Method; its methods are DeepSets"),
        ("/nowhere/mine.py:Mine", (), "/nowhere/mine.py: there is no such file"),
        ("{twin}:DeepSets", (), "'deepsets' is a method of the project"),
        ("{mine}:DeepSets,{copy}:DeepSets", (), "{copy}:DeepSets are both named 'my-sets'"),
        ("{broken}:DeepSets", (), "broken.py: ZeroDivisionError: division by zero; mend it"),
        ("{many}:DeepSets", (), "channels is (32, 32), which no record can hold"),
        ("{none}:DeepSets", (), "channels is None, which no record can hold"),
        ("{mini}:DeepSets", (), "channels is [8, 8], which no record can hold"),
        ("{long}:DeepSets", (), "its paper has 90 letters; name it with at most 80"),
    ],
)
def test_mistakes_are_named(
    mine: Path, methods: str, options: tuple[str, ...], message: str
) -> None:
    text = mine.read_text(encoding="utf-8")
    files = {
        "twin": text.replace('"my-sets"', '"deepsets"'),
        "broken": "1 / 0",
        "copy": text,
        "many": text.replace("channels: int = 64", "channels: tuple[int, ...] = (32, 32)"),
        "none": text.replace("channels: int = 64", "channels: int | None = None"),
        "mini": text.replace("mini = {}", 'mini = {"channels": [8, 8]}'),
        "long": text.replace("arXiv:1703.06114", "x" * 90),
    }
    paths = {name: mine.with_name(f"{name}.py") for name in files}
    for name, path in paths.items():
        path.write_text(files[name], encoding="utf-8")
    with pytest.raises(UserError) as caught:
        planned(methods.format(mine=mine, **paths), *options)
    assert message.format(mine=mine, **paths) in str(caught.value)


def test_the_table_shows_the_test_split_only_when_asked() -> None:
    small = {"name": "mlp", "options": ["hidden=64"]}
    records = [
        example_record(metrics={"test": 0.111, "validation": 0.4}),
        example_record(metrics={"test": 0.222, "validation": 0.5}, seed=1),
        example_record(metrics={"test": 0.333, "validation": 0.7}, method=small),
    ]
    lines = trial_table.table(records, ("validation",)).splitlines()
    assert [line.split()[1] for line in lines[3:]] == ["mlp+hidden=64", "nft"]  # best first
    assert "45.0 ± 7.1" in lines[4]
    assert not [line for line in lines if "test" in line or "33.3" in line or "16.7" in line]
    shown = trial_table.table(records, ("validation", "test"))
    assert "33.3" in shown and "16.7 ± 7.8" in shown


def test_records_load_as_a_table(tmp_path: Path) -> None:
    finished_run(tmp_path / "results", 70, seed=0, name="mlp")
    failed = UNFINISHED | {"status": "failed", "reason": "no luck", "seed": 1}
    schema.write(
        example_record(**failed, method={"name": "mlp", "parameters": None}), tmp_path / "results"
    )
    table = leaderboard.load(tmp_path / "results")
    assert list(table["seed"]) == [0, 1] and list(table["status"]) == ["finished", "failed"]
    first = table.iloc[0]
    assert (first["method"], first["options"], first["dataset"], first["arm"]) == (
        "mlp",
        "",
        "small",
        "permuted",
    )
    assert (first["test"], first["validation"], first["parameters"]) == (0.7, 0.69, 1000)
    assert table.iloc[1][["test", "seconds", "parameters"]].isna().all()
    with pytest.raises(UserError, match="no records"):
        leaderboard.load(tmp_path / "empty")


def test_superseded_records_are_loaded_when_asked(tmp_path: Path) -> None:
    for right, day in ((60, 1), (70, 2)):
        finished = {"finished_at": f"2026-01-0{day}T00:00:00+00:00"}
        record = finished_run(tmp_path / str(day), right, **finished)
        found = entries.of_results(tmp_path / str(day), [record])
        before = entries.read(tmp_path / "records").entries
        entries.write_file(tmp_path / "records", [*before, *found])
    current = leaderboard.load(tmp_path / "records")
    assert list(current["test"]) == [0.7] and "superseded" not in current
    everything = leaderboard.load(tmp_path / "records", superseded=True)
    assert list(everything["test"]) == [0.7, 0.6]
    assert list(everything["superseded"]) == [False, True]


def test_a_checkpoint_of_a_file_that_was_edited_is_not_taken_up(mine: Path, tmp_path: Path) -> None:
    for edited, steps in ((False, [20]), (False, [40]), (True, [20])):
        if edited:
            text = mine.read_text(encoding="utf-8")
            mine.write_text(text.replace("nn.ReLU(),\n", "nn.GELU(),\n"), encoding="utf-8")
        trials._load.cache_clear()  # as another command would find it
        trials._row.cache_clear()
        (run,) = planned(f"{mine}:DeepSets", "channels=8")
        seen: list[int] = []

        def stop(step: int, seen: list[int] = seen) -> None:
            seen.append(step)
            raise Stopped

        many = FEW.model_copy(update={"steps": 80})
        with pytest.raises(Stopped):
            execute(replace(run, protocol=many), tmp_path, CPU, 1, Monitor(step=stop))
        assert seen == steps


def test_a_run_takes_no_class_along_that_only_its_process_has_loaded(mine: Path) -> None:
    (run,) = planned(f"{mine}:DeepSets")
    assert run.method.name == "my-sets"
    sent = pickle.loads(pickle.dumps(run))
    assert sent == run and "method" not in vars(sent)
