"""Conformance: whether a method keeps its contract (shapes, seeds, symmetry, no side effects)."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import baselines
from benchmark import suites, tasks
from benchmark.checks import audit
from benchmark.datasets import locate
from benchmark.datasets.storage import WeightDataset
from benchmark.errors import UserError
from benchmark.methods import Method, Problem
from benchmark.record.cell import Cell, Entrant
from benchmark.runs.fit import fit, problem_of
from benchmark.runs.plan import Run
from benchmark.runs.training import Monitor
from benchmark.suites.protocol import Protocol

BATCH = 4
NETWORKS = 16  # of each split, in short runs
FEW_STEPS = Protocol(steps=2, batch_size=16, warmup_steps=1, evaluations=1, clip=1.0)
SHARES = (0.5, 1.0)
"""Of the hidden neurons that are changed: what holds for all at once need not hold for some."""


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        what: The property.
        holds: Whether it holds; None for a measurement that is reported without a verdict.
        detail: The evidence.
    """

    what: str
    holds: bool | None
    detail: str


def conform(name: str) -> list[Finding]:
    """Check a method in every task of one suite that contains it, preferably `mini`.

    Raises:
        UserError: If there is no such method, or no suite contains it.
    """
    row = baselines.get(name)
    suite = next(
        (
            suite
            for suite in (suites.get(suites.MINI), *suites.registry().values())
            if row.is_in_any(suite.name)
        ),
        None,
    )
    if suite is None:
        raise UserError(
            f"{name} is in no suite: give it `mini`, or settings in benchmark/suites/settings"
        )
    findings = []
    for task, settings in suite.tasks.items():
        if not row.is_in(suite.name, task) or not settings.datasets:
            continue
        method = row.make(suite.name, task, settings.datasets[0])
        dataset, _ = locate.load(settings.datasets[0])
        problem = problem_of(tasks.registry()[task](dataset), dataset)
        if (reason := method.skip(problem)) is not None:
            findings.append(Finding(f"{task}: reads {dataset.name}", None, f"skips it: {reason}"))
            continue
        findings += [
            *_shapes(method, tasks.registry()[task](dataset), problem),
            _test_targets(name, method, suite.name, task, dataset),
        ]
    if row.is_in_any(suites.MINI):
        findings += _symmetries(name)
    return findings


def _module(method: Method, problem: Problem, seed: int) -> nn.Module:
    """Make the map from flat weights to predictions, through all stages, in float64."""
    torch.manual_seed(seed)
    stages = [stage.build(problem) for stage in method.stages]
    return (stages[0] if len(stages) == 1 else _Chain(*stages)).double().eval()


class _Chain(nn.Module):
    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, flat: Tensor) -> Tensor:
        return self.head(self.encoder.encode(flat))


def _shapes(method: Method, task: tasks.Task, problem: Problem) -> list[Finding]:
    flat = task.dataset.splits["train"].weights[:BATCH].double()
    before = _globals()
    module = _module(method, problem, 0)
    with torch.no_grad():
        outputs = module(flat)
    changes = [name for name, value in _globals().items() if not _equal(value, before[name])]
    finite = bool(torch.isfinite(outputs).all())
    replica, other = _module(method, problem, 0), _module(method, problem, 1)
    reproducible = all(
        torch.equal(a, b)
        for a, b in zip(module.state_dict().values(), replica.state_dict().values(), strict=True)
    )
    # Numbers that are not trained, or start as one constant, may be the same for every seed.
    drawn = any(
        parameter.requires_grad and parameter.unique().numel() > 1
        for parameter in module.parameters()
    )
    distinct = not drawn or any(
        not torch.equal(a, b) for a, b in zip(module.parameters(), other.parameters(), strict=True)
    )
    return [
        Finding(
            f"{task.name}: output",
            task.fits(outputs, BATCH),
            f"{tuple(outputs.shape)} for {BATCH} networks",
        ),
        Finding(
            f"{task.name}: finite",
            finite,
            "all outputs" if finite else "not all",
        ),
        Finding(
            f"{task.name}: the same seed makes the same parameters",
            reproducible,
            "yes" if reproducible else "no",
        ),
        Finding(f"{task.name}: another seed makes others", distinct, "yes" if distinct else "no"),
        Finding(
            f"{task.name}: leaves no global state behind",
            not changes,
            ", ".join(changes) or "nothing changed",
        ),
    ]


def _symmetries(name: str) -> list[Finding]:
    """Measure the symmetries that the method claims, and those that it does not, untrained."""
    return [
        Finding(
            f"{one.task}: {one.change} symmetry",
            one.holds if one.claimed and one.conclusive else None,
            f"moves by {one.largest:.1e} of the distance between networks"
            + ("" if one.claimed else ", none claimed"),
        )
        for one in audit.audit([name], stages=("initial",), shares=SHARES)
    ]


def _test_targets(
    name: str, method: Method, suite: str, task: str, dataset: WeightDataset
) -> Finding:
    """Compare the predictions of two short runs, one of them with reversed test targets."""
    subset = {name: _first(split, NETWORKS) for name, split in dataset.splits.items()}
    test = replace(subset["test"], targets=subset["test"].targets.flip(0))
    predictions = []
    for splits in (subset, subset | {"test": test}):
        cell = Cell(suite, task, dataset.name, Entrant(name), 0)
        run = Run(cell, FEW_STEPS, FEW_STEPS if len(method.stages) > 1 else None)
        data = replace(dataset, splits=splits)
        with tempfile.TemporaryDirectory() as folder:
            result = fit(run, data, Path(folder), torch.device("cpu"), Monitor())
        predictions.append(result.outcome.predictions)
    first, second = predictions
    holds = all(torch.equal(first[name], second[name]) for name in first)
    return Finding(
        f"{task}: test targets change nothing",
        holds,
        "the same predictions" if holds else "other predictions",
    )


def _first(split: Any, count: int) -> Any:
    return replace(split, **{name: value[:count] for name, value in split.columns.items()})


def _globals() -> Mapping[str, Any]:
    return {
        "torch's default dtype": torch.get_default_dtype(),
        "torch's gradient mode": torch.is_grad_enabled(),
        "torch's threads": torch.get_num_threads(),
        "torch's deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "numpy's random state": np.random.get_state()[1],
        "Python's random state": random.getstate(),
        "the environment": dict(os.environ),
        "the working folder": str(Path.cwd()),
    }


def _equal(a: Any, b: Any) -> bool:
    return bool(np.array_equal(a, b)) if isinstance(a, np.ndarray) else a == b
