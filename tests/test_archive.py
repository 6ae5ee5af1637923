"""The committed records: what is wrong is named, what was stays, and nothing enters unchecked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import example, example_record, finished_run, outcome, reported

from benchmark import suites
from benchmark.datasets import listing
from benchmark.errors import UserError
from benchmark.record import schema as records
from benchmark.record.cell import Entrant
from benchmark.record.predictions import Kept, Outcome, digest
from benchmark.record.predictions import write as write_predictions
from benchmark.record.schema import Record, RecordError
from leaderboard.archive import checks, declarations, lints, tables
from leaderboard.archive import entries as archive
from leaderboard.publish import curves, notes, pages, render, site
from leaderboard.reported import check, explanations
from leaderboard.submissions import standing, submit


def test_an_archive_comes_back_as_it_was(tmp_path: Path) -> None:
    runs = [finished_run(tmp_path / "results", seed=seed) for seed in range(3)]
    entries = archive.of_results(tmp_path / "results")
    files = archive.write_file(tmp_path / "records", entries)
    assert [path.relative_to(tmp_path / "records").as_posix() for path in files] == [
        "mini/nft.jsonl",
        "mini/nft.npz",
    ]
    before = [path.read_bytes() for path in files]
    result = archive.read(tmp_path / "records")
    assert [entry.record for entry in result.entries] == runs
    assert (
        result.entries[1].predictions["test"].predictions.tolist()
        == outcome(70, 2).predictions.tolist()
    )
    archive.write_file(tmp_path / "records", result.entries)
    assert [path.read_bytes() for path in files] == before
    assert not lints.failures(result.current)


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the first line's data."""
    lines = path.read_text().splitlines()
    data = json.loads(lines[0])
    data = change(data) or data
    path.write_text("\n".join([json.dumps(data), *lines[1:]]) + "\n")


def put(*keys: str, value: object) -> Callable[[Path], None]:
    def change(data: dict[str, Any]) -> None:
        part = data
        for key in keys[:-1]:
            part = part[key]
        part[keys[-1]] = value

    return lambda folder: edit(folder / "mini/nft.jsonl", change)


def swap_predictions(folder: Path) -> None:
    """Others' predictions under the first record's digest."""
    store = Kept(folder / "mini/nft.npz")
    first, second = sorted({name.partition("/")[0] for name in store.names})[:2]
    write_predictions(
        folder / "mini/nft.npz", [(first, store.get(second)), (second, store.get(first))]
    )


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda f: (f / "mini/nft.jsonl").write_text("{"), "line 1: not a record's line"),
        (
            put("record", "metrics", value={"test": 0.99, "validation": 0.69}),
            "test accuracy is 0.99, but its predictions make 0.7",
        ),
        (put("record", "metrics", value={"test": 1.7, "validation": 0.69}), "lies beyond 0 to 1"),
        (put("record", "seed", value=1), "the same cell and time as line 1"),
        (
            put("record", "seed", value=2),
            "its random seed is not that of mini/inr-classification/small/nft/2",
        ),
        (put("record", "surprise", value=1), "surprise: Extra inputs are not permitted"),
        (
            put("record", "metric", value="accuracyy"),
            "nft.jsonl, line 1: metric: unknown metric 'accuracyy'; known: accuracy",
        ),
        (put("record", "dataset", "arm", value="../x"), "dataset.arm: String should match"),
        (put("record", "method", "name", value="other"), "holds a record of mini/other; move it"),
        (put("why", value="x" * 301), "why of at most 300 characters"),
        (put("record", "predictions", value="d" * 64), "predictions dddddddddddd cannot be read"),
        (lambda f: (f / "mini/nft.npz").write_bytes(b"PK nothing"), "cannot be read"),
        (swap_predictions, "were changed"),
        (
            put("record", "metrics", value={"test": float("nan"), "validation": 0.69}),
            "not a record|finite",
        ),
        (put("record", "schema_version", value=99), "schema_version"),
    ],
)
def test_a_corrupt_archive_is_named(
    tmp_path: Path, harm: Callable[[Path], object], message: str
) -> None:
    for seed in range(2):
        finished_run(tmp_path / "results", seed=seed)
    archive.write_file(tmp_path / "records", archive.of_results(tmp_path / "results"))
    harm(tmp_path / "records")
    try:
        wrong = lints.failures(archive.read(tmp_path / "records").current)
    except RecordError as error:
        wrong = [str(error)]
    assert wrong
    assert any(part in line for line in wrong for part in message.split("|")), wrong
    assert all("\n" not in line for line in wrong)


