"""From a suite to its runs, and from a run to its record."""

from __future__ import annotations

import hashlib
import json
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from benchmark import methods, suites, tasks
from benchmark.datasets import arms, catalog
from benchmark.datasets.storage import SPLITS, WeightDataset
from benchmark.environment import PeakMemory, describe
from benchmark.errors import UserError
from benchmark.seeds import named_seed
from benchmark.training import Data, Diverged, Outcome, Protocol, Trainer
from leaderboard import record as records
from leaderboard.record import CostPart, CurvePoint, DatasetPart, MethodPart, Record


@dataclass(frozen=True)
class Run:
    """One method on one dataset's arm with one seed, as a suite has it."""

    suite: str
    task: str
    dataset: str
    arm: str
    method: str
    seed: int
    protocol: Protocol

    @property
    def entrant(self) -> str:
        return self.method if self.arm == arms.DEFAULT else f"{self.method}@{self.arm}"

    @property
    def path(self) -> Path:
        """Of its record, under a results folder."""
        return records.record_path(self.suite, self.task, self.dataset, self.entrant, self.seed)

    @property
    def command(self) -> str:
        """The command that makes its record."""
        names = f"--suite {self.suite} --datasets {self.dataset} --methods {self.entrant} --seeds {self.seed}"
        return f"python -m benchmark run {self.task} {names}"

    @cached_property
    def instance(self) -> methods.Method:
        return methods.make(self.method, self.suite)

    def method_part(self, parameters: int | None) -> MethodPart:
        method = self.instance
        return MethodPart(
            name=method.name,
            title=method.title,
            paper=method.paper,
            code_sha256=methods.code_sha256(type(method)),
            hyperparameters=asdict(method),
            parameters=parameters,
        )


def plan(
    suite_name: str,
    task: str,
    datasets: Sequence[str] | None = None,
    entrants: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
) -> list[Run]:
    """The runs of a suite's task, or of the part that is named, seed by seed. Raises UserError for what is not there."""
    suite = suites.get(suite_name)
    if task not in suite.tasks:
        raise UserError(f"suite {suite_name!r} has no task {task!r}; it has {', '.join(suite.tasks)}")
    settings = suite.tasks[task]
    members = [name for name, method in methods.registry().items() if suite_name in method.suites]
    seeds = settings.seeds if seeds is None else seeds
    if repeated := {seed for seed in seeds if list(seeds).count(seed) > 1}:
        raise UserError(f"seed {min(repeated)} is given twice; name each seed once")
    if seeds and min(seeds) < 0:
        raise UserError(f"seed {min(seeds)} is negative; seeds are 0, 1, 2, ...")
    runs = []
    for seed in seeds:
        for dataset in dict.fromkeys(datasets or settings.datasets):
            catalog.entry(dataset)
            for entrant in dict.fromkeys(entrants or [*members, *settings.controls]):
                method, _, arm = entrant.partition("@")
                run = Run(suite_name, task, dataset, arm or arms.DEFAULT, method, seed, settings.protocol)
                arms.check(run.arm)
                _ = run.instance  # names an unknown method before anything is run
                runs.append(run)
    return runs


def is_current(run: Run, record: Record) -> bool:
    """Whether a record stands for what the run would do now; one that failed is tried again."""
    return (
        record.status != "failed"
        and record.method.model_dump(exclude={"parameters"}) == run.method_part(None).model_dump(exclude={"parameters"})
        and record.protocol == run.protocol.model_dump()
        and record.dataset.fingerprint == catalog.entry(run.dataset).fingerprint
    )


