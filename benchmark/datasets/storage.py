"""The one format of all datasets: parquet files, a manifest that vouches for them, and a card.

    README.md       the card; its YAML head lets `datasets.load_dataset` and the Hub's viewer open the folder
    manifest.json   network spec, recipe, every file's SHA-256, and the fingerprint
    data/train.parquet, data/validation.parquet, data/test.parquet
    examples.png    what the first test networks were fitted to, one image under the other

A row is a network: its flat weights (fixed-size float32), label, index of its source image, copy number, and PSNR.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from torch import Tensor

from benchmark.errors import UserError
from nft.network import NetworkSpec

SPLITS = ("train", "validation", "test")
MEND = "restore the file or rebuild the dataset"


@dataclass(frozen=True)
class Split:
    """The networks of one split.

    weights: `[networks, parameters]` float32. labels: `[networks]` int64. source_index: row of each network's image in
    its source split. copy: 0 for an image's first network, 1, 2, ... for further ones. psnr: of the fit, in dB.
    """

    weights: Tensor
    labels: Tensor
    source_index: Tensor
    copy: Tensor
    psnr: Tensor


class StoredFile(BaseModel):
    """A file: where it lies under the dataset's folder, its rows (networks, or images), its SHA-256."""

    model_config = ConfigDict(extra="forbid")
    path: str
    rows: int = Field(gt=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, path: str) -> str:
        parts = PurePosixPath(path).parts
        if not parts or path.startswith("/") or ".." in parts or "\\" in path or ":" in path:
            raise ValueError("a file's path stays inside the dataset's folder")
        return path


class Manifest(BaseModel):
    """What `manifest.json` holds."""

    model_config = ConfigDict(extra="forbid")
    format: int = Field(ge=1, le=1)
    name: str = Field(pattern="^[a-z0-9][a-z0-9-]*$")
    spec: dict[str, Any]
    classes: list[str] = Field(min_length=2)
    recipe: dict[str, Any]
    files: dict[str, StoredFile]
    examples: StoredFile
    image: tuple[int, int]  # height and width of what the networks draw
    fingerprint: str = Field(pattern="^[0-9a-f]{64}$")

    @field_validator("spec")
    @classmethod
    def _is_spec(cls, spec: dict[str, Any]) -> dict[str, Any]:
        try:
            NetworkSpec.from_json(spec)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a network spec: {error!r}") from None
        return spec

    @field_validator("files")
    @classmethod
    def _has_splits(cls, files: dict[str, StoredFile]) -> dict[str, StoredFile]:
        if set(files) != set(SPLITS):
            raise ValueError(f"the files are {', '.join(SPLITS)}, not {', '.join(sorted(files))}")
        return files


@dataclass(frozen=True)
class WeightDataset:
    """A verified dataset in memory. examples: `[rows, height, width]` uint8, what the first test networks were fitted to."""

    manifest: Manifest
    splits: Mapping[str, Split]
    examples: np.ndarray

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def classes(self) -> list[str]:
        return self.manifest.classes

    @cached_property
    def spec(self) -> NetworkSpec:
        return NetworkSpec.from_json(self.manifest.spec)


def fingerprint(spec: NetworkSpec, splits: Mapping[str, Split]) -> str:
    """SHA-256 over the canonical bytes: the spec as JSON, then each split's name, rows, weights and labels, little-endian."""
    digest = hashlib.sha256(json.dumps(spec.to_json(), sort_keys=True).encode())
    for name in SPLITS:
        split = splits[name]
        digest.update(f"{name} {len(split.labels)}\n".encode())
        digest.update(split.weights.numpy().astype("<f4").tobytes())
        digest.update(split.labels.numpy().astype("<i8").tobytes())
    return digest.hexdigest()


