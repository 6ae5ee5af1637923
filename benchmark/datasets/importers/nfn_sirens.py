"""The SIRENs published with NFN."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from benchmark.datasets.importers.sirens import NetworkFile, Sirens, folders, label_of
from benchmark.errors import UserError


class NfnSirens(Sirens):
    """Networks in `<prefix>_<label>s/net<index>.pth`, copies in `<prefix>_aug<number>_<label>s`."""

    format: Literal["nfn-sirens"]
    prefix: str

    def find(self, source: Path, classes: int) -> list[NetworkFile]:
        pattern = re.compile(rf"{re.escape(self.prefix)}(?:_aug(\d+))?_(\d+)s")
        files = []
        for folder in folders(source):
            if (match := pattern.fullmatch(folder.name)) is None:
                continue
            copy = int(match[1]) + 1 if match[1] else 0
            label = label_of(match[2], folder, classes)
            for path in folder.glob("net*.pth"):
                if (number := re.fullmatch(r"net(\d+)\.pth", path.name)) is not None:
                    files.append(NetworkFile(copy, int(number[1]), label, path))
        if not files:
            raise UserError(
                f"{source}: no networks: it has no folders like {self.prefix}_0s "
                "with files like net0.pth"
            )
        return sorted(files, key=lambda file: (file.copy, file.index))