def execute(run: Run, results: Path, device: torch.device, workers: int, report: Callable[[int], None]) -> Record:
    """Make a run, write its record under `results`, and return it.

    What goes wrong inside the method is part of the record: "skipped" with its reason, "diverged" with the step, "failed"
    with the error, whose traceback is left beside the record. `report` is called with the step now and then.
    """
    dataset = catalog.load(run.dataset)
    memory = PeakMemory(device)
    checkpoint = results / run.path.with_suffix(".checkpoint")
    log = results / run.path.with_suffix(".traceback.txt")
    parameters, outcome, status, reason = None, None, "finished", None
    try:
        trainer, data = _prepare(run, dataset, device, checkpoint, report)
        parameters = sum(p.numel() for p in trainer.module.parameters() if p.requires_grad)
        outcome = trainer.run(*data)
    except _Skipped as skipped:
        status, reason = "skipped", str(skipped)
    except Diverged as diverged:
        status, reason = "diverged", str(diverged)
    except Exception as error:  # whatever a method does wrong, the other runs go on
        status, reason = "failed", f"{type(error).__name__}: {error}".splitlines()[0][:500]
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(traceback.format_exc(), encoding="utf-8")
    record = Record(
        task=run.task,
        metric=tasks.registry()[run.task].metric,
        suite=run.suite,
        setting=suites.get(run.suite).note,
        seed=run.seed,
        method=run.method_part(parameters),
        dataset=DatasetPart(name=run.dataset, arm=run.arm, origin="embedded", fingerprint=dataset.manifest.fingerprint),
        protocol=run.protocol.model_dump(),
        status=status,
        reason=reason,
        **_results(outcome, memory),
        environment=describe(device, workers),
        command=run.command,
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    records.write(record, results)
    checkpoint.unlink(missing_ok=True)
    if status != "failed":
        log.unlink(missing_ok=True)
    return record


class _Skipped(Exception):
    pass


def _prepare(
    run: Run, dataset: WeightDataset, device: torch.device, checkpoint: Path, report: Callable[[int], None]
) -> tuple[Trainer, list[Data]]:
    task, method, spec = tasks.registry()[run.task], run.instance, dataset.spec
    weights = {split: arms.apply(run.arm, dataset, split) for split in SPLITS}
    data = [Data(weights[split].to(device), task.targets(dataset.splits[split]).to(device)) for split in SPLITS]
    problem = methods.Problem(spec, task.outputs(dataset), *spec.statistics(weights["train"]))
    if (reason := method.skip(problem)) is not None:
        raise _Skipped(reason)
    key = (run.suite, run.task, run.dataset, run.arm, run.method, run.seed)
    torch.manual_seed(named_seed(*key, "parameters"))
    module = method.build(problem).to(device)
    _check_output(module, data[0].weights[:2], problem.outputs)
    trainer = Trainer(
        key=key,
        identity=_identity(run, dataset.manifest.fingerprint),
        spec=spec,
        module=module,
        loss=task.loss,
        score=task.score,
        protocol=run.protocol,
        learning_rate=method.learning_rate,
        weight_decay=method.weight_decay,
        augment=method.augment,
        checkpoint=checkpoint,
        report=report,
    )
    return trainer, data


def _check_output(module: torch.nn.Module, weights: torch.Tensor, outputs: int) -> None:
    with torch.no_grad():
        predictions = module.eval()(weights)
    if predictions.shape != (len(weights), outputs):
        wanted, found = (len(weights), outputs), tuple(predictions.shape)
        raise ValueError(f"the module's output for {len(weights)} networks has shape {found}, not {wanted}")


def _identity(run: Run, fingerprint: str) -> str:
    """A digest of everything that a checkpoint depends on."""
    parts = [
        str(run.path),
        fingerprint,
        run.protocol.model_dump(),
        run.method_part(None).model_dump(),
        torch.__version__,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _results(outcome: Outcome | None, memory: PeakMemory) -> dict[str, Any]:
    if outcome is None:
        return {"metrics": {}, "curve": [], "cost": None}
    return {
        "metrics": {"test": outcome.test, "validation": outcome.validation},
        "curve": [CurvePoint(**point) for point in outcome.curve],
        "cost": CostPart(
            training_seconds=outcome.training_seconds,
            evaluation_seconds=outcome.evaluation_seconds,
            networks_per_second=outcome.networks_per_second,
            peak_memory_mib=memory.mebibytes(),
        ),
    }
