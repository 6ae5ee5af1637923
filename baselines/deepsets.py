"""DeepSets over neurons (Zaheer et al. 2017, arXiv:1703.06114): each layer is a set of neurons."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from baselines.equivariant import NeuronLayout
from benchmark.methods import Method, Problem
from benchmark.tuning.space import Choice, Log
from nft.layers import Standardize
from nft.network import NetworkSpec


class NeuronSets(nn.Module):
    """A mean over each hidden layer of features of its neurons.

    A neuron is described by its bias, its weights from the network's inputs or to its outputs, and
    means of learned features of its weights from and to other hidden neurons, which are sets
    themselves. Maps tokens `[batch, tokens, positions]` to `[batch, features]`.
    """

    def __init__(self, spec: NetworkSpec, channels: int) -> None:
        super().__init__()
        self.layout = layout = NeuronLayout(spec, hidden_only=True)
        self.weights = nn.ModuleDict(
            {
                f"{layer}{side}": _mlp(size, channels)
                for layer, size in layout.matrices.items()
                for side in ("in", "out")
            }
        )
        self.neurons = nn.ModuleDict()
        for layer in layout.neuron_layers:
            touching = sum(la in layout.matrices for la in (layer, layer + 1))
            inputs = sum(layout.vectors[layer]) + touching * channels
            self.neurons[str(layer)] = _mlp(inputs, channels)
        self.features = len(layout.neuron_layers) * channels + sum(layout.constants)

    def forward(self, tokens: Tensor) -> Tensor:
        matrices, vectors, constants = self.layout.gather(tokens)
        means = []
        for layer in self.layout.neuron_layers:
            parts = list(vectors[layer])
            if layer in matrices:
                parts.append(self.weights[f"{layer}in"](matrices[layer]).mean(dim=2))
            if layer + 1 in matrices:
                parts.append(self.weights[f"{layer + 1}out"](matrices[layer + 1]).mean(dim=1))
            means.append(self.neurons[str(layer)](torch.cat(parts, dim=-1)).mean(dim=1))
        return torch.cat(means + constants, dim=1)


def _mlp(inputs: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, channels), nn.ReLU(), nn.Linear(channels, channels), nn.ReLU()
    )


@dataclass(frozen=True)
class DeepSets(Method):
    """A sum over neurons of what each is, and an MLP: the simplest invariant reader of weights."""

    name = "deepsets"
    title = "DeepSets"
    paper = "arXiv:1703.06114"
    mini = {}
    space = {
        "learning_rate": Log(3e-4, 3e-2),
        "weight_decay": Log(1e-3, 1.0),
        "channels": Choice(32, 64, 128),
    }

    channels: int = 64
    hidden: int = 256
    learning_rate: float = 2e-3

    def build(self, problem: Problem) -> nn.Module:
        sets = NeuronSets(problem.spec, self.channels)
        return nn.Sequential(
            Standardize(problem.spec, problem.mean, problem.std),
            sets,
            nn.Linear(sets.features, self.hidden),
            nn.ReLU(),
            nn.Linear(self.hidden, problem.outputs),
        )
