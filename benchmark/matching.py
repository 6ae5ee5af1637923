"""Weight matching: networks whose neurons are put in the order of another network's.

(Ainsworth et al., ICLR 2023, arXiv:2209.04836.) Of all orders of a layer's neurons it takes the one
with the largest inner product of their weights with the other network's.
"""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from nft.network import NetworkSpec


def matched(spec: NetworkSpec, flat: Tensor, reference: Tensor, sweeps: int) -> Tensor:
    """Match the neurons of networks to those of others; their functions stay the same.

    Layer after layer, neurons are matched by what comes in, and those of the last hidden layer by
    what goes out, too. Further sweeps match every layer by both. No order of the neurons of `flat`
    changes the result, unless two are equally good.

    Args:
        spec: The networks.
        flat: `[batch, parameters]`.
        reference: One network for each, `[batch, parameters]`, or one for all, `[1, parameters]`.
        sweeps: Sweeps after the first.
    """
    hidden = len(spec.layers) - 1
    for sweep in range(1 + sweeps):
        for layer in range(hidden):
            outgoing = sweep > 0 or layer == hidden - 1
            flat = _matched(spec, flat, reference, layer, outgoing)
    return flat


def _matched(
    spec: NetworkSpec, flat: Tensor, reference: Tensor, layer: int, outgoing: bool
) -> Tensor:
    """Match the neurons of one hidden layer, given the order of the others."""
    wanted = _neurons(spec, reference, layer, outgoing)
    products = wanted @ _neurons(spec, flat, layer, outgoing).transpose(1, 2)
    order = [linear_sum_assignment(one, maximize=True)[1] for one in products.cpu().numpy()]
    orders = [torch.arange(size) for size in spec.neurons[1:-1]]
    orders[layer] = torch.stack([torch.from_numpy(one) for one in order])
    return spec.permute(flat, orders)


def _neurons(spec: NetworkSpec, flat: Tensor, layer: int, outgoing: bool) -> Tensor:
    """Gather the weights that touch each neuron, `[batch, neurons, weights]`."""
    layers = spec.to_layers(flat)
    weight, bias = layers[layer]
    parts = [weight.flatten(2), bias.unsqueeze(-1)]
    if outgoing:
        parts.append(layers[layer + 1][0].transpose(1, 2).flatten(2))
    return torch.cat(parts, dim=-1)
