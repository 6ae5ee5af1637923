"""The one format of all datasets: parquet shards, a manifest that vouches for them, and a card.

    README.md       the card; its YAML head lets `datasets.load_dataset` and the Hub's viewer open
                    the folder
    manifest.json   network spec, recipe, every file's SHA-256, and the fingerprint
    data/train-00000-of-00002.parquet, ...; likewise validation and test
    examples.png    of INRs: what the first test networks were fitted to, one image under the other
    renderings.png  of INRs: the same beside what those networks draw, for people
    accuracies.png  of a CNN zoo: how its test accuracies are distributed, for people

A row is a network: its flat weights (fixed-size float32), its target, where it is from, and how
good its fit is. A dataset of a user's own networks has any number of targets, each a column under
its own name, and may have further columns, which are not read.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from torch import Tensor

from benchmark.errors import UserError
from benchmark.record.paths import regular
from benchmark.record.schema import write_atomically
from nft.network import ACTIVATIONS, VARIOUS, NetworkSpec

SPLITS = ("train", "validation", "test")
FURTHER = {
    pa.string(): "string",
    pa.bool_(): "bool",
    pa.int64(): "int64",
    pa.float64(): "float64",
}
"""Types of columns that are kept and not read, as the `datasets` library calls them."""

UNREADABLE = (OSError, ValueError, SyntaxError, struct.error, zlib.error, pa.ArrowException)
"""What reading a damaged table or picture raises."""

MEND = "restore the file or rebuild the dataset"


@dataclass(frozen=True)
class Split:
    """The networks of one split.

    weights: `[networks, parameters]` float32.
    targets: `[networks]`, int64 labels or float32 numbers, or `[networks, pixels]` uint8, images;
        of a user's own networks `[networks, targets]` float32, labels and numbers.
    source_index: the row of each network's image in its source split, or the number of its
        training run.
    copy: 0 for an image's first network, 1, 2, ... for further ones.
    quality: of the fit: PSNR in dB, or accuracy on the training images; None where there is none.
    activation: `[networks]`, the place in `ACTIVATIONS` of each network's own, where the spec says
        that it varies; else None.
    """

    weights: Tensor
    targets: Tensor
    source_index: Tensor
    copy: Tensor
    quality: Tensor | None = None
    activation: Tensor | None = None

    @property
    def columns(self) -> dict[str, Tensor]:
        """What is stored, by name."""
        return {name: column for name, column in vars(self).items() if column is not None}


@dataclass(frozen=True)
class Columns:
    """What a dataset's files hold: networks of one spec, and the target of each.

    classes: where the target is a label; else none.
    quality: the column of that, or None.
    pixels: values of an image that is the target; else 0. Where there are no classes either, the
        target is a number.
    several: of a user's own networks, the classes of each target by its column, none for a number.
    """

    spec: NetworkSpec
    classes: tuple[str, ...]
    quality: str | None
    pixels: int = 0
    several: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def target(self) -> str:
        if self.pixels:
            return "target_image"
        return "label" if self.classes else "target"

    @property
    def target_type(self) -> pa.DataType:
        if self.pixels:
            return pa.list_(pa.uint8(), self.pixels)
        return pa.int64() if self.classes else pa.float32()

    @property
    def types(self) -> dict[str, pa.DataType]:
        """The type of each column, in the order of `Split`."""
        various = {"activation": pa.int64()} if self.spec.activation == VARIOUS else {}
        quality = {self.quality: pa.float32()} if self.quality else {}
        several = {
            name: pa.int64() if classes else pa.float32() for name, classes in self.several.items()
        }
        return {
            "weights": pa.list_(pa.float32(), self.spec.parameters),
            **(several or {self.target: self.target_type}),
            "source_index": pa.int32(),
            "copy": pa.int32(),
            **quality,
            **various,
        }

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """The classes of each column of labels."""
        if not self.several:
            return {"label": self.classes} if self.classes else {}
        return {name: classes for name, classes in self.several.items() if classes}

    def split(self, columns: Mapping[str, Tensor]) -> Split:
        """Make a split of its columns by name."""
        if self.several:
            targets = torch.stack([columns[name].float() for name in self.several], dim=1)
        else:
            targets = columns[self.target]
        return Split(
            columns["weights"],
            targets,
            columns["source_index"],
            columns["copy"],
            columns[self.quality] if self.quality else None,
            columns.get("activation"),
        )

    def named(self, split: Split) -> dict[str, Tensor]:
        """The columns of a split by name, the inverse of `split`."""
        named = {**split.columns}
        targets = named.pop("targets")
        if self.several:
            for place, (name, classes) in enumerate(self.several.items()):
                named[name] = targets[:, place].to(torch.long if classes else torch.float32)
        else:
            named[self.target] = targets
        if self.quality:
            named[self.quality] = named.pop("quality")
        return {name: named[name] for name in self.types}


class StoredFile(BaseModel):
    """A file under the dataset's folder; its rows are networks, or images."""

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
    """What `manifest.json` holds.

    classes: none where the target is a number or an image.
    targets: of a user's own networks, the classes of each target by its column, none for a number.
    target_pixels: values of an image that is the target.
    dropped: number of networks that no fit made good enough.
    examples, image: of INRs alone; the latter is height and width of what they draw.
    """

    model_config = ConfigDict(extra="forbid")
    format: int = Field(ge=1, le=1)
    name: str = Field(pattern="^[a-z0-9][a-z0-9-]*$")
    spec: dict[str, Any]
    classes: list[str]
    target_pixels: int = Field(default=0, ge=0)
    targets: dict[str, list[str]] = {}
    quality: Literal["psnr", "train_accuracy"] | None = "psnr"
    recipe: dict[str, Any]
    dropped: int = Field(ge=0)
    files: dict[str, list[StoredFile]]
    examples: StoredFile | None
    image: tuple[int, int] | None
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
    def _has_splits(cls, files: dict[str, list[StoredFile]]) -> dict[str, list[StoredFile]]:
        if set(files) != set(SPLITS) or not all(files.values()):
            raise ValueError(f"the files are {', '.join(SPLITS)}, not {', '.join(sorted(files))}")
        return files

    @property
    def every_file(self) -> list[StoredFile]:
        examples = [self.examples] if self.examples else []
        return [*examples, *(file for split in SPLITS for file in self.files[split])]

    @property
    def rows(self) -> int:
        """The number of networks in all splits."""
        return sum(file.rows for files in self.files.values() for file in files)

    @property
    def columns(self) -> Columns:
        several = {name: tuple(classes) for name, classes in self.targets.items()}
        return Columns(self.network, tuple(self.classes), self.quality, self.target_pixels, several)

    @property
    def network(self) -> NetworkSpec:
        return NetworkSpec.from_json(self.spec)


