"""What a run trained, beside its record: the selected weights in `seed-0.safetensors`."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

import baselines
from benchmark.errors import UserError
from benchmark.methods import Method, Problem
from benchmark.record import equivalence, schema, sources
from benchmark.record.paths import absolute, regular
from benchmark.record.schema import Record, write_atomically
from benchmark.runs.fit import Fitted
from nft.network import NetworkSpec

SUFFIX = ".safetensors"


class TwoStages(nn.Module):
    """An encoder and the head that reads its arrays: from flat weights to predictions."""

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, flat: Tensor) -> Tensor:
        return self.head(self.encoder.encode(flat))


def write(record: Record, fitted: Fitted, results: Path) -> None:
    """Write the modules of a run: their tensors under "encoder." and "head."."""
    problem = fitted.problem
    tensors = {"problem.mean": problem.mean, "problem.std": problem.std}
    for role, module in fitted.modules.items():
        tensors |= {f"{role}.{name}": value for name, value in module.state_dict().items()}
    metadata = {
        "method": record.method.name,
        "options": "+".join(record.method.options),
        "suite": record.suite,
        "task": record.task,
        "dataset": record.dataset.name,
        "arm": record.dataset.arm,
        "seed": str(record.seed),
        "spec": json.dumps(problem.spec.to_json()),
        "outputs": str(problem.outputs),
        "image": json.dumps(problem.image),
        "predictions": record.predictions,
    }
    # Clones, because tensors that share memory cannot be written.
    whole = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    write_atomically(results / record.path.with_suffix(SUFFIX), _ordered(save(whole, metadata)))


def _ordered(data: bytes) -> bytes:
    """The same file with its header in order: safetensors writes metadata in a random one."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[start:]


def is_missing(record: Record, results: Path) -> bool:
    """Whether a run trained weights by steps that are not kept."""
    return bool(record.curve) and not (results / record.path.with_suffix(SUFFIX)).exists()


def sizes(records: Iterable[Record], results: Path) -> list[int]:
    """The bytes of each file of weights that is kept."""
    paths = [results / record.path.with_suffix(SUFFIX) for record in records]
    return [path.stat().st_size for path in paths if path.exists()]


def load(path: Path | str, method: type[Method] | None = None) -> nn.Module:
    """What `benchmark.load` gives."""
    path = absolute(path)
    record, file = schema.read(path), path.with_suffix(SUFFIX)
    if not file.exists():
        raise UserError(f"{file} is not there; keep the weights: {record.command} --keep")
    if method is None:
        if record.method.source is None:
            raise UserError(
                f"{path}: {record.method.name} is no method of the project; give its class, as "
                "load(path, method=Mine)"
            )
        method = baselines.get(record.method.name).method
        _warn_of_changes(record, path)
    try:
        with safe_open(regular(file), "pt") as opened:
            metadata, names = opened.metadata() or {}, list(opened.keys())
            tensors = {name: opened.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read ({error}); run it again with --rerun") from None
    if metadata.get("predictions") != record.predictions:
        raise UserError(f"{file}: holds the weights of another run; run it again with --rerun")
    try:
        return _module(record, method, metadata, tensors)
    except (RuntimeError, TypeError, ValueError, KeyError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(
            f"{file}: does not fit {method.__name__} as it is now ({reason}); "
            f"check out {record.environment.commit or 'the code that made it'}"
        ) from None


def _warn_of_changes(record: Record, path: Path) -> None:
    name, was = record.method.name, record.method.code_sha256
    now = sources.digest(record.method.source, record.task, record.dataset.arm)
    if now is None or not equivalence.equivalent(name, was, now):
        warnings.warn(
            f"{path}: the code of {name} has changed since, and may compute something else",
            stacklevel=4,
        )


def _module(
    record: Record, method: type[Method], metadata: dict[str, str], tensors: dict[str, Tensor]
) -> nn.Module:
    image = json.loads(metadata["image"])
    problem = Problem(
        spec=NetworkSpec.from_json(json.loads(metadata["spec"])),
        outputs=int(metadata["outputs"]),
        mean=tensors["problem.mean"],
        std=tensors["problem.std"],
        image=image and tuple(image),
    )
    modules = []
    with torch.random.fork_rng(devices=[]):  # whose numbers only initialise what is replaced
        for stage in method(**record.method.hyperparameters).stages:
            module, start = stage.build(problem), f"{stage.role}."
            own = {
                name.removeprefix(start): value
                for name, value in tensors.items()
                if name.startswith(start)
            }
            module.load_state_dict(own)
            modules.append(module.eval())
    return modules[0] if len(modules) == 1 else TwoStages(*modules).eval()
