"""Trains the stages of a run, one after the other, and predicts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmark import arms, tasks
from benchmark.arms.scattered import Scattered
from benchmark.arms.scattering import canonical, has_more_than_order
from benchmark.datasets.storage import SPLITS, WeightDataset
from benchmark.methods import FittedModule, Problem, Stage
from benchmark.record import metrics
from benchmark.record.cell import DEFAULT_ARM
from benchmark.record.predictions import SHIFTED, Predictions
from benchmark.runs import encoding, mixup
from benchmark.runs.augmentation import augmentation
from benchmark.runs.environment import versions
from benchmark.runs.plan import Run
from benchmark.runs.training import Data, Monitor, Outcome, Trainer
from benchmark.tasks.contract import Task


class Skipped(Exception):
    """The method cannot read these networks; the message says why."""


@dataclass(frozen=True)
class Fitted:
    """What a run made, before it is written down.

    further: more metrics of the test split, by name. encoded: of a first stage, if there was one.
    modules: each stage's with its selected weights, by role. problem: what they were built for.
    """

    task: Task
    outcome: Outcome
    predictions: Predictions
    further: Mapping[str, float]
    parameters: int
    flops_per_network: int
    encoded: encoding.Encoding | None
    modules: Mapping[str, nn.Module]
    problem: Problem


def problem_of(task: Task, dataset: WeightDataset, train: Tensor | None = None) -> Problem:
    """What a method may know of a task.

    Args:
        train: the training networks' weights `[networks, parameters]`; as stored unless given.
    """
    weights = dataset.splits["train"].weights if train is None else train
    statistics = dataset.spec.statistics(weights)
    return Problem(dataset.spec, task.outputs, *statistics, dataset.manifest.image)


def fit(
    run: Run, dataset: WeightDataset, results: Path, device: torch.device, monitor: Monitor
) -> Fitted:
    """Train and predict; checkpoints and encodings lie under `results`.

    Raises:
        Skipped: where the method cannot read these networks.
        Diverged: where a loss stops being a number.
        Stopped: what the monitor raised. And whatever else the method raises.
    """
    arm, task = arms.get(run.cell.entrant.arm), tasks.registry()[run.cell.task](dataset)
    weights = _weights(run, dataset)
    targets = {
        split: arm.targets(dataset, split, task.targets(split)).to(device) for split in SPLITS
    }
    problem = problem_of(task, dataset, weights["train"])
    if (reason := run.method.skip(problem) or mixup.obstacle(run, dataset)) is not None:
        raise Skipped(reason)
    inputs = {split: rows.to(device) for split, rows in weights.items()}
    *first, head = run.method.stages
    if first and task.self_supervised:
        raise Skipped("it learns in two stages, and this task is learned in one")
    parameters, flops, encoded, modules = 0, 0, None, {}
    for stage in first:
        module = modules[stage.role] = _build(run, stage, problem, device)
        flops += count_flops(module.encode, inputs["test"][:1])
        with torch.no_grad():  # before the first stage's hours, not after
            _check(task, head.build(problem).to(device), module.encode(inputs["train"][:2]))
        trainer = _encoder_trainer(run, stage, module, dataset, results, monitor)
        images = dataset.manifest.image, len(dataset.examples)
        mark = checkpoint_path(run, results).with_suffix(".encoder")
        encoded = encoding.encode(trainer, dataset.spec, inputs, *images, results / "cache", mark)
        inputs, parameters = encoded.arrays, encoded.part.parameters
        monitor = monitor.after(run.encoder_protocol.steps)
    module = modules[head.role] = _build(run, head, problem, device)
    if isinstance(module, FittedModule) and task.self_supervised:
        raise Skipped("it is fitted to targets, and this task is learned without them")
    _check(task, module, inputs["train"][:2])
    flops += count_flops(module, inputs["test"][:1])
    reads_networks = encoded is None or _returns_networks(modules["encoder"])
    learner = task.learner(module, inputs["train"])
    trainer = _head_trainer(run, head, learner, task, results, monitor, reads_networks)
    if isinstance(module, FittedModule):
        if trainer.mixing is not None:
            raise Skipped(mixup.FITTED_AT_ONCE)
        targets["train"] = task.responses(targets["train"])
    outcome = trainer.run(*(Data(inputs[split], targets[split]) for split in SPLITS))
    predictions = {
        split: task.outcome(rows, task.targets(split).to(rows.device))
        for split, rows in outcome.predictions.items()
    }
    if SHIFTED in inputs:
        rows = trainer.predict(inputs[SHIFTED])
        predictions[SHIFTED] = task.outcome(rows, task.targets("test").to(rows.device))
    references = {} if outcome.curve else task.references()
    further = {**task.further(predictions["test"]), **references}
    parameters += encoding.count_parameters(module)
    return Fitted(task, outcome, predictions, further, parameters, flops, encoded, modules, problem)


def _weights(run: Run, dataset: WeightDataset) -> dict[str, Tensor]:
    """What a run reads, by split.

    A run on permuted networks looks a second time at the test networks, when they are scattered,
    if they have more symmetries than the order of their neurons.
    """
    spec, arm = dataset.spec, arms.get(run.cell.entrant.arm)
    weights = {split: arm.weights(dataset, split) for split in SPLITS}
    if arm.name == DEFAULT_ARM and has_more_than_order(spec, dataset.activations("test")):
        weights[SHIFTED] = Scattered().weights(dataset, "test")
    if run.method.canonical:
        for name, flat in weights.items():
            activations = dataset.activations("test" if name == SHIFTED else name)
            weights[name] = canonical(spec, flat, activations)
    return weights


def checkpoint_path(run: Run, results: Path) -> Path:
    """Where a run's checkpoint lies while it is not done."""
    return results / run.path.with_suffix(".checkpoint")


