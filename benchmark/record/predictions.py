"""What a run predicted for every network, beside its record: compressed arrays, no pickles."""

from __future__ import annotations

import hashlib
import io
import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmark.record.paths import regular
from benchmark.record.schema import RecordError, write_atomically

SPLITS = ("validation", "test")
SHIFTED = "shifted"
"""The test split, scattered, of a run that was trained on permuted networks."""
LARGEST = (
    2**26
)  # bytes of one array: far more than any split's predictions, far less than what fills a memory


DAMAGED = (
    OSError,
    MemoryError,  # of a header that promises more than there can be
    RuntimeError,  # encrypted, or of a method that Python does not know
    LookupError,
    ValueError,
    TypeError,
    SyntaxError,
    EOFError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)
"""What reading a damaged archive of arrays raises."""


@dataclass(frozen=True)
class Outcome:
    """The predictions of one split.

    predictions: `[networks]`, a class, a number, or the error of each.
    targets: the same, or empty for errors.
    """

    predictions: np.ndarray
    targets: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))

    def take(self, rows: np.ndarray) -> Outcome:
        """The same of some networks."""
        targets = self.targets[rows] if len(self.targets) else self.targets
        return Outcome(self.predictions[rows], targets)


Predictions = Mapping[str, Outcome]
"""By split."""


def digest(predictions: Predictions) -> str:
    """SHA-256 over names, types and values, which a record holds."""
    hashed = hashlib.sha256()
    for split, outcome in sorted(predictions.items()):
        for array in (outcome.predictions, outcome.targets):
            small = _small(array)
            hashed.update(f"{split} {small.dtype.str} {small.shape}\n".encode() + small.tobytes())
    return hashed.hexdigest()


def write(path: Path, runs: Iterable[tuple[str, Predictions]]) -> None:
    """Write predictions, each under its digest, whole or not at all.

    The same predictions make the same bytes.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, predictions in sorted(dict(runs).items()):
            for split, outcome in sorted(predictions.items()):
                for name, array in (
                    ("predictions", outcome.predictions),
                    ("targets", outcome.targets),
                ):
                    data = io.BytesIO()
                    np.lib.format.write_array(data, _small(array), allow_pickle=False)
                    # A fixed date, the format's earliest.
                    archive.writestr(
                        zipfile.ZipInfo(f"{key}/{split}.{name}.npy"),
                        data.getvalue(),
                        zipfile.ZIP_DEFLATED,
                        9,
                    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, buffer.getvalue())


class Kept:
    """The predictions in a file, read one record's at a time.

    Holds nothing where there is no file. Raises RecordError for a file that cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names: set[str] = set()
        if path.exists():
            try:
                with zipfile.ZipFile(regular(path)) as archive:
                    self.names = set(archive.namelist())
            except DAMAGED as error:
                raise RecordError(
                    f"{path}: cannot be read ({error}); restore it, or run again"
                ) from None

    def __contains__(self, key: object) -> bool:
        return f"{key}/test.predictions.npy" in self.names

    def get(self, key: str) -> Predictions:
        """Read the predictions of the record whose digest that is.

        Raises RecordError where they are missing, damaged or not those.
        """
        try:
            with zipfile.ZipFile(self.path) as archive:
                shifted = f"{key}/{SHIFTED}.predictions.npy" in self.names
                predictions = {
                    split: Outcome(
                        *(
                            _read(archive, f"{key}/{split}.{name}.npy")
                            for name in ("predictions", "targets")
                        )
                    )
                    for split in (*SPLITS, *([SHIFTED] if shifted else []))
                }
        except DAMAGED as error:
            raise RecordError(
                f"{self.path}: predictions {key[:12]} cannot be read ({error}); run again"
            ) from None
        _check_lengths(f"{self.path}: predictions {key[:12]}", predictions)
        if digest(predictions) != key:
            raise RecordError(
                f"{self.path}: predictions {key[:12]} were changed; restore the file, or run again"
            )
        return predictions


def _check_lengths(where: str, predictions: Predictions) -> None:
    """Raise RecordError for a split without predictions, or with targets of other networks."""
    for split, outcome in predictions.items():
        networks, targets = len(outcome.predictions), len(outcome.targets)
        if not networks or targets not in (0, networks):
            raise RecordError(
                f"{where}: {networks} predictions and {targets} targets of {split}; run again"
            )


def _read(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    if archive.getinfo(name).file_size > LARGEST:
        raise ValueError(f"{name} is larger than {LARGEST} bytes")
    array = np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False)
    if array.ndim != 1 or array.dtype not in (np.uint8, np.int16, np.float32):
        raise ValueError(
            f"{name} is {array.dtype} of shape {array.shape}, not a row of uint8, int16 or float32"
        )
    return array


def _small(array: np.ndarray) -> np.ndarray:
    """The same values as a file holds them: classes in few bytes, numbers in four."""
    if np.issubdtype(array.dtype, np.integer):
        return array.astype(
            np.uint8 if not array.size or 0 <= array.min() <= array.max() < 256 else np.int16
        )
    return array.astype("<f4")
