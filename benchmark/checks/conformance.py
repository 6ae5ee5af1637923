"""Whether a method keeps its contract: shapes, seeds, the symmetry it claims, no look at test targets, no traces left behind."""

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
INVARIANT_BELOW = 1e-6  # of the output's spread, in float64
FEW_STEPS = Protocol(steps=12, batch_size=16, warmup_steps=2, evaluations=2, clip=1.0)


@dataclass(frozen=True)
class Finding:
    """One line of the report. holds: None for a measurement that is shown and not judged."""

    what: str
    holds: bool | None
    told: str


def conform(name: str) -> list[Finding]:
    """Everything found about a method, in each task that one of its suites has. Raises UserError for an unknown name."""
    row = baselines.get(name)
    suite = next(
        (
            suite
            for suite in (suites.get(suites.MINI), *suites.registry().values())
            if any(row.is_in(suite.name, task) for task in suite.tasks)
        ),
        None,
    )
    if suite is None:
        raise UserError(
            f"{name} is in no suite: give it `mini`, or settings in benchmark/suites/settings"
        )
    findings = []
    for task, settings in suite.tasks.items():
        if not row.is_in(suite.name, task):
            continue
        method = row.make(suite.name, task, settings.datasets[0])
        dataset, _ = locate.load(settings.datasets[0])
        problem = problem_of(tasks.registry()[task](dataset), dataset)
        if (reason := method.skip(problem)) is not None:
            findings.append(Finding(f"{task}: reads {dataset.name}", None, f"skips it: {reason}"))
            continue
        findings += [
            *_shapes(method, tasks.registry()[task](dataset), problem),
            *_symmetry(method, task, dataset, problem),
            _test_targets(name, method, suite.name, task, dataset),
        ]
    return findings


def _module(method: Method, problem: Problem, seed: int) -> nn.Module:
    """From flat weights to predictions, through both stages where there are two, in float64."""
    torch.manual_seed(seed)
    stages = [stage.build(problem) for stage in method.stages]
    return (stages[0] if len(stages) == 1 else _Chain(*stages)).double().eval()


class _Chain(nn.Module):
    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, flat: Tensor) -> Tensor:
        return self.head(self.encoder.encode(flat))


def _shapes(method: Method, on: tasks.Task, problem: Problem) -> list[Finding]:
    task, flat = on.name, on.dataset.splits["train"].weights[:BATCH].double()
    before = _globals()
    module = _module(method, problem, 0)
    with torch.no_grad():
        outputs = module(flat)
    left = [name for name, value in _globals().items() if not _same(value, before[name])]
    again, other = _module(method, problem, 0), _module(method, problem, 1)
    same = all(
        torch.equal(a, b)
        for a, b in zip(module.state_dict().values(), again.state_dict().values(), strict=True)
    )
    learned = any(parameter.requires_grad for parameter in module.parameters())
    differs = not learned or any(
        not torch.equal(a, b) for a, b in zip(module.parameters(), other.parameters(), strict=True)
    )
    return [
        Finding(
            f"{task}: output",
            on.fits(outputs, BATCH),
            f"{tuple(outputs.shape)} for {BATCH} networks",
        ),
        Finding(
            f"{task}: finite",
            bool(torch.isfinite(outputs).all()),
            "all outputs" if torch.isfinite(outputs).all() else "not all",
        ),
        Finding(f"{task}: the same seed makes the same parameters", same, "yes" if same else "no"),
        Finding(f"{task}: another seed makes others", differs, "yes" if differs else "no"),
        Finding(
            f"{task}: leaves no global state behind",
            not left,
            "nothing changed" if not left else ", ".join(left),
        ),
    ]


def _symmetry(method: Method, task: str, dataset: WeightDataset, problem: Problem) -> list[Finding]:
    """Permutes the neurons of one hidden layer at a time."""
    spec, flat = problem.spec, dataset.splits["train"].weights[:BATCH].double()
    module = _module(method, problem, 0)
    generator = torch.Generator().manual_seed(0)
    found = []
    for index, size in enumerate(spec.neurons[1:-1]):
        order = [torch.arange(count) for count in spec.neurons[1:-1]]
        order[index] = torch.randperm(size, generator=generator)
        with torch.no_grad():
            plain, permuted = module(flat), module(spec.permute(flat, order))
        wanted = spec.permute(plain, order) if method.edits else plain
        spread = float((plain - plain.mean(dim=0)).abs().max()) or 1.0
        change = float((permuted - wanted).abs().max()) / spread
        holds = change < INVARIANT_BELOW if method.invariant else None
        claim = "" if method.invariant else ", none claimed"
        word = "equivariant" if method.edits else "invariant"
        found.append(
            Finding(
                f"{task}: {word} to hidden layer {index + 1}",
                holds,
                f"changes by {change:.1e} of the spread{claim}",
            )
        )
    return found


def _test_targets(
    name: str, method: Method, suite: str, task: str, dataset: WeightDataset
) -> Finding:
    """Trains twice for a few steps, the second time with the test targets turned round: the predictions must not care."""
    small = {name: _first(split, 64) for name, split in dataset.splits.items()}
    turned = small | {"test": replace(small["test"], targets=small["test"].targets.flip(0))}
    found = []
    for splits in (small, turned):
        cell = Cell(suite, task, dataset.name, Entrant(name), 0)
        run = Run(cell, FEW_STEPS, FEW_STEPS if len(method.stages) > 1 else None)
        few = replace(dataset, splits=splits)
        with tempfile.TemporaryDirectory() as folder:
            fitted = fit(run, few, Path(folder), torch.device("cpu"), Monitor())
        found.append(fitted.outcome.predictions)
    holds = all(torch.equal(found[0][name], found[1][name]) for name in found[0])
    return Finding(
        f"{task}: test targets change nothing",
        holds,
        "the same predictions" if holds else "other predictions",
    )


def _first(split: Any, count: int) -> Any:
    return replace(split, **{name: value[:count] for name, value in vars(split).items()})


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


def _same(left: Any, right: Any) -> bool:
    return bool(np.array_equal(left, right)) if isinstance(left, np.ndarray) else left == right
