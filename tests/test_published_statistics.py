"""Rebuilt datasets are held against what is published of the weights of the originals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from benchmark import suites
from benchmark.checks import traces
from benchmark.datasets import catalog, commands, listing, locate, statistics, storage
from benchmark.datasets.recipes.inr import Shard
from benchmark.errors import UserError
from benchmark.record import traces as records
from benchmark.record.schema import RecordError
from leaderboard.publish import rebuilt
from nft.network import NetworkSpec

SPEC = NetworkSpec.mlp(2, 6, 6, 1, activation="sine", omega=30.0)
NAME = "sine-inr-mini"


def published(weights: Tensor, networks: int, spec: NetworkSpec = SPEC) -> statistics.Statistics:
    parts = [part for layer in spec.to_layers(weights.double()) for part in layer]
    return statistics.Statistics(
        title="those networks",
        networks=networks,
        source="a test",
        tensors=("W1", "b1", "W2", "b2", "W3", "b3"),
        mean=tuple(float(part.mean()) for part in parts),
        std=tuple(float(part.std(correction=0)) for part in parts),
    )


def test_the_same_recipe_agrees_and_its_errors_are_standard() -> None:
    worst = []
    for _ in range(20):
        theirs, ours = (0.3 * torch.randn(4000, SPEC.parameters) for _ in range(2))
        # In parts, as shards are read.
        compared = statistics.compare(published(theirs, 4000), SPEC, ours.split(1500))
        assert [one.tensor for one in compared] == 2 * ["W1", "b1", "W2", "b2", "W3", "b3"]
        worst += [one.errors for one in compared]
    spread = torch.tensor(worst).std()
    assert 0.8 < spread < 1.2, "differences in units of their standard error"


@pytest.mark.parametrize(
    ("change", "off"),
    [
        (lambda weights: 1.05 * weights, "standard deviation of W2"),
        (lambda weights: weights + 0.1, "mean of b3"),
    ],
)
def test_another_recipe_is_told_by_name(change, off: str) -> None:
    theirs = torch.randn(4000, SPEC.parameters)
    compared = statistics.compare(published(theirs, 4000), SPEC, [change(torch.randn_like(theirs))])
    assert off in [one.name for one in compared if not one.agrees]
    assert "too far" in statistics.table(compared)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> storage.WeightDataset:
    """A dataset that the catalogue pins by its recipe and its statistics, which are its own."""
    dataset = storage.read(listing.EMBEDDED / NAME)
    weights = dataset.splits["train"].weights
    known = published(weights, len(weights), dataset.spec)
    monkeypatch.setitem(statistics.published(), "those", known)
    changes = {"fingerprint": None, "statistics": "those"}
    entry = catalog.entry(NAME).model_copy(update=changes)
    monkeypatch.setitem(catalog.catalog(), NAME, entry)
    return dataset


def test_statistics_and_recipe_pin_a_dataset(measured: storage.WeightDataset) -> None:
    assert locate.is_pinned(NAME, measured)
    train = measured.splits["train"]
    wider = measured.splits | {"train": replace(train, weights=1.1 * train.weights)}
    assert not locate.is_pinned(NAME, replace(measured, splits=wider))
    other = measured.manifest.model_copy(update={"recipe": {"seed": 1}})
    assert not locate.is_pinned(NAME, replace(measured, manifest=other))


def test_verify_says_how_far_off_each_statistic_is(
    measured: storage.WeightDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = CliRunner().invoke(commands.app, ["verify", NAME])
    assert result.exit_code == 0, result.output
    assert "standard deviation of W1" in result.output and "+0.00" in result.output
    known = statistics.published()["those"]
    wider = known.model_copy(update={"std": tuple(1.1 * value for value in known.std)})
    monkeypatch.setitem(statistics.published(), "those", wider)
    result = CliRunner().invoke(commands.app, ["verify", NAME])
    assert isinstance(result.exception, UserError)
    assert "not the paper's networks, by the standard deviation of W1" in str(result.exception)


def test_every_dataset_of_a_paper_says_whether_it_can_be_checked() -> None:
    names = {
        dataset
        for name, suite in suites.registry().items()
        if "mini" not in name
        for task in suite.tasks.values()
        for dataset in task.datasets
    }
    assert names
    for name in names:
        entry = catalog.entry(name)
        assert entry.statistics is not None, name
        statistics.get(entry.statistics)
    with pytest.raises(UserError, match="known: mnist-inr-dws"):
        statistics.get("of nobody")


def test_a_trace_tells_a_recipe_from_its_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the recipe itself made is published: the point at its settings is the one that fits."""
    listed = catalog.entry("fashion-inr-mini")
    changes = {"steps": 30, "learning_rate": 1e-2, "weight_decay": 1e-2, "minimum_psnr": 0.0}
    recipe = listed.recipe.model_copy(update=changes | {"initialisation": "independent"})
    changes = {"recipe": recipe, "fingerprint": None, "statistics": "those"}
    entry = listed.model_copy(update=changes)
    monkeypatch.setitem(catalog.catalog(), "fashion-inr-mini", entry)
    images = Path(__file__).parent / "data"
    split, _ = recipe.build(entry.images, Shard("train", range(12), 0), images)
    known = published(split.weights, 12, recipe.spec)
    monkeypatch.setitem(statistics.published(), "those", known)
    lines: list[str] = []
    trace = traces.measure("fashion-inr-mini", 12, images, lines.append)
    assert len(trace.points) == len(lines) == 4 * 5, "three rates and no decay, of five lengths"
    distances = {
        point.settings: max(abs(one.percent) for one in point.statistics) for point in trace.points
    }
    assert distances.pop(trace.settings) == pytest.approx(0, abs=1e-3)
    assert min(distances.values()) > 0.05
    assert trace.whole == 0 and trace.rebuilt == ()
    path = records.write(trace, tmp_path)
    assert records.read(tmp_path) == [trace]
    assert "30 |" in records.table(trace)
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(RecordError, match="restore the file"):
        records.read(tmp_path)
    with pytest.raises(UserError, match="no recipe of INRs"):
        traces.measure("sine-inr-mini", 2, None)


def test_the_page_says_how_near_a_rebuilt_dataset_is() -> None:
    def statistics_of(factor: float) -> tuple[records.Statistic, ...]:
        return tuple(
            records.Statistic(
                kind="standard deviation",
                tensor=tensor,
                published=0.1,
                measured=0.1 * factor,
                percent=100 * (factor - 1),
                errors=5.0,
            )
            for tensor in ("W1", "b1", "W2", "b2", "W3", "b3")
        )

    recipe = records.Settings(learning_rate=1e-3, weight_decay=0, steps=1500)
    shorter = recipe.model_copy(update={"steps": 500})
    trace = records.Trace(
        dataset="some-inr",
        title="Theirs <1>",
        source="a test",
        settings=recipe,
        networks=8,
        points=(
            records.Point(settings=shorter, statistics=statistics_of(0.8)),
            records.Point(settings=recipe, statistics=statistics_of(1.01)),
        ),
        whole=55000,
        rebuilt=statistics_of(1.02),
    )
    page = rebuilt.page([trace])
    assert "All 55,000 training networks" in page and "by +2.0 %" in page
    assert "**1,500**" in page and "-20.0" in page
    ((name, figure),) = rebuilt.figures([trace]).items()
    assert f"]({name})" in page
    assert "Theirs &lt;1&gt;" in figure
    unbuilt = trace.model_copy(update={"whole": 0, "rebuilt": ()})
    assert "not built here yet" in rebuilt.page([unbuilt])
    assert "Nothing was measured" in rebuilt.page([])
