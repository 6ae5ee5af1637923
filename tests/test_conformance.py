"""The conformance report finds what breaks the contract."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers import ROOT, finished_run
from markdown_it import MarkdownIt
from torch import Tensor, nn

import baselines
from benchmark import suites
from benchmark.checks import conformance
from benchmark.errors import UserError
from benchmark.methods import Method, Problem
from benchmark.record import sources
from benchmark.record.schema import RecordError
from leaderboard.archive import drawings, tallies
from leaderboard.archive import entries as archive
from leaderboard.submissions import reproduce, review


class Peeks(nn.Module):
    """Depends on the order of neurons, though nobody said so."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.linear = nn.Linear(problem.spec.parameters, problem.outputs)

    def forward(self, flat: Tensor) -> Tensor:
        random.seed(0)
        return self.linear(flat)


@dataclass(frozen=True)
class Careless(Method):
    """Claims an invariance that it lacks, and seeds Python's generator for everybody."""

    name = "careless"
    title = "Careless"
    paper = "none"
    tasks = ("sine-frequency",)
    mini = {}

    def build(self, problem: Problem) -> nn.Module:
        return Peeks(problem)


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {**baselines.registry(), "careless": baselines.Row(Careless)}
    monkeypatch.setattr(baselines, "registry", lambda: known)
    mini = suites.get("mini")
    tasks = {"sine-frequency": mini.tasks["sine-frequency"]}
    only = {"mini": mini.model_copy(update={"tasks": tasks})}
    monkeypatch.setattr(suites, "registry", lambda: only)


def test_an_editor_that_starts_as_the_identity_conforms() -> None:
    """It starts alike for every seed, and draws nothing that could differ."""
    assert all(finding.holds is not False for finding in conformance.conform("affine-editor"))


def test_what_is_broken_is_found(careless: None) -> None:
    findings = {finding.what: finding for finding in conformance.conform("careless")}
    assert findings["sine-frequency: permutation symmetry"].holds is False
    assert (
        findings["sine-frequency: leaves no global state behind"].detail == "Python's random state"
    )
    assert findings["sine-frequency: test targets change nothing"].holds is True
    assert findings["sine-frequency: output"].holds is True


def test_a_sound_method_conforms(careless: None) -> None:
    findings = conformance.conform("statnn")
    assert all(finding.holds is not False for finding in findings)
    measured = [finding for finding in conformance.conform("mlp") if "symmetry" in finding.what]
    assert {finding.holds for finding in measured} == {None}
    assert all("none claimed" in finding.detail for finding in measured)
    with pytest.raises(UserError, match="nft-editor is in no suite"):
        conformance.conform("nft-editor")


def test_two_runs_of_a_cell_are_held_against_each_other(tmp_path: Path) -> None:
    for name, right, shift in (("one", 70, 1), ("same", 70, 1), ("near", 71, 1), ("far", 40, 1)):
        finished_run(tmp_path / name, right, shift=shift)
    one, same, near, far = (
        archive.of_results(tmp_path / name)[0] for name in ("one", "same", "near", "far")
    )
    committed = archive.Archive([one])
    assert reproduce.compare(one, same, committed).verdict == "bit-equal"
    assert reproduce.compare(one, near, committed).verdict == "within noise"
    assert reproduce.compare(one, far, committed).verdict == "different"
    assert "accuracy was 70.0, is 40.0" in str(reproduce.compare(one, far, committed))
    assert reproduce.find(committed, "mini/inr-classification/small/nft/0") == [one]
    assert reproduce.find(committed, "mini/inr-classification/small/nft") == [one]  # all seeds
    with pytest.raises(RecordError, match="one that is: mini/inr-classification/small/nft/0"):
        reproduce.find(committed, "mini/x")


def test_all_ranked_rows_are_run_again_once(tmp_path: Path) -> None:
    committed = archive.read()
    rows = reproduce.ranked(committed, "mini")
    assert len({entry.record.cell.row for entry in rows}) == len(rows) > 100
    column = "mini/inr-classification/mnist-inr-own-mini/"
    cells = [column + name for name in ("mlp/0", "statnn/0")]
    chosen = [entry for entry in rows if str(entry.record.cell) in cells]
    results = tmp_path / "results"
    tally = reproduce.reproduce_all(chosen, committed, results, "cpu")
    assert [one.cell for one in tally.reproductions] == cells
    assert "different" not in {one.verdict for one in tally.reproductions}
    stamps = [path.stat().st_mtime_ns for path in results.glob("**/seed-0.json")]
    reproduce.reproduce_all(chosen, committed, results, "cpu")
    assert [path.stat().st_mtime_ns for path in results.glob("**/seed-0.json")] == stamps


