"""The symmetries of methods, as an audit measured them: what the board reads.

Each method has a file of its own, so that two that are submitted at once do not collide.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from benchmark.record.paths import regular
from benchmark.record.schema import RecordError, write_atomically

FOLDER = Path(__file__).resolve().parent / "audits"
LARGEST_RESIDUAL = 1e-9  # of an output's spread, in float64
UNMOVED = 1e-6  # of the distance between different networks, in float64

Stage = Literal["initial", "trained"]


class Measurement(BaseModel):
    """What one change does to one method.

    code_sha256: of the method, the task and the harness, as records have it.
    claimed: whether the method claims the symmetry.
    residual: of the networks' functions, in standard deviations of their outputs.
    movement: by the share of neurons that are changed, of the method's output, relative to the
        distance between its outputs for different networks; None where it tells none apart.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    method: str
    task: str
    dataset: str
    code_sha256: str | None
    change: str
    stage: Stage
    claimed: bool
    residual: float
    movement: dict[float, float | None]

    @property
    def conclusive(self) -> bool:
        """Whether the networks' functions stayed the same."""
        return self.residual <= LARGEST_RESIDUAL

    @property
    def holds(self) -> bool:
        """Whether the method is invariant, or equivariant."""
        return self.largest <= UNMOVED

    @property
    def largest(self) -> float:
        """The largest movement; 0 where the method tells no networks apart."""
        return max((value or 0.0 for value in self.movement.values()), default=0.0)


MEASUREMENTS = TypeAdapter(list[Measurement])


def read(folder: Path = FOLDER) -> list[Measurement]:
    """Read what was measured, in the order of methods; nothing where there is no folder.

    Raises:
        RecordError: If a file is malformed.
    """
    measurements: list[Measurement] = []
    for path in sorted(folder.glob("*.json")):
        try:
            measurements += MEASUREMENTS.validate_json(regular(path).read_bytes())
        except (OSError, ValidationError) as error:
            raise RecordError(f"{path}: {str(error).splitlines()[0]}; restore the file") from None
    return measurements


def by_method(measurements: Iterable[Measurement]) -> dict[str, list[Measurement]]:
    """Group measurements by the name of the method."""
    methods: dict[str, list[Measurement]] = {}
    for one in measurements:
        methods.setdefault(one.method, []).append(one)
    return methods


def by_change(measurements: Iterable[Measurement]) -> dict[str, list[Measurement]]:
    """Group measurements by the change of the networks."""
    changes: dict[str, list[Measurement]] = {}
    for one in measurements:
        changes.setdefault(one.change, []).append(one)
    return changes


def describe(measured: Sequence[Measurement], false_claim: str = "claimed") -> str:
    """Say how far a method's outputs move under one change, over tasks and stages.

    Args:
        measured: Of one method and change.
        false_claim: What marks a claim that does not hold.
    """
    if not measured:
        return "-"
    if not all(one.conclusive for one in measured):
        return "inconclusive"
    holds, claimed = all(one.holds for one in measured), measured[0].claimed
    moved = "exact" if holds else f"{max(one.largest for one in measured):.2g}"
    marks = {(True, False): " (not claimed)", (False, True): f" ({false_claim})"}
    return moved + marks.get((holds, claimed), "")


def write(measurements: Iterable[Measurement], folder: Path = FOLDER) -> None:
    """Write measurements in the place of older ones of the same methods."""
    folder.mkdir(exist_ok=True)
    for method, ones in by_method(measurements).items():
        ordered = sorted(ones, key=lambda one: (one.task, one.stage))
        data = MEASUREMENTS.dump_python(ordered, mode="json")
        text = json.dumps(data, indent=1) + "\n"
        write_atomically(folder / f"{method}.json", text.encode())
