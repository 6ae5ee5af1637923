"""A dataset of a user's own networks: state_dicts and a table become a folder in the one format.

Whose the networks are, their licence and what the card says are its owner's words, or are not said.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from benchmark.datasets import catalog, own_cards, own_tables, state_files, storage
from benchmark.datasets.own_tables import Table
from benchmark.datasets.storage import Columns, Manifest, Split
from benchmark.errors import UserError
from nft.network import NetworkSpec

SHARD_ROWS = 5000
"""Networks in a file."""

NAME = re.compile("[a-z0-9]+(-[a-z0-9]+)*")


class Options(BaseModel):
    """How networks and their table are read, and what the card says.

    targets, classes: columns of numbers, and of classes.
    file: the column of the networks' files, from the folder.
    activation: of the networks, or the column that names each one's.
    omega, scale, prefix, order, fold_batch_norm: as in `NetworkSpec.from_state_dict`.
    split, fractions, group, seed: as in `own_tables.splits`.
    title, licence, authors, text: the owner's words for the card; the text is Markdown.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    format: Literal["own"] = "own"
    targets: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    file: str = "file"
    activation: str
    omega: float = Field(default=0.0, ge=0)
    scale: float = Field(default=1.0, gt=0)
    prefix: str = ""
    order: tuple[str, ...] | None = None
    fold_batch_norm: float | None = Field(default=None, ge=0)
    split: str | None = None
    fractions: tuple[float, float] = (0.7, 0.1)
    group: str | None = None
    seed: int = Field(default=0, ge=0)
    title: str | None = None
    licence: str | None = None
    authors: str | None = None
    text: str = ""

    @model_validator(mode="after")
    def _fits(self) -> Options:
        if self.activation == "sine" and self.omega == 0:
            raise ValueError("networks with sines need omega, the factor inside the sine")
        if min(self.fractions) <= 0 or sum(self.fractions) >= 1:
            raise ValueError("fractions are of training and validation, and leave some for test")
        return self


class Networks:
    """The networks of a table, read from files of their own or as rows of one tensor.

    Args:
        source: a folder of files, or the file of a tensor `[networks, parameters]`.
        table: their table.
        options: how they are read.
        like: a state_dict of one network, by which a row of the tensor is read.

    Raises:
        UserError: names what is missing, or does not fit.
    """

    def __init__(self, source: Path, table: Table, options: Options, like: Path | None) -> None:
        self.options, self.rows = options, len(table.rows)
        self.paths: list[Path] = []
        self.tensor: Tensor | None = None
        if source.is_dir():
            self.paths = _paths(source, table, options.file)
            example = self.paths[0]
        elif not source.exists():
            raise UserError(f"{source}: not found; --from names the folder of the networks' files")
        elif like is None:
            raise UserError(
                f"{source}: a tensor of all networks needs --like, the file of a state_dict of one "
                "of them, which says how a row is read"
            )
        else:
            self.tensor, example = _tensor(source, len(table.rows)), like
        self.source, self.like = source, like
        kind, self.activations = own_tables.activations(table, options.activation)
        if options.omega == 0 and own_tables.has_sines(self.activations):
            raise UserError(
                f"{table.path}: column {options.activation!r} holds 'sine'; networks with sines "
                "need --omega, the factor inside the sine"
            )
        self.spec = _spec(example, options, kind)
        if self.tensor is not None and self.tensor.shape[1] != self.spec.parameters:
            raise UserError(
                f"{source}: rows of {self.tensor.shape[1]:,} numbers, but a network like {like} "
                f"has {self.spec.parameters:,}"
            )

    def digest(self) -> str:
        """SHA-256 over all files that the networks are read from, by their names."""
        digest = hashlib.sha256()
        for path in self.paths or filter(None, [self.source, self.like]):
            with path.open("rb") as file:
                inner = hashlib.file_digest(file, "sha256").hexdigest()
            digest.update(f"{path.name} {inner}\n".encode())
        return digest.hexdigest()

    def read(self, rows: Sequence[int]) -> Tensor:
        """The weights of some rows, `[networks, parameters]` float32."""
        if self.tensor is None:
            return torch.cat([_flat(self.paths[row], self.spec) for row in rows])
        weights = self.tensor[torch.as_tensor(rows)].float()
        if not bool(torch.isfinite(weights).all()):
            place = int((~torch.isfinite(weights)).any(dim=1).nonzero()[0])
            raise UserError(f"{self.source}: row {rows[place]} holds NaN or infinite numbers")
        return weights


