"""DNG-Encoder: the paper's equations neuron by neuron, on networks small enough for loops."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from baselines.dng import DNG, DNGEncoder
from benchmark.methods import Problem
from nft.network import LayerSpec, NetworkSpec

MLP = NetworkSpec.mlp(2, 3, 2, 2, activation="sine", omega=30.0)
CNN = NetworkSpec((LayerSpec(3, 1, (2, 2)), LayerSpec(2, 3, (2, 2)), LayerSpec(2, 2)))


def encoder(spec: NetworkSpec) -> DNGEncoder:
    return DNGEncoder(spec, 4, 1.0, channels=6, head=3, dropout=0.0).double()


def message(layer: nn.Module, kernel: Tensor, state: Tensor) -> Tensor:
    """One weight's message (equation 4), or that of one kernel's weights (equation 5)."""
    if not hasattr(layer, "kernel"):
        return layer.weights(kernel[0]) * layer.states(state)
    heads = layer.states(state).split(3)
    # Features of missing positions are zero, and the bias of their map is what is left.
    features = [layer.weights(part) for part in kernel]
    features += [layer.weights.bias] * (len(heads) - len(features))
    return layer.kernel(torch.cat([a * b for a, b in zip(features, heads, strict=True)]))


def cell(layer: nn.GRUCell, own: Tensor, received: Tensor) -> Tensor:
    """A gated recurrent unit, by its definition."""
    x = (layer.weight_ih @ own + layer.bias_ih).chunk(3)
    h = (layer.weight_hh @ received + layer.bias_hh).chunk(3)
    reset, update = torch.sigmoid(x[0] + h[0]), torch.sigmoid(x[1] + h[1])
    new = torch.tanh(x[2] + reset * h[2])
    return (1 - update) * new + update * received


@pytest.mark.parametrize("spec", [MLP, CNN], ids=["mlp", "cnn"])
def test_states_are_those_of_the_equations(spec: NetworkSpec) -> None:
    own = encoder(spec)
    flat = torch.randn(1, spec.parameters, dtype=torch.float64)
    states = list(own.inputs)
    for index, (weight, bias) in enumerate(spec.to_layers(flat[0])):
        following = []
        for row, phase in zip(weight, bias, strict=True):
            received = sum(
                message(own.messages[index], own.fourier(kernel.reshape(-1, 1)), state)
                for kernel, state in zip(row, states, strict=True)
            )
            value = own.biases[index](own.fourier(phase.reshape(1, 1)))[0]
            following.append(own.norms[index](cell(own.cell, value, received)))
        states = following
    torch.testing.assert_close(own(flat)[0], torch.cat(states))


@pytest.mark.parametrize("spec", [MLP, CNN], ids=["mlp", "cnn"])
def test_hidden_neurons_may_be_in_any_order(spec: NetworkSpec) -> None:
    own = encoder(spec)
    flat = torch.randn(3, spec.parameters, dtype=torch.float64)
    orders = [torch.arange(size).roll(1) for size in spec.neurons[1:-1]]
    torch.testing.assert_close(own(spec.permute(flat, orders)), own(flat))
    # Outputs are told apart.
    layers = spec.to_layers(flat)
    layers[-1] = tuple(part.flip(1) for part in layers[-1])
    assert not torch.allclose(own(spec.to_flat(layers)), own(flat))


def test_the_published_size() -> None:
    """Of the published code's classifier of MNIST's INRs; its paper says about 0.4 million."""
    spec = NetworkSpec.mlp(2, 32, 32, 1, activation="sine", omega=30.0)
    module = DNG().build(Problem(spec, 10, torch.zeros(6), torch.ones(6), (28, 28)))
    assert sum(parameter.numel() for parameter in module.parameters()) == 381_322
