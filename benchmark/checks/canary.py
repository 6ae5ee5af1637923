"""A canary: whether code computes, bit for bit, what other code or another machine computes.

Every method, stage and task goes through the whole protocol squeezed into 16 steps (warm-up, decay,
evaluations, selection), on seeded random networks of a dataset's spec, written to a dataset, read
and passed through the arm. Two canaries are equal where every loss, the final and the selected
predictions and all that is computed of them are: a doubled weight decay moves such predictions by
as little as 1e-5, so nothing but bit-equality counts.

What acts only in longer or larger runs escapes it: a branch after step 100, a threshold of 1,000
networks. Whoever reviews a change looks for those. What is compiled, or computed in bfloat16, has
no canary: there the digest of the code alone counts.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from benchmark import suites
from benchmark.datasets import catalog, listing, storage
from benchmark.datasets.storage import Columns, Split, WeightDataset
from benchmark.errors import UserError
from benchmark.record import equivalence, metrics, predictions, sources
from benchmark.record.cell import Cell
from benchmark.record.equivalence import Equivalence
from benchmark.record.git import GitError, git
from benchmark.record.paths import regular
from benchmark.record.schema import write_atomically
from benchmark.runs.environment import processor, versions
from benchmark.runs.fit import Fitted, Skipped, fit
from benchmark.runs.plan import Run, plan
from benchmark.runs.training import Monitor
from benchmark.seeds import generator
from benchmark.suites.protocol import Protocol
from nft.network import ACTIVATIONS, VARIOUS

COMMITTED = Path(__file__).resolve().parent / "canary.json"
NETWORKS = {"train": 48, "validation": 24, "test": 24}
STEPS = 16


class Canary(BaseModel):
    """One cell's: the digest of its code, and of everything that the squeezed run computed."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    code: str
    losses: str
    final: str
    selected: str
    outcomes: str

    @property
    def results(self) -> tuple[str, str, str, str]:
        """What must be equal."""
        return self.losses, self.final, self.selected, self.outcomes


class Canaries(BaseModel):
    """Those of all cells, and what computed them."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    processor: str
    capability: str
    versions: dict[str, str]
    cells: dict[str, Canary]

    @property
    def machine(self) -> str:
        """The processor, and the versions of what computes."""
        libraries = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return f"{self.processor} ({self.capability}), {libraries}"


@dataclass(frozen=True)
class Comparison:
    """Cells by how their canaries compare: equal results, other results, or nothing to compare."""

    equal: Sequence[str]
    other: Sequence[str]
    alone: Sequence[str]


def runs() -> list[Run]:
    """Every entrant of every task that has a canary, on its first dataset that is embedded.

    A task of which none is embedded has one where a recipe says what its networks are.
    """
    squeezed: dict[tuple[str, str], Run] = {}
    embedded = _tasks_with_embedded_datasets()
    for suite in suites.registry().values():
        for task, settings in suite.tasks.items():
            datasets = [
                name
                for name in settings.datasets
                if (listing.is_embedded(name) if task in embedded else catalog.entry(name).recipe)
            ]
            exact = not settings.protocol.compiled and settings.protocol.precision == "float32"
            if not (datasets and exact):
                continue
            for run in plan(suite.name, task, datasets, seeds=[0]):
                encoder = run.encoder_protocol and _squeezed(run.encoder_protocol)
                short = Run(run.cell, _squeezed(run.protocol), encoder)
                squeezed.setdefault((task, str(run.cell.entrant)), short)
    return list(squeezed.values())


def _tasks_with_embedded_datasets() -> set[str]:
    return {
        task
        for suite in suites.registry().values()
        for task, settings in suite.tasks.items()
        if any(map(listing.is_embedded, settings.datasets))
    }


def measure(progress: Callable[[str], None] = lambda _: None) -> Canaries:
    """Make every canary here, on one thread of a CPU."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        cells, planned = {}, runs()
        for number, run in enumerate(planned, 1):
            progress(f"[{number}/{len(planned)}] {run.cell}")
            if (canary := _canary(run)) is not None:
                cells[str(run.cell)] = canary
    finally:
        torch.set_num_threads(threads)
    capability = torch.backends.cpu.get_cpu_capability()
    return Canaries(processor=processor(), capability=capability, versions=versions(), cells=cells)