def make(
    name: str,
    source: Path,
    table: Path,
    folder: Path,
    options: Options,
    like: Path | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Manifest:
    """Make a dataset of networks on this machine.

    What an earlier call with the same arguments and files made is verified and left.

    Args:
        name: of the dataset, in small letters, digits and hyphens.
        source: the folder of the networks' state_dicts, or the file of one tensor of them all.
        table: a CSV or parquet file with a row for each network.
        folder: where the dataset is written.
        options: how they are read.
        like: see `Networks`.
        progress: called with the networks that are done, and all of them.

    Raises:
        UserError: names a file, a row or a column that is missing or wrong.
    """
    _check_name(name)
    read = own_tables.read(table)
    chosen = (*options.targets, *options.classes)
    own_tables.check_names(read, chosen)
    networks = Networks(source, read, options, like)
    with table.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    recipe = options.model_dump(mode="json", exclude_none=True)
    recipe |= {"table": digest, "networks": networks.digest()}
    if (folder / "manifest.json").exists():
        return _verify(folder, name, recipe)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: is there and no dataset; choose another --output")
    splits = own_tables.splits(
        read, name, options.split, options.fractions, options.group, options.seed
    )
    labels = {column: own_tables.classes(read, column) for column in options.classes}
    several = dict.fromkeys(options.targets, ())
    several |= {column: names for column, (_, names) in labels.items()}
    values = [own_tables.numbers(read, column) for column in options.targets]
    values += [places.float() for places, _ in labels.values()]
    columns, targets = Columns(networks.spec, (), None, 0, several), torch.stack(values, dim=1)
    index = torch.from_numpy(own_tables.groups(read, options.group))
    further = own_tables.further(read, [*chosen, *_activation_column(networks)])

    def rows_of(part: np.ndarray) -> Split:
        own = networks.activations
        return Split(
            networks.read(part.tolist()),
            targets[part],
            index[part],
            torch.zeros(len(part), dtype=torch.int32),
            None,
            None if own is None else own[part],
        )

    # Beside its place, so that what fails half-way leaves nothing there.
    making = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        shards: dict[str, list[str]] = {}
        done = 0
        for split, rows in splits.items():
            parts = [rows[start : start + SHARD_ROWS] for start in range(0, len(rows), SHARD_ROWS)]
            shards[split] = storage.shard_paths(split, len(parts))
            for part, path in zip(parts, shards[split], strict=True):
                kept = {column: array.take(pa.array(part)) for column, array in further.items()}
                note = {"format": options.format}
                storage.write_shard(making / path, columns, rows_of(part), note, kept)
                done += len(part)
                progress(done, networks.rows)
        manifest = storage.seal(making, name, columns, recipe, shards, None)
        own_cards.write(making, manifest, options)
        making.replace(folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return manifest


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise UserError(
            f"{name!r} is no name of a dataset: it has small letters, digits and single hyphens"
        )
    if name in catalog.catalog():
        raise UserError(f"{name!r} is a dataset of the catalogue; choose another name")


def _verify(folder: Path, name: str, recipe: dict[str, object]) -> Manifest:
    manifest = storage.verify(folder)
    if (manifest.name, manifest.recipe) != (name, recipe):
        raise UserError(
            f"{folder} holds a dataset already, of other networks, another table or other options; "
            "remove it, or choose another --output"
        )
    return manifest


def _paths(source: Path, table: Table, column: str) -> list[Path]:
    names = table.column(column).astype(str)
    if names.duplicated().any():
        raise UserError(
            f"{table.path}: {names[names.duplicated()].iloc[0]} is in two rows; a network has one"
        )
    paths = [source / name for name in names]
    if missing := next((path for path in paths if not path.is_file()), None):
        raise UserError(
            f"{missing}: not found; column {column!r} of {table.path} names the files in {source}"
        )
    return paths


def _tensor(path: Path, rows: int) -> Tensor:
    content = state_files.read(path)
    tensors = [content] if isinstance(content, Tensor) else list(content.values())
    shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
    if len(tensors) != 1 or tensors[0].ndim != 2 or not tensors[0].is_floating_point():
        raise UserError(
            f"{path}: holds {shapes}, not one tensor of numbers [networks, parameters]; name a "
            "folder, if each network has a file"
        )
    if len(tensors[0]) != rows:
        raise UserError(f"{path}: {len(tensors[0])} networks, but the table has {rows} rows")
    return tensors[0]


def _spec(path: Path, options: Options, activation: str) -> NetworkSpec:
    tensors = state_files.state_dict(path)
    try:
        return NetworkSpec.from_state_dict(
            tensors,
            activation,
            options.omega,
            options.scale,
            prefix=options.prefix,
            order=options.order,
            fold_batch_norm=options.fold_batch_norm,
        )
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None


def _flat(path: Path, spec: NetworkSpec) -> Tensor:
    try:
        return spec.flatten([state_files.state_dict(path)])
    except ValueError as error:
        reason = str(error).removeprefix("network 0 ")
        raise UserError(f"{path}: {reason}; the spec is that of the first network") from None


def _activation_column(networks: Networks) -> list[str]:
    """The column of activations, which the dataset has under its own name."""
    return [networks.options.activation] if networks.activations is not None else []
