"""TensorBoard's event files of runs, under `tensorboard/` in a results folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import UserError
from benchmark.runs.curves import Curves

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"


class EventFiles:
    """Writes the losses and validation results of runs' stages under a results folder.

    Raises UserError where tensorboard is not installed.
    """

    def __init__(self, results: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UserError(
                "--log tensorboard needs a package that is not installed: pip install tensorboard"
            ) from None
        self._folder, self._summary = results / FOLDER, SummaryWriter
        self._open: dict[Path, tuple[SummaryWriter, list[int]]] = {}

    def write(self, path: Path, curves: Curves, whole: bool = False) -> None:
        """Add the points of a run's curves that are new.

        Args:
            path: Of the run's record, under the results folder.
            whole: Whether they are all that there will be.
        """
        if path not in self._open:
            folder = self._folder / path.with_suffix("")
            shutil.rmtree(folder, ignore_errors=True)  # an earlier run's, to be shown as well
            self._open[path] = self._summary(str(folder)), [0, 0]
        events, written = self._open[path]
        for stage, (prefix, curve) in enumerate((("", curves.last), ("encoder/", curves.first))):
            for point in curve[written[stage] :]:
                events.add_scalar(f"{prefix}loss", point.loss, point.step)
                if point.validation is not None:
                    events.add_scalar(f"{prefix}validation", point.validation, point.step)
            written[stage] = max(written[stage], len(curve))
        events.flush()
        if whole:
            events.close()
            del self._open[path]
