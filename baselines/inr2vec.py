"""The encoder of inr2vec (De Luigi et al., ICLR 2023, arXiv:2302.05438), trained on labels.

The method learns to encode INRs by decoding what they represent. DWSNets' table has its
architecture alone, "Inr2Vec (architecture)", without that training.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.methods import PREDICTIONS, Method, Problem
from benchmark.tuning.space import Choice, Log
from nft.layers import Standardize
from nft.network import NetworkSpec


class Rows(nn.Module):
    """The rows of the weights between hidden layers, and the biases that go with them as rows.

    Maps flat weights, standardised by tensor, to `[batch, rows, widest]`. The first and the last
    layer are left out. Rows that are shorter than the widest end in zeros.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.spec: NetworkSpec = problem.spec
        self.standardize = Standardize(problem.spec, problem.mean, problem.std)
        self.widest = max(problem.spec.neurons[1:-1])

    def forward(self, flat: Tensor) -> Tensor:
        layers = self.spec.to_layers(self.standardize(flat).squeeze(-1))[1:-1]
        parts = [part for weight, bias in layers for part in (weight, bias.unsqueeze(1))]
        padded = [functional.pad(part, (0, self.widest - part.shape[-1])) for part in parts]
        return torch.cat(padded, dim=1)


class RowEncoder(nn.Module):
    """Linear layers with batch norm and ReLU on every row, and the maximum over the rows."""

    def __init__(self, sizes: list[int]) -> None:
        super().__init__()
        modules: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes[:-1]):
            modules += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
        self.layers = nn.Sequential(*modules, nn.Linear(*sizes[-2:]))

    def forward(self, rows: Tensor) -> Tensor:
        return self.layers(rows.flatten(0, 1)).unflatten(0, rows.shape[:2]).amax(dim=1)


@dataclass(frozen=True)
class Inr2VecArchitecture(Method):
    """The encoder of inr2vec and a linear map.

    The maximum is invariant to the order of rows, but the entries of a row are in the order of
    other neurons, so that no permutation of a network is a symmetry. The defaults are those of the
    published code (CVLAB-Unibo/inr2vec), for INRs of 512 neurons a layer.
    """

    name = "inr2vec-architecture"
    title = "Inr2Vec (architecture)"
    paper = "arXiv:2302.05438"
    tasks = tuple(task for task in PREDICTIONS if task != "generalization")
    symmetries = ()
    mini = {"hidden": 64, "learning_rate": 1e-3}
    space = {
        "learning_rate": Log(1e-4, 1e-2),
        "weight_decay": Log(1e-3, 1.0),
        "hidden": Choice(32, 64, 128),
    }

    learning_rate: float = 1e-4
    hidden: int = 512

    def build(self, problem: Problem) -> nn.Module:
        rows, wide = Rows(problem), 2 * self.hidden
        encoder = RowEncoder([rows.widest, self.hidden, self.hidden, wide, wide, wide])
        return nn.Sequential(rows, encoder, nn.Linear(wide, problem.outputs))

    def skip(self, problem: Problem) -> str | None:
        if problem.spec.positions > 1 or len(problem.spec.layers) < 3:
            return "it reads the weights between the hidden layers of MLPs, and here are none"
        return None
