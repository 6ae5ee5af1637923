"""Source images: from a folder laid out like the Hub, or from the Hugging Face Hub."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from benchmark.datasets import hub
from benchmark.datasets.storage import UNREADABLE
from benchmark.errors import UserError


class ImageSource(BaseModel):
    """Where a labelled image dataset lies on the Hub.

    Its files are `<repository>/<config>/<split>-00000-of-00001.parquet`.

    revision: the commit there that is read, never a branch, which moves.
    jpeg: whether its images are JPEG; the pixels of a dataset without loss are others.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    repository: str
    config: str
    revision: str = Field(pattern="^[0-9a-f]{40}$")
    licence: str
    citation: str
    image_column: str = "image"
    label_column: str = "label"
    jpeg: bool = False
    classes: tuple[str, ...]


def images(
    source: ImageSource, split: str, rows: Sequence[int], mirror: Path | None
) -> tuple[np.ndarray, np.ndarray]:
    """Read some rows of a split.

    Args:
        source: the dataset.
        split: its name there.
        rows: their numbers.
        mirror: a folder that holds `datasets/<repository>/...`; without it, the images come from
            the Hub, at the pinned revision.

    Returns:
        Images `[rows, height, width, 3]` uint8, and labels `[rows]` int64.

    Raises:
        UserError: the file is not available, or does not hold those images.
    """
    path = _locate(source, f"{source.config}/{split}-00000-of-00001.parquet", mirror)
    try:
        table = pq.read_table(path, columns=[source.image_column, source.label_column])
        labels = table[source.label_column].cast(pa.int64())
    except (*UNREADABLE, KeyError) as error:
        raise UserError(f"{path}: not a parquet file of images ({error})") from None
    if max(rows) >= table.num_rows:
        raise UserError(
            f"{path}: {table.num_rows} images, but the recipe asks for number {max(rows)}"
        )
    try:
        pictures = table[source.image_column].take(list(rows)).to_pylist()
        files = [row["bytes"] for row in pictures]
        if not all(isinstance(data, bytes) for data in files):
            raise TypeError("a picture is no bytes")
    except (*UNREADABLE, TypeError, KeyError) as error:
        raise UserError(f"{path}: {source.image_column!r} holds no images ({error})") from None
    if not source.jpeg and any(data.startswith(b"\xff\xd8") for data in files):
        raise UserError(
            f"{path}: holds JPEG images, so it is not the catalogue's {source.repository}, and "
            "networks fitted to it would differ; use lossless images, or a dataset whose name "
            "says jpeg"
        )
    try:
        pixels = np.stack(
            [np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in files]
        )
    except (*UNREADABLE, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: not pictures of one size ({error})") from None
    chosen = labels.take(list(rows))
    if chosen.null_count:
        raise UserError(f"{path}: a row has no {source.label_column!r}")
    return pixels, chosen.to_numpy()


def _locate(source: ImageSource, file: str, mirror: Path | None) -> Path:
    if mirror is not None:
        path = mirror / "datasets" / source.repository / file
        if not path.is_file():
            raise UserError(
                f"{path}: not found; "
                f"--hub-mirror names the folder that holds datasets/{source.repository}"
            )
        return path
    return hub.fetch_file(source.repository, file, source.revision)
