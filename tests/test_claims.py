"""Papers' claims are judged by the tests of ranks, and sentences follow from the records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import finished_run

import baselines
from benchmark.record import metrics
from benchmark.record.cell import Entrant
from benchmark.record.schema import RecordError
from leaderboard.archive import entries, pools, tables
from leaderboard.archive.pools import Pool
from leaderboard.publish import claims as page
from leaderboard.publish import pages, sentences
from leaderboard.publish.sentences import Findings
from leaderboard.publish.symmetry import ONE, OWN, TASK
from leaderboard.reported import claims, judgements, simulation
from leaderboard.reported.claims import Claim
from leaderboard.statistics.ranks import Column, Sample

ACCURACY = metrics.get("accuracy")


def claim(row: str = "a", other: str = "b", kind: str = "better", task: str = TASK) -> Claim:
    return Claim(
        claim="one is better",
        claimed_by="NFT",
        claimed_in="arXiv:2305.13546",
        where="",
        read_in="its Table 1",
        inferred="",
        task=task,
        row=row,
        kind=kind,
        other=other,
        note="",
    )


def pool(samples: Mapping[str, Sample], dataset: str = "small", task: str = TASK) -> Pool:
    names = dict.fromkeys(samples, "mini")
    return Pool(task, dataset, metrics.get("accuracy"), Column.of(samples), names)


def drawn(random: np.random.Generator, mean: float, spread: float = 0.01) -> Sample:
    """Three seeds of a method of that accuracy, on 200 networks that stand for many."""
    networks = mean + 0.05 * random.standard_normal(200)
    scores = networks.mean() + spread * random.standard_normal(3)
    return Sample(scores, networks + scores.mean() - networks.mean())


def kinds(known: list[Claim], *columns: Pool) -> list[str]:
    return [one.verdict for one in judgements.judge(known, columns)]


def test_every_committed_claim_is_of_rows_that_are_here() -> None:
    known, rows = claims.read(), baselines.registry()
    assert len(known) >= 25
    assert len({(one.claimed_in, one.task, one.row, one.other) for one in known}) == len(known)
    for one in known:
        for name in (one.row, one.other):
            entrant = Entrant.parse(name)
            assert one.task in rows[entrant.method].method.tasks, name


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("better", "worse", "row 2: kind"),
        (",a,", ",not a row,", "row 2: row.*names no method"),
        ("its Table 1", "", "row 2: read_in"),
        ("arXiv:2305.13546", "Zhou 2023", "row 2: claimed_in"),
        (",b,", ",b,x,y,z", "row 2: one cell too many"),
    ],
)
def test_a_malformed_claim_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    values = claim().model_dump()
    line = ",".join(values.values()).replace(old, new)
    path = tmp_path / "claims.csv"
    path.write_text(",".join(values) + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(RecordError, match=message):
        claims.read(path)


def test_equal_methods_are_rarely_decided_and_a_planted_difference_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(simulation, "SEEDS", (5,))
    monkeypatch.setattr(simulation, "SPREADS", ((0.01, 0.01),))
    (rates,) = simulation.simulate(80)
    # One of the 56 equal pairs may be decided in 5 of 100 trials; an eighth is beyond chance.
    assert rates["wrong"] <= 0.125
    assert rates["found"] >= 0.9


def test_a_claim_holds_or_is_reversed_by_what_is_better() -> None:
    random = np.random.default_rng(1)
    column = pool({"a": drawn(random, 0.6), "b": drawn(random, 0.3), "c": drawn(random, 0.3)})
    assert kinds([claim("a", "b"), claim("b", "a")], column) == ["holds", "reversed"]
    errors = replace(column, metric=metrics.get("mse"))
    assert kinds([claim("a", "b"), claim("b", "a")], errors) == ["reversed", "holds"]


def test_nearness_is_shown_by_the_margin_and_not_by_a_lack_of_seeds() -> None:
    random = np.random.default_rng(2)
    base = drawn(random, 0.5, 0.0002)
    near = Sample(base.scores[::-1] + 0.001, base.networks + 0.001)
    far = Sample(base.scores[::-1] + 0.05, base.networks + 0.05)
    known = [claim("a", "b", "near")]
    assert kinds(known, pool({"a": base, "b": near})) == ["holds"]
    assert kinds(known, pool({"a": base, "b": far})) == ["reversed"]
    noisy = {name: drawn(random, 0.5, 0.03) for name in "ab"}
    assert kinds(known, pool(noisy)) == ["undecided"]


def test_one_comparison_counts_once_whoever_claims_it() -> None:
    random = np.random.default_rng(3)
    column = pool({"a": drawn(random, 0.52), "b": drawn(random, 0.5)})
    (alone,) = judgements.judge([claim()], [column])
    twice = judgements.judge([claim(), claim().model_copy(update={"claimed_by": "NG"})], [column])
    assert [one.p_value for one in twice] == [alone.p_value] * 2


def test_a_claim_without_runs_is_not_judged() -> None:
    random = np.random.default_rng(4)
    two_seeds = drawn(random, 0.5)
    two_seeds = Sample(two_seeds.scores[:2], two_seeds.networks)
    column = pool({"a": drawn(random, 0.9), "b": two_seeds})
    assert kinds([claim(), claim("a", "nobody"), claim(task="generalization")], column) == []


def test_suites_that_train_alike_are_pooled(tmp_path: Path) -> None:
    for place, (suite, name) in enumerate(
        [("mini", "nft"), ("mini-symmetry", "nft"), ("mini-symmetry", "mlp"), ("dws", "mlp")]
    ):
        for seed in range(3):
            right = 60 - 10 * place + seed
            finished_run(tmp_path, right, seed, name=name, shift=1 + seed + 3 * place, suite=suite)
    found = pools.pools(tables.boards(entries.of_results(tmp_path), lambda _: []))
    alike, apart = found
    assert alike.suites == {"nft": "mini", "mlp": "mini-symmetry"}
    assert alike.column.samples["nft"].mean == pytest.approx(0.61)
    assert apart.suites == {"mlp": "dws"}


def test_the_page_says_how_claims_came_out(tmp_path: Path) -> None:
    run(tmp_path, {"mlp-augmented": 80, "mlp": 20, "dwsnet": 50})
    boards = tables.boards(entries.of_results(tmp_path), lambda _: [])
    text = page.page(boards, [0.05])
    lines = text.splitlines()
    assert f"Of {len(claims.read())} claims" in text
    assert "By claim, 2 hold wherever they are decided, 1 are reversed" in text
    assert any("`dwsnet` > `mlp-augmented`" in line and "**reversed**" in line for line in lines)
    assert any("`mlp-augmented` > `mlp`" in line and "**holds**" in line for line in lines)
    assert any("`inr2array` > `nfn-hnp`" in line and "not run" in line for line in lines)
    assert "No claim could be judged yet." in page.page([], [0.05])


# Sentences.


def findings(
    results: Mapping[str, Mapping[str, float]], task: str = TASK, spread: float = 0.002
) -> Findings:
    """What pools of these accuracies, by dataset and entrant, give."""
    random = np.random.default_rng(5)
    found = {
        (task, dataset): pool(
            {name: drawn(random, mean, spread) for name, mean in by_name.items()}, dataset, task
        )
        for dataset, by_name in results.items()
    }
    titles = {name: name.upper() for by_name in results.values() for name in by_name}
    signed = frozenset({"phasor", "rendered-cnn"})
    return Findings(found, {}, titles, signed, frozenset({"nft", "nfn-hnp"}))


def canonical(one: float, own: float) -> Findings:
    names = ("nft", "nft+canonical=True")
    return findings(
        {ONE: dict.fromkeys(names, one), sentences.OWN_ALIKE: dict.fromkeys(names, own)}
    )


def scattered(nft: float, phasor: float) -> Findings:
    means = {"nft": 0.8, "phasor": 0.8, "nft@scattered": nft, "phasor@scattered": phasor}
    return findings({ONE: means}, spread=0.0005)


def form(plain: float, canonical: float) -> Findings:
    return findings({OWN: {"nft": plain, "nft+canonical=True": canonical}})


def edited(by_tensor: float, mlp: float) -> Findings:
    names = {"affine-editor": by_tensor, "mlp-editor": 0.7, "mlp-editor-augmented": mlp}
    return findings({"mnist-dilate-mini": names}, sentences.EDITING)


Say = Callable[[Findings], str | None]


@pytest.mark.parametrize(
    ("say", "supported", "contradicted"),
    [
        (sentences.own_starts, canonical(0.8, 0.4), canonical(0.4, 0.8)),
        (sentences.own_starts, canonical(0.8, 0.4), canonical(0.5, 0.5)),
        (sentences.scattering, scattered(0.6, 0.8), scattered(0.9, 0.8)),
        (sentences.canonical_form, form(0.3, 0.5), form(0.5, 0.3)),
        (sentences.editing, edited(0.4, 0.6), edited(0.6, 0.4)),
    ],
)
def test_a_sentence_vanishes_where_the_records_contradict_it(
    say: Say, supported: Findings, contradicted: Findings
) -> None:
    assert say(supported) is not None
    assert say(contradicted) is None
    assert say(findings({})) is None


def test_what_a_sentence_spares_is_shown_to_be_spared() -> None:
    assert "1 of the 1 methods that are invariant to the order of neurons alone" in str(
        sentences.scattering(scattered(0.6, 0.8))
    )
    assert "loses less than 1" not in str(sentences.scattering(scattered(0.6, 0.7)))
    random = np.random.default_rng(6)
    sample = drawn(random, 0.8, 0.0005)
    given = scattered(0.6, 0.8)
    samples = {
        **given.pools[TASK, ONE].column.samples,
        "phasor": sample,
        "phasor@scattered": sample,
    }
    spared = replace(given, pools={(TASK, ONE): pool(samples)})
    assert "PHASOR (80.4 %) loses less than 1" in str(sentences.scattering(spared))


def run(folder: Path, scores: Mapping[str, int], **changes: object) -> None:
    for place, (name, right) in enumerate(scores.items()):
        apart = {"reads_functions": name == "rendered-cnn", "code_sha256": "a" * 64}
        for seed in range(3):
            shift = 1 + seed + 3 * place
            finished_run(
                folder, right + seed, seed, name=name, shift=shift, method=apart, **changes
            )


@pytest.mark.parametrize(("image", "weights"), [(95, 50), (50, 95)])
def test_the_image_is_ahead_where_it_is(tmp_path: Path, image: int, weights: int) -> None:
    run(tmp_path, {"rendered-cnn": image, "nft": weights, "mlp": 12}, dataset={"name": OWN})
    said = sentences.sentences(tables.boards(entries.of_results(tmp_path), lambda _: []))
    if image > weights:
        (sentence,) = said
        assert "96.0 against 51.0 % (NFT) on MNIST" in sentence
    else:
        assert said == []


@pytest.mark.parametrize(("plain", "built"), [(90, 80), (60, 95)])
def test_simple_readers_suffice_where_they_do(tmp_path: Path, plain: int, built: int) -> None:
    run(
        tmp_path,
        {"extra-trees": plain, "statnn": 20, "nft": built},
        task="generalization",
        dataset={"name": "mnist-gs-mini"},
    )
    said = sentences.sentences(tables.boards(entries.of_results(tmp_path), lambda _: []))
    assert bool(said) == (plain > built)
    if said:
        assert "EXTRA-TREES 91.0 and STATNN 21.0, against 81.0 of NFT." in said[0]


def test_the_committed_board_says_what_its_tables_say() -> None:
    archive = entries.read()
    boards = tables.boards(archive.current)
    said = sentences.sentences(boards)
    assert 3 <= len(said) <= 6
    top = pages.leaderboard(boards, archive).partition("\n## ")[2]
    assert top.startswith("What these tables say")
    assert top.count("\n- ") >= len(said)
