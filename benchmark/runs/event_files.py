"""TensorBoard's event files of runs, under `tensorboard/` in a results folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import UserError
from benchmark.record.schema import Record

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"


def writer(results: Path) -> Callable[[Record], None]:
    """What writes the losses and validation metrics of a record's stages under a results folder.

    Raises UserError where tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UserError(
            "--log tensorboard needs a package that is not installed: pip install tensorboard"
        ) from None
    return partial(_write, SummaryWriter, results)


def _write(summary: type[SummaryWriter], results: Path, record: Record) -> None:
    folder = results / FOLDER / record.path.with_suffix("")
    shutil.rmtree(folder, ignore_errors=True)  # an earlier run's, which would be shown as well
    stages = {"": record.curve, "encoder/": record.encoder.curve if record.encoder else []}
    with summary(str(folder)) as events:
        for stage, curve in stages.items():
            for point in curve:
                events.add_scalar(f"{stage}loss", point.loss, point.step)
                if point.validation is not None:
                    events.add_scalar(f"{stage}validation", point.validation, point.step)