def measure_at(commit: str) -> tuple[str, Canaries]:
    """Make the canaries of a commit's code, with the present interpreter and libraries.

    Returns the commit in full, and its canaries. Raises UserError where there is no such commit, or
    its code has none.
    """
    try:
        full = git(sources.ROOT, "rev-parse", "--verify", f"{commit}^{{commit}}")
    except GitError as error:
        raise UserError(
            f"COMMIT {commit[:80]!r} is no commit here: give a hash, a branch or a tag, as main or "
            f"HEAD~1 (git says: {error})"
        ) from None
    with _worktree(full) as folder, tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "canary.json"
        command = [sys.executable, "-m", "benchmark", "canary", "--output", str(path)]
        process = subprocess.run(command, cwd=folder, check=False, stdout=subprocess.DEVNULL)
        if process.returncode or not path.is_file():
            raise UserError(f"the code of {commit} has no canary that runs; name a later commit")
        return full, read(path)


def read(path: Path) -> Canaries:
    """Canaries from a file. Raises UserError for one that holds something else."""
    try:
        return Canaries.model_validate_json(regular(path).read_bytes())
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: no canaries: {reason}; restore it from git") from None


def write(canaries: Canaries, path: Path) -> None:
    """Write canaries to a file."""
    write_atomically(path, (json.dumps(canaries.model_dump(), indent=1) + "\n").encode())


def compare(before: Canaries, now: Canaries) -> Comparison:
    """Hold the present canaries against others, cell by cell."""
    equal, other, alone = [], [], []
    for cell, canary in now.cells.items():
        if cell not in before.cells:
            alone.append(cell)
        else:
            same = before.cells[cell].results == canary.results
            (equal if same else other).append(cell)
    return Comparison(equal, other, alone)


def add_equivalences(commit: str, before: Canaries, now: Canaries) -> list[Path]:
    """Note for every method which changed code computes the same. Returns the files written."""

    def change(cell: str) -> tuple[str, str, str]:
        return _method(cell), before.cells[cell].code, now.cells[cell].code

    additions: dict[str, list[Equivalence]] = {}
    compared = compare(before, now)
    refuted = {change(cell) for cell in compared.other}  # options share the code of their method
    for cell in compared.equal:
        method, was, current = change(cell)
        if (method, was, current) not in refuted and not equivalence.equivalent(
            method, was, current
        ):
            addition = Equivalence(cell=cell, base=commit, was=was, now=current)
            additions.setdefault(method, []).append(addition)
    return [
        equivalence.write(method, [*equivalence.read(method), *rows])
        for method, rows in additions.items()
    ]


def false_claims(before: Canaries, now: Canaries) -> list[str]:
    """The cells whose code is noted to compute the same as the base's, and does not."""
    return [
        cell
        for cell in compare(before, now).other
        if equivalence.equivalent(_method(cell), before.cells[cell].code, now.cells[cell].code)
    ]


def random_dataset(name: str, folder: Path) -> WeightDataset:
    """Write seeded random networks with the columns of a dataset, and read them.

    Args:
        name: Of an embedded dataset, or of one whose recipe makes networks that draw nothing.
        folder: Where they are written.
    """
    columns, image = _columns(name)
    shards = {split: storage.shard_paths(split, 1) for split in NETWORKS}
    for split, count in NETWORKS.items():
        part = _random_split(name, columns, split, count)
        storage.write_shard(folder / shards[split][0], columns, part, {})
    random = generator(name, "canary", "examples")
    examples = None
    if image is not None:
        colours = (3,) if columns.spec.neurons[-1] == 3 else ()
        pixels = torch.randint(256, (8, *image, *colours), generator=random)
        examples = pixels.byte().numpy()
    storage.seal(folder, name, columns, {}, shards, examples)
    return storage.read(folder)


