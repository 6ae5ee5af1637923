"""Published numbers are data that is checked."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from helpers import reported as reported_row

from baselines import registry
from benchmark.record import metrics
from benchmark.record.cell import Entrant
from benchmark.record.schema import RecordError
from leaderboard import reported
from leaderboard.reported import check, explanations


def write(path: Path, **changes: str) -> Path:
    row = dict.fromkeys(reported.Reported.model_fields, "") | {
        "task": "inr-classification",
        "dataset": "mnist-inr",
        "method": "MLP",
        "metric": "accuracy",
        "value": "14.5",
        "claimed_by": "NFN",
        "claimed_in": "arXiv:2302.14040",
        "read_in": "its Table 3",
        "suite": "paper",
    }
    row |= changes
    path.write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n", encoding="utf-8")
    return path


def test_every_committed_row_has_its_source() -> None:
    rows = reported.read()
    assert len(rows) > 100
    assert all(row.read_in and row.claimed_by for row in rows)
    assert len({tuple(row.model_dump().values()) for row in rows}) == len(rows)
    assert all(row.metric in metrics.METRICS for row in rows)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"value": "many"}, "row 2: value"),
        ({"value": "nan"}, "row 2: value.*finite"),
        ({"spread": "-1"}, "row 2: spread"),
        ({"spread_kind": "sem"}, "row 2: spread_kind"),
        ({"runs": "0"}, "row 2: runs"),
        ({"metric": "vibes"}, "row 2: metric"),
        ({"read_in": ""}, "row 2: read_in"),
        ({"surprise": "x"}, "row 2: surprise"),
    ],
)
def test_a_malformed_row_is_named(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    with pytest.raises(RecordError, match=message):
        reported.read(write(tmp_path / "reported.csv", **changes))


@pytest.mark.parametrize(
    "text",
    ["as {mlp", "as {m l p}", "as {}", "as {mlp!r}", "as {mlp:>9}", "as {mlp[0]}", "", " "],
)
def test_a_malformed_explanation_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "explanations.csv"
    row = "inr-editing,mnist-dilate,MLP,paper,higher,"
    path.write_text(f"{','.join(explanations.Row.model_fields)}\n{row}{text}\n", encoding="utf-8")
    with pytest.raises(RecordError, match="row 2: text"):
        explanations.read(path)


def test_every_explanation_is_of_one_row_and_of_methods_that_there_are() -> None:
    rows = Counter((row.task, row.dataset, row.method, row.suite) for row in reported.read())
    explained = explanations.read()
    for one in explained:
        assert rows[one.task, one.dataset, one.method, one.suite] == 1
        named = {Entrant.parse(name).method for name in explanations.entrants(one.text)}
        assert named <= set(registry())
    places = {(one.task, one.dataset, one.method, one.suite, one.verdict) for one in explained}
    assert len(places) == len(explained)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"suite": "nowhere"}, "its task is in none of our suites"),
        ({"dataset": "shapenet10"}, "its dataset is not here"),
        ({"method": "Nobody's method"}, "its method is not here"),
    ],
)
def test_a_row_that_no_command_can_fill_is_not_comparable(
    changes: dict[str, str], reason: str
) -> None:
    there = {"suite": "paper", "task": "inr-classification", "dataset": "mnist-inr"}
    (fillable,) = check.check([reported_row(**there, method="NFT", differs="")], [])
    assert fillable.kind == "not run"
    assert re.fullmatch(r"not run: at least [\d.]+ PFLOP a seed", fillable.text)
    (one,) = check.check([reported_row(**{**there, "method": "NFT", "differs": "", **changes})], [])
    assert (one.kind, one.text) == ("not comparable", f"not comparable: {reason}")