def test_a_rerun_keeps_what_networks_draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawings, "FOLDER", tmp_path / "kept")
    finished_run(tmp_path / "run")
    (entry,) = archive.of_results(tmp_path / "run")
    assert drawings.keep(tmp_path / "run", entry.record) is None
    sheet = (tmp_path / "run" / entry.record.path).with_suffix(".reconstructions.png")
    sheet.write_bytes(b"drawn")
    kept = drawings.keep(tmp_path / "run", entry.record)
    assert kept == tmp_path / "kept" / "mini" / "small" / "nft.png"
    assert kept.read_bytes() == b"drawn"


def test_a_tally_is_one_line_of_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "FOLDER", tmp_path)
    finished_run(tmp_path / "run")
    (entry,) = archive.of_results(tmp_path / "run")
    verdicts = ("bit-equal", "within noise", "within noise", "different")
    made = tuple(
        tallies.Reproduction(
            cell=f"a/b/c/d/{seed}", verdict=verdict, metric="accuracy", was=0.7, now=0.4, unlike=()
        )
        for seed, verdict in enumerate(verdicts)
    )
    told = {"suite": "mini", "finished_at": entry.record.finished_at, "reproductions": made}
    path = tallies.write(tallies.Tally(environment=entry.record.environment, **told))
    text = tallies.table(tallies.read(tmp_path))
    assert "4 |           1 |              2 |           1" in text
    assert text.endswith("- a/b/c/d/3: different: accuracy was 70.0, is 40.0")
    path.write_text("{}")
    with pytest.raises(RecordError, match=r"mini-x.*\.json: .*; restore the file"):
        tallies.read(tmp_path)


def test_a_reproduction_names_in_what_the_machines_differ(tmp_path: Path) -> None:
    finished_run(tmp_path / "old")
    versions = {"torch": "2.9", "numpy": "2.3"}
    finished_run(tmp_path / "new", environment={"processor": "y", "versions": versions})
    old, new = (archive.of_results(tmp_path / name)[0] for name in ("old", "new"))
    unlike = reproduce.compare(old, new, archive.Archive([old]))
    text = reproduce.unlike_text([unlike])
    assert text == "the environments differ: processor was x, is y; torch was 2.8, is 2.9"
    assert "alike" in reproduce.unlike_text([reproduce.compare(old, old, archive.Archive([]))])


