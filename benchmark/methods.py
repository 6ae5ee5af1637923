"""The contract a method fulfils.

A method is a frozen dataclass in one file under `baselines/`. Its fields are its hyper-parameters
with its paper's defaults, its class attributes describe it, and `build` makes the module. Data,
loss, steps, schedule and selection are the task's, so that no method is trained on kinder terms.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from nft.network import NetworkSpec

PREDICTIONS = ("inr-classification", "generalization", "sine-frequency")
"""The tasks in which a network's weights give a few numbers."""


@dataclass(frozen=True)
class Problem:
    """What a method may know before it is trained.

    spec: the networks that are read.
    outputs: numbers to predict per network.
    mean, std: `[2 * layers]`, the training networks' statistics per weight and bias tensor
    (`NetworkSpec.statistics`).
    image: height and width of what INRs draw, else None.
    """

    spec: NetworkSpec
    outputs: int
    mean: Tensor
    std: Tensor
    image: tuple[int, int] | None


@dataclass(frozen=True)
class Variant:
    """A further row of a method: a name, a title, and the fields that differ from its defaults.

    mini: sizes in suite `mini`, on top of the method's; None for a variant that is not in it.
    paper: where the variant is from, if not where the method is.
    """

    name: str
    title: str
    fields: Mapping[str, Any]
    mini: Mapping[str, Any] | None = None
    paper: str | None = None


@dataclass(frozen=True)
class Stage:
    """One stage of a method: what makes its module, and how fast and how regularised it learns.

    An "encoder" has `forward(flat)`, `[batch, height * width, outputs]`, which is trained on the
    squared error against what the INRs draw, and `encode(flat)`, which makes the arrays
    `[batch, ...]` that the "head" reads. The head of a method of one stage reads flat weights.
    """

    role: Literal["encoder", "head"]
    build: Callable[[Problem], nn.Module]
    learning_rate: float
    weight_decay: float


class FittedModule(nn.Module, ABC):
    """A module that is fitted in one go, not by steps of a gradient: trees, neighbours, matching."""

    @abstractmethod
    def fit(self, weights: Tensor, targets: Tensor, seed: int) -> None:
        """Learn from the training split: what the stage reads `[networks, ...]`, and the targets."""


@dataclass(frozen=True)
class Method(ABC):
    """A model that reads weights: subclass it in one file of `baselines/`, and the benchmark has it.

    Class attributes, which are the method's documentation:
    name: how the command line and the records call it. title: how tables do.
    paper: where it is from ("arXiv:...").
    tasks: the tasks it can do.
    edits: its module makes changed weights `[batch, k, parameters]`, not predictions.
    reads_functions: it may evaluate the networks that it reads, and is not compared with those that look
    at their weights alone.
    invariant: whether its output is meant not to change when hidden neurons are permuted (or, of an
    editor, to be permuted alike); tests hold it to that.
    libraries: packages beside torch and numpy that compute its numbers; a record names their versions.
    mini: the sizes in suite `mini` that differ from the paper's defaults; None for a method that
    is not in it.
    variants: further rows, with other fields.

    Fields:
    augment: permute the hidden neurons of every training network anew each time it is seen.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]
    tasks: ClassVar[tuple[str, ...]] = PREDICTIONS
    edits: ClassVar[bool] = False
    reads_functions: ClassVar[bool] = False
    invariant: ClassVar[bool] = True
    libraries: ClassVar[tuple[str, ...]] = ()
    mini: ClassVar[Mapping[str, Any] | None] = None
    variants: ClassVar[tuple[Variant, ...]] = ()

    learning_rate: float = field(default=1e-3, kw_only=True)
    weight_decay: float = field(default=0.01, kw_only=True)
    augment: bool = field(default=False, kw_only=True)

    @abstractmethod
    def build(self, problem: Problem) -> nn.Module:
        """Make the module from flat weights `[batch, parameters]` to `[batch, outputs]`.

        It is initialised by torch's global generator, which the harness has seeded.
        """

    def skip(self, problem: Problem) -> str | None:  # noqa: ARG002
        """Say why this method cannot read these networks, or return None where it can."""
        return None

    @property
    def stages(self) -> tuple[Stage, ...]:
        """What is trained, one after the other; the last is the head."""
        return (Stage("head", self.build, self.learning_rate, self.weight_decay),)


@dataclass(frozen=True)
class TwoStageMethod(Method):
    """A method that first learns to encode networks without labels, then predicts from the arrays.

    The suite gives each stage its budget. Variants whose encoders are the same share its arrays.
    """

    tasks = ("inr-classification",)

    encoder_learning_rate: float = field(default=1e-4, kw_only=True)
    encoder_weight_decay: float = field(default=0.01, kw_only=True)

    @abstractmethod
    def build_encoder(self, problem: Problem) -> nn.Module:
        """Make the module of the first stage, with `forward` and `encode`."""

    @property
    def stages(self) -> tuple[Stage, ...]:
        rates = self.encoder_learning_rate, self.encoder_weight_decay
        return (Stage("encoder", self.build_encoder, *rates), *super().stages)
