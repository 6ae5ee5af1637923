"""The table of a user's own networks: a row each, with a file, targets, a split and whatever else.

Nothing in it is guessed: the columns of targets and classes are named, and all others are kept as
they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from benchmark.datasets import storage
from benchmark.datasets.storage import SPLITS, UNREADABLE
from benchmark.errors import UserError, suggestion
from benchmark.record.paths import regular
from benchmark.seeds import generator
from nft.network import ACTIVATIONS, VARIOUS

RESERVED = ("weights", "source_index", "copy")
"""Columns that every dataset has."""

ACTIVATION = "activation"
"""A column that a dataset of networks with various activations has."""


@dataclass(frozen=True)
class Table:
    """A table that was read.

    path: its file, for messages.
    rows: its content, with rows numbered from 0.
    """

    path: Path
    rows: pd.DataFrame

    def column(self, name: str) -> pd.Series:
        """A column without gaps. Raises UserError that names the first row with one."""
        if name not in self.rows.columns:
            columns = list(map(str, self.rows.columns))
            raise UserError(
                f"{self.path}: no column {name!r}{suggestion(name, columns)}; "
                f"it has {', '.join(columns)}"
            )
        column = self.rows[name]
        if column.isna().any():
            row = int(column.isna().to_numpy().argmax())
            raise UserError(
                f"{self.path}: row {row + 1} has no {name!r}; fill it in, or take the row out"
            )
        return column


def read(path: Path) -> Table:
    """Read a CSV or a parquet file. Raises UserError for what is none, or has no rows."""
    try:
        parquet = regular(path).suffix == ".parquet"
        rows = pd.read_parquet(path) if parquet else pd.read_csv(path)
    except FileNotFoundError:
        raise UserError(f"{path}: not found") from None
    except (*UNREADABLE, pd.errors.ParserError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(f"{path}: cannot be read as a table ({reason})") from None
    if not len(rows):
        raise UserError(f"{path}: has no rows")
    if repeated := [name for name in map(str, rows.columns) if name in RESERVED]:
        raise UserError(
            f"{path}: a column {repeated[0]!r} is the dataset's own; give it another name"
        )
    return Table(path, rows.reset_index(drop=True))


def numbers(table: Table, name: str) -> torch.Tensor:
    """A numeric target, `[rows]` float32. Raises UserError for what is no finite number."""
    column = table.column(name)
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        raise UserError(
            f"{table.path}: column {name!r} holds other things than numbers; name it with "
            "--classes, if it holds classes"
        )
    values = torch.from_numpy(column.to_numpy(np.float64).copy()).float()
    if not bool(torch.isfinite(values).all()):
        row = int((~torch.isfinite(values)).nonzero()[0])
        raise UserError(f"{table.path}: row {row + 1} has no finite {name!r}; take the row out")
    return values


def classes(table: Table, name: str) -> tuple[torch.Tensor, tuple[str, ...]]:
    """A class target: the place of each row's class, `[rows]`, and the classes in their order."""
    column = table.column(name)
    if not pd.api.types.is_numeric_dtype(column):
        column = column.astype(str)  # whatever types it mixes
    values = sorted(column.unique())
    names = tuple(str(value) for value in values)
    if len(names) < 2 or len(set(names)) < len(names):
        raise UserError(f"{table.path}: column {name!r} holds no two classes with different names")
    places = {value: place for place, value in enumerate(values)}
    return torch.tensor([places[value] for value in column]), names


def activations(table: Table, named: str) -> tuple[str, torch.Tensor | None]:
    """The networks' activation: one name, or "various" with the place of each row's own.

    Args:
        table: the table.
        named: an activation, or a column of them.

    Raises:
        UserError: it is neither.
    """
    known = [name for name in ACTIVATIONS if name != VARIOUS]
    if named in known:
        return named, None
    if named not in table.rows.columns:
        raise UserError(
            f"{named!r} is neither an activation ({', '.join(known)}) nor a column of {table.path}"
        )
    if named != ACTIVATION and ACTIVATION in table.rows.columns:
        raise UserError(
            f"{table.path}: {named!r} holds the networks' activations, which the dataset has as "
            f"{ACTIVATION!r}; give the column of that name another one"
        )
    column = table.column(named).astype(str)
    if strangers := sorted(set(column) - set(known)):
        raise UserError(
            f"{table.path}: column {named!r} holds {strangers[0]!r}; known: {', '.join(known)}"
        )
    return VARIOUS, torch.tensor([ACTIVATIONS.index(name) for name in column])


