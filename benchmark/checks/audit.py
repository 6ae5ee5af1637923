"""The symmetry audit: how far a method's output moves where the networks' functions do not.

Each change of `changes` is made to test networks, and the residual of their functions is measured
first: where it is more than rounding the audit is inconclusive. The distance that a method's output
moves is then taken relative to the distance between its outputs for networks of different targets,
at initialisation and after a short training, for growing shares of changed neurons. An editor's
outputs are compared as functions: it may return other weights that draw the same.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from tabulate import tabulate
from torch import Tensor, nn

import baselines
from baselines import Row
from benchmark import arms, suites, tasks
from benchmark.arms.scattering import scattered
from benchmark.checks.changes import CHANGES, Change
from benchmark.datasets import locate
from benchmark.datasets.storage import WeightDataset
from benchmark.errors import UserError
from benchmark.methods import FittedModule, Method, Problem
from benchmark.record import sources, symmetries
from benchmark.record.cell import DEFAULT_ARM
from benchmark.record.symmetries import Measurement, Stage
from benchmark.runs.fit import problem_of
from benchmark.seeds import generator
from benchmark.tasks.contract import Task
from nft import siren, symmetry
from nft.network import NetworkSpec

SHARES = (0.1, 0.25, 0.5, 1.0)
NETWORKS = 16
STEPS, BATCH = 200, 32
SCATTERED = {"permutation": ("permutation",), "scattering": None}
"""The symmetries by which an augmentation changes networks, None for all."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Subject:
    """A method on one task, whose networks it is tried on."""

    row: Row
    method: Method
    task: Task

    @property
    def dataset(self) -> WeightDataset:
        return self.task.dataset

    def spec_for(self, change: Change) -> NetworkSpec | None:
        """Return the spec of the networks that have a symmetry; None where none has."""
        for activation in np.unique(self.dataset.activations("test")):
            spec = replace(self.dataset.spec, activation=str(activation))
            if change.applies(spec):
                return spec
        return None

    def task_on(self, spec: NetworkSpec) -> Task:
        """Return the same task on networks of another shape."""
        own = replace(spec, activation=self.dataset.spec.activation)
        manifest = self.dataset.manifest.model_copy(update={"spec": own.to_json()})
        return type(self.task)(replace(self.dataset, manifest=manifest))

    def networks(self, activation: str) -> Tensor:
        """Return the first test networks of an activation, in float64."""
        rows = np.flatnonzero(self.dataset.activations("test") == activation)
        weights = arms.get(DEFAULT_ARM).weights(self.dataset, "test")
        return weights[torch.from_numpy(rows[:NETWORKS])].double()


def audit(
    names: Sequence[str] | None = None,
    progress: Progress = lambda _: None,
    stages: Sequence[Stage] = ("initial", "trained"),
    steps: int = STEPS,
    workers: int = 1,
    shares: Sequence[float] = SHARES,
) -> list[Measurement]:
    """Audit methods in suite `mini`.

    Args:
        names: Of rows; all that are in the suite by default.
        progress: Called with a line for each method that is done.
        stages: At initialisation, after training, or both.
        steps: Training steps.
        workers: Methods at a time, each in a process of its own; with one, all in this process.
        shares: Of the hidden neurons that are changed.

    Raises:
        UserError: If a name is unknown, or no audited task has it.
    """
    rows = [baselines.get(name) for name in names] if names else list(_members())
    for row in rows:
        if not row.is_in_any(suites.MINI):
            raise UserError(f"{row.name} is in no task of suite {suites.MINI}; give it `mini`")
    measurements = []
    for row, measured in zip(rows, _audited(rows, stages, steps, workers, shares), strict=True):
        progress(row.name)
        measurements += measured
    return measurements


def _members() -> Iterator[Row]:
    return (row for row in baselines.registry().values() if row.is_in_any(suites.MINI))


def _audited(
    rows: Sequence[Row],
    stages: Sequence[Stage],
    steps: int,
    workers: int,
    shares: Sequence[float],
) -> Iterator[list[Measurement]]:
    """Yield the measurements of each row."""
    if workers == 1:
        yield from (_audit(row.name, stages, steps, shares) for row in rows)
        return
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads can hang
    with ProcessPoolExecutor(workers, context, torch.set_num_threads, (1,)) as pool:
        done = [pool.submit(_audit, row.name, stages, steps, shares) for row in rows]
        try:
            yield from (one.result() for one in done)
        finally:
            pool.shutdown(cancel_futures=True)


def _audit(
    name: str, stages: Sequence[Stage], steps: int, shares: Sequence[float]
) -> list[Measurement]:
    subjects = _subjects(baselines.get(name))
    return [one for subject in subjects for one in _measure(subject, stages, steps, shares)]


def _subjects(row: Row) -> Iterator[Subject]:
    """Yield the row on its first task that reads SIRENs, and on the first that reads a zoo."""
    suite, seen = suites.get(suites.MINI), set()
    for name, settings in suite.tasks.items():
        if not row.is_in(suite.name, name):
            continue
        dataset, _ = locate.load(settings.datasets[0])
        if dataset.spec.activation in seen:
            continue
        seen.add(dataset.spec.activation)
        task = tasks.registry()[name](dataset)
        yield Subject(row, row.make(suite.name, name, dataset.name), task)


