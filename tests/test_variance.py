"""Where the variance of results comes from: one thing is drawn anew, and all else stays."""

from __future__ import annotations

from pathlib import Path
from statistics import variance

import pytest
import torch
from helpers import small

from benchmark.checks import variance as check
from benchmark.datasets.storage import WeightDataset
from benchmark.record import variance as record
from benchmark.record.schema import RecordError
from benchmark.runs.plan import Run, plan
from nft import siren

NAME = "mnist-inr-own-mini"


def spread(method: str, source: record.Source, *scores: float) -> record.Spread:
    return record.Spread(
        method=method,
        title=method.upper(),
        dataset=NAME,
        metric="accuracy",
        source=source,
        scores=scores,
        code_sha256=None,
        versions={"torch": "2"},
    )


def test_shares_are_of_the_sum_of_variances() -> None:
    spreads = [
        spread("mlp", "training", 0.1, 0.3),
        spread("mlp", "fitting", 0.1, 0.2),
        spread("mlp", "permuting", 0.1, 0.1),
    ]
    total = variance((0.1, 0.3)) + variance((0.1, 0.2))
    shares = record.shares(spreads)
    assert shares["training"] == pytest.approx(variance((0.1, 0.3)) / total)
    assert shares["permuting"] == 0
    assert sum(shares.values()) == pytest.approx(1)
    table = record.table(spreads)
    assert "14 (80%)" in table and "7.1 (20%)" in table and "MLP" in table


def test_new_spreads_take_the_place_of_older_ones(tmp_path: Path) -> None:
    path = tmp_path / "variance.json"
    record.write([spread("nft", "fitting", 1, 2), spread("mlp", "training", 1, 2)], path)
    record.write([spread("nft", "fitting", 3, 4), spread("nft", "training", 5, 6)], path)
    assert [(one.method, one.source, one.scores[0]) for one in record.read(path)] == [
        ("mlp", "training", 1),
        ("nft", "training", 5),
        ("nft", "fitting", 3),
    ]
    path.write_text("[{}]")
    with pytest.raises(RecordError, match="restore the file"):
        record.read(path)


def test_one_thing_is_drawn_anew_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scores here are of what a run would read and of its seed, not of training."""
    stored = small(NAME, 6)
    monkeypatch.setattr(check.locate, "load", lambda name: (stored, "embedded"))
    refitted = []

    def refit(stored: WeightDataset, number: int, *_: object) -> WeightDataset:
        refitted.append(number)
        return check._permuted(stored, 100 + number)

    seen: list[tuple[int, WeightDataset]] = []

    def score(run: Run, dataset: WeightDataset) -> float:
        seen.append((run.cell.seed, dataset))
        return float(len(seen))

    monkeypatch.setattr(check, "_refitted", refit)
    monkeypatch.setattr(check, "_score", score)
    spreads = check.measure("statnn", tmp_path, None)
    assert [one.source for one in spreads] == ["training", "fitting", "permuting"]
    assert [one.scores for one in spreads] == [
        (1, 2, 3, 4, 5),
        (1, 6, 7, 8, 9),
        (1, 10, 11, 12, 13),
    ], "the first draw is the suite's own, and the same for all"
    assert [seed for seed, _ in seen] == [0, 1, 2, 3, 4] + 8 * [0]
    assert all(dataset is stored for _, dataset in seen[:5])
    assert refitted == [1, 2, 3, 4]
    inputs = {dataset.splits["train"].weights.numpy().tobytes() for _, dataset in seen[9:]}
    assert len(inputs) == 4


def test_permuted_networks_draw_the_same_images() -> None:
    stored = small(NAME, 4)
    permuted = check._permuted(stored, 1)
    (run,) = plan("mini", "inr-classification", [NAME], ["statnn"], [0])
    assert run.cell.dataset == permuted.name
    points = torch.rand(7, 2)
    for split, part in stored.splits.items():
        weights = permuted.splits[split].weights
        assert not torch.equal(weights, part.weights)
        draws = [siren.render(stored.spec, rows, points) for rows in (weights, part.weights)]
        torch.testing.assert_close(*draws, atol=1e-5, rtol=0)
