"""The first stage of a two-stage method: learns to encode without labels, and keeps the arrays."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock
from pydantic import ValidationError
from torch import Tensor, nn

from benchmark.datasets.storage import SPLITS
from benchmark.record.schema import CurvePoint, EncoderPart, write_atomically
from benchmark.runs import checkpoints
from benchmark.runs.training import DAMAGED, Data, Outcome, Trainer
from nft import siren
from nft.network import NetworkSpec

CHUNK = 1000  # networks drawn or encoded together


@dataclass(frozen=True)
class Encoding:
    """What the first stage made.

    arrays: of every split, `[networks, ...]`. part: of the record.
    reconstructions: of the first test networks, `[n, height * width, outputs]`.
    """

    arrays: Mapping[str, Tensor]
    part: EncoderPart
    reconstructions: Tensor


def squared_error(reconstructions: Tensor, drawings: Tensor) -> Tensor:
    """Mean over everything, of values that span 2."""
    return (reconstructions - drawings).square().mean()


def encode(
    trainer: Trainer,
    spec: NetworkSpec,
    weights: Mapping[str, Tensor],
    image: tuple[int, int],
    examples: int,
    cache: Path,
    mark: Path,
) -> Encoding:
    """Train the first stage and encode every split, or take up what an earlier run left in `cache`.

    Either way the trainer's module has the selected weights afterwards.

    Args:
        trainer: holds the module, its budget and its identity.
        spec: of the INRs.
        weights: `[networks, parameters]` by split.
        image: height and width of what the INRs draw.
        examples: how many reconstructions of test networks are kept.
        cache: folder of arrays and checkpoints, each named by its identity.
        mark: file that tells, while the stage is not done, which checkpoint is the run's.

    Raises:
        Diverged: where the loss stops being a number.
    """
    path = cache / f"{trainer.identity}.arrays"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):  # another run that shares this stage waits for it
        _supersede(trainer, mark)
        encoding = _encode(trainer, spec, weights, image, examples, path)
    mark.unlink()
    return encoding


def _supersede(trainer: Trainer, mark: Path) -> None:
    """Remove the checkpoint that the run left under another identity, and mark the present one."""
    before = mark.read_text(encoding="utf-8") if mark.exists() else trainer.identity
    if before != trainer.identity and re.fullmatch("[0-9a-f]{64}", before):
        checkpoint = trainer.checkpoint.with_name(f"{before}.checkpoint")
        if checkpoint.exists():
            trainer.monitor.note(
                f"{checkpoint.name} is of other code, settings, data or versions: removed"
            )
        checkpoints.remove(checkpoint)
    mark.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(mark, trainer.identity.encode())


def _encode(
    trainer: Trainer,
    spec: NetworkSpec,
    weights: Mapping[str, Tensor],
    image: tuple[int, int],
    examples: int,
    path: Path,
) -> Encoding:
    device = next(iter(weights.values())).device
    if (earlier := _read(path, trainer.module, device)) is not None:
        return earlier
    drawings = {split: draw(spec, rows, image) for split, rows in weights.items()}
    outcome = trainer.run(*(Data(weights[split], drawings[split]) for split in SPLITS))
    started = time.perf_counter()
    module = trainer.module.eval()
    with torch.inference_mode():
        arrays = {split: _chunked(module.encode, rows) for split, rows in weights.items()}
        reconstructions = module(weights["test"][:examples])
    seconds = time.perf_counter() - started
    part = _describe(trainer, outcome, drawings, seconds)
    encoding = Encoding(arrays, part, reconstructions)
    _write(path, encoding, module)
    checkpoints.remove(trainer.checkpoint)
    return encoding


def draw(spec: NetworkSpec, weights: Tensor, image: tuple[int, int]) -> Tensor:
    """What the INRs draw themselves: `[networks, height * width, outputs]`."""
    coordinates = siren.grid(*image, device=weights.device)
    return _chunked(lambda rows: siren.render(spec, rows, coordinates), weights)


def _chunked(function: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    return torch.cat([function(chunk) for chunk in rows.split(CHUNK)])


def _describe(
    trainer: Trainer, outcome: Outcome, drawings: Mapping[str, Tensor], seconds: float
) -> EncoderPart:
    mean_image = drawings["train"].mean(dim=0)
    return EncoderPart(
        sha256=trainer.identity,
        parameters=count_parameters(trainer.module),
        protocol=trainer.protocol.model_dump(),
        curve=[CurvePoint(**point) for point in outcome.curve],
        test_psnr=siren.psnr(squared_error(outcome.predictions["test"], drawings["test"])).item(),
        mean_image_psnr=siren.psnr(squared_error(mean_image, drawings["test"])).item(),
        training_seconds=outcome.training_seconds,
        evaluation_seconds=outcome.evaluation_seconds,
        encoding_seconds=seconds,
        from_cache=False,
    )


def count_parameters(module: nn.Module) -> int:
    """Numbers that training changes."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def _write(path: Path, encoding: Encoding, module: nn.Module) -> None:
    buffer = io.BytesIO()
    state = {
        "arrays": dict(encoding.arrays),
        "part": encoding.part.model_dump_json(),
        "reconstructions": encoding.reconstructions,
        "module": module.state_dict(),
    }
    torch.save(state, buffer)
    write_atomically(path, buffer.getvalue())


def _read(path: Path, module: nn.Module, device: torch.device) -> Encoding | None:
    """A kept encoding, whose weights `module` gets, or None where none can be read."""
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        part = EncoderPart.model_validate_json(state["part"]).model_copy(
            update={"from_cache": True}
        )
        encoding = Encoding(state["arrays"], part, state["reconstructions"])
        module.load_state_dict(state["module"])
        return encoding
    except (*DAMAGED, ValidationError):
        return None  # damaged: it is made again