def _measure(
    subject: Subject, stages: Sequence[Stage], steps: int, shares: Sequence[float]
) -> Iterator[Measurement]:
    groups: dict[NetworkSpec, list[Change]] = {}
    for change in CHANGES:
        if subject.spec_for(change) is not None:
            groups.setdefault(change.spec(subject.dataset.spec), []).append(change)
    for spec, changes in groups.items():
        # As many parameters as the changed networks have: some changes widen them.
        flat = arms.get(DEFAULT_ARM).weights(subject.dataset, "train")
        random = generator("audit", subject.dataset.name, "train")
        train = changes[0].pair(subject.dataset.spec, flat, 0.0, random)[0]
        task = subject.task_on(spec)
        problem = problem_of(task, task.dataset, train)
        if subject.method.skip(problem) is not None:
            continue
        module = _module(subject.method, problem)
        for stage in stages:
            if stage == "trained":
                _train(subject.method, task, module, train, steps)
            elif isinstance(module, FittedModule):
                continue  # knows nothing before it is fitted
            for change in changes:
                yield _movement(subject, module.double().eval(), change, stage, shares)
            module.float()


class _Chain(nn.Module):
    """All stages of a method as one module, after the canonical form where it reads that."""

    def __init__(self, stages: Sequence[nn.Module], spec: NetworkSpec | None) -> None:
        super().__init__()
        self.stages, self.spec = nn.ModuleList(stages), spec

    def forward(self, flat: Tensor) -> Tensor:
        if self.spec is not None:
            flat = symmetry.canonical(self.spec, flat)
        *first, head = self.stages
        for stage in first:
            flat = stage.encode(flat)
        return head(flat)


def _module(method: Method, problem: Problem) -> nn.Module:
    torch.manual_seed(0)
    stages = [stage.build(problem) for stage in method.stages]
    if len(stages) == 1 and not method.canonical:
        return stages[0]
    return _Chain(stages, problem.spec if method.canonical else None)


def _train(method: Method, task: Task, module: nn.Module, train: Tensor, steps: int) -> None:
    """Train all stages together by the task's loss, or fit what is fitted."""
    targets = task.targets("train")
    if isinstance(module, FittedModule):
        module.fit(train, task.responses(targets), 0)
        return
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not parameters:
        return
    optimizer = torch.optim.AdamW(parameters, lr=method.learning_rate)
    random = generator("audit", method.name, "order")
    activations = task.dataset.activations("train")
    module.float().train()
    for _ in range(steps):
        rows = torch.randint(len(train), (BATCH,), generator=random)
        flat = train[rows]
        if method.augmentation in SCATTERED:
            kinds = SCATTERED[method.augmentation]
            flat = scattered(task.dataset.spec, flat, activations[rows.numpy()], kinds, random)
        loss = task.loss(module(flat).float(), targets[rows])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()


def _movement(
    subject: Subject, module: nn.Module, change: Change, stage: Stage, shares: Sequence[float]
) -> Measurement:
    own = subject.spec_for(change)
    flat, spec = subject.networks(own.activation), change.spec(own)
    movement, residuals = {}, []
    networks, before = None, torch.empty(0)
    for share in shares if change.has_shares else (1.0,):
        random = generator("audit", change.name, str(share))
        pair = change.pair(own, flat, share, random)
        residuals.append(symmetry.residual(spec, *pair))
        with torch.no_grad():
            if pair[0] is not networks:  # some changes begin with the same networks each time
                networks, before = pair[0], _outputs(subject, spec, module(pair[0]))
            after = _outputs(subject, spec, module(pair[1]))
        moved = (after - before).flatten(1).norm(dim=1).mean()
        apart = _distance(before)
        movement[share] = float(moved / apart) if apart > 0 else (None if moved == 0 else 1.0)
    digest = sources.digest(subject.row.source, subject.task.name, DEFAULT_ARM)
    return Measurement(
        method=subject.row.name,
        task=subject.task.name,
        dataset=subject.dataset.name,
        code_sha256=digest,
        change=change.name,
        stage=stage,
        claimed=change.name in claims(subject.method, own),
        residual=max(residuals),
        movement=movement,
    )


def claims(method: Method, spec: NetworkSpec) -> tuple[str, ...]:
    """Return the symmetries that a method claims, with those that the canonical form gives it."""
    given = symmetry.symmetries(spec)[1:] if method.canonical else ()
    return (*method.symmetries, *given)


def _outputs(subject: Subject, spec: NetworkSpec, outputs: Tensor) -> Tensor:
    """What is compared: predictions, or what edited networks draw."""
    if not subject.method.edits:
        return outputs
    side = subject.dataset.manifest.image
    grid = siren.grid(*side, dtype=torch.float64)
    return siren.render(spec, outputs.flatten(0, 1), grid).unflatten(0, outputs.shape[:2]).mean(1)


def _distance(outputs: Tensor) -> float:
    """The mean distance between the outputs for two networks."""
    flat = outputs.flatten(1)
    distances = torch.cdist(flat, flat)
    return float(distances.sum() / (len(flat) * (len(flat) - 1)))


def table(measurements: Sequence[Measurement]) -> str:
    """Tabulate the largest movement of each row by change, with the claims marked.

    Of two tasks, and of before and after training, the larger counts.
    """
    names = [change.name for change in CHANGES]
    lines = []
    for method, ones in symmetries.by_method(measurements).items():
        measured = symmetries.by_change(ones)
        cells = [symmetries.describe(measured.get(name, []), "CLAIMED") for name in names]
        lines.append([method, *cells])
    return tabulate(lines, ["method", *names], tablefmt="simple", disable_numparse=True)


def violations(measurements: Sequence[Measurement]) -> list[str]:
    """List the claims that a measurement disproves."""
    return [
        f"{one.method} claims {one.change} symmetry, but its output moves by {one.largest:.1e} of "
        f"the distance between networks ({one.task}, {one.stage})"
        for one in measurements
        if one.claimed and one.conclusive and not one.holds
    ]
