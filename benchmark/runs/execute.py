"""From a run to its record."""

from __future__ import annotations

import errno
import traceback
from bdb import BdbQuit
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from benchmark import tasks
from benchmark.datasets import locate
from benchmark.datasets.storage import WeightDataset
from benchmark.record import differences, equivalence, metrics, predictions
from benchmark.record import schema as records
from benchmark.record.metrics import Metric
from benchmark.record.paths import DRAWN, RECONSTRUCTED
from benchmark.record.schema import CostPart, DatasetPart, Record
from benchmark.runs import checkpoints, curves, encoding, kept
from benchmark.runs.environment import PeakMemory, describe, versions
from benchmark.runs.fit import Fitted, Skipped, checkpoint_path, fit
from benchmark.runs.pictures import sheet, to_pixels
from benchmark.runs.plan import Run
from benchmark.runs.training import Diverged, Monitor

MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""A disk that is full, at its quota, read-only or broken: nothing that a method does wrong."""


def changes(run: Run, record: Record) -> list[str]:
    """What has changed since a record was made, in words; nothing where it stands for what the run
    would make now.
    """
    described, was = run.describe_method(None).model_dump(), record.method.model_dump()
    for parts in (described, was):
        del parts["parameters"], parts["code_sha256"]
    found = differences.between(was.pop("hyperparameters"), described.pop("hyperparameters"))
    found += differences.between(was, described)
    found += differences.between(record.protocol, run.protocol.model_dump())
    if record.encoder is not None:
        encoder = run.encoder_protocol.model_dump() if run.encoder_protocol else {}
        found += differences.between(record.encoder.protocol, encoder, differences.FIRST_STAGE)
    found += differences.between(record.environment.versions, versions(run.libraries))
    if run.code is None:
        found.append("its code is outside the project, where nothing is known of it")
    elif not equivalence.equivalent(record.method.name, record.method.code_sha256, run.code):
        found.append("its code has changed")
    # A dataset that is not on this machine has not changed, for all that is known here.
    if locate.fingerprint(run.dataset) not in (None, record.dataset.fingerprint):
        found.append("its dataset has changed")
    return found or ([] if record.seeds == run.seeds else ["its random seeds have changed"])


def is_current(run: Run, record: Record) -> bool:
    """Whether a record stands for what the run would make now; one that failed is tried again."""
    return record.status != "failed" and not changes(run, record)


def execute(
    run: Run,
    results: Path,
    device: torch.device,
    workers: int,
    monitor: Monitor,
    keep: bool = False,
    told: curves.Told = lambda _: None,
) -> Record:
    """Make a run, write its record under `results`, and return it.

    With `keep` the selected weights lie beside it. `told` is called with the curves as they grow.

    What goes wrong inside the method is part of the record: "skipped" with its reason, "diverged"
    with the step, "failed" with the error, whose traceback is left beside the record. What is wrong
    with the machine's disk is no part of any: OSError is raised.
    """
    dataset, origin = locate.load(run.dataset)
    memory, metric = PeakMemory(device), metrics.get(tasks.registry()[run.cell.task].metric)
    log = results / run.path.with_suffix(".traceback.txt")
    log.parent.mkdir(parents=True, exist_ok=True)
    fitted, status, reason = None, "finished", None
    following = curves.followed(run, results, monitor, told)
    try:
        fitted = fit(run, dataset, results, device, following)
    except Skipped as skipped:
        status, reason = "skipped", str(skipped)[:500] or "the method did not say why"
    except Diverged as diverged:
        status, reason = "diverged", str(diverged)
    except BdbQuit:  # somebody left the debugger
        raise KeyboardInterrupt from None
    except Exception as error:  # whatever a method does wrong, the other runs go on
        if isinstance(error, OSError) and error.errno in MACHINE:
            raise
        status, reason = "failed", f"{type(error).__name__}: {error}".splitlines()[0][:500]
        log.write_text(traceback.format_exc(), encoding="utf-8")
        monitor.note(_advice(run, dataset, log))
    record = Record(
        task=run.cell.task,
        metric=metric.name,
        suite=run.cell.suite,
        setting=run.setting,
        seed=run.cell.seed,
        seeds=run.seeds,
        method=run.describe_method(fitted and fitted.parameters),
        dataset=DatasetPart(
            name=run.cell.dataset,
            arm=run.cell.entrant.arm,
            origin=origin,
            pinned=locate.is_pinned(run.cell.dataset, dataset),
            fingerprint=dataset.manifest.fingerprint,
        ),
        protocol=run.protocol.model_dump(),
        status=status,
        reason=reason,
        **_outcome(run, fitted, memory, metric),
        environment=describe(device, workers, run.libraries),
        command=run.command,
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    if fitted:
        _draw(fitted, dataset, results / run.path)
        path = results / run.path.with_suffix(".npz")
        predictions.write(path, [(record.predictions, fitted.predictions)])
    _keep(record, fitted, results, keep, monitor)
    curves.write(record, results)
    records.write(record, results)
    checkpoints.remove(checkpoint_path(run, results))
    if status != "failed":
        log.unlink(missing_ok=True)
    return record


def _advice(run: Run, dataset: WeightDataset, log: Path) -> str:
    """What a method is to make here, and how to see what it does instead."""
    parameters = dataset.spec.parameters
    outputs = tasks.registry()[run.cell.task](dataset).outputs
    wanted = f"[batch, k, {parameters}]" if run.method.edits else f"[batch, {outputs}]"
    return (
        f"{run.cell.task} wants {wanted} from weights [batch, {parameters}]; the "
        f"traceback is in {log}; with --workers 0, a breakpoint() in the method's file stops there"
    )


def _keep(
    record: Record, fitted: Fitted | None, results: Path, keep: bool, monitor: Monitor
) -> None:
    """Write the weights where they are wanted; none of an earlier run stay beside a new record."""
    if keep and record.curve:
        kept.write(record, fitted, results)
        return
    if keep and fitted:
        monitor.note(f"{record.method.name} has no weights trained by steps, so none are kept")
    (results / record.path).with_suffix(kept.SUFFIX).unlink(missing_ok=True)


def _draw(fitted: Fitted, dataset: WeightDataset, path: Path) -> None:
    """The task's picture of the test predictions, and one of what an encoder reconstructs."""
    fitted.task.picture(fitted.outcome.predictions["test"], path.with_suffix(DRAWN))
    if fitted.encoded is not None:
        image, test = dataset.manifest.image, dataset.splits["test"].weights
        drawings = encoding.draw(dataset.spec, test[: len(dataset.examples)], image)
        rows = {
            "image": dataset.examples,
            "INR": to_pixels(drawings, *image),
            "reconstruction": to_pixels(fitted.encoded.reconstructions, *image),
        }
        sheet(list(rows.items())).save(path.with_suffix(RECONSTRUCTED))


