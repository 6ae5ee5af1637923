"""Published numbers are data that is checked, and nothing stands beside them that was not run."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_record import make

from leaderboard import reported
from leaderboard.record import RecordError


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
    }
    row |= changes
    path.write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n", encoding="utf-8")
    return path


def test_every_committed_row_has_its_source() -> None:
    rows = reported.read()
    assert len(rows) > 100
    assert all(row.read_in and row.claimed_by for row in rows)
    assert len({tuple(row.model_dump().values()) for row in rows}) == len(rows)


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


def ours(score: float, seed: int, suite: str = "paper", arm: str = "permuted") -> object:
    return make(
        suite=suite,
        seed=seed,
        method={"name": "mlp", "title": "MLP"},
        dataset={"name": "mnist-inr", "arm": arm},
        metrics={"test": score, "validation": score},
    )


def test_only_the_papers_suite_stands_beside_a_paper(tmp_path: Path) -> None:
    rows = reported.read(write(tmp_path / "reported.csv", spread="0.035", spread_kind="standard error", runs="3"))
    others = [ours(0.5, 0, suite="mini"), ours(0.9, 0, arm="aligned")]
    page = reported.markdown(rows, others)
    assert "14.5 ± 0.035 (standard error, 3 runs)" in page
    assert "not run |" in page
    page = reported.markdown(rows, [*others, ours(0.14, 0), ours(0.16, 1)])
    assert "15 ± 1.4 (n=2)" in page
    assert "not run |" not in page


def test_what_a_row_holds_is_shown_as_text(tmp_path: Path) -> None:
    rows = reported.read(write(tmp_path / "reported.csv", note="<script>|[x](javascript:1)"))
    page = reported.markdown(rows, [])
    assert "<script>" not in page
    assert "\\[x]" in page