def has_sines(places: torch.Tensor | None) -> bool:
    """Whether networks with sines are among those of various activations."""
    return places is not None and bool((places == ACTIVATIONS.index("sine")).any())


def splits(
    table: Table,
    name: str,
    column: str | None,
    fractions: Sequence[float],
    group: str | None,
    seed: int,
) -> dict[str, np.ndarray]:
    """The rows of each split, in the order of the table.

    Args:
        table: the table.
        name: of the dataset, which seeds the draw.
        column: the column that says each row's split; None to draw them.
        fractions: of the rows, or of the groups, for training and validation; the rest is for test.
        group: a column; rows with the same value there are in one split.
        seed: of the draw.

    Raises:
        UserError: a split is empty, unknown, or parts a group.
    """
    if column is not None:
        split = table.column(column).astype(str).to_numpy()
        if strangers := sorted(set(split) - set(SPLITS)):
            raise UserError(
                f"{table.path}: column {column!r} holds {strangers[0]!r}, but the splits are "
                f"{', '.join(SPLITS)}"
            )
    else:
        split = _drawn(groups(table, group), name, fractions, seed)
    found = {one: np.flatnonzero(split == one) for one in SPLITS}
    if empty := [one for one, rows in found.items() if not len(rows)]:
        raise UserError(
            f"{table.path}: no network is for {empty[0]}; all of {', '.join(SPLITS)} need some"
        )
    if group is not None:
        parted = pd.DataFrame({"group": groups(table, group), "split": split})
        counts = parted.groupby("group")["split"].nunique()
        if (counts > 1).any():
            value = table.column(group)[
                int((parted["group"] == counts.idxmax()).to_numpy().argmax())
            ]
            raise UserError(
                f"{table.path}: networks of {group} {value} are in several splits, so the test "
                "networks have siblings in training; give each group one split"
            )
    return found


def groups(table: Table, column: str | None) -> np.ndarray:
    """The number of each row's group, `[rows]` int32; each row is its own without a column."""
    if column is None:
        return np.arange(len(table.rows), dtype=np.int32)
    return pd.factorize(table.column(column))[0].astype(np.int32)


def _drawn(group: np.ndarray, name: str, fractions: Sequence[float], seed: int) -> np.ndarray:
    count = int(group.max()) + 1
    order = torch.randperm(count, generator=generator(name, "splits", seed)).numpy()
    ends = np.cumsum([round(fraction * count) for fraction in fractions])
    of_group = np.full(count, SPLITS[2], dtype=object)
    of_group[order[: ends[0]]], of_group[order[ends[0] : ends[1]]] = SPLITS[0], SPLITS[1]
    return of_group[group]


def further(table: Table, used: Sequence[str]) -> dict[str, pa.Array]:
    """The columns that are kept beside those that are used: numbers, truth values, and text.

    Whole numbers of which one is too large for int64, as seeds are, become text.
    """
    arrays, largest = {}, np.iinfo(np.int64).max
    for name in map(str, table.rows.columns):
        if name in used:
            continue
        column = table.rows[name]
        if pd.api.types.is_bool_dtype(column):
            kind = pa.bool_()
        elif pd.api.types.is_integer_dtype(column) and not (column > largest).any():
            kind = pa.int64()
        elif pd.api.types.is_float_dtype(column):
            kind = pa.float64()
        else:
            kind, column = pa.string(), column.astype(object).where(column.notna(), None)
            column = column.map(lambda value: None if value is None else str(value))
        arrays[name] = pa.array(column, type=kind, from_pandas=True)
    return arrays


def check_names(table: Table, names: Sequence[str]) -> None:
    """Raise UserError for targets that are named twice, or alike as a part of a dataset's name, or
    as the dataset names the networks' own activations.
    """
    if not names:
        raise UserError(
            "name what is to be predicted: --targets with columns of numbers, --classes with "
            f"columns of classes; {table.path} has {', '.join(map(str, table.rows.columns))}"
        )
    if ACTIVATION in names:
        raise UserError(
            f"{table.path}: {ACTIVATION!r} is what a dataset calls the networks' own activations; "
            "give the target another name"
        )
    slugs = [storage.slug(name) for name in names]
    for name, slug in zip(names, slugs, strict=True):
        if not slug or slugs.count(slug) > 1:
            raise UserError(
                f"the target {name!r} has no name of its own in small letters and digits; rename "
                f"the column in {table.path}"
            )
