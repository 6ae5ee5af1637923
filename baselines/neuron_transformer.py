"""A transformer over neurons (Schürholt et al., NeurIPS 2021, arXiv:2110.15288), trained on labels.

The paper's encoder of hyper-representations learns without labels; DWSNets' table has its
architecture alone, "Transformer".
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmark.methods import PREDICTIONS, Method, Problem
from benchmark.tuning.space import Choice, Log
from nft.layers import Standardize
from nft.network import NetworkSpec


class NeuronTokens(nn.Module):
    """One token for each neuron: a linear map, its layer's own, of incoming weights and bias.

    Maps flat weights, standardised by tensor, to `[batch, neurons, channels]`.
    """

    def __init__(self, problem: Problem, channels: int) -> None:
        super().__init__()
        self.spec: NetworkSpec = problem.spec
        self.standardize = Standardize(problem.spec, problem.mean, problem.std)
        self.maps = nn.ModuleList(
            nn.Linear(layer.inputs * layer.positions + 1, channels) for layer in self.spec.layers
        )

    def forward(self, flat: Tensor) -> Tensor:
        tokens = self.standardize(flat)
        layers = self.spec.to_layers(self.spec.from_tokens(tokens))
        neurons = [
            torch.cat((weight.flatten(2), bias.unsqueeze(-1)), dim=-1) for weight, bias in layers
        ]
        return torch.cat([own(x) for own, x in zip(self.maps, neurons, strict=True)], dim=1)


class NeuronTransformer(nn.Module):
    """A transformer on neurons with learned positions, read at one further token."""

    def __init__(
        self, tokens: NeuronTokens, blocks: nn.Module, channels: int, latent: int, outputs: int
    ) -> None:
        super().__init__()
        self.tokens, self.blocks = tokens, blocks
        neurons = sum(tokens.spec.neurons[1:])
        self.summary = nn.Parameter(torch.randn(1, 1, channels))
        self.positions = nn.Parameter(torch.randn(1 + neurons, channels))
        self.head = nn.Sequential(
            nn.Linear(channels, latent), nn.Tanh(), nn.Linear(latent, outputs)
        )

    def forward(self, flat: Tensor) -> Tensor:
        summary = self.summary.expand(len(flat), -1, -1)
        x = torch.cat((summary, self.tokens(flat)), dim=1) + self.positions
        return self.head(self.blocks(x)[:, 0])


@dataclass(frozen=True)
class NeuronTransformerMethod(Method):
    """A transformer on neurons in their stored order, which its positions distinguish.

    The defaults are those of the published code for its MNIST zoo
    (HSG-AIML/NeurIPS_2021-Weight_Space_Learning), whose layer norm divides by another deviation.
    """

    name = "neuron-transformer"
    title = "Transformer"
    paper = "arXiv:2110.15288"
    tasks = (*PREDICTIONS, "sine-embedding")
    symmetries = ()
    mini = {"channels": 64, "hidden": 128, "latent": 64, "dropout": 0.0, "learning_rate": 1e-3}
    space = {
        "learning_rate": Log(1e-4, 1e-2),
        "weight_decay": Log(1e-3, 1.0),
        "dropout": Choice(0.0, 0.1, 0.3),
        "channels": Choice(32, 64, 128),
    }

    learning_rate: float = 1e-4
    weight_decay: float = 1e-9
    channels: int = 800
    hidden: int = 900
    latent: int = 700
    layers: int = 2
    heads: int = 4
    dropout: float = 0.1

    def build(self, problem: Problem) -> nn.Module:
        block = nn.TransformerEncoderLayer(
            self.channels, self.heads, self.hidden, self.dropout, batch_first=True, norm_first=True
        )
        blocks = nn.TransformerEncoder(block, self.layers, enable_nested_tensor=False)
        tokens = NeuronTokens(problem, self.channels)
        return NeuronTransformer(tokens, blocks, self.channels, self.latent, problem.outputs)