def test_mix_ups_and_leaks_are_found(tmp_path: Path) -> None:
    finished_run(tmp_path, name="nft", seed=0)
    finished_run(tmp_path, name="mlp", seed=0, shift=1)  # the very predictions of the first
    leak = finished_run(tmp_path, name="mlp", seed=1, right=60, dataset={"arm": "random-targets"})
    assert leak.cell.entrant == Entrant("mlp", (), "random-targets")
    store = {"test": outcome(40, 5), "validation": outcome(40, 5)}
    path = records.write(
        example_record(
            method={"name": "mlp", "source": "baselines/mlp.py"},
            seed=2,
            metrics={"test": 0.4, "validation": 0.4},
            predictions=digest(store),
        ),
        tmp_path,
    )
    write_predictions(path.with_suffix(".npz"), [(digest(store), store)])
    wrong = "\n".join(lints.failures(archive.of_results(tmp_path)))
    assert "has the very predictions of" in wrong
    assert "test labels leak" in wrong
    assert "its test predictions are its predictions on validation" in wrong
    assert "has the scores of" in "\n".join(lints.warnings(archive.of_results(tmp_path)))


def test_runs_that_learned_nothing_may_predict_the_same_and_are_named(tmp_path: Path) -> None:
    targets = np.arange(100) % 10
    one_class = Outcome(np.ones(100, dtype=np.uint8), targets.astype(np.uint8))
    store = {"test": one_class, "validation": one_class}
    for seed in (0, 1):
        path = records.write(
            example_record(
                method={"name": "mlp", "source": "baselines/mlp.py"},
                seed=seed,
                metrics={"test": 0.1, "validation": 0.1},
                predictions=digest(store),
            ),
            tmp_path,
        )
        write_predictions(path.with_suffix(".npz"), [(digest(store), store)])
    finished_run(tmp_path, name="statnn")
    found = archive.of_results(tmp_path)
    assert "very predictions" not in "\n".join(lints.failures(found))
    (board,) = tables.boards(found)
    (said,) = [line for line in notes.results(board) if "predict the same" in line]
    assert said == "small, predict the same of every network: NFT (2 of 2 runs)"


def test_two_arms_have_no_common_mean(tmp_path: Path) -> None:
    for arm, value in (("permuted", 0.9), ("scattered", 0.5)):
        further = {"test": 0.7, "validation": 0.69, "test_r2": value}
        finished_run(tmp_path, dataset={"arm": arm}, metrics=further)
    (said,) = notes.measured([entry.record for entry in archive.of_results(tmp_path)])
    assert said == "small, R2: NFT 0.9; NFT (scattered) 0.5"


def test_what_two_suites_run_alike_may_predict_the_same(tmp_path: Path) -> None:
    """And only that: of other settings, the very predictions are another run's."""
    settings = {"protocol": example()["protocol"], "method": {"hyperparameters": {"channels": 8}}}
    finished_run(tmp_path, suite="mini", **settings)
    finished_run(tmp_path, suite="mini-ablations", **settings)
    assert "very predictions" not in "\n".join(lints.failures(archive.of_results(tmp_path)))
    settings["method"] = {"hyperparameters": {"channels": 9}}
    finished_run(tmp_path, suite="mini-ablations", **settings)
    assert "very predictions" in "\n".join(lints.failures(archive.of_results(tmp_path)))


