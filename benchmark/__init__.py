"""The harness: datasets, tasks, suites, and the runner that turns a grid of runs into records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from benchmark.methods import Method


def load(path: Path | str, method: type[Method] | None = None) -> nn.Module:
    """Load what a run with --keep trained.

    Args:
        path: The run's record, as "results/mini/.../seed-0.json".
        method: The method's class, of a method that is not the project's.

    Returns:
        The module with the selected weights, in evaluation mode, on the CPU. It maps flat weights
        `[batch, parameters]` as the run read them: of a run in canonical form, in that form.

    Raises:
        UserError: The weights are not there, damaged, or of other code.
    """
    from benchmark.runs import kept

    return kept.load(path, method)