def write(
    folder: Path,
    name: str,
    spec: NetworkSpec,
    classes: list[str],
    recipe: Mapping[str, Any],
    splits: Mapping[str, Split],
    examples: np.ndarray,
    card: str,
) -> Manifest:
    """Write a dataset's files into `folder`, which is created.

    examples: `[rows, height, width]` uint8, what the first test networks were fitted to. card: the README's text.
    """
    (folder / "data").mkdir(parents=True, exist_ok=True)
    files = {}
    for split_name in SPLITS:
        path = folder / "data" / f"{split_name}.parquet"
        _write_split(path, spec, classes, splits[split_name])
        files[split_name] = StoredFile(
            path=f"data/{path.name}", rows=len(splits[split_name].labels), sha256=_sha256(path)
        )
    rows, height, width = examples.shape
    path = folder / "examples.png"
    Image.fromarray(examples.reshape(rows * height, width)).save(path, optimize=True)
    manifest = Manifest(
        format=1,
        name=name,
        spec=spec.to_json(),
        classes=classes,
        recipe=dict(recipe),
        files=files,
        examples=StoredFile(path=path.name, rows=rows, sha256=_sha256(path)),
        image=(height, width),
        fingerprint=fingerprint(spec, splits),
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
    (folder / "manifest.json").write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return manifest


def _write_split(path: Path, spec: NetworkSpec, classes: list[str], split: Split) -> None:
    from datasets import ClassLabel, Features, List, Value  # slow to import, and only writing needs it

    features = Features(
        {
            "weights": List(Value("float32"), length=spec.parameters),
            "label": ClassLabel(names=classes),
            "source_index": Value("int32"),
            "copy": Value("int32"),
            "psnr": Value("float32"),
        }
    )
    columns = [
        pa.FixedSizeListArray.from_arrays(pa.array(split.weights.numpy().reshape(-1)), spec.parameters),
        *(pa.array(column.numpy()) for column in (split.labels, split.source_index, split.copy, split.psnr)),
    ]
    table = pa.Table.from_arrays(columns, names=list(features)).cast(features.arrow_schema)
    # Equal bytes of neighbouring floats lie together under byte-stream split, so that rounded weights compress.
    floats = ["weights.list.element", "psnr"]
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=False,
        column_encoding=dict.fromkeys(floats, "BYTE_STREAM_SPLIT"),
    )


def read(folder: Path) -> WeightDataset:
    """Read and verify a dataset. Raises UserError naming the file that is missing, cut short, changed or malformed."""
    path = folder / "manifest.json"
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"no dataset in {folder}: {path.name}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(f"{path}: {where}: {first['msg']}; {MEND}") from None
    spec = NetworkSpec.from_json(manifest.spec)
    splits = {name: _read_split(folder, file, spec, len(manifest.classes)) for name, file in manifest.files.items()}
    if fingerprint(spec, splits) != manifest.fingerprint:
        raise UserError(f"{path}: the fingerprint is not that of the data; restore the folder or rebuild the dataset")
    return WeightDataset(manifest, splits, _read_examples(folder, manifest))


def _read_examples(folder: Path, manifest: Manifest) -> np.ndarray:
    path = _verified(folder, manifest.examples)
    try:
        pixels = np.asarray(Image.open(path).convert("L"))
        return pixels.reshape(manifest.examples.rows, *manifest.image)
    except (UnidentifiedImageError, Image.DecompressionBombError, ValueError) as error:
        raise UserError(f"{path}: not the images the manifest tells of ({error}); {MEND}") from None


def _verified(folder: Path, file: StoredFile) -> Path:
    """The path of a file that is what the manifest says."""
    path = folder / file.path
    try:
        if _sha256(path) != file.sha256:
            raise UserError(f"{path}: damaged or changed, its SHA-256 is not the manifest's; {MEND}")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}; {MEND}") from None
    return path


def _read_split(folder: Path, file: StoredFile, spec: NetworkSpec, classes: int) -> Split:
    path = _verified(folder, file)
    try:
        table = pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise UserError(f"{path}: not a parquet file ({error}); {MEND}") from None
    wanted = {
        "weights": pa.list_(pa.float32(), spec.parameters),
        "label": pa.int64(),
        "source_index": pa.int32(),
        "copy": pa.int32(),
        "psnr": pa.float32(),
    }
    for column, column_type in wanted.items():
        if column not in table.column_names:
            raise UserError(f"{path}: no column {column!r}; {MEND}")
        found = table.schema.field(column).type
        # Field names inside list types differ between writers; the types themselves must not.
        same = found == column_type or (
            pa.types.is_fixed_size_list(found)
            and found.list_size == spec.parameters
            and found.value_type == pa.float32()
        )
        if not same or table[column].null_count:
            raise UserError(f"{path}: column {column!r} must be {column_type} without gaps, not {found}; {MEND}")
    if table.num_rows != file.rows:
        raise UserError(f"{path}: {table.num_rows} networks where the manifest says {file.rows}; {MEND}")
    values = table["weights"].combine_chunks().flatten()
    weights = torch.from_numpy(np.array(values, dtype=np.float32)).reshape(-1, spec.parameters)
    labels, source_index, copy, psnr = (
        torch.from_numpy(np.array(table[column].combine_chunks())) for column in list(wanted)[1:]
    )
    if not bool(torch.isfinite(weights).all()):
        row = int((~torch.isfinite(weights)).any(dim=1).nonzero()[0])
        raise UserError(f"{path}: network {row} has a weight that is NaN or infinite; {MEND}")
    if int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise UserError(f"{path}: a label lies outside 0 to {classes - 1}; {MEND}")
    return Split(weights, labels, source_index, copy, psnr)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
