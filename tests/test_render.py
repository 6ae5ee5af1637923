"""Tables say what the records say."""

from __future__ import annotations

from statistics import mean, stdev

from test_record import make

from leaderboard import render
from leaderboard.record import EncoderPart


def records(name: str, scores: list[float], dataset: str = "small", arm: str = "permuted") -> list[object]:
    return [
        make(
            seed=seed,
            method={"name": name, "title": name.upper()},
            dataset={"name": dataset, "arm": arm},
            metrics={"test": score, "validation": score},
        )
        for seed, score in enumerate(scores)
    ]


def test_cells_are_mean_and_spread_and_the_best_comes_first() -> None:
    table = render.table(records("low", [0.2, 0.3, 0.25]) + records("high", [0.71, 0.73, 0.78]))
    assert table["method"].tolist() == ["HIGH", "LOW"]
    scores = [71, 73, 78]
    assert table["small"].tolist()[0] == f"{mean(scores):.1f} ± {stdev(scores):.1f}"


def test_missing_and_few_seeds_are_visible() -> None:
    found = records("a", [0.5, 0.6, 0.7]) + records("b", [0.5]) + records("b", [0.4, 0.5, 0.6], dataset="other")
    table = render.table(found).set_index("method")
    assert table.loc["A", "other"] == "-"
    assert table.loc["B", "small"] == "50.0 (n=1)"


def test_arms_are_told_apart() -> None:
    table = render.table(records("mlp", [0.2, 0.3]) + records("mlp", [0.8, 0.9], arm="aligned"))
    assert table["method"].tolist() == ["MLP (aligned weights)", "MLP"]


def test_runs_that_did_not_finish_are_told() -> None:
    diverged = make(status="diverged", reason="the loss was NaN at step 7", metrics={}, cost=None, curve=[])
    diverged = diverged.model_copy(update={"cost": None})
    for shown in (render.text([diverged]), render.markdown([diverged])):
        assert "NaN at step 7" in shown
    assert render.table([diverged])["small"].tolist() == ["-"]


def test_reconstructions_stand_beside_the_mean_image() -> None:
    encoder = {
        "sha256": "c" * 64,
        "parameters": 10,
        "protocol": {"steps": 5},
        "curve": [],
        "test_psnr": 21.0,
        "mean_image_psnr": 12.5,
        "training_seconds": 1,
        "evaluation_seconds": 1,
        "encoding_seconds": 1,
        "from_cache": False,
    }
    two = [make(seed=seed) for seed in range(2)]
    parts = [EncoderPart.model_validate(encoder | {"test_psnr": psnr}) for psnr in (20.0, 22.0)]
    records = [record.model_copy(update={"encoder": part}) for record, part in zip(two, parts, strict=True)]
    wanted = "NFT on small redraws unseen networks at 21.0 ± 1.4 dB; their mean image is at 12.5 dB"
    assert wanted in render.text(records)
    assert wanted in render.markdown(records)
    assert "first of two stages: steps 5" in render.markdown(records)


def test_hostile_text_stays_text() -> None:
    record = make(method={"title": "<script>|[x](y)\n# h"}, setting="<b>|")
    shown = render.markdown([record])
    assert "<script>" not in shown
    assert "<b>" not in shown
    assert "\n# h" not in shown
    row = next(line for line in shown.splitlines() if "script" in line)
    assert row.replace("\\|", "").count("|") == 6


def test_every_setting_is_named() -> None:
    shown = render.markdown(records("a", [0.5, 0.6]))
    for wanted in ("reduced", "steps 10", "Seeds: 0, 1", "small bbbbbbbbbbbb", "torch 2.8"):
        assert wanted in shown
    assert "No runs yet" in render.markdown([])
