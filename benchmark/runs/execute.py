"""From a suite to its runs, and from a run to its record."""

from __future__ import annotations

import hashlib
import json
import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmark import arms, methods, suites, tasks
from benchmark.datasets import catalog, locate
from benchmark.datasets.storage import SPLITS, WeightDataset
from benchmark.errors import UserError
from benchmark.record import metrics, predictions
from benchmark.record import schema as records
from benchmark.record.metrics import Metric
from benchmark.record.schema import CostPart, CurvePoint, DatasetPart, MethodPart, Record
from benchmark.runs import checkpoints, encoding
from benchmark.runs.environment import PeakMemory, describe
from benchmark.runs.pictures import sheet, to_pixels
from benchmark.runs.training import Data, Diverged, Outcome, Protocol, Trainer
from benchmark.seeds import named_seed

VERSION = str(torch.__version__)


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
    encoder_protocol: Protocol | None

    @property
    def steps(self) -> int:
        """Of all its stages."""
        return self.protocol.steps + (self.encoder_protocol.steps if self.is_two_stage else 0)

    @property
    def is_two_stage(self) -> bool:
        return isinstance(self.instance, methods.TwoStageMethod)

    @property
    def key(self) -> tuple[str | int, ...]:
        """The names that its random numbers depend on."""
        return self.suite, self.task, self.dataset, self.arm, self.method, self.seed

    @property
    def encoder_key(self) -> tuple[str | int, ...] | None:
        """The same of its first stage, which methods can share; None where it has one stage."""
        if not isinstance(self.instance, methods.TwoStageMethod):
            return None
        return self.suite, self.task, self.dataset, self.arm, self.instance.encoder, self.seed, "encoder"

    @property
    def seeds(self) -> dict[str, int]:
        """Every seed of the run, by role; the order of the data has one for each epoch, named by its number."""
        found = {
            "parameters": named_seed(*self.key, "parameters"),
            "order of epoch 0": named_seed(*self.key, "order", 0),
        }
        return found | ({"encoder": named_seed(*self.encoder_key)} if self.encoder_key else {})

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
        return methods.make(self.method, self.suite, self.task)

    @property
    def code(self) -> str:
        """Digest of the method's source files."""
        return methods.code_sha256(type(self.instance))

    def method_part(self, parameters: int | None) -> MethodPart:
        method = self.instance
        return MethodPart(
            name=method.name,
            title=method.title,
            paper=method.paper,
            source=methods.source(type(method)),
            code_sha256=self.code,
            hyperparameters=asdict(method),
            parameters=parameters,
        )


ALL = "all"


def plan(
    suite_name: str,
    task: str,
    datasets: Sequence[str] | None = None,
    entrants: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
) -> list[Run]:
    """The runs of a suite's task, of all its tasks, or of the part that is named, seed by seed. Raises UserError for what is not there.

    Of all tasks, those take part that know the datasets and methods that are named.
    """
    if task != ALL:
        return _plan(suite_name, task, datasets, entrants, seeds)
    runs: list[Run] = []
    for name, settings in suites.get(suite_name).tasks.items():
        known = [dataset for dataset in datasets or settings.datasets if dataset in settings.datasets]
        able = entrants and [entrant for entrant in entrants if name in _tasks_of(entrant)]
        if known and able != []:
            runs += _plan(suite_name, name, known, able, seeds)
    if not runs:
        raise UserError(f"no task of suite {suite_name!r} has those datasets and methods")
    return runs


def _tasks_of(entrant: str) -> tuple[str, ...]:
    return methods.make(entrant.partition("@")[0], "", "").tasks


def _plan(
    suite_name: str,
    task: str,
    datasets: Sequence[str] | None = None,
    entrants: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
) -> list[Run]:
    suite = suites.get(suite_name)
    if task not in suite.tasks:
        raise UserError(f"suite {suite_name!r} has no task {task!r}; it has {', '.join(suite.tasks)}")
    settings = suite.tasks[task]
    members = [
        name for name, method in methods.registry().items() if suite_name in method.suites and task in method.tasks
    ]
    seeds = settings.seeds if seeds is None else seeds
    if repeated := {seed for seed in seeds if list(seeds).count(seed) > 1}:
        raise UserError(f"seed {min(repeated)} is given twice; name each seed once")
    if seeds and min(seeds) < 0:
        raise UserError(f"seed {min(seeds)} is negative; seeds are 0, 1, 2, ...")
    runs = []
    for seed in seeds:
        first, later = [], []
        for dataset in dict.fromkeys(datasets or settings.datasets):
            catalog.entry(dataset)
            encoders = set()
            for entrant in dict.fromkeys(entrants or [*members, *settings.controls]):
                method, _, arm = entrant.partition("@")
                run = Run(
                    suite_name,
                    task,
                    dataset,
                    arm or arms.DEFAULT,
                    method,
                    seed,
                    settings.protocol,
                    settings.encoder_protocol,
                )
                arms.check(run.arm)
                if task not in run.instance.tasks:
                    raise UserError(f"{method} does not do {task}, but {', '.join(run.instance.tasks)}")
                if run.is_two_stage and run.encoder_protocol is None:
                    raise UserError(f"suite {suite_name!r} has no encoder_protocol for {task}, which {method} needs")
                encoder = getattr(run.instance, "encoder", None)
                # Who shares another's first stage comes when that is most likely done, rather than wait for it.
                (later if encoder in encoders else first).append(run)
                encoders.update([encoder] if encoder else [])
        runs += first + later
    return runs


