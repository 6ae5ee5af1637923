"""Published code that is in no package: it is timed from a clone that the user names."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

from torch import Tensor, nn

from benchmark.errors import UserError
from nft.network import NetworkSpec

DWSNETS = "https://github.com/AvivNavon/DWSNets"


class PublishedDWSLayer(nn.Module):
    """DWSNets' layer, with its defaults: the maximum, and attention among neurons.

    Maps features as `to_published` makes them to as many others. Its parameters are its own.

    Args:
        clone: Folder of a clone of `DWSNETS`.
        spec: The networks.
        channels: Channels of the features and of the result.
        heads: Heads of the attention among neurons.

    Raises:
        UserError: If the folder has no such layer.
    """

    def __init__(self, clone: Path, spec: NetworkSpec, channels: int, heads: int) -> None:
        super().__init__()
        self.depth = len(spec.layers)
        shapes = [(layer.inputs, layer.outputs) for layer in spec.layers]
        self.layer = _layers_of(clone).DWSLayer(
            tuple(shapes), tuple((out,) for _, out in shapes), channels, channels, num_heads=heads
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        weights, biases = self.layer((tuple(features[: self.depth]), tuple(features[self.depth :])))
        return [*weights, *biases]


def to_published(spec: NetworkSpec, x: Tensor) -> list[Tensor]:
    """Convert features `[batch, tokens, channels]` to DWSNets': all weights, then all biases.

    A weight is `[batch, inputs, outputs, channels]`, a bias `[batch, outputs, channels]`.
    """
    weights, biases = zip(*spec.views(x), strict=True)
    return [
        *(part.transpose(1, 2).contiguous() for part in weights),
        *(part.contiguous() for part in biases),
    ]


def _layers_of(clone: Path) -> ModuleType:
    """Import `nn.layers` of the clone, which is no package that could be installed."""
    if not (clone / "nn" / "layers" / "layers.py").is_file():
        raise UserError(f"{clone} is no clone of {DWSNETS}: git clone it, and name its folder")
    sys.path.insert(0, str(clone.resolve()))
    try:
        return importlib.import_module("nn.layers")
    finally:
        sys.path.remove(str(clone.resolve()))
