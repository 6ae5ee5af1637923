"""A dataset as bytes, for a process that may read no files."""

from __future__ import annotations

import io

import torch

from benchmark.datasets.storage import Manifest, Split, WeightDataset


def packed(dataset: WeightDataset) -> bytes:
    """Pack a dataset."""
    examples = dataset.examples
    state = {
        "manifest": dataset.manifest.model_dump_json(),
        "splits": {name: part.columns for name, part in dataset.splits.items()},
        "examples": None if examples is None else torch.from_numpy(examples),
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def unpacked(data: bytes) -> WeightDataset:
    """The inverse of `packed`."""
    state = torch.load(io.BytesIO(data), weights_only=True)
    examples = state["examples"]
    return WeightDataset(
        Manifest.model_validate_json(state["manifest"]),
        {name: Split(**columns) for name, columns in state["splits"].items()},
        None if examples is None else examples.numpy(),
    )