def is_current(run: Run, record: Record) -> bool:
    """Whether a record stands for what the run would do now; one that failed is tried again."""
    return (
        record.status != "failed"
        and record.method.model_dump(exclude={"parameters"}) == run.method_part(None).model_dump(exclude={"parameters"})
        and record.protocol == run.protocol.model_dump()
        and (
            record.encoder is None
            or record.encoder.protocol == (run.encoder_protocol and run.encoder_protocol.model_dump())
        )
        and record.dataset.fingerprint == locate.fingerprint(run.dataset)
    )


def execute(run: Run, results: Path, device: torch.device, workers: int, report: Callable[[int], None]) -> Record:
    """Make a run, write its record under `results`, and return it.

    What goes wrong inside the method is part of the record: "skipped" with its reason, "diverged" with the step, "failed"
    with the error, whose traceback is left beside the record. `report` is called with the step now and then.
    """
    dataset, origin = locate.load(run.dataset)
    memory, metric = PeakMemory(device), metrics.get(tasks.registry()[run.task].metric)
    log = results / run.path.with_suffix(".traceback.txt")
    made, status, reason = None, "finished", None
    try:
        made = make(run, dataset, results, device, report)
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
        metric=metric.name,
        suite=run.suite,
        setting=suites.get(run.suite).note,
        seed=run.seed,
        seeds=run.seeds,
        method=run.method_part(made and made.parameters),
        dataset=DatasetPart(
            name=run.dataset,
            arm=run.arm,
            origin=origin,
            pinned=catalog.entry(run.dataset).fingerprint is not None,
            fingerprint=dataset.manifest.fingerprint,
        ),
        protocol=run.protocol.model_dump(),
        status=status,
        reason=reason,
        **_results(made, memory, metric),
        environment=describe(device, workers, run.suite),
        command=run.command,
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    if made and made.encoding:
        image = dataset.manifest.image
        drawings = encoding.draw(dataset.spec, dataset.splits["test"].weights[: len(dataset.examples)], image)
        redrawn = made.encoding.reconstructions
        rows = [("INR", to_pixels(drawings, *image)), ("reconstruction", to_pixels(redrawn, *image))]
        picture = sheet([("image", dataset.examples), *rows])
        path = results / run.path.with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    if made:
        picture = results / run.path.with_suffix(".png")
        picture.parent.mkdir(parents=True, exist_ok=True)
        made.task.picture(made.outcome.predictions["test"], picture)
        kept = results / run.path.with_suffix(".npz")
        predictions.write(kept, [(record.predictions, made.predictions)])
    records.write(record, results)
    checkpoints.remove(_checkpoint(run, results))
    if status != "failed":
        log.unlink(missing_ok=True)
    return record


class _Skipped(Exception):
    pass


@dataclass(frozen=True)
class Made:
    """What a run made, before it is written down."""

    task: tasks.Task
    outcome: Outcome
    predictions: predictions.Predictions
    further: Mapping[str, float]
    parameters: int
    flops_per_network: int
    encoding: encoding.Encoding | None


def problem_of(task: tasks.Task, dataset: WeightDataset, train: torch.Tensor | None = None) -> methods.Problem:
    """What a method may know of a task; `train`: the training networks' weights, as stored unless they are given."""
    weights = dataset.splits["train"].weights if train is None else train
    return methods.Problem(dataset.spec, task.outputs, *dataset.spec.statistics(weights), dataset.manifest.image)


