"""Runs a cell under conditions that nobody could prepare for, and without test targets.

Seed, order of the networks and order (or signs, phases, scales: what the arm leaves open) of their
neurons are drawn when it runs. The method trains in a process of its own, `benchmark.sandbox`, and
its predictions are scored here. No method's code is loaded into this process.
"""

from __future__ import annotations

import io
import secrets
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmark import arms, sandbox, tasks
from benchmark.arms.scattering import ScatteringArm, scattered
from benchmark.datasets import locate
from benchmark.datasets.storage import SPLITS, Split, WeightDataset
from benchmark.errors import UserError
from benchmark.record import metrics
from benchmark.record.cell import Cell
from benchmark.record.schema import defined
from benchmark.record.sources import ROOT
from benchmark.runs.payload import packed
from benchmark.seeds import generator, named_seed

LARGEST = 2**30  # bytes of predictions


@dataclass(frozen=True)
class Hidden:
    """A result under hidden conditions.

    cell: With the seed that was drawn.
    draw: What all was drawn from; the same makes the same conditions.
    value: The test metric; None where it is undefined.
    weakness: What was missing of the sandbox, if anything.
    """

    cell: str
    draw: str
    value: float | None
    seconds: float
    weakness: str | None


def rerun(cell: Cell, draw: str | None = None, root: Path = ROOT) -> Hidden:
    """Run a cell under hidden conditions.

    Args:
        cell: The cell, whose seed is replaced.
        draw: What the conditions are drawn from; by default a secret that is drawn now.
        root: The project whose code is run.

    Raises:
        UserError: The dataset is not here, or the run failed.
    """
    draw, started = draw or secrets.token_hex(16), time.perf_counter()
    cell = replace(cell, seed=1000 + named_seed(draw, "seed") % 10**6)
    dataset, _ = locate.load(cell.dataset)
    task = tasks.registry()[cell.task](dataset)
    given, order = conditions(dataset, cell.entrant.arm, draw)
    answer = sandbox.run("benchmark.runs.blind", (str(cell),), packed(given), root=root)
    if answer.status:
        line = (answer.errors.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"{cell}: the run ended with {answer.status}: {line[:300]}")
    predictions = _predictions(answer.output, f"{cell}")
    if not task.answers(predictions, len(order)):
        raise UserError(f"{cell}: predictions of shape {tuple(predictions.shape)} do not fit")
    outcome = task.outcome(predictions, task.targets("test")[order])
    value = defined(metrics.get(task.metric).whole(outcome))
    seconds = time.perf_counter() - started
    return Hidden(str(cell), draw, value, seconds, sandbox.weakness())


def conditions(dataset: WeightDataset, arm: str, draw: str) -> tuple[WeightDataset, Tensor]:
    """Draw what a method is given, without anything that tells of test targets.

    Returns:
        The dataset, and the order of its test networks, `[networks]`.
    """
    kinds = _kinds(arm)
    splits, orders = {}, {}
    for name in SPLITS:
        part, random = dataset.splits[name], generator(draw, name)
        order = orders[name] = torch.randperm(len(part.weights), generator=random)
        weights = part.weights
        if kinds != ():
            flat, activations = weights.double(), dataset.activations(name)
            weights = scattered(dataset.spec, flat, activations, kinds, random).float()
        columns = {**part.columns, "weights": weights}
        splits[name] = Split(**{column: values[order] for column, values in columns.items()})
    train, test = splits["train"], splits["test"]
    random = generator(draw, "made up")
    rows = torch.randint(len(train.targets), (len(test.targets),), generator=random)
    splits["test"] = replace(
        test,
        targets=train.targets[rows],
        source_index=torch.zeros_like(test.source_index),
        quality=None if test.quality is None else torch.full_like(test.quality, 1.0),
    )
    examples = dataset.examples
    blank = None if examples is None else np.zeros_like(examples)
    return replace(dataset, splits=splits, examples=blank), orders["test"]


def _kinds(arm: str) -> tuple[str, ...] | None:
    """The changes of neurons that an arm leaves to chance; None for all that there are."""
    if arm == "aligned":
        return ()
    known = arms.get(arm)
    if isinstance(known, ScatteringArm):
        return None if known.kinds is None else tuple(known.kinds)
    return ("permutation",)


def _predictions(output: bytes, place: str) -> Tensor:
    """Read what came through the pipe: numbers, and no pickle."""
    try:
        if len(output) > LARGEST:
            raise ValueError(f"{len(output)} bytes")
        array = np.lib.format.read_array(io.BytesIO(output), allow_pickle=False)
        if array.dtype != np.float32 or not np.isfinite(array).all():
            raise ValueError(f"{array.dtype}, or not all finite")
    except (ValueError, EOFError) as error:
        raise UserError(f"{place}: its predictions cannot be read ({error})") from None
    return torch.from_numpy(array)
