"""Where the variance of a result comes from: training, fitting the networks, permuting them.

Results of the board vary over the seed of a run alone. Here each of three things is drawn anew,
five times, while the others stay: that seed, the starts from which the networks were fitted, and
the order of their neurons.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import torch

from benchmark import suites, tasks
from benchmark.datasets import build, catalog, locate, storage
from benchmark.datasets.storage import WeightDataset
from benchmark.errors import UserError
from benchmark.record import metrics
from benchmark.record.cell import Cell
from benchmark.record.variance import Source, Spread
from benchmark.runs.environment import versions
from benchmark.runs.fit import fit
from benchmark.runs.plan import Run, plan
from benchmark.runs.training import Monitor
from benchmark.seeds import generator

TASK = "inr-classification"
DRAWS = 5

Progress = Callable[[str], None]


def measure(
    method: str, results: Path, mirror: Path | None, progress: Progress = lambda _: None
) -> list[Spread]:
    """Measure the spread of a method in suite `mini`, on the first dataset of INR classification.

    Args:
        method: Name of a row.
        results: Folder where refitted networks are kept, to be read by the next method.
        mirror: Folder laid out like the Hub, where the source images are read.
        progress: Called with a line for each run.

    Raises:
        UserError: If the method is unknown, or the source images are not available.
    """
    name = suites.get(suites.MINI).tasks[TASK].datasets[0]
    stored, _ = locate.load(name)
    (run,) = plan(suites.MINI, TASK, [name], [method], [0])
    scores: dict[Source, list[float]] = {}
    first = _score(run, stored)
    for source in get_args(Source):
        scores[source] = [first]
        for number, (drawn, dataset) in enumerate(_draws(source, run, stored, results, mirror)):
            scores[source].append(_score(drawn, dataset))
            progress(f"{method}, {source} {number + 2} of {DRAWS}: {scores[source][-1]:.4f}")
    return [
        Spread(
            method=method,
            title=run.row.title,
            dataset=name,
            metric=tasks.registry()[TASK](stored).metric,
            source=source,
            scores=tuple(values),
            code_sha256=run.code,
            versions=versions(run.libraries),
        )
        for source, values in scores.items()
    ]


def _draws(
    source: Source, run: Run, stored: WeightDataset, results: Path, mirror: Path | None
) -> Iterator[tuple[Run, WeightDataset]]:
    """Yield runs and datasets with one thing drawn anew."""
    for number in range(1, DRAWS):
        if source == "training":
            cell = run.cell
            other = Cell(cell.suite, cell.task, cell.dataset, cell.entrant, number)
            yield replace(run, cell=other), stored
        elif source == "fitting":
            yield run, _refitted(stored, number, results, mirror)
        else:
            yield run, _permuted(stored, number)


def _refitted(
    stored: WeightDataset, number: int, results: Path, mirror: Path | None
) -> WeightDataset:
    """The same images, fitted from other starts, under the same name: all else stays."""
    entry = catalog.entry(stored.name)
    if entry.recipe is None:
        raise UserError(f"{entry.name} has no recipe, so that its networks cannot be fitted anew")
    recipe = entry.recipe.model_copy(update={"seed": entry.recipe.seed + number})
    folder = results / "variance" / f"{entry.name}-seed-{recipe.seed}"
    other = entry.model_copy(update={"recipe": recipe, "fingerprint": None})
    build.build(other, folder, locate.mirror_folder(mirror))
    return storage.read(folder)


def _permuted(stored: WeightDataset, number: int) -> WeightDataset:
    """The same networks, with their neurons in another order before the arm permutes them."""
    splits = {}
    for name, split in stored.splits.items():
        random = generator("variance", str(number), name)
        orders = stored.spec.random_permutations(len(split.weights), random)
        splits[name] = replace(split, weights=stored.spec.permute(split.weights, orders))
    return replace(stored, splits=splits)


def _score(run: Run, dataset: WeightDataset) -> float:
    with tempfile.TemporaryDirectory() as folder:
        fitted = fit(run, dataset, Path(folder), torch.device("cpu"), Monitor())
    metric = metrics.get(fitted.task.metric)
    return metric.whole(fitted.predictions["test"])