def make(run: Run, dataset: WeightDataset, results: Path, device: torch.device, report: Callable[[int], None]) -> Made:
    """Train and predict. Raises Diverged, and whatever the method raises; checkpoints and encodings lie under `results`."""
    task, method, spec = tasks.registry()[run.task](dataset), run.instance, dataset.spec
    metric = metrics.get(task.metric)
    weights = {split: arms.apply(run.arm, dataset, split) for split in SPLITS}
    targets = {split: arms.shuffle(run.arm, dataset, split, task.targets(split)).to(device) for split in SPLITS}
    image = dataset.manifest.image
    problem = problem_of(task, dataset, weights["train"])
    if (reason := method.skip(problem)) is not None:
        raise _Skipped(reason)
    inputs = {split: rows.to(device) for split, rows in weights.items()}
    few = {split: rows[:2] for split, rows in inputs.items()}
    done, parameters, flops, encoded = 0, 0, 0, None
    if isinstance(method, methods.TwoStageMethod):
        encoder_key = run.encoder_key
        torch.manual_seed(run.seeds["encoder"])
        autoencoder = method.build_encoder(problem).to(device)
        flops = _flops(autoencoder.eval().encode, inputs["test"][:1])
        with torch.no_grad():
            few = {split: autoencoder.eval().encode(rows) for split, rows in few.items()}
        _check(task, method.build(problem).to(device), few["train"])  # before the first stage's hours, not after
        settings = [run.encoder_protocol.model_dump(), method.encoder_learning_rate, method.encoder_weight_decay]
        identity = encoding.identity(
            autoencoder, [encoder_key, dataset.manifest.fingerprint, settings, run.code, VERSION]
        )
        trainer = Trainer(
            key=encoder_key,
            identity=identity,
            spec=spec,
            module=autoencoder,
            loss=encoding.squared_error,
            score=lambda made, wanted: -encoding.squared_error(made, wanted).item(),
            protocol=run.encoder_protocol,
            learning_rate=method.encoder_learning_rate,
            weight_decay=method.encoder_weight_decay,
            augment=method.augment,
            checkpoint=results / "cache" / f"{identity}.checkpoint",
            report=report,
        )
        encoded = encoding.encode(trainer, inputs, image, len(dataset.examples), results / "cache")
        inputs, done, parameters = encoded.arrays, run.encoder_protocol.steps, encoded.part.parameters
    torch.manual_seed(run.seeds["parameters"])
    module = method.build(problem).to(device)
    _check(task, module, few["train"])
    flops += _flops(module.eval(), few["test"][:1])

    def score(made: torch.Tensor, wanted: torch.Tensor) -> float:
        value = metric.whole(task.outcome(made, wanted))
        return value if metric.higher_is_better else -value

    trainer = Trainer(
        key=run.key,
        identity=_identity(run, dataset),
        spec=spec,
        module=module,
        loss=task.loss,
        score=score,
        protocol=run.protocol,
        learning_rate=method.learning_rate,
        weight_decay=method.weight_decay,
        augment=method.augment and encoded is None,
        checkpoint=_checkpoint(run, results),
        report=lambda step: report(done + step),
    )
    outcome = trainer.run(*(Data(inputs[split], targets[split]) for split in SPLITS))
    kept = {
        split: task.outcome(made, task.targets(split).to(made.device)) for split, made in outcome.predictions.items()
    }
    further = {**task.further(kept["test"]), **({} if outcome.curve else task.references())}
    return Made(task, outcome, kept, further, parameters + encoding.count_parameters(module), flops, encoded)


def _flops(function: Callable[[torch.Tensor], torch.Tensor], one: torch.Tensor) -> int:
    """Of one network's way from weights to what `function` makes of it: matrix products alone."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        function(one)
    return counter.get_total_flops()


def _checkpoint(run: Run, results: Path) -> Path:
    return results / run.path.with_suffix(".checkpoint")


def _check(task: tasks.Task, module: torch.nn.Module, inputs: torch.Tensor) -> None:
    with torch.no_grad():
        predictions = module.eval()(inputs)
    if not task.fits(predictions, len(inputs)):
        told = f"{len(inputs)} networks and {task.outputs} outputs each"
        raise ValueError(f"the module's output has shape {tuple(predictions.shape)}, which does not fit {told}")


def _identity(run: Run, dataset: WeightDataset) -> str:
    """A digest of everything that a checkpoint depends on."""
    budget = [run.protocol.model_dump(), run.encoder_protocol and run.encoder_protocol.model_dump()]
    parts = [str(run.path), dataset.manifest.fingerprint, budget, run.method_part(None).model_dump(), VERSION]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _results(made: Made | None, memory: PeakMemory, metric: Metric) -> dict[str, Any]:
    if made is None:
        return {"metrics": {}, "predictions": None, "curve": [], "encoder": None, "cost": None}
    values = {split: _defined(metric.whole(outcome)) for split, outcome in made.predictions.items()}
    values |= {name: _defined(value) for name, value in made.further.items()}
    sign = 1 if metric.higher_is_better else -1
    curve = [CurvePoint(**point | {"validation": _defined(sign * point["validation"])}) for point in made.outcome.curve]
    outcome, part = made.outcome, made.encoding and made.encoding.part
    training, evaluation = outcome.training_seconds, outcome.evaluation_seconds
    seconds_per_network = 1 / outcome.networks_per_second
    if part:
        training += part.training_seconds
        evaluation += part.evaluation_seconds + part.encoding_seconds
        seconds_per_network += part.encoding_seconds / sum(map(len, made.encoding.arrays.values()))
    return {
        "metrics": values,
        "predictions": predictions.digest(made.predictions),
        "curve": curve,
        "encoder": part,
        "cost": CostPart(
            training_seconds=training,
            evaluation_seconds=evaluation,
            networks_per_second=1 / seconds_per_network,
            flops_per_network=made.flops_per_network,
            peak_memory_mib=memory.mebibytes(),
        ),
    }


def _defined(value: float) -> float | None:
    """None for what has no value: JSON holds no NaN."""
    return None if math.isnan(value) else value
