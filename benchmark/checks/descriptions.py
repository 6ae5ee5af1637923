"""Describes methods for `benchmark.record.descriptions`: each cell of the suites, with its costs.

Costs are counted on freshly built modules. They depend on the networks' shapes alone, which the
catalogue says, so no dataset is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import torch

import baselines
from benchmark import suites, tasks
from benchmark.datasets import catalog
from benchmark.datasets.storage import SPLITS, Manifest, Split, WeightDataset
from benchmark.errors import UserError
from benchmark.methods import Problem
from benchmark.record import descriptions
from benchmark.record.descriptions import Description
from benchmark.record.schema import write_atomically
from benchmark.runs import plan
from benchmark.runs.encoding import count_parameters
from benchmark.runs.fit import count_flops
from benchmark.runs.plan import Run
from nft import siren


def describe(names: Iterable[str] | None = None) -> dict[str, str]:
    """Describe methods in every suite.

    Args:
        names: Names of methods; all by default.

    Returns:
        The text of each method's file, by name; that of a method without cells is left out.
    """
    wanted = {baselines.get(name).name for name in (names or baselines.registry())}
    found: dict[str, list[Description]] = {}
    for run in _runs():
        method = run.cell.entrant.method
        if method in wanted:
            found.setdefault(method, []).append(_description(run))
    return {
        method: descriptions.text({one.key: one for one in ones}.values())
        for method, ones in sorted(found.items())
    }


def stale(texts: dict[str, str], folder: Path = descriptions.FOLDER) -> list[Path]:
    """Name the files that say something else."""
    paths = {folder / f"{method}.json": text for method, text in texts.items()}
    return [
        path
        for path, text in paths.items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


def write(texts: dict[str, str], folder: Path = descriptions.FOLDER) -> list[Path]:
    """Write methods' files, and return those that changed."""
    changed = stale(texts, folder)
    folder.mkdir(exist_ok=True)
    for path in changed:
        write_atomically(path, texts[path.stem].encode())
    descriptions.read.cache_clear()
    return changed


def _runs() -> Iterator[Run]:
    """One run of each cell of the suites that name datasets."""
    for name, suite in suites.registry().items():
        for task, settings in suite.tasks.items():
            if settings.datasets:
                yield from plan.plan(name, task, seeds=[0])


def _description(run: Run) -> Description:
    cell = run.cell
    parameters, flops = _costs(run)
    told = run.describe_method(parameters)
    return Description(
        suite=cell.suite,
        task=cell.task,
        dataset=cell.dataset,
        row=cell.entrant.label,
        metric=tasks.registry()[cell.task].metric,
        title=told.title,
        paper=told.paper,
        base=told.base,
        reads_functions=told.reads_functions,
        source=told.source,
        hyperparameters=told.hyperparameters,
        parameters=parameters,
        flops_per_network=flops,
    )


def _costs(run: Run) -> tuple[int | None, int | None]:
    """Count parameters and FLOPs as a run does; no FLOPs where they depend on the network."""
    problem = _problem(run.cell.task, run.cell.dataset)
    if problem is None or run.method.skip(problem) is not None:
        return None, None
    inputs, parameters, flops, varies = torch.zeros(1, problem.spec.parameters), 0, 0, False
    for stage in run.method.stages:
        torch.manual_seed(0)
        module = stage.build(problem).eval()
        function = module.encode if stage.role == "encoder" else module
        parameters += count_parameters(module)
        flops += (of_zeros := count_flops(function, inputs))
        varies |= of_zeros != count_flops(function, torch.randn_like(inputs))
        if stage.role == "encoder":
            with torch.no_grad():
                inputs = module.encode(inputs)
    return parameters, None if varies else flops


@cache
def _problem(task: str, dataset: str) -> Problem | None:
    """What a method would be built for; None where no recipe says the networks' shape."""
    entry = catalog.entry(dataset)
    if entry.recipe is None:
        return None
    columns = entry.recipe.columns(entry.images)
    side = getattr(entry.recipe, "side", None)
    draws = columns.spec.activation == "sine" and side
    image = (side, side) if draws else None
    numbers = columns.pixels or len(columns.several)
    targets = torch.zeros((2, numbers) if numbers else 2)
    weights = siren.initialise(columns.spec, 2) if draws else torch.ones(2, columns.spec.parameters)
    part = Split(weights, targets, torch.zeros(2), torch.zeros(2))
    manifest = Manifest.model_construct(
        name=dataset,
        spec=columns.spec.to_json(),
        classes=list(columns.classes),
        target_pixels=columns.pixels,
        targets={name: list(classes) for name, classes in columns.several.items()},
        quality=columns.quality,
        image=image,
    )
    blank = WeightDataset(manifest, dict.fromkeys(SPLITS, part), None)
    try:
        outputs = tasks.registry()[task](blank).outputs
    except UserError:
        return None
    return Problem(columns.spec, outputs, *columns.spec.statistics(weights), image)
