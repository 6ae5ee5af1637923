"""A cell: one run's place in the grid, as text, as a path, as a command, and as what seeds it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import UserError
from benchmark.record.seeds import named_seed

DEFAULT_ARM = "permuted"
NAME = "[a-z0-9][a-z0-9-]*"
CONDITION = re.compile(rf"(\+[a-z0-9_]+=[A-Za-z0-9.-]+)*(@{NAME})?")
ENTRANT = re.compile(
    rf"(?P<method>{NAME})(?P<options>(\+[a-z0-9_]+=[A-Za-z0-9.-]+)*)(@(?P<arm>{NAME}))?"
)


@dataclass(frozen=True, order=True)
class Entrant:
    """A method, the options it is run with, and the arm that it reads: "mlp+hidden=64@aligned".

    options: fields of the method set by name, "field=value", in the order of their names.
    """

    method: str
    options: tuple[str, ...] = ()
    arm: str = DEFAULT_ARM

    @classmethod
    def parse(cls, text: str) -> Entrant:
        """Read an entrant from text. Raises UserError where it is none."""
        match = ENTRANT.fullmatch(text)
        if match is None or len(text) > 200:
            raise UserError(
                f"{text[:80]!r} names no method: write METHOD, METHOD@ARM or METHOD+field=value, "
                "as in mlp@aligned, with the small letters that `list` shows"
            )
        options = tuple(sorted(option for option in match["options"].split("+") if option))
        return cls(match["method"], options, match["arm"] or DEFAULT_ARM)

    @property
    def label(self) -> str:
        """The method with its options."""
        return "+".join((self.method, *self.options))

    def __str__(self) -> str:
        return self.label if self.arm == DEFAULT_ARM else f"{self.label}@{self.arm}"


@dataclass(frozen=True, order=True)
class Cell:
    """One run's place in the grid: suite, task, dataset, entrant and seed."""

    suite: str
    task: str
    dataset: str
    entrant: Entrant
    seed: int

    @classmethod
    def parse(cls, text: str) -> Cell:
        """Read "SUITE/TASK/DATASET/ENTRANT/SEED". Raises UserError where the text is no cell."""
        parts = text.split("/")
        names = parts[:3]
        if (
            len(parts) != 5
            or not all(re.fullmatch(NAME, name) for name in names)
            or not re.fullmatch("[0-9]{1,9}", parts[4])
        ):
            raise UserError(
                f"{text[:120]!r} is no cell; a cell is SUITE/TASK/DATASET/METHOD/SEED, "
                "as in mini/inr-classification/mnist-inr-mini/nft/0"
            )
        return cls(*names, Entrant.parse(parts[3]), int(parts[4]))

    def __str__(self) -> str:
        return f"{self.suite}/{self.task}/{self.dataset}/{self.entrant}/{self.seed}"

    @property
    def column(self) -> Cell:
        """The same cell with seed 0, which stands for all seeds."""
        return Cell(self.suite, self.task, self.dataset, self.entrant, 0)

    @property
    def row(self) -> str:
        """The same for people, without a seed."""
        return str(self).rpartition("/")[0]

    @property
    def path(self) -> Path:
        """Where its record lies under a results folder: the path says what it is."""
        folder = Path(self.suite) / self.task / self.dataset / str(self.entrant)
        return folder / f"seed-{self.seed}.json"

    @property
    def arguments(self) -> tuple[str, ...]:
        """What `python -m benchmark` is told to make its record."""
        names = ("--datasets", self.dataset, "--methods", str(self.entrant))
        return ("run", self.task, "--suite", self.suite, *names, "--seeds", str(self.seed))

    @property
    def command(self) -> str:
        """The command that makes its record."""
        return " ".join(("python -m benchmark", *self.arguments))

    def seed_for(self, role: str, method: str) -> int:
        """The seed of one role of its random numbers.

        It depends on the dataset, the method without options or variants, the role and the seed
        alone: arms, suites and variants of a method start alike, and can be compared in pairs.

        Args:
            role: "parameters", "encoder", "order of epoch 0", ...
            method: the name of the method whose row, or whose variant's row, the cell is.
        """
        return named_seed(self.dataset, method, role, self.seed)
