"""How the code of DWSNets disturbs networks' weights (arXiv:2301.12780, `INRDataset._augment`)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from nft.network import NetworkSpec


def disturbed(spec: NetworkSpec, flat: Tensor, shift: float, dropout: float) -> Tensor:
    """Shift every tensor and drop entries of it.

    The noise of that code is no random one: every entry of a tensor grows by the same fraction of
    the standard deviation of that network's tensor, except where that has one entry. Entries that
    are kept grow as after any dropout.

    Args:
        spec: The networks.
        flat: `[batch, parameters]`.
        shift: That fraction.
        dropout: The probability that an entry is dropped.
    """
    shifted = [
        (weight + shift * _deviation(weight), bias + shift * _deviation(bias))
        for weight, bias in spec.to_layers(flat)
    ]
    return functional.dropout(spec.to_flat(shifted), dropout)


def _deviation(tensor: Tensor) -> Tensor:
    """Compute each network's standard deviation of a tensor; 0 for one entry."""
    axes = tuple(range(1, tensor.ndim))
    if tensor[0].numel() == 1:
        return torch.zeros_like(tensor)
    return tensor.std(dim=axes, keepdim=True)