def _columns(name: str) -> tuple[Columns, tuple[int, int] | None]:
    """The columns of a dataset, and height and width of what its networks draw, if anything."""
    if listing.is_embedded(name):
        manifest = storage.read_manifest(listing.EMBEDDED / name)
        return manifest.columns, manifest.image
    entry = catalog.entry(name)
    return entry.recipe.columns(entry.images), None


def _random_split(name: str, columns: Columns, split: str, count: int) -> Split:
    random, spec = generator(name, "canary", split), columns.spec
    layers = [
        tuple(
            torch.randn(count, *shape, generator=random) / layer.inputs**0.5 / (spec.omega or 1)
            for shape in ((layer.outputs, layer.inputs, *layer.kernel), (layer.outputs,))
        )
        for layer in spec.layers
    ]
    numbers = (count, len(columns.several)) if columns.several else (count,)
    targets: dict[str, Tensor] = {
        "label": torch.randint(max(1, len(columns.classes)), (count,), generator=random),
        "target": torch.rand(numbers, generator=random),
    }
    if columns.target == "target_image":
        shape = (count, columns.pixels)
        targets["target_image"] = torch.randint(256, shape, generator=random).byte()
    index = torch.arange(count).int()
    quality = 20 + torch.rand(count, generator=random)
    various = torch.where(index % 2 == 0, *map(ACTIVATIONS.index, ("relu", "tanh"))).long()
    activation = various if spec.activation == VARIOUS else None
    flat, target = spec.to_flat(layers), targets[columns.target]
    return Split(flat, target, index, index * 0, quality, activation)


def _canary(run: Run) -> Canary | None:
    """None for a method that cannot read these networks."""
    finals: list[Tensor] = []
    with tempfile.TemporaryDirectory() as folder:
        monitor = Monitor(evaluated=lambda *scored: finals.append(scored[-1]))
        dataset = random_dataset(run.cell.dataset, Path(folder) / "networks")
        try:
            fitted = fit(run, dataset, Path(folder), torch.device("cpu"), monitor)
        except Skipped:
            return None
    encoder = fitted.encoded and fitted.encoded.part
    losses = [point.loss for point in encoder.curve] if encoder else []
    losses += [point["loss"] for point in fitted.outcome.curve]
    selected = dict(fitted.outcome.predictions)
    selected |= fitted.encoded.arrays if fitted.encoded else {}
    return Canary(
        code=run.code or "",
        losses=hashlib.sha256(" ".join(map(float.hex, losses)).encode()).hexdigest(),
        final=_digest({"final": finals[-1]} if finals else {}),
        selected=_digest(selected),
        outcomes=_outcomes(fitted),
    )


def _outcomes(fitted: Fitted) -> str:
    """A digest of what the task makes of the predictions, and of every metric."""
    metric = metrics.get(fitted.task.metric)
    values = {name: metric.whole(outcome) for name, outcome in fitted.predictions.items()}
    values |= fitted.further
    lines = [predictions.digest(fitted.predictions)]
    lines += [f"{name} {float(value).hex()}" for name, value in sorted(values.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _squeezed(protocol: Protocol) -> Protocol:
    return protocol.model_copy(
        update={"steps": STEPS, "batch_size": 16, "warmup_steps": 4, "evaluations": STEPS}
    )


def _digest(tensors: Mapping[str, Tensor]) -> str:
    hashed = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        hashed.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        hashed.update(tensor.cpu().contiguous().numpy().tobytes())
    return hashed.hexdigest()


def _method(cell: str) -> str:
    return Cell.parse(cell).entrant.method


@contextmanager
def _worktree(commit: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "code"
        git(sources.ROOT, "worktree", "add", "--detach", str(folder), commit)
        try:
            yield folder
        finally:
            git(sources.ROOT, "worktree", "remove", "--force", str(folder))