def test_a_committed_run_does_not_reproduce_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where `--results` is the folder that the committed record came from, nothing is run."""
    finished_run(tmp_path)
    (entry,) = archive.of_results(tmp_path)
    done = SimpleNamespace(returncode=0)
    monkeypatch.setattr(reproduce.subprocess, "run", lambda *_, **__: done)
    with pytest.raises(RecordError, match="is the committed run itself"):
        reproduce.reproduce(entry, archive.Archive([entry]), tmp_path)


def test_noise_is_where_one_more_seed_would_lie(tmp_path: Path) -> None:
    for seed, right in enumerate((70, 60, 80)):
        finished_run(tmp_path / "committed", right, seed)
    finished_run(tmp_path / "near", 40, shift=5)  # within 70 +- 4.3 * 10 * sqrt(4 / 3)
    finished_run(tmp_path / "far", 19, shift=5)
    committed = archive.Archive(archive.of_results(tmp_path / "committed"))
    near, far = (archive.of_results(tmp_path / name)[0] for name in ("near", "far"))
    assert reproduce.compare(committed.entries[0], near, committed).verdict == "within noise"
    assert reproduce.compare(committed.entries[0], far, committed).verdict == "different"


def test_new_runs_stand_beside_the_committed_ones(tmp_path: Path) -> None:
    """Each verdict once; nothing for a cell without a committed record that is ranked."""
    for seed in range(4):
        environment = {"clean": seed != 3}
        finished_run(tmp_path / "committed", 70, seed, environment=environment)
    for seed, right in ((0, 70), (1, 71), (2, 40), (3, 70), (4, 70)):
        finished_run(tmp_path / "new", right, seed)
    committed = archive.Archive(archive.of_results(tmp_path / "committed"))
    beside = reproduce.beside_committed(archive.of_results(tmp_path / "new"), committed)
    assert [(one.cell[-1], one.verdict) for one in beside] == [
        ("0", "bit-equal"),
        ("1", "within noise"),
        ("2", "different"),
    ]
    assert "1 bit-equal, 1 within noise, 1 different; the env" in reproduce.table(beside)


def test_a_committed_run_of_other_settings_is_named_rather_than_compared(tmp_path: Path) -> None:
    steps = suites.get("mini").tasks["inr-classification"].protocol.steps
    for seed in range(2):
        committed = {"protocol": {"steps": steps - 1}, "method": {"hyperparameters": {"width": 7}}}
        finished_run(tmp_path / "committed", 70, seed, **committed)
        now = {"hyperparameters": {"width": 9}}
        finished_run(tmp_path / "new", 70, seed, protocol={"steps": steps}, method=now)
    committed, new = (archive.of_results(tmp_path / name) for name in ("committed", "new"))
    assert reproduce.beside_committed(new, archive.Archive(committed)) == []
    (line,) = reproduce.not_compared(new, archive.Archive(committed))
    assert line == (
        "mini/inr-classification/small/nft: the committed result is of settings that have changed "
        f"since; width was 7, is 9; steps was {steps - 1}, is {steps}"
    )


def test_a_review_tells_what_stands(tmp_path: Path) -> None:
    fine = review.MethodReview(
        name="nft",
        conforms=True,
        conformance="ok  all\n<script>",
        reruns=["a: bit-equal"],
        standings=["small: Fine: 70.0, #2 of 9; next better: *B* (p = 0.2); next worse: none"],
        stands=True,
    )
    good = review.Review(methods=[fine], failures=[])
    text = review.comment(good)
    assert text.startswith("**The submission stands.**")
    assert "    <script>" in text  # inside a block of code, where it is text
    bad = review.Review(
        methods=[fine.model_copy(update={"stands": False})], failures=["<img src=x>"]
    )
    assert "does not stand" in review.comment(bad)
    assert "- `<img src=x>`\n" in review.comment(bad)  # text, in a span of code
    with pytest.raises(ValueError, match="at most 4000"):
        review.MethodReview(
            name="nft",
            conforms=True,
            conformance="x" * 5000,
            reruns=[],
            standings=[],
            stands=True,
        )
    with pytest.raises(RecordError, match="git cannot tell"):
        review.changed_methods("no-such-commit")


@pytest.mark.parametrize(
    "words",
    [
        "@everyone see #1, GH-2 and https://example.org",
        "`@everyone` ``#1``",
        "\\`@everyone",
        "[x](y) **z** <b> &lt; ![i](j)",
        "# a\n\n- @b",
        "`",
        "```",
    ],
)
def test_submitted_words_are_code_in_a_comment(words: str) -> None:
    method = review.MethodReview(
        name="deadbeef",
        conforms=True,
        conformance=words,
        reruns=[words],
        standings=[words],
        stands=True,
    )
    text = review.comment(review.Review(methods=[method], failures=[words]))
    tokens = MarkdownIt("commonmark").parse(text)
    inner = [one for token in tokens for one in token.children or ()]
    line = " ".join(words.split())
    assert [one.content for one in inner if one.type == "code_inline"] == [
        line,
        "deadbeef",
        line,
        line,
    ]
    assert {one.content for one in inner if one.type == "text"} <= {
        "",
        "The submission does not stand yet.",
        ": conforms to the contract",
    }
    assert {one.type for one in inner} == {"text", "code_inline", "strong_open", "strong_close"}
    (block,) = [token.content for token in tokens if token.type == "code_block"]
    assert block.strip() == words


def test_changed_methods_are_found_by_their_files() -> None:
    assert list(sources.methods_in(ROOT / "baselines/mlp.py")) == [
        "mlp",
        "mlp-augmented",
        "mlp-editor",
        "mlp-editor-augmented",
    ]