def count_flops(function: Callable[[Tensor], Tensor], one: Tensor) -> int:
    """Of one network's way through `function`: matrix products alone, as torch counts them.

    Attention is counted as the matrix products that it is: which fused kernels there are, and which
    of them are counted, differs between versions of torch and between devices.
    """
    with torch.no_grad(), _unfused(), FlopCounterMode(display=False) as counter:
        function(one)
    return counter.get_total_flops()


@contextmanager
def _unfused() -> Iterator[None]:
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _build(run: Run, stage: Stage, problem: Problem, device: torch.device) -> nn.Module:
    """A stage's module in evaluation mode, initialised by its seed."""
    torch.manual_seed(run.seed_for("encoder" if stage.role == "encoder" else "parameters"))
    return stage.build(problem).to(device).eval()


def _check(task: Task, module: nn.Module, inputs: Tensor) -> None:
    with torch.no_grad():
        outputs = module.eval()(inputs)
    if not task.fits(outputs, len(inputs)):
        expected = f"{len(inputs)} networks and {task.outputs} outputs each"
        raise ValueError(
            f"the module's output has shape {tuple(outputs.shape)}, which does not fit {expected}"
        )
    with torch.no_grad():
        predictions = task.learner(module, inputs).eval()(inputs)
    if not task.answers(predictions, len(inputs)):
        raise ValueError(f"predictions of shape {tuple(predictions.shape)} do not fit {task.name}")


def _encoder_trainer(
    run: Run,
    stage: Stage,
    module: nn.Module,
    dataset: WeightDataset,
    results: Path,
    monitor: Monitor,
) -> Trainer:
    # By what it is, not by whose it is: variants with the same first stage share its arrays.
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    rates = [stage.learning_rate, stage.weight_decay]
    protocol = run.encoder_protocol.model_dump()
    at_once = isinstance(module, FittedModule)
    reading = [run.method.canonical, "none" if at_once else run.method.augmentation]
    parts = [repr(module), _settings(module), digest.hexdigest(), rates, protocol, reading]
    identity = _identity(run, dataset, parts)
    return Trainer(
        identity=identity,
        order_seed=lambda epoch: run.seed_for(f"encoder, order of epoch {epoch}"),
        module=module,
        loss=encoding.squared_error,
        score=lambda images, targets: -encoding.squared_error(images, targets).item(),
        protocol=run.encoder_protocol,
        learning_rate=stage.learning_rate,
        weight_decay=stage.weight_decay,
        augmentation=None if at_once else augmentation(run, dataset, stage.role),
        mixing=None,
        checkpoint=results / "cache" / f"{identity}.checkpoint",
        monitor=monitor,
    )


def _returns_networks(encoder: nn.Module) -> bool:
    """Whether what an encoder returns is flat weights again."""
    return isinstance(encoder, FittedModule) and encoder.returns_networks


def _settings(module: nn.Module) -> list[object]:
    """What a module and its parts hold beside tensors, which their text need not say."""
    kinds = (bool, int, float, str)
    return [
        [name, {key: value for key, value in vars(part).items() if isinstance(value, kinds)}]
        for name, part in module.named_modules()
    ]


def _head_trainer(
    run: Run,
    stage: Stage,
    module: nn.Module,
    task: Task,
    results: Path,
    monitor: Monitor,
    reads_networks: bool,
) -> Trainer:
    metric = metrics.get(task.metric)

    def score(predictions: Tensor, targets: Tensor) -> float:
        value = metric.whole(task.outcome(predictions, targets))
        return value if metric.direction == "max" else -value

    change = augmentation(run, task.dataset, stage.role) if reads_networks else None
    protocols = [run.protocol, run.encoder_protocol]
    budget = [protocol and protocol.model_dump() for protocol in protocols]
    return Trainer(
        identity=_identity(
            run, task.dataset, [str(run.cell), budget, run.describe_method(None).model_dump()]
        ),
        order_seed=lambda epoch: run.seed_for(f"order of epoch {epoch}"),
        module=module,
        loss=task.loss,
        score=score,
        protocol=run.protocol,
        learning_rate=stage.learning_rate,
        weight_decay=stage.weight_decay,
        augmentation=task.reading(change),
        mixing=mixup.mixing(run, task),
        checkpoint=checkpoint_path(run, results),
        monitor=monitor,
    )


def _identity(run: Run, dataset: WeightDataset, parts: list[object]) -> str:
    """A digest of what a stage's result depends on: data, arm, seeds, code, versions, `parts`."""
    data = [dataset.name, dataset.manifest.fingerprint, run.cell.entrant.arm, run.seeds]
    code = [run.code_or_file, versions(run.libraries)]
    return hashlib.sha256(json.dumps([data, code, parts], sort_keys=True).encode()).hexdigest()
