"""The Small CNN Zoo."""

from __future__ import annotations

import ast
import random
import tokenize
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch

from benchmark.datasets.importers.contract import Layout, Original
from benchmark.datasets.storage import UNREADABLE, Columns, Split
from benchmark.errors import UserError
from benchmark.record.paths import regular
from nft.network import ACTIVATIONS, VARIOUS, LayerSpec, NetworkSpec

HEADER = (TypeError, EOFError, OverflowError, MemoryError, tokenize.TokenError)
"""What reading a damaged header of an array raises."""


class CnnZoo(Layout):
    """A dataset of the Small CNN Zoo, and beside it the order that NFN published.

    The files are `weights.npy`, `metrics.csv.gz`, `layout.csv`, and `order`. Of the networks in
    that order, those of the last step count; half of them are the test split, and the others are
    shuffled and split 80 to 20.

    order: a file of NFN's repository, under experiments/predict_gen_data_splits.
    step: the last step.
    """

    format: Literal["cnn-zoo"]
    order: str
    step: int = 86

    def open(self, source: Path, classes: tuple[str, ...]) -> Original:  # noqa: ARG002
        weights = _weights(source / "weights.npy")
        metrics = self._table(
            source / "metrics.csv.gz",
            ["step", "test_accuracy", "train_accuracy", "config.activation"],
        )
        layout = self._table(source / "layout.csv", ["varname", "start_idx", "end_idx", "shape"])
        order = self._table(source / self.order, [0], header=None)[0].to_numpy()
        whole = order.dtype.kind == "i" and np.array_equal(np.sort(order), np.arange(len(weights)))
        if len(metrics) != len(weights) or not whole:
            raise UserError(
                f"{source}: {len(weights)} networks in weights.npy, {len(metrics)} rows in "
                f"metrics.csv.gz, {len(order)} in {self.order}: they are not of the same zoo"
            )
        spec, places = _spec(source / "layout.csv", layout, weights.shape[1])
        names = [str(name).removeprefix("tf.nn.") for name in metrics["config.activation"]]
        if strangers := sorted(set(names) - set(ACTIVATIONS)):
            raise UserError(f"{source / 'metrics.csv.gz'}: unknown activation {strangers[0]!r}")
        activations = np.array([ACTIVATIONS.index(name) for name in names])
        try:
            targets, quality = (
                metrics[name].to_numpy(np.float32) for name in ("test_accuracy", "train_accuracy")
            )
        except (ValueError, TypeError) as error:
            raise UserError(f"{source / 'metrics.csv.gz'}: an accuracy is none ({error})") from None

        def read(rows: np.ndarray) -> Split:
            flat = torch.from_numpy(np.ascontiguousarray(weights[rows][:, places], np.float32))
            if not bool(torch.isfinite(flat).all()):
                row = int(rows[int((~torch.isfinite(flat)).any(dim=1).nonzero()[0])])
                raise UserError(
                    f"{source / 'weights.npy'}: network {row} has a weight that is NaN or infinite"
                )
            index = torch.from_numpy(rows.astype(np.int32))
            return Split(
                flat,
                torch.from_numpy(targets[rows]),
                index,
                torch.zeros_like(index),
                torch.from_numpy(quality[rows]),
                torch.from_numpy(activations[rows]),
            )

        splits = _splits(order[metrics["step"].to_numpy()[order] == self.step])
        return Original(Columns(spec, (), "train_accuracy"), splits, read)

    def _table(
        self, path: Path, columns: list[str] | list[int], header: int | None = 0
    ) -> pd.DataFrame:
        try:
            table = pd.read_csv(regular(path), header=header)
        except FileNotFoundError:
            origin = ", from experiments/predict_gen_data_splits of NFN's repository"
            raise UserError(
                f"{path}: not found; put it there{origin if path.name == self.order else ''}"
            ) from None
        except (*UNREADABLE, EOFError, pd.errors.ParserError) as error:
            raise UserError(f"{path}: cannot be read as a table ({error})") from None
        if absent := [str(name) for name in columns if name not in table.columns]:
            raise UserError(f"{path}: no column {', '.join(absent)}")
        return table


def _weights(path: Path) -> np.ndarray:
    try:
        weights = np.load(regular(path), mmap_mode="r", allow_pickle=False)
    except (*UNREADABLE, *HEADER) as error:
        raise UserError(f"{path}: cannot be read as an array ({error})") from None
    if weights.ndim != 2 or weights.dtype.kind != "f":
        raise UserError(
            f"{path}: holds {weights.dtype} of shape {weights.shape}, "
            "not a row of numbers per network"
        )
    return weights


def _splits(rows: np.ndarray) -> dict[str, np.ndarray]:
    """Split rows of networks, in their published order, as NFN's experiments do."""
    half = len(rows) // 2
    others = list(range(half))
    random.Random(0).shuffle(others)  # noqa: S311, the published order is Python's own
    train = int(0.8 * half)
    return {
        "train": rows[others[:train]],
        "validation": rows[others[train:]],
        "test": rows[half:],
    }


def _spec(path: Path, layout: pd.DataFrame, parameters: int) -> tuple[NetworkSpec, np.ndarray]:
    """Read the networks' layout, which is in TensorFlow's order.

    Returns:
        The networks' spec, and the place of each of their parameters in a row of weights.npy.
    """
    kernels, biases = [], []
    try:
        for row in layout.itertuples():
            shape = ast.literal_eval(row.shape)
            if not 0 <= row.start_idx < row.end_idx <= parameters:
                raise ValueError(f"{row.varname} lies beyond the {parameters} parameters")
            places = np.arange(row.start_idx, row.end_idx).reshape(shape)
            (kernels if "kernel" in str(row.varname) else biases).append(places)
        layers, flat = [], []
        for kernel, bias in zip(kernels, biases, strict=True):
            # From [*kernel, inputs, outputs].
            outputs_first = np.moveaxis(kernel, (-1, -2), (0, 1))
            outputs, inputs, *sides = map(int, outputs_first.shape)
            layers.append(LayerSpec(outputs, inputs, tuple(sides)))
            flat += [outputs_first.reshape(-1), bias.reshape(-1)]
        spec, order = NetworkSpec(tuple(layers), activation=VARIOUS), np.concatenate(flat)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise UserError(f"{path}: no layout of convolutions and dense layers ({error})") from None
    if len(order) != parameters or not np.array_equal(np.sort(order), np.arange(parameters)):
        raise UserError(
            f"{path}: describes {len(order)} parameters, but weights.npy has {parameters}"
        )
    return spec, order
