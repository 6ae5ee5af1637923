"""The MNIST INRs published with DWSNets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from benchmark.datasets.importers.sirens import NetworkFile, Sirens, folders, label_of
from benchmark.errors import UserError


class DwsSirens(Sirens):
    """Networks in `mnist_png_{training,testing}_<label>_<number>/checkpoints/model_final.pth`.

    The published code draws its validation split anew each time; here it is the last training
    networks by number. Test networks are numbered from `test_from` on.
    """

    format: Literal["dws-sirens"]

    def find(self, source: Path, classes: int) -> list[NetworkFile]:
        pattern = re.compile(r"\w+_(training|testing)_(\d+)_(\d+)")
        files = []
        for folder in folders(source):
            if (match := pattern.fullmatch(folder.name)) is None:
                continue
            index = int(match[3]) + (self.test_from if match[1] == "testing" else 0)
            path = folder / "checkpoints" / "model_final.pth"
            files.append(NetworkFile(0, index, label_of(match[2], folder, classes), path))
        if not files:
            raise UserError(f"{source}: no networks: it has no folders like mnist_png_training_0_1")
        return sorted(files, key=lambda file: file.index)
