"""What grids cost, as `docs/scaling.md` tells it."""

from __future__ import annotations

import pytest
from helpers import example_record

from benchmark.record.cell import Cell
from benchmark.runs.plan import plan
from leaderboard.publish import scaling


def test_a_grid_has_the_cells_that_are_run() -> None:
    grids = scaling.grids()
    assert {"mini", "paper"} <= {grid.suite for grid in grids}
    for grid in grids:
        runs = plan(grid.suite, grid.task)
        assert {run.cell.column for run in runs} == set(grid.columns), grid.suite
        assert len(runs) == grid.runs


@pytest.mark.parametrize(("workers", "seconds"), [(1, 17.0), (2, 9.0), (3, 6.0), (8, 5.0)])
def test_the_longest_run_comes_first(workers: int, seconds: float) -> None:
    assert scaling.makespan([3, 3, 2, 5, 4], workers) == seconds


def test_no_runs_take_no_time() -> None:
    assert scaling.makespan([], 8) == 0.0


def line(page: str, start: str) -> list[str]:
    (found,) = [text for text in page.splitlines() if text.startswith(f"| {start} ")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_only_what_was_measured_is_told() -> None:
    """Seeds of one column are averaged, on each device apart."""
    column = Cell.parse("mini/sine-frequency/sine-inr-mini/nft/0")
    place = {"suite": column.suite, "task": column.task, "dataset": {"name": column.dataset}}
    costs = [{"training_seconds": 60.0 * n, "evaluation_seconds": 0.0} for n in (1, 3)]
    records = [example_record(seed=n, cost=cost, **place) for n, cost in enumerate(costs)]
    gpu = {"cuda": "12", "processor": "A GPU"}
    records.append(example_record(cost=costs[0], environment=gpu, **place))
    table = scaling.page(records).replace("mini, sine-frequency", "sine", 1)
    assert line(table, "sine")[3:] == ["3", "a GPU of A GPU", "60 s", "3 min", "60 s", "60 s"]
    core = line(table, "mini, sine-frequency")
    assert core[3:] == ["3", "a core of x", "2 min", "6 min", "2 min", "2 min"]
    unmeasured = line(table, "paper, generalization")
    assert unmeasured[3:] == ["0", *["not measured"] * 5]