@dataclass(frozen=True)
class WeightDataset:
    """A verified dataset.

    examples: `[rows, height, width]` or `[rows, height, width, 3]` uint8, what the first test
        networks were fitted to; None for networks that draw nothing.
    """

    manifest: Manifest
    splits: Mapping[str, Split]
    examples: np.ndarray | None

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def classes(self) -> list[str]:
        return self.manifest.classes

    @cached_property
    def spec(self) -> NetworkSpec:
        return self.manifest.network

    def activations(self, split: str) -> np.ndarray:
        """The name of each network's activation, `[networks]`."""
        part = self.splits[split]
        if part.activation is None:
            return np.full(len(part.weights), self.spec.activation)
        return np.array(ACTIVATIONS)[part.activation.numpy()]


def resolve(manifest: Manifest, target: str | None) -> tuple[str, str | None]:
    """Choose a target of a user's own networks, and the name that records have for it.

    Args:
        manifest: of the dataset.
        target: a column; None for the only one.

    Returns:
        A name as "moons--learning-rate", and the column. A dataset that has one of the project's
        own targets has its own name, and None.

    Raises:
        UserError: there is no such target, or none is named where there are several.
    """
    several = manifest.targets
    if target is None and len(several) <= 1:
        target = next(iter(several), None)
    elif target not in several:
        what = f"no target {target!r}" if target else "several targets"
        has = f"name one with --target: {', '.join(several)}" if several else "it needs no --target"
        raise UserError(f"{manifest.name} has {what}; {has}")
    return (manifest.name if target is None else f"{manifest.name}--{slug(target)}"), target


