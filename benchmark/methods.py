"""The contract of a method.

A method is a frozen dataclass in one file under `baselines/`. Its fields are its hyper-parameters,
with its paper's defaults; its class attributes describe it, and `build` makes the module. Data,
loss, steps, schedule and selection belong to the task and the suite, so that all methods are
trained on the same terms.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from benchmark.errors import UserError
from benchmark.tuning.space import Dimension
from nft.network import NetworkSpec

PREDICTIONS = (
    "inr-classification",
    "generalization",
    "sine-frequency",
    "regression",
    "classification",
)
"""The tasks that predict a few numbers from a network's weights."""


AUGMENTATIONS = (
    "none",
    "permutation",
    "scattering",
    "image",
    "image-permutation",
    "mixup",
    "mixup-permuted",
    "mixup-aligned",
)


@dataclass(frozen=True)
class Problem:
    """What a method knows before training.

    Attributes:
        spec: The networks that are read.
        outputs: Numbers to predict per network.
        mean: `[2 * layers]`, means of the training networks' weight and bias tensors
            (`NetworkSpec.statistics`).
        std: `[2 * layers]`, likewise their standard deviations.
        image: Height and width of the images that INRs represent, else None.
    """

    spec: NetworkSpec
    outputs: int
    mean: Tensor
    std: Tensor
    image: tuple[int, int] | None


@dataclass(frozen=True)
class Variant:
    """A further row of a method, with other values of some fields.

    Attributes:
        name: Name on the command line and in records.
        title: Name in tables.
        fields: Fields that differ from the method's defaults.
        mini: Fields for suite `mini`, in addition to the method's; None for a variant that is
            not in it.
        paper: Source of the variant, where it differs from the method's.
    """

    name: str
    title: str
    fields: Mapping[str, Any]
    mini: Mapping[str, Any] | None = None
    paper: str | None = None


@dataclass(frozen=True)
class Stage:
    """One stage of a method's training.

    An "encoder" has two functions of flat weights. Its `forward` reconstructs the images
    `[batch, height * width, outputs]`, and is trained on the squared error against the images that
    the INRs render. Its `encode` computes the arrays `[batch, ...]` that the "head" reads. The head
    of a method with one stage reads flat weights.

    Attributes:
        role: "encoder" or "head".
        build: Function that makes the stage's module.
        learning_rate: Learning rate of the stage.
        weight_decay: Weight decay of the stage.
    """

    role: Literal["encoder", "head"]
    build: Callable[[Problem], nn.Module]
    learning_rate: float
    weight_decay: float


class FittedModule(nn.Module, ABC):
    """A module that is fitted at once, not by gradient steps: trees, neighbours, matching.

    Attributes:
        returns_networks: Whether what `encode` returns are flat weights, which augmentation may
            change before the head reads them.
    """

    returns_networks = False

    @abstractmethod
    def fit(self, weights: Tensor, targets: Tensor, seed: int) -> None:
        """Fit the module to the training split.

        Args:
            weights: Inputs of the stage, `[networks, ...]`.
            targets: Labels, or the outputs to return (`Task.responses`), one per network.
            seed: Seed of random choices.
        """


@dataclass(frozen=True)
class Method(ABC):
    """A model that reads weights, defined in one file under `baselines/`.

    Subclasses are registered automatically.

    Attributes:
        name: Name on the command line and in records.
        title: Name in tables.
        paper: Source, as "arXiv:...".
        tasks: Names of the tasks that the method supports.
        edits: Whether the module returns edited weights `[batch, k, parameters]` rather than
            predictions.
        reads_functions: Whether the method may evaluate the networks that it reads. Such a method
            is not compared with methods that read weights alone.
        symmetries: Names of the changes of hidden neurons ("permutation", "sign", "phase",
            "scale", "duplicate", "dead") to which the output is meant to be invariant, or
            equivariant for an editor. The audit measures these claims.
        libraries: Packages besides torch and numpy that compute the method's numbers. A record
            names their versions.
        mini: Fields that differ from the paper's defaults in suite `mini`; None for a method that
            is not in it.
        space: What a search of a suite's settings tries, by field. Variants search it too, less the
            fields that they fix. Sizes are bounded so that suite `mini` stays one of minutes.
        variants: Further rows, with other values of fields.
        learning_rate: Learning rate of the head.
        weight_decay: Weight decay of the head.
        augmentation: How a training network is changed each time it is read, one of
            `AUGMENTATIONS`: hidden neurons in another order ("permutation"), or changed by all of
            their symmetries ("scattering"), or the image of an INR moved and its weights disturbed
            ("image"), or this and then another order ("image-permutation"), or mixed with another
            network ("mixup"), whose neurons are in a random order ("mixup-permuted") or matched to
            its own ("mixup-aligned").
        canonical: Whether networks are read in their canonical form (`nft.symmetry.canonical`).
    """

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]
    tasks: ClassVar[tuple[str, ...]] = PREDICTIONS
    edits: ClassVar[bool] = False
    reads_functions: ClassVar[bool] = False
    symmetries: ClassVar[tuple[str, ...]] = ("permutation",)
    libraries: ClassVar[tuple[str, ...]] = ()
    mini: ClassVar[Mapping[str, Any] | None] = None
    space: ClassVar[Mapping[str, Dimension]] = {}
    variants: ClassVar[tuple[Variant, ...]] = ()

    learning_rate: float = field(default=1e-3, kw_only=True)
    weight_decay: float = field(default=0.01, kw_only=True)
    augmentation: str = field(default="none", kw_only=True)
    canonical: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        if self.augmentation not in AUGMENTATIONS:
            raise UserError(
                f"{self.name}: augmentation is one of {', '.join(AUGMENTATIONS)}, "
                f"not {self.augmentation!r}"
            )

    @abstractmethod
    def build(self, problem: Problem) -> nn.Module:
        """Make the module that maps flat weights `[batch, parameters]` to `[batch, outputs]`.

        Its initialisation uses torch's global generator, which the harness has seeded.
        """

    def skip(self, problem: Problem) -> str | None:  # noqa: ARG002
        """Return why the method cannot read these networks, or None if it can."""
        return None

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Stages in the order of training; the last one is the head."""
        return (Stage("head", self.build, self.learning_rate, self.weight_decay),)


@dataclass(frozen=True)
class TwoStageMethod(Method):
    """A method that learns to encode networks without labels and then predicts from their arrays.

    The suite sets the budget of each stage. Variants with the same encoder share its arrays.

    Attributes:
        encoder_learning_rate: Learning rate of the encoder.
        encoder_weight_decay: Weight decay of the encoder.
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
