"""Neural Functional Transformers (Zhou et al., NeurIPS 2023): equivariant attention to weights.

The names below are loaded when they are asked for, so that a module of this package does not bring
all others with it. `__init__.pyi` says the same to type checkers and editors.
"""

from __future__ import annotations

import importlib
import re
from importlib import metadata
from pathlib import Path

PLACES = {
    "ArrayClassifier": "nft.inr2array",
    "CrossAttentionPooling": "nft.layers",
    "Inr2Array": "nft.inr2array",
    "LayerSpec": "nft.network",
    "NFTBlock": "nft.layers",
    "NFTClassifier": "nft.transformer",
    "NFTEditor": "nft.transformer",
    "NFTEncoder": "nft.transformer",
    "NetworkSpec": "nft.network",
    "WeightSpaceAttention": "nft.layers",
    "canonical": "nft.symmetry",
    "scatter": "nft.symmetry",
}
"""The module of each name."""

__all__ = list(PLACES)


def __getattr__(name: str) -> object:
    if name == "__version__":
        return _version()
    if name not in PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *PLACES, "__version__"})


def _version() -> str:
    """That of the installed package; of a checkout that is not installed, what pyproject says."""
    try:
        return metadata.version("nft-benchmark")
    except metadata.PackageNotFoundError:
        pyproject = Path(__file__).resolve().parent.parent / "pyproject.toml"
        text = pyproject.read_text(encoding="utf-8")
        return re.search(r'^version = "(.+)"$', text, re.MULTILINE)[1]
