"""ProbeGen (Kahana et al., ICLR 2025, arXiv:2410.10811): networks are asked, not read.

Inputs, the probes, are fed to every network, and an MLP predicts from its answers, whatever its
weights look like. The probes are learned with that MLP, through the networks. ProbeGen makes them
from learned codes by one generator, which is deep but linear (a tanh bounds images alone): what all
probes share is learned from all of them, and a linear generator overfits less than one with
activations. It is compared with probes that are learned one by one, and with random ones.

It evaluates the networks, and is not compared with methods that read weights alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import log2

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.errors import UserError
from benchmark.methods import Method, Problem, Variant
from benchmark.tuning.space import Choice, Log
from nft.network import VARIOUS, NetworkSpec
from nft.symmetry import ACTIVATIONS

ZOO_ACTIVATIONS = ("relu", "tanh")
"""Those of zoos whose networks differ in it (Unterthiner et al. 2020, arXiv:2002.11448)."""

PROBES = ("generated", "learned", "fixed")


def evaluate(
    spec: NetworkSpec, flat: Tensor, probes: Tensor, activation: str, stride: int = 2
) -> list[Tensor]:
    """Evaluate many networks on the same inputs.

    The first dense layer after convolutions reads the mean of each feature map.

    Args:
        spec: The networks' spec, of dense layers or of convolutions of images and dense layers.
        flat: `[batch, parameters]`.
        probes: `[probes, inputs]`, or images `[probes, inputs, height, width]`.
        activation: Between the layers, one that is not "various".
        stride: Of the convolutions, which pad by half their kernel.

    Returns:
        The sums of each layer before its activation, the last of which are the outputs:
        `[batch, neurons, probes]`, of convolutions `[probes, batch * neurons, height, width]`.
    """
    values = probes if probes.ndim == 4 else probes.T.expand(len(flat), -1, -1)
    sums: list[Tensor] = []
    for weight, bias in spec.to_layers(flat):
        if sums:
            values = _activate(spec, activation, sums[-1])
        if weight.ndim == 5:
            # The first kernels of all networks see the same images; later ones, their network's.
            groups = len(flat) if sums else 1
            padding = weight.shape[-1] // 2
            kernels = weight.flatten(0, 1), bias.flatten()
            sums.append(functional.conv2d(values, *kernels, stride, padding, groups=groups))
            continue
        if values.ndim == 4:
            values = values.mean(dim=(2, 3)).unflatten(1, (len(flat), -1)).permute(1, 2, 0)
        sums.append(torch.baddbmm(bias.unsqueeze(-1), weight, values))
    return sums


def _activate(spec: NetworkSpec, activation: str, sums: Tensor) -> Tensor:
    return torch.sin(spec.omega * sums) if activation == "sine" else ACTIVATIONS[activation](sums)


def why_not_evaluated(spec: NetworkSpec) -> str | None:
    """Return why `evaluate` cannot take networks of a spec, or None if it can."""
    kinds = [len(layer.kernel) for layer in spec.layers]
    if not set(kinds) <= {0, 2} or kinds[-1] != 0:
        return "it evaluates dense layers, and convolutions of images whose maps are averaged"
    return None


def image_generator(codes: int, channels: int, side: int, width: int) -> nn.Sequential:
    """Make transposed convolutions from codes `[probes, codes, 1, 1]` to images, and a tanh.

    Maps of 4x4 are doubled up to the side of the images, with half as many channels each time.
    For 32 pixels they are the six layers of the published code.
    """
    doublings = int(log2(side / 4))
    layers: list[nn.Module] = [nn.ConvTranspose2d(codes, width << doublings, 4)]
    for left in reversed(range(doublings)):
        if left == 0:
            layers.append(nn.ConvTranspose2d(2 * width, 2 * width, 3, padding=1))
        maps = width << (left + 1), width << left
        layers.append(nn.ConvTranspose2d(*maps, 4, stride=2, padding=1))
    layers.append(nn.ConvTranspose2d(width, channels, 3, padding=1))
    return nn.Sequential(*layers, nn.Tanh())


class Probes(nn.Module):
    """Inputs for networks: vectors `[probes, inputs]` or images `[probes, inputs, side, side]`.

    Args:
        spec: The networks' spec.
        kind: "generated" from learned codes, "learned" one by one, or "fixed" and random.
        count: Number of probes.
        codes: Numbers of a code.
        width: Channels of the last map but one of the generator of images.
        side: Height and width of images in pixels.
    """

    def __init__(
        self, spec: NetworkSpec, kind: str, count: int, codes: int, width: int = 16, side: int = 32
    ) -> None:
        super().__init__()
        first = spec.layers[0]
        shape = (first.inputs, side, side) if first.kernel else (first.inputs,)
        if kind == "fixed":
            self.register_buffer("inputs", 2 * torch.rand(count, *shape) - 1)
            self.generator = nn.Identity()
        elif kind == "learned":
            self.inputs = nn.Parameter(torch.randn(count, *shape))
            self.generator = nn.Tanh() if first.kernel else nn.Identity()
        elif first.kernel:
            self.inputs = nn.Parameter(torch.randn(count, codes, 1, 1))
            self.generator = image_generator(codes, first.inputs, side, width)
        else:
            self.inputs = nn.Parameter(torch.randn(count, codes))
            self.generator = nn.Sequential(nn.Linear(codes, codes), nn.Linear(codes, first.inputs))

    def forward(self) -> Tensor:
        return self.generator(self.inputs)


class ProbeReader(nn.Module):
    """An MLP on the answers of networks: flat weights `[batch, parameters]` to `[batch, outputs]`.

    Where networks differ in their activation, which their weights do not tell, the MLP reads the
    answers with each of `ZOO_ACTIVATIONS`.
    """

    def __init__(
        self, spec: NetworkSpec, probes: Probes, stride: int, hidden: int, layers: int, outputs: int
    ) -> None:
        super().__init__()
        self.spec, self.probes, self.stride = spec, probes, stride
        known = spec.activation != VARIOUS
        self.activations = (spec.activation,) if known else ZOO_ACTIVATIONS
        answers = len(self.activations) * len(probes.inputs) * spec.neurons[-1]
        self.head = mlp(answers, hidden, layers, outputs)

    def forward(self, flat: Tensor) -> Tensor:
        # Never autocast: bfloat16 would lose the fraction of a sine's phase.
        with torch.autocast(flat.device.type, enabled=False):
            probes = self.probes()
            answers = [
                evaluate(self.spec, flat, probes, activation, self.stride)[-1]
                for activation in self.activations
            ]
        return self.head(torch.cat(answers, dim=1).transpose(1, 2).flatten(1))


def mlp(inputs: int, hidden: int, layers: int, outputs: int) -> nn.Sequential:
    """Make an MLP of so many linear layers with ReLU between them."""
    sizes = [inputs] + [hidden] * (layers - 1) + [outputs]
    modules: list[nn.Module] = []
    for size, following in pairwise(sizes):
        modules += [nn.Linear(size, following), nn.ReLU()]
    return nn.Sequential(*modules[:-1])


@dataclass(frozen=True)
class ProbeGen(Method):
    """An MLP on what networks answer to learned inputs, coordinates of INRs or images for CNNs.

    The defaults are those of the published code (jonkahana/ProbeGen), for 128 probes. Other than
    there:

    - networks of a zoo answer with either activation, since weights do not tell which is theirs;
    - a spec does not tell the strides of convolutions: all have the zoo's;
    - fixed images are uniform noise, not pictures of dead leaves;
    - an INR's outputs are read without the 0.5 that the published INRs add to them.
    """

    name = "probegen"
    title = "ProbeGen"
    paper = "arXiv:2410.10811"
    reads_functions = True
    # Not the sign: networks of a zoo are evaluated with ReLU too.
    symmetries = ("permutation", "duplicate", "dead")
    mini = {"learning_rate": 2e-3, "probes": 64, "side": 16}
    space = {
        "learning_rate": Log(1e-4, 1e-2),
        "weight_decay": Log(1e-4, 1e-1),
        "probes": Choice(32, 64, 128),
        "layers": Choice(2, 4, 6),
    }
    variants = (
        Variant("probes-learned", "Learned probes", {"kind": "learned"}, mini={}),
        Variant("probes-fixed", "Fixed probes", {"kind": "fixed"}, mini={}),
    )

    kind: str = "generated"
    probes: int = 128
    codes: int = 32
    width: int = 16  # of the generator of images
    side: int = 32  # of images, in pixels
    stride: int = 2  # of the convolutions that are evaluated
    hidden: int = 256
    layers: int = 6
    learning_rate: float = 3e-4
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in PROBES:
            raise UserError(f"{self.name}: kind is one of {', '.join(PROBES)}, not {self.kind!r}")
        if self.side < 8 or self.side & (self.side - 1):
            raise UserError(f"{self.name}: side is a power of 2 from 8 on, not {self.side}")

    def build(self, problem: Problem) -> nn.Module:
        probes = Probes(problem.spec, self.kind, self.probes, self.codes, self.width, self.side)
        return ProbeReader(
            problem.spec, probes, self.stride, self.hidden, self.layers, problem.outputs
        )

    def skip(self, problem: Problem) -> str | None:
        return why_not_evaluated(problem.spec)
