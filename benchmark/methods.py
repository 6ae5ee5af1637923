"""The contract a method fulfils, and the registry that finds every method under `baselines/`.

A method is a frozen dataclass: its fields are its hyper-parameters (the defaults are its paper's, `suites` says what it
changes where), its class attributes describe it, and `build` makes the module. Data, loss, steps, schedule and selection are
the task's, so that no method can be trained on kinder terms than another.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from torch import Tensor, nn

import baselines
from benchmark.errors import UserError
from leaderboard.archive import provenance
from nft.network import NetworkSpec

PAPER: Mapping[str, Mapping[str, Any]] = {"paper": {"learning_rate": 1e-4}, "paper-short": {"learning_rate": 1e-4}}
"""Membership of the suites at the papers' size, with the papers' learning rate and the defaults of the method."""


PAPER_EDITING: Mapping[str, Mapping[str, Any]] = {
    "paper": {"learning_rate": 1e-3},
    "paper-dilation": {"learning_rate": 1e-3, "weight_decay": 1e-3},
}
"""The same of editors, and of the later protocol of dilation."""

PREDICTIONS = ("inr-classification", "generalization", "sine-frequency")


@dataclass(frozen=True)
class Problem:
    """What a method may know before it is trained.

    spec: the networks that are read. outputs: numbers to predict per network. mean, std: `[2 * layers]`, the training
    networks' statistics per weight and bias tensor (`NetworkSpec.statistics`). image: height and width of what INRs draw, else None.
    """

    spec: NetworkSpec
    outputs: int
    mean: Tensor
    std: Tensor
    image: tuple[int, int] | None


@dataclass(frozen=True)
class Method(ABC):
    """A model that reads weights: subclass it in one file under `baselines/`, and the benchmark has it.

    Class attributes, which are the method's documentation:
    name: how the command line and the records call it. title: how tables do. paper: where it is from ("arXiv:...").
    tasks: the tasks it can do; by default those in which a network's weights give a few numbers. edits: its module makes changed
    weights `[batch, k, parameters]`, not predictions.
    invariant: whether its output is meant not to change when hidden neurons are permuted (or, of an editor, to be permuted alike);
    tests hold it to that.
    augment: permute the hidden neurons of every training network anew each time it is seen.
    suites: the suites it takes part in, each with the hyper-parameters that differ from the defaults there; "mini/generalization" has
    those of one task, in place of the suite's.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]
    tasks: ClassVar[tuple[str, ...]] = PREDICTIONS
    edits: ClassVar[bool] = False
    invariant: ClassVar[bool] = True
    augment: ClassVar[bool] = False
    suites: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    learning_rate: float = 1e-3
    weight_decay: float = 0.01

    @abstractmethod
    def build(self, problem: Problem) -> nn.Module:
        """A module from flat weights `[batch, parameters]` to `[batch, outputs]`, initialised by torch's global generator."""

    def skip(self, problem: Problem) -> str | None:  # noqa: ARG002
        """Why this method cannot read these networks, or None where it can."""
        return None


@dataclass(frozen=True)
class TwoStageMethod(Method):
    """A method that first learns to encode networks without labels, and then predicts from what it encodes.

    The suite gives each stage its budget. The first is trained on the squared error between `forward(flat)`, `[batch, height * width,
    outputs]`, and what the INRs draw themselves; `encode(flat)` then makes the arrays `[batch, ...]`, once, that
    the module of `build` reads. encoder: a name for the first stage; methods that share it, and its settings, share its arrays.
    """

    encoder: ClassVar[str]
    tasks = ("inr-classification",)

    encoder_learning_rate: float = 1e-4
    encoder_weight_decay: float = 0.01

    @abstractmethod
    def build_encoder(self, problem: Problem) -> nn.Module:
        """The module of the first stage, with `forward` and `encode`."""


@cache
def registry() -> Mapping[str, type[Method]]:
    """Every method, by name: the subclasses of `Method` that the modules of `baselines/` define."""
    found: dict[str, type[Method]] = {}
    for module_info in pkgutil.iter_modules(baselines.__path__):
        module = importlib.import_module(f"baselines.{module_info.name}")
        for value in vars(module).values():
            if (
                isinstance(value, type)
                and issubclass(value, Method)
                and value.__module__ == module.__name__
                and "name" in vars(value)
            ):
                if value.name in found:
                    raise UserError(f"two methods are called {value.name!r}: rename one in {module.__file__}")
                found[value.name] = value
    return dict(sorted(found.items()))


def make(name: str, suite: str, task: str) -> Method:
    """The method of that name with its hyper-parameters in a suite's task. Raises UserError for an unknown name."""
    methods = registry()
    if name not in methods:
        raise UserError(f"unknown method {name!r}; known: {', '.join(methods)}")
    suites = methods[name].suites
    return methods[name](**suites.get(f"{suite}/{task}", suites.get(suite, {})))


def source(method: type[Method]) -> str | None:
    """The method's file, from the project's root; None for one that is not under `baselines/`."""
    package, _, module = method.__module__.partition(".")
    return f"baselines/{module}.py" if package == "baselines" else None


def code_sha256(method: type[Method]) -> str:
    """SHA-256 over the method's file and every file of `nft/` and `baselines/` that it imports, directly or not."""
    path = source(method)
    return (path and provenance.code_sha256(path)) or hashlib.sha256(b"").hexdigest()
