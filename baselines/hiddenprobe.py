"""HiddenProbe (yonatansverdlov/HiddenProbe, 2026): what networks answer, and what they think by it.

Probes are fed to every network, as in ProbeGen. Beside the output for a probe, its sums at the
hidden neurons are read, before their activation. Each layer's go through a small MLP, neuron by
neuron, and are averaged over the neurons, so that their order does not matter. The MLP's maps have
a low rank, and few numbers are kept of a layer: the hidden part adds few parameters.

No paper is public; this is the code's reader of INRs of MNIST and Fashion-MNIST. Its readers of
CIFAR-10 INRs and of CNNs are other models.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.probegen import Probes, evaluate, mlp
from benchmark.methods import Method, Problem
from benchmark.tuning.space import Choice, Log
from nft.network import VARIOUS, NetworkSpec


class LowRankLinear(nn.Module):
    """A linear map U V^T with factors of `rank` columns.

    It starts as the best approximation of Xavier's uniform matrix. Columns beyond what that needs
    start as zeros in U and at random in V.
    """

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        super().__init__()
        full = nn.init.xavier_uniform_(torch.empty(outputs, inputs))
        u, values, v = torch.linalg.svd(full, full_matrices=False)
        used, roots = min(rank, len(values)), values[:rank].sqrt()
        left, right = torch.zeros(outputs, rank), torch.randn(inputs, rank) / inputs**0.5
        left[:, :used], right[:, :used] = u[:, :used] * roots, v[:used].T * roots
        self.left, self.right = nn.Parameter(left), nn.Parameter(right)
        bound = inputs**-0.5
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x @ self.right, self.left, self.bias)


class HiddenLayer(nn.Module):
    """What is read of a hidden layer, for each probe.

    Maps sums `[batch, neurons, probes]` to `[batch, probes, features]`.
    """

    def __init__(self, channels: int, features: int, rank: int) -> None:
        super().__init__()
        self.neurons = nn.Sequential(
            LowRankLinear(1, channels, rank),
            nn.ReLU(),
            LowRankLinear(channels, channels, rank),
            nn.ReLU(),
        )
        self.layer = LowRankLinear(channels, features, rank)

    def forward(self, sums: Tensor) -> Tensor:
        return self.layer(self.neurons(sums.unsqueeze(-1)).mean(dim=1))


class HiddenProbeReader(nn.Module):
    """An MLP for each probe's numbers, shared by all, and one on the results of all probes.

    Maps flat weights `[batch, parameters]` to `[batch, outputs]`.
    """

    def __init__(self, spec: NetworkSpec, probes: Probes, method: HiddenProbe, outputs: int):
        super().__init__()
        self.spec, self.probes = spec, probes
        hidden = len(spec.layers) - 1
        self.layers = nn.ModuleList(
            HiddenLayer(method.neuron_channels, method.features, method.rank) for _ in range(hidden)
        )
        numbers = hidden * method.features + spec.neurons[-1]
        self.probe = nn.Sequential(
            nn.Linear(numbers, method.probe_hidden),
            nn.ReLU(),
            nn.Linear(method.probe_hidden, method.probe_features),
        )
        count = len(probes.inputs) * method.probe_features
        self.head = mlp(count, method.hidden, method.layers, outputs)

    def forward(self, flat: Tensor) -> Tensor:
        # Never autocast: bfloat16 would lose the fraction of a sine's phase.
        with torch.autocast(flat.device.type, enabled=False):
            *hidden, answers = evaluate(self.spec, flat, self.probes(), self.spec.activation)
        parts = [layer(sums) for layer, sums in zip(self.layers, hidden, strict=True)]
        numbers = torch.cat((*parts, answers.transpose(1, 2)), dim=-1)
        return self.head(self.probe(numbers).flatten(1))


@dataclass(frozen=True)
class HiddenProbe(Method):
    """An MLP on outputs and hidden sums of networks, for learned inputs.

    The defaults are those of the published code for MNIST. Other than there, an INR's outputs are
    read without the 0.5 that the published INRs add to them.
    """

    name = "hiddenprobe"
    title = "HiddenProbe"
    paper = "github:yonatansverdlov/HiddenProbe"
    reads_functions = True
    mini = {"learning_rate": 2e-3, "probes": 64, "probe_hidden": 64}
    space = {
        "learning_rate": Log(1e-4, 1e-2),
        "weight_decay": Log(1e-4, 1e-1),
        "probes": Choice(32, 64, 128),
        "features": Choice(1, 2, 4),
        "layers": Choice(2, 4, 6),
    }

    probes: int = 128
    codes: int = 32
    neuron_channels: int = 16
    rank: int = 8
    features: int = 2  # of a hidden layer
    probe_hidden: int = 256
    probe_features: int = 4
    hidden: int = 256
    layers: int = 6
    learning_rate: float = 7e-4
    weight_decay: float = 0.0

    def build(self, problem: Problem) -> nn.Module:
        probes = Probes(problem.spec, "generated", self.probes, self.codes)
        return HiddenProbeReader(problem.spec, probes, self, problem.outputs)

    def skip(self, problem: Problem) -> str | None:
        if any(layer.kernel for layer in problem.spec.layers):
            return "it evaluates MLPs alone: the published reader of CNNs is another model"
        if problem.spec.activation == VARIOUS:
            return "it cannot evaluate networks whose activations differ: weights do not tell which"
        return None