def _outcome(run: Run, fitted: Fitted | None, memory: PeakMemory, metric: Metric) -> dict[str, Any]:
    """The parts of a record that tell what came out."""
    if fitted is None:
        return {"metrics": {}, "predictions": None, "curve": [], "encoder": None, "cost": None}
    values = {
        split: records.defined(metric.whole(outcome))
        for split, outcome in fitted.predictions.items()
    }
    values |= {name: records.defined(value) for name, value in fitted.further.items()}
    outcome, part = fitted.outcome, fitted.encoded and fitted.encoded.part
    training, evaluation = outcome.training_seconds, outcome.evaluation_seconds
    seconds_per_network = 1 / outcome.networks_per_second
    if part:
        training += part.training_seconds
        evaluation += part.evaluation_seconds + part.encoding_seconds
        networks = sum(map(len, fitted.encoded.arrays.values()))
        seconds_per_network += part.encoding_seconds / networks
    return {
        "metrics": values,
        "predictions": predictions.digest(fitted.predictions),
        "curve": curves.points(outcome.curve, run.cell.task),
        "encoder": part,
        "cost": CostPart(
            training_seconds=training,
            evaluation_seconds=evaluation,
            networks_per_second=1 / seconds_per_network,
            flops_per_network=fitted.flops_per_network,
            peak_memory_mib=memory.mebibytes(),
        ),
    }