def slug(column: str) -> str:
    """A column's name as part of a dataset's."""
    return re.sub("[^a-z0-9]+", "-", column.lower()).strip("-")


def on_target(dataset: WeightDataset, target: str | None) -> WeightDataset:
    """A dataset of a user's own networks with one of its targets, chosen as by `resolve`.

    Raises UserError where there is no such target.
    """
    several = dataset.manifest.targets
    name, chosen = resolve(dataset.manifest, target)
    if chosen is None:
        return dataset
    place, classes = list(several).index(chosen), several[chosen]
    kind = torch.long if classes else torch.float32
    splits = {
        split: replace(part, targets=part.targets[:, place].to(kind))
        for split, part in dataset.splits.items()
    }
    changes = {"name": name, "classes": classes, "targets": {}}
    return replace(dataset, manifest=dataset.manifest.model_copy(update=changes), splits=splits)


def fingerprint(spec: NetworkSpec, splits: Mapping[str, Split]) -> str:
    """SHA-256 over the canonical bytes of a dataset.

    These are the spec as JSON, then each split's name, rows, weights and targets, little-endian.
    """
    return _fingerprint(
        spec, {name: lambda split=split: iter([split]) for name, split in splits.items()}
    )


def _fingerprint(spec: NetworkSpec, splits: Mapping[str, Callable[[], Iterator[Split]]]) -> str:
    digest = hashlib.sha256(json.dumps(spec.to_json(), sort_keys=True).encode())
    for name in SPLITS:
        targets = [shard.targets for shard in splits[name]()]
        digest.update(f"{name} {sum(map(len, targets))}\n".encode())
        for shard in splits[name]():
            digest.update(shard.weights.numpy().astype("<f4", copy=False).data)
        for part in targets:
            kind = {torch.uint8: "u1", torch.int64: "<i8", torch.float32: "<f4"}[part.dtype]
            digest.update(part.numpy().astype(kind, copy=False).data)
    return digest.hexdigest()


def shard_path(split: str, index: int, count: int) -> str:
    """The path of a shard under a dataset's folder, as the Hub names its own."""
    return f"data/{split}-{index:05d}-of-{count:05d}.parquet"


def shard_paths(split: str, count: int) -> list[str]:
    """The paths of all shards of a split."""
    return [shard_path(split, index, count) for index in range(count)]


