"""Parts of INR editors, and the identity as their floor (NFN, arXiv:2302.14040, section 4.3).

An editor changes the weights that it reads. With `sets` above 1 it predicts several sets of
weights, whose renderings are averaged: output capacity expansion (arXiv:2602.01083).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmark.methods import Method, Problem
from nft.layers import group_index
from nft.network import NetworkSpec


class Editor(nn.Module):
    """An editor that maps flat weights `[batch, parameters]` to `[batch, sets, parameters]`.

    A learned factor scales the change of each tensor in each set. It starts at 0.01.
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
    """A map from flat weights to their changes, by a body and a head on its features.

    The body maps flat weights to features `[batch, tokens, channels]`, and the head these to
    `[batch, tokens, sets]`. The result is `[batch, sets, parameters]`.
    """

    def __init__(self, spec: NetworkSpec, body: nn.Module, head: nn.Module, sets: int) -> None:
        super().__init__()
        self.spec, self.body, self.head, self.sets = spec, body, head, sets

    def forward(self, flat: Tensor) -> Tensor:
        changes = self.head(self.body(flat)).unflatten(-1, (self.sets, -1)).transpose(1, 2)
        return self.spec.from_tokens(changes)


def equivariant_editor(problem: Problem, body: nn.Module, head: nn.Module, sets: int) -> Editor:
    """Make an editor of INRs from an equivariant body and head."""
    return Editor(problem, TokenChange(problem.spec, body, head, sets), sets)


def draws_nothing(problem: Problem) -> str | None:
    """Return why the networks cannot be edited, or None if they are INRs."""
    return None if problem.spec.activation == "sine" else "these networks draw no images"


class Unchanged(nn.Module):
    """The identity on flat weights, with the result `[batch, 1, parameters]`."""

    def forward(self, flat: Tensor) -> Tensor:
        return flat.unsqueeze(1)


@dataclass(frozen=True)
class Identity(Method):
    """The unedited weights, which are the floor.

    Its record also contains the error that fitting alone costs, and the error that these INRs could
    reach at best.
    """

    name = "identity-editor"
    title = "identity"
    symmetries = ("permutation", "sign", "phase", "scale", "duplicate", "dead")
    paper = "none"
    tasks = ("inr-editing",)
    edits = True
    mini = {}

    def build(self, problem: Problem) -> nn.Module:  # noqa: ARG002
        return Unchanged()
