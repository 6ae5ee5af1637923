"""Editors with a number or two for each tensor: the same map for every network.

NFN's editors (Zhou et al., NeurIPS 2023, arXiv:2302.14040, section 4.3) change every weight by what
they read in all weights. These read nothing. Still, a positive shift of the output's bias brightens
every image, and first weights that are scaled by s < 1 draw it 1 / s times as large, about its
centre.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from baselines.editing import draws_nothing
from benchmark.methods import Method, Problem, Variant
from benchmark.tuning.space import Log
from nft.layers import group_index
from nft.network import NetworkSpec


class AffineTensors(nn.Module):
    """A shift, and a scale if asked, of each weight and bias tensor.

    Maps flat weights `[batch, parameters]` to `[batch, 1, parameters]`. It starts as the identity.

    Args:
        spec: The networks that are read.
        scales: Whether each tensor is scaled, too.
    """

    def __init__(self, spec: NetworkSpec, *, scales: bool) -> None:
        super().__init__()
        tensors = len(spec.group_sizes)
        self.shift = nn.Parameter(torch.zeros(tensors))
        self.scale = nn.Parameter(torch.ones(tensors)) if scales else None
        index = group_index(spec).unsqueeze(-1).expand(-1, spec.positions)
        self.register_buffer("tensor_of", spec.from_tokens(index))

    def forward(self, flat: Tensor) -> Tensor:
        scaled = flat if self.scale is None else flat * self.scale[self.tensor_of]
        return (scaled + self.shift[self.tensor_of]).unsqueeze(1)


@dataclass(frozen=True)
class ShiftEditor(Method):
    """One shift of each weight and bias tensor, the same for all networks; with `scales` after a
    scale of it.
    """

    name = "shift-editor"
    title = "Shift per tensor"
    paper = "none"
    tasks = ("inr-editing",)
    edits = True
    mini = {"learning_rate": 1e-2}
    space = {"learning_rate": Log(1e-3, 1e-1), "weight_decay": Log(1e-3, 1.0)}
    variants = (Variant("affine-editor", "Scale and shift per tensor", {"scales": True}, mini={}),)

    scales: bool = False

    def build(self, problem: Problem) -> nn.Module:
        return AffineTensors(problem.spec, scales=self.scales)

    def skip(self, problem: Problem) -> str | None:
        return draws_nothing(problem)