def write_shard(
    path: Path,
    columns: Columns,
    split: Split,
    note: Mapping[str, str],
    further: Mapping[str, pa.Array] | None = None,
) -> None:
    """Write one shard, whole or not at all.

    Args:
        path: of the file.
        columns: of the dataset.
        split: the networks.
        note: what goes into the file's metadata.
        further: columns that are kept beside those of the dataset, by name.
    """
    # Slow to import, and only writing needs it.
    from datasets import ClassLabel, Features, List, Value

    parameters = columns.spec.parameters
    features = Features(
        {
            name: Value(str(kind))
            for name, kind in columns.types.items()
            if not pa.types.is_fixed_size_list(kind)
        }
    )
    features = {"weights": List(Value("float32"), length=parameters), **features}
    if columns.pixels:
        features["target_image"] = List(Value("uint8"), length=columns.pixels)
    features |= {name: ClassLabel(names=list(names)) for name, names in columns.labels.items()}
    if "activation" in features:
        features["activation"] = ClassLabel(names=list(ACTIVATIONS))
    arrays = {name: _to_arrow(column) for name, column in columns.named(split).items()}
    features = {name: features[name] for name in columns.types}
    for name, array in (further or {}).items():
        arrays[name], features[name] = array, Value(FURTHER[array.type])
    features = Features(features)
    table = pa.Table.from_arrays(list(arrays.values()), names=list(arrays))
    table = table.cast(features.arrow_schema)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **note})
    # Byte-stream split puts equal bytes of neighbouring floats together, so that rounded weights
    # compress.
    floats = ["weights.list.element", *([columns.quality] if columns.quality else [])]
    floats += [name for name, classes in columns.several.items() if not classes]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    pq.write_table(
        table,
        temporary,
        compression="zstd",
        compression_level=19 if split.weights.numel() < 10_000_000 else 3,
        use_dictionary=False,
        column_encoding=dict.fromkeys(floats, "BYTE_STREAM_SPLIT"),
    )
    temporary.replace(path)


def _to_arrow(column: Tensor) -> pa.Array:
    flat = pa.array(column.numpy().reshape(-1))
    return flat if column.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, column.shape[1])


def shard_note(path: Path) -> dict[str, str] | None:
    """The metadata that `write_shard` left in a file; None where no such file can be read."""
    try:
        metadata = pq.read_schema(regular(path)).metadata or {}
    except UNREADABLE:
        return None
    return {
        key.decode(errors="replace"): value.decode(errors="replace")
        for key, value in metadata.items()
    }


