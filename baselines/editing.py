"""What editors of INRs share, and the identity, their floor (NFN, arXiv:2302.14040, section 4.3).

An editor changes the weights that it reads. With `sets` above 1 it makes that many sets of weights,
whose drawings are averaged: output capacity expansion (arXiv:2602.01083).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmark.methods import Method, Problem
from nft.layers import GroupLinear, group_index


class Editor(nn.Module):
    """Flat weights `[batch, parameters]` to edited sets `[batch, sets, parameters]`.

    Each tensor of each set has a learned factor for its change, which starts at 0.01.
    """

    def __init__(self, problem: Problem, change: nn.Module, sets: int) -> None:
        super().__init__()
        self.change, self.sets = change, sets
        spec = problem.spec
        self.scale = nn.Parameter(torch.full((sets, len(spec.group_sizes)), 0.01))
        index = group_index(spec).unsqueeze(-1).expand(-1, spec.positions)
        self.register_buffer("tensor_of", spec.from_tokens(index))

    def forward(self, flat: Tensor) -> Tensor:
        return flat.unsqueeze(1) + self.change(flat) * self.scale[:, self.tensor_of]


class TokenChange(nn.Module):
    """A body that makes features `[batch, tokens, channels]`, and a map of each to `sets` changes.

    The result is `[batch, sets, parameters]`.
    """

    def __init__(self, problem: Problem, body: nn.Module, channels: int, sets: int) -> None:
        super().__init__()
        self.spec, self.body, self.sets = problem.spec, body, sets
        self.head = GroupLinear(problem.spec, channels, sets * problem.spec.positions)

    def forward(self, flat: Tensor) -> Tensor:
        changes = self.head(self.body(flat)).unflatten(-1, (self.sets, -1)).transpose(1, 2)
        return self.spec.from_tokens(changes)


def equivariant_editor(problem: Problem, body: nn.Module, channels: int, sets: int) -> Editor:
    """An editor of an equivariant body of that many channels."""
    return Editor(problem, TokenChange(problem, body, channels, sets), sets)


def draws_nothing(problem: Problem) -> str | None:
    """Why there is nothing to edit, or None where the networks are INRs."""
    return None if problem.spec.activation == "sine" else "these networks draw no images"


class Unchanged(nn.Module):
    """Flat weights as they are, `[batch, 1, parameters]`."""

    def forward(self, flat: Tensor) -> Tensor:
        return flat.unsqueeze(1)


@dataclass(frozen=True)
class Identity(Method):
    """Changes nothing: the floor.

    Its record also says what fitting alone costs, and what these INRs could draw at best.
    """

    name = "identity-editor"
    title = "identity"
    paper = "none"
    tasks = ("inr-editing",)
    edits = True
    mini = {}

    def build(self, problem: Problem) -> nn.Module:  # noqa: ARG002
        return Unchanged()
