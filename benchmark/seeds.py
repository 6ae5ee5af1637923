"""Generators seeded by name."""

from __future__ import annotations

import torch

from benchmark.record.seeds import named_seed

__all__ = ["generator", "named_seed"]


def generator(*parts: str | int) -> torch.Generator:
    """A CPU generator seeded by `named_seed`."""
    return torch.Generator().manual_seed(named_seed(*parts))
