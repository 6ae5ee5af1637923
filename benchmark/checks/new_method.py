"""The file of a new method, from a template that runs as it is."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

import baselines
from benchmark.errors import UserError

TEMPLATE = '''\
"""{title}: what it does, in one line, and the paper that describes it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmark.methods import Method, Problem
from benchmark.tuning.space import Log
from nft.network import NetworkSpec


class TensorMoments(nn.Module):
    """The mean and the standard deviation of every weight and bias tensor.

    Maps flat weights `[batch, parameters]` to `[batch, 4 * layers]`, invariant to permutations of
    hidden neurons. Replace this module by your architecture.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, flat: Tensor) -> Tensor:
        tensors = [part.flatten(1) for layer in self.spec.to_layers(flat) for part in layer]
        moments = [
            moment
            for tensor in tensors
            for moment in (tensor.mean(dim=1), tensor.std(dim=1, correction=0))
        ]
        return torch.stack(moments, dim=1)


@dataclass(frozen=True)
class {cls}(Method):
    """What readers of the leaderboard should know about the method."""

    name = "{name}"
    title = "{title}"
    paper = "arXiv:0000.00000"
    mini = {{"learning_rate": 3e-3}}
    space = {{"learning_rate": Log(3e-4, 3e-2)}}

    hidden: int = 128

    def build(self, problem: Problem) -> nn.Module:
        moments = 4 * len(problem.spec.layers)
        return nn.Sequential(
            TensorMoments(problem.spec),
            nn.BatchNorm1d(moments),
            nn.Linear(moments, self.hidden),
            nn.ReLU(),
            nn.Linear(self.hidden, problem.outputs),
        )
'''


def write(name: str, folder: Path | None = None) -> Path:
    """Write the file of a new method and return its path.

    Args:
        name: Name of the method.
        folder: Folder of the file; `baselines/` by default.

    Raises:
        UserError: If the name is not valid or already exists.
    """
    module = name.replace("-", "_")
    if (
        not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name)
        or len(name) > 40
        or keyword.iskeyword(module)
    ):
        raise UserError(
            f"{name!r} cannot be a method's name: small letters, digits and single hyphens, "
            "at most 40, as in my-method"
        )
    path = (folder or Path(baselines.__path__[0])) / f"{module}.py"
    if name in baselines.registry() or path.exists():
        raise UserError(
            f"there is a method {name!r} already, or a file {path}; choose another name"
        )
    words = name.split("-")
    text = TEMPLATE.format(
        name=name,
        title=" ".join(words).capitalize(),
        cls="".join(word.capitalize() for word in words),
    )
    path.write_text(text, encoding="utf-8")
    return path