def shorten(monkeypatch: pytest.MonkeyPatch, folder: Path, dataset: str = "small") -> None:
    """Have suite mini ask for two seeds on one dataset, `small` as if it came with the project."""
    if dataset == "small":
        (folder / "small").mkdir()
        (folder / "small" / "manifest.json").write_text("{}")
        monkeypatch.setattr(listing, "EMBEDDED", folder)
    change_mini(monkeypatch, datasets=(dataset,), seeds=(0, 1))


def change_mini(monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
    """Let suite mini classify INRs alone, otherwise than it does."""
    mini = suites.get("mini")
    tasks = {"inr-classification": mini.tasks["inr-classification"].model_copy(update=changes)}
    known = suites.registry() | {"mini": mini.model_copy(update={"tasks": tasks})}
    monkeypatch.setattr(suites, "registry", lambda: known)


@pytest.fixture
def of_no_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let records pass that are of datasets and code that are not here."""
    monkeypatch.setattr(declarations, "troubles", lambda entry: ())


@pytest.mark.usefixtures("of_no_code")
def test_of_datasets_that_are_not_embedded_the_first_seeds_can_be_submitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_mini(monkeypatch, datasets=("small", "large"), seeds=(0, 1, 2))
    results, folder = tmp_path / "results", tmp_path / "records"
    finished_run(results, seed=1)
    with pytest.raises(RecordError, match="nft was not run on small with seed 0"):
        submit.submit("nft", "mini", results, None, folder)
    finished_run(results, seed=0)
    assert len(submit.submit("nft", "mini", results, None, folder)) == 2


@pytest.mark.usefixtures("of_no_code")
@pytest.mark.parametrize("option", ["", "channels=9"])
def test_no_seed_is_picked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    """Neither of a method nor of what was changed of it."""
    controls = ("nft+channels=9",)
    change_mini(monkeypatch, datasets=("large",), seeds=(0, 1, 2, 3), controls=controls)
    method = {"options": [option] if option else []}
    for seed in (0, 2):
        finished_run(tmp_path, seed=seed, dataset={"name": "large"}, method=method)
    if option:
        finished_run(tmp_path, seed=0, dataset={"name": "large"}, shift=7)
    entrant = "nft" + (f"+{option}" if option else "")
    with pytest.raises(
        RecordError, match=rf"{re.escape(entrant)} was not run on large with seed 1"
    ):
        submit.submit("nft", "mini", tmp_path, None, tmp_path / "records")
    told = checks.certain(archive.ordered(archive.of_results(tmp_path)))
    assert any(f"{entrant}: seed 1 is missing beside others" in line for line in told)
    finished_run(tmp_path, seed=1, dataset={"name": "large"}, method=method)
    assert submit.submit("nft", "mini", tmp_path, None, tmp_path / "records")


@pytest.mark.usefixtures("of_no_code")
def test_a_submission_is_whole_checked_and_keeps_what_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch, tmp_path)
    results, folder = tmp_path / "results", tmp_path / "records"
    with pytest.raises(UserError, match="unknown method 'nf', did you mean nft"):
        submit.submit("nf", "mini", results, None, folder)
    with pytest.raises(UserError, match="suite 'own' is for networks of one's own"):
        submit.submit("nft", "own", results, None, folder)
    with pytest.raises(RecordError, match="no records of nft"):
        submit.submit("nft", "mini", results, None, folder)
    finished_run(results, seed=0)
    with pytest.raises(RecordError, match="nft was not run on small with seed 1"):
        submit.submit("nft", "mini", results, None, folder)
    finished_run(results, seed=1, environment={"clean": False})
    with pytest.raises(RecordError, match="uncommitted changes; commit, and run it again"):
        submit.submit("nft", "mini", results, None, folder)
    steps = suites.get("mini").tasks["inr-classification"].protocol.model_dump()
    finished_run(results, seed=1, protocol=steps | {"clip": 7.0})
    with pytest.raises(RecordError, match=r"since; clip was 7.0, is [\d.]+; commit, and run it"):
        submit.submit("nft", "mini", results, None, folder)
    finished_run(results, seed=1, environment={"versions": {"torch": "2.9", "numpy": "2.3"}})
    with pytest.raises(RecordError, match="seeds ran with different code, data or versions"):
        submit.submit("nft", "mini", results, None, folder)
    finished_run(results, seed=1)
    assert len(submit.submit("nft", "mini", results, None, folder)) == 2
    assert submit.submit("nft", "mini", results, None, folder) == []
    finished_run(results, seed=1, right=80, finished_at="2026-02-01T00:00:00+00:00")
    with pytest.raises(RecordError, match="say with --why"):
        submit.submit("nft", "mini", results, None, folder)
    submit.submit("nft", "mini", results, "more steps", folder)
    result = archive.read(folder)
    assert [entry.record.metrics["test"] for entry in result.current] == [0.7, 0.8]
    assert pages.history(result) == [
        ["mini/inr-classification/small/nft", "70.0", "80.0", "2026-02-01", "more steps"]
    ]


@pytest.mark.parametrize(
    ("change", "objection"),
    [
        ({"environment": {"commit": None}}, "from no commit"),
        ({"environment": {"clean": False}}, "uncommitted changes"),
        ({"dataset": {"pinned": False}}, "does not pin"),
        ({"method": {"code_sha256": "e" * 64}}, "of code that has changed since"),
        ({"method": {"source": "baselines/gone.py"}}, "of code that has changed since"),
    ],
)
def test_what_cannot_be_made_again_is_shown_apart_and_never_ranked(
    tmp_path: Path, change: dict[str, Any], objection: str
) -> None:
    for seed in range(3):
        finished_run(tmp_path, name="mlp", seed=seed, right=60 + seed)
        finished_run(tmp_path, name="statnn", seed=seed, right=50 + seed)
        finished_run(tmp_path, name="nft", seed=seed, right=90 + seed, **change)
    (board,) = tables.boards(archive.of_results(tmp_path))
    ranks = {row.entrant: row.cells["small"].rank for row in board.rows}
    assert ranks["mlp"] == 1
    assert ranks["nft"] is None
    assert objection in render.board_markdown(board)


def papers(tmp_path: Path, suite: str = "paper", **changes: Any) -> list[Record]:
    rights = (70, 70, 70, 71, 71)  # more than its suite runs
    return [
        finished_run(
            tmp_path,
            right,
            seed,
            suite=suite,
            dataset={"name": changes.get("dataset", "mnist-inr")},
        )
        for seed, right in enumerate(rights)
    ]


def test_every_kind_of_verdict(tmp_path: Path) -> None:
    rows = [
        reported(value="70.0", spread="0.2", spread_kind="std", runs="5"),
        reported(value="50.0"),
        reported(value="90.0"),
    ]
    assert [result.kind for result in check.check(rows, [])] == ["not run"] * 3
    runs = papers(tmp_path / "paper")
    assert [result.kind for result in check.check(rows, runs)] == ["reproduced", "higher", "lower"]
    one = check.check([reported()], runs[:1])[0]
    assert one.text == "incomplete: 1 of 3 seeds run, on rebuilt networks"
    assert check.check([reported(differs="views")], runs)[0].text == "not comparable: views"
    short = papers(tmp_path / "short", suite="paper-short")
    assert (
        check.check([reported()], short)[0].text == "not comparable: only run in suite paper-short"
    )
    dirty = [
        record.model_copy(
            update={"environment": record.environment.model_copy(update={"clean": False})}
        )
        for record in runs
    ]
    assert check.check([reported()], dirty)[0].kind == "not run"


def test_seeds_of_two_datasets_are_not_pooled(tmp_path: Path) -> None:
    """The published networks are judged where they were run, and no others beside them."""
    published = papers(tmp_path / "published", dataset="mnist-inr-nfn")
    rebuilt = [
        finished_run(tmp_path, 40, seed, suite="paper", dataset={"name": "mnist-inr"})
        for seed in range(5)
    ]
    assert check.check([reported()], rebuilt)[0].text.endswith("on rebuilt networks")
    (checked,) = check.check([reported()], rebuilt + published)
    assert "rebuilt" not in checked.text
    assert checked.scores == [70, 70, 70]


def test_other_settings_stand_beside_a_row_and_decide_nothing(tmp_path: Path) -> None:
    """They are shown, whatever they are called, and the row is judged by its own runs alone."""
    runs = papers(tmp_path)
    shape = {"suite": "paper", "dataset": {"name": "mnist-inr"}}
    wide = [
        finished_run(tmp_path, 40, seed, method={"options": ["channels=64"]}, **shape)
        for seed in range(2)
    ]
    alone = check.check([reported()], runs)
    (beside,) = check.check([reported()], runs + wide)
    assert (beside.text, sorted(beside.scores)) == (alone[0].text, sorted(alone[0].scores))
    assert beside.others == {"channels=64": [40, 40]}
    assert alone[0].others == {}
    assert "- NFT, channels=64: 40.0 ± 0.0 (n=2)" in pages.verdict_page([beside])
    assert check.check([reported()], wide)[0].kind == "not run"


def test_an_explanation_stands_while_its_verdict_and_its_results_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = {"task": "inr-classification", "dataset": "mnist-inr", "suite": "paper"}
    text = "at a rate of <.5 {nft+learning_rate=0.5}, as it is {nft}"
    row = explanations.Row(method="NFT", verdict="reproduced", text=text, **place)
    monkeypatch.setattr(explanations, "_read", lambda: [row])
    runs, far = papers(tmp_path), reported(value="40.0")
    wide = [
        finished_run(
            tmp_path,
            40,
            seed,
            suite="paper",
            dataset={"name": "mnist-inr"},
            method={"options": ["learning_rate=0.5"]},
        )
        for seed in range(2)
    ]
    (explained,) = check.check([reported()], runs + wide)
    page = pages.verdict_page([explained])
    assert (
        "NFT, reproduced: at a rate of &lt;.5 40.0 ± 0.0 (n=2), as it is 70.0 ± 0.0 (n=3)" in page
    )
    assert check.check([reported()], runs)[0].explanation is None
    (other,) = check.check([far], runs + wide)
    assert (other.kind, other.explanation) == ("higher", None)
    found = archive.Archive(archive.of_results(tmp_path))
    site.build(found, [], [reported()], tmp_path / "site")
    html = (tmp_path / "site/verdicts.html").read_text(encoding="utf-8")
    assert "at a rate of &lt;.5 40.0 ± 0.0 (n=2), as it is 70.0 ± 0.0 (n=3)" in html
    assert "<svg" in html.split("What lies behind the verdicts")[1]


def test_what_was_tested_has_a_figure_of_its_training(tmp_path: Path) -> None:
    """A line and a dot for each planned seed, and a dotted line for the published number."""
    runs, planned = papers(tmp_path), 3
    assert len(runs) > planned
    checked = check.check([reported(value="71.5")], runs)
    drawn = curves.figures(checked, runs)
    assert list(drawn) == ["mnist-inr"]
    lines = drawn["mnist-inr"].axes[0].get_lines()
    by_points = [sorted(set(line.get_ydata())) for line in lines if len(line.get_ydata())]
    assert by_points.count([69.0]) == 2 * planned  # where the seeds are on validation
    assert by_points.count([71.5]) == 1
    assert len(by_points) == 2 * planned + 1
    assert curves.figures(check.check([reported()], runs[:1]), runs) == {}


def test_a_suite_may_say_anew_what_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Records with its earlier words stay right, and tables say the newest."""
    mini = suites.get("mini").model_copy(update={"note": "new", "earlier_notes": ("old",)})
    known = suites.registry() | {"mini": mini}
    monkeypatch.setattr(suites, "registry", lambda: known)

    def entry(setting: str) -> archive.Entry:
        record = example_record(setting=setting, dataset={"name": "mnist-inr-own-mini"})
        return archive.Entry(record, None, "here", Kept(tmp_path / "none"))

    objected = [
        any("its setting is not" in said for said in declarations.troubles(entry(setting)))
        for setting in ("new", "old", "other")
    ]
    assert objected == [False, False, True]
    assert [tables.boards([entry(word)])[0].settings for word in ("old", "other")] == [
        ("new",),
        ("other",),
    ]


def test_example_records_are_records() -> None:
    assert Record.model_validate(example()).cell.entrant == Entrant("nft")


def test_new_results_are_placed_among_the_committed(tmp_path: Path) -> None:
    for name, right in (("nft", 90), ("mlp", 30)):
        for seed in range(3):
            finished_run(tmp_path / "committed", right + seed, seed, name=name)
    for seed in range(3):
        finished_run(tmp_path / "new", 60 + seed, seed, name="statnn")
    finished_run(tmp_path / "new", 61, name="deepsets")
    committed = archive.Archive(archive.of_results(tmp_path / "committed"))
    places = standing.standings(archive.of_results(tmp_path / "new"), committed)
    by_title = {place.title: place for place in places}
    assert by_title["DEEPSETS"].group == "needs 3 seeds"
    ours = by_title["STATNN"]
    assert ours.group == "#2 of 3"
    assert ours.better.startswith("NFT (p")
    assert ours.worse.startswith("MLP (p")
    assert all(word in standing.table(places) for word in ("STATNN", "#2 of 3", "NFT"))
    # Where there are no committed results there is nothing to be placed among.
    for name, right in (("statnn", 60), ("mlp", 30)):
        for seed in range(3):
            finished_run(tmp_path / "own", right, seed, name=name, dataset={"name": "moons"})
    assert standing.standings(archive.of_results(tmp_path / "own"), committed) == []
    # What has a committed result of its own is compared with that.
    assert standing.standings(committed.current, committed) == []


def test_a_submission_is_what_its_code_would_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch, tmp_path, "mnist-inr-own-mini")
    for seed in (0, 1):
        finished_run(tmp_path / "results", seed=seed, dataset={"name": "mnist-inr-own-mini"})
    with pytest.raises(RecordError, match="its command is not that of"):
        submit.submit("nft", "mini", tmp_path / "results", None, tmp_path / "records")
    assert not list((tmp_path / "records").glob("**/*"))


@pytest.mark.usefixtures("of_no_code")
def test_a_submission_has_every_condition_of_its_suite(tmp_path: Path) -> None:
    task = suites.get("mini-symmetry").tasks["inr-classification"]
    conditions = [
        (dataset, condition) for dataset, under in task.conditions.items() for condition in under
    ]
    for number, (dataset, condition) in enumerate(conditions):
        entrant = Entrant.parse(f"nft{condition}")
        for seed in task.seeds:
            finished_run(
                tmp_path / "results",
                70 + number + seed,
                seed,
                shift=1 + seed,
                suite="mini-symmetry",
                dataset={"name": dataset, "arm": entrant.arm},
                method={"options": list(entrant.options)},
            )
    (tmp_path / "records").mkdir()
    assert submit.submit("nft", "mini-symmetry", tmp_path / "results", None, tmp_path / "records")
    (lost,) = (tmp_path / "results").rglob("nft+canonical=True/seed-1.json")
    lost.unlink()
    with pytest.raises(RecordError, match=r"nft\+canonical=True was not run on mnist-inr-own"):
        submit.submit("nft", "mini-symmetry", tmp_path / "results", None, tmp_path / "records")