def seal(
    folder: Path,
    name: str,
    columns: Columns,
    recipe: Mapping[str, Any],
    shards: Mapping[str, list[str]],
    examples: np.ndarray | None,
    dropped: int = 0,
) -> Manifest:
    """Write the manifest of a folder whose shards are in place.

    Args:
        folder: of the dataset.
        name: of the dataset.
        columns: of the shards.
        recipe: how the dataset was made, for the manifest.
        shards: the paths of the shards of each split.
        examples: see `WeightDataset`; they are written as a picture.
        dropped: number of networks that were dropped.
    """
    picture, image = None, None
    if examples is not None:
        rows, *image = examples.shape[:3]
        path = folder / "examples.png"
        Image.fromarray(examples.reshape(rows * image[0], image[1], *examples.shape[3:])).save(
            path, optimize=True
        )
        picture = StoredFile(path=path.name, rows=rows, sha256=_sha256(path))
    count = {
        path: pq.read_metadata(folder / path).num_rows
        for paths in shards.values()
        for path in paths
    }
    files = {
        split: [
            StoredFile(path=path, rows=count[path], sha256=_sha256(folder / path)) for path in paths
        ]
        for split, paths in shards.items()
    }

    def read_split(split: str) -> Iterator[Split]:
        return (_read_shard(folder / file.path, file, columns) for file in files[split])

    manifest = Manifest(
        format=1,
        name=name,
        spec=columns.spec.to_json(),
        classes=list(columns.classes),
        target_pixels=columns.pixels,
        targets={name: list(classes) for name, classes in columns.several.items()},
        quality=columns.quality,
        recipe=dict(recipe),
        dropped=dropped,
        files=files,
        examples=picture,
        image=image,
        fingerprint=_fingerprint(
            columns.spec, {split: partial(read_split, split) for split in SPLITS}
        ),
    )
    unused = {name for name in ("targets",) if not getattr(manifest, name)}
    text = manifest.model_dump_json(indent=2, exclude=unused) + "\n"
    write_atomically(folder / "manifest.json", text.encode())
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a dataset's folder. Raises UserError where it is absent or malformed."""
    path = folder / "manifest.json"
    try:
        return Manifest.model_validate_json(regular(path).read_bytes())
    except OSError as error:
        raise UserError(f"no dataset in {folder}: {path.name}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(f"{path}: {where}: {first['msg']}; {MEND}") from None


def read(folder: Path, cache: Path | None = None) -> WeightDataset:
    """Read and verify a dataset.

    Args:
        folder: of the dataset.
        cache: a folder for unpacked, memory-mapped weights, with the sizes and time stamps of the
            files that were verified: a later read takes seconds, and hardly any memory.

    Raises:
        UserError: names the file that is missing, cut short, changed or malformed.
    """
    manifest = read_manifest(folder)
    columns = manifest.columns
    unpacked = cache / manifest.fingerprint if cache else None
    if unpacked and _is_stamped(unpacked, folder, manifest):
        splits = {split: _load_unpacked(unpacked / split) for split in SPLITS}
    else:
        for file in manifest.every_file:
            _verify(folder, file)
        parts = {
            split: [_read_shard(folder / file.path, file, columns) for file in files]
            for split, files in manifest.files.items()
        }
        splits = {split: _join(shards) for split, shards in parts.items()}
        if fingerprint(columns.spec, splits) != manifest.fingerprint:
            raise UserError(
                f"{folder / 'manifest.json'}: the fingerprint is not that of the data; {MEND}"
            )
        if unpacked:
            # It only saves time, so a folder or a disk that takes nothing is no error.
            with suppress(OSError):
                for split, whole in splits.items():
                    _unpack(unpacked / split, whole)
                _stamp(unpacked, folder, manifest)
    return WeightDataset(manifest, splits, read_examples(folder, manifest))


def stream(folder: Path, split: str) -> Iterator[Split]:
    """Read a split shard by shard, and verify each: for what does not fit into memory."""
    manifest = read_manifest(folder)
    for file in manifest.files[split]:
        _verify(folder, file)
        yield _read_shard(folder / file.path, file, manifest.columns)


def verify(folder: Path) -> Manifest:
    """Check every file, every row and the fingerprint, with one shard in memory at a time.

    Raises UserError that names what is wrong.
    """
    manifest = read_manifest(folder)
    for file in manifest.every_file:
        _verify(folder, file)
    splits = {split: partial(stream, folder, split) for split in SPLITS}
    if _fingerprint(manifest.network, splits) != manifest.fingerprint:
        raise UserError(
            f"{folder / 'manifest.json'}: the fingerprint is not that of the data; {MEND}"
        )
    read_examples(folder, manifest)
    return manifest


def read_examples(folder: Path, manifest: Manifest) -> np.ndarray | None:
    """Read the examples (see `WeightDataset`). Raises UserError for a damaged picture."""
    if manifest.examples is None or manifest.image is None:
        return None
    path = folder / manifest.examples.path
    shape = (manifest.examples.rows, *manifest.image)
    try:
        with Image.open(regular(path)) as picture:
            pixels = np.asarray(
                picture.convert("L" if manifest.network.neurons[-1] == 1 else "RGB")
            )
        return pixels.reshape(*shape, *pixels.shape[2:])
    except (*UNREADABLE, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: not the images of the manifest ({error}); {MEND}") from None


def _verify(folder: Path, file: StoredFile) -> None:
    path = folder / file.path
    try:
        if _sha256(path) != file.sha256:
            raise UserError(
                f"{path}: damaged or changed, its SHA-256 is not the manifest's; {MEND}"
            )
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}; {MEND}") from None


def _read_shard(path: Path, file: StoredFile, columns: Columns) -> Split:
    try:
        table = pq.read_table(path)
    except UNREADABLE as error:
        raise UserError(f"{path}: not a parquet file ({error}); {MEND}") from None
    for column, column_type in columns.types.items():
        if column not in table.column_names:
            raise UserError(f"{path}: no column {column!r}; {MEND}")
        file_type = table.schema.field(column).type
        # Field names inside list types differ between writers; the types themselves must not.
        same = file_type == column_type or (
            pa.types.is_fixed_size_list(file_type)
            and pa.types.is_fixed_size_list(column_type)
            and (file_type.list_size, file_type.value_type)
            == (column_type.list_size, column_type.value_type)
        )
        if not same or table[column].null_count:
            raise UserError(
                f"{path}: column {column!r} must be {column_type} without gaps, "
                f"not {file_type}; {MEND}"
            )
    if table.num_rows != file.rows:
        raise UserError(
            f"{path}: {table.num_rows} networks where the manifest says {file.rows}; {MEND}"
        )
    arrays = {name: _from_arrow(table[name].combine_chunks()) for name in columns.types}
    split = columns.split(arrays)
    weights, targets = split.weights, split.targets
    if not bool(torch.isfinite(weights).all()):
        row = int((~torch.isfinite(weights)).any(dim=1).nonzero()[0])
        raise UserError(f"{path}: network {row} has a weight that is NaN or infinite; {MEND}")
    for name, classes in columns.labels.items():
        if int(arrays[name].min()) < 0 or int(arrays[name].max()) >= len(classes):
            raise UserError(
                f"{path}: a label of {name!r} lies outside 0 to {len(classes) - 1}; {MEND}"
            )
    if targets.is_floating_point() and not bool(torch.isfinite(targets).all()):
        raise UserError(f"{path}: a target is NaN or infinite; {MEND}")
    if split.activation is not None and not set(split.activation.tolist()) <= set(
        range(len(ACTIVATIONS))
    ):
        raise UserError(f"{path}: an activation lies outside {', '.join(ACTIVATIONS)}; {MEND}")
    return split


def _from_arrow(column: pa.Array) -> Tensor:
    if not pa.types.is_fixed_size_list(column.type):
        return torch.from_numpy(np.array(column))
    return torch.from_numpy(np.array(column.flatten())).reshape(-1, column.type.list_size)


def _join(shards: list[Split]) -> Split:
    if len(shards) == 1:
        return shards[0]
    return Split(
        **{
            name: torch.cat([getattr(shard, name) for shard in shards])
            for name in shards[0].columns
        }
    )


def _unpack(folder: Path, split: Split) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, column in split.columns.items():
        temporary = folder / f".{name}.{os.getpid()}.npy"
        np.save(temporary, column.numpy())
        temporary.replace(folder / f"{name}.npy")


def _load_unpacked(folder: Path) -> Split:
    # Copy on write: a method that changes the weights changes its own copy.
    return Split(
        **{
            path.stem: torch.from_numpy(np.load(path, mmap_mode="c"))
            for path in folder.glob("*.npy")
            if not path.name.startswith(".")
        }
    )


def _stamps(unpacked: Path, folder: Path, manifest: Manifest) -> dict[str, list[int]]:
    """Size and time stamp of every file that a verified read depends on, wherever it is mounted."""
    various, quality = manifest.network.activation == VARIOUS, manifest.quality is not None
    absent = {"activation"} if not various else set()
    absent |= {"quality"} if not quality else set()
    names = [field.name for field in fields(Split) if field.name not in absent]
    files = ["manifest.json", *(file.path for file in manifest.every_file)]
    arrays = [f"{split}/{name}.npy" for split in SPLITS for name in names]
    paths = {f"files/{name}": folder / name for name in files}
    paths |= {f"unpacked/{name}": unpacked / name for name in arrays}
    return {name: [path.stat().st_size, path.stat().st_mtime_ns] for name, path in paths.items()}


def _stamp(unpacked: Path, folder: Path, manifest: Manifest) -> None:
    (unpacked / "verified.json").write_text(
        json.dumps(_stamps(unpacked, folder, manifest)), encoding="utf-8"
    )


def _is_stamped(unpacked: Path, folder: Path, manifest: Manifest) -> bool:
    try:
        return json.loads((unpacked / "verified.json").read_bytes()) == _stamps(
            unpacked, folder, manifest
        )
    except (OSError, ValueError):
        return False


def _sha256(path: Path) -> str:
    with regular(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
