"""The record of one run: its schema, and reading and writing it.

A record says who ran (method, its code and hyper-parameters), on what (dataset, arm, fingerprint),
how (suite, protocol, seeds, commit, versions, device), what came out (metrics, curve, cost), and
the command that makes it again. What the run predicted for every network lies beside it
(`benchmark.record.predictions`).
"""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmark.errors import UserError
from benchmark.record.cell import Cell, Entrant
from benchmark.record.paths import regular

NAME = "^[a-z0-9][a-z0-9-]*$"
SHA256 = "^[0-9a-f]{64}$"
VERSION = 3
LONGEST_NAME = 80  # of a title or a paper
LONGEST_NOTE = 300  # of a suite

Settings = dict[str, int | float | str | bool]


class RecordError(UserError):
    """A record that cannot be read: says which file, what is wrong, and how to mend it."""


class Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=()
    )


class MethodPart(Part):
    name: str = Field(pattern=NAME)
    title: str = Field(min_length=1, max_length=LONGEST_NAME)
    paper: str = Field(max_length=LONGEST_NAME)
    base: str = Field(pattern=NAME)  # the method that it is a variant of, which seeds it; or itself
    options: tuple[str, ...]  # fields that the command line set, "field=value"
    reads_functions: bool  # whether it may evaluate the networks that it reads
    source: str | None = Field(pattern=r"^baselines/[a-z0-9_]+\.py$")  # from the project's root
    code_sha256: str = Field(pattern=SHA256)  # of the code that the numbers come from
    hyperparameters: Settings
    parameters: int | None = Field(
        ge=0
    )  # trainable numbers, of both stages where there are two; None where the run did not finish


class DatasetPart(Part):
    name: str = Field(pattern=NAME)
    arm: str = Field(pattern=NAME)
    origin: str = Field(
        max_length=200
    )  # "embedded", or the repository and revision it was pulled from
    pinned: bool  # the catalogue says what the fingerprint must be
    fingerprint: str = Field(pattern=SHA256)


class CurvePoint(Part):
    """One scoring of the validation split."""

    step: int = Field(gt=0)
    loss: float  # mean training loss since the point before
    validation: float | None  # None where the metric is undefined


class EncoderPart(Part):
    """The first stage of a two-stage method: what was learned without labels, and at what cost."""

    sha256: str = Field(
        pattern=SHA256
    )  # of all that determines it; a cached encoding is found by it
    parameters: int = Field(ge=0)
    protocol: Settings
    curve: list[CurvePoint]  # validation: negative mean squared error
    test_psnr: float  # dB, of the mean error of all test reconstructions of what the INRs draw
    mean_image_psnr: float  # dB, of the training INRs' mean drawing instead
    training_seconds: float = Field(ge=0)
    evaluation_seconds: float = Field(ge=0)
    encoding_seconds: float = Field(ge=0)
    from_cache: bool  # made by an earlier run, whose seconds these are


class CostPart(Part):
    training_seconds: float = Field(ge=0)  # forward and backward passes; validation apart
    evaluation_seconds: float = Field(ge=0)
    networks_per_second: float = Field(
        gt=0
    )  # of the test split, at evaluation, from weights to predictions
    flops_per_network: int | None = Field(ge=0)  # from weights to prediction: matrix products alone
    peak_memory_mib: float | None = Field(
        ge=0
    )  # of the device, or of the process on a CPU; None where it cannot be read


class EnvironmentPart(Part):
    commit: str | None  # None outside a git checkout
    clean: bool  # the checkout held no uncommitted change
    python: str
    versions: dict[str, str]  # of the libraries that compute: torch, numpy, ...
    cuda: str | None  # that torch was built with, where a GPU was used
    driver: str | None  # of the GPU
    system: str
    processor: str
    capability: str | None  # the instruction set that torch's CPU kernels use
    device: str
    threads: int = Field(gt=0)
    workers: int = Field(gt=0)  # runs at the same time on the machine, which its timings share


class Record(Part):
    """One run of one method on one dataset with one seed."""

    schema_version: Literal[3] = VERSION
    task: str = Field(pattern=NAME)
    metric: str = Field(pattern="^[a-z0-9_]+$")
    suite: str = Field(pattern=NAME)
    setting: str = Field(
        max_length=LONGEST_NOTE
    )  # what the suite says of itself: a reduced setting is named as one
    seed: int = Field(ge=0)
    seeds: dict[str, int]  # by role, as `Cell.seed_for` derives them
    method: MethodPart
    dataset: DatasetPart
    protocol: Settings
    status: Literal["finished", "diverged", "failed", "skipped"]
    reason: str | None = Field(max_length=500)  # why it did not finish
    metrics: dict[
        str, float | None
    ]  # "test", "validation": the selected checkpoint's; None where the metric is undefined
    predictions: str | None = Field(pattern=SHA256)  # of what lies beside the record
    curve: list[CurvePoint]
    encoder: EncoderPart | None
    cost: CostPart | None  # both stages together, where there are two
    environment: EnvironmentPart
    command: str = Field(max_length=5000)  # it may name a file by a long path
    finished_at: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$")  # UTC, ISO 8601

    @model_validator(mode="after")
    def _is_whole(self) -> Record:
        if self.status == "finished":
            if not {"test", "validation"} <= set(self.metrics) or self.cost is None:
                raise ValueError("a finished run has test and validation metrics and its cost")
        elif not self.reason:
            raise ValueError(f"a run that {self.status} says why")
        elif self.metrics or self.predictions or self.curve or self.encoder or self.cost:
            raise ValueError("a run that did not finish has no results")
        return self

    @property
    def cell(self) -> Cell:
        """What the run is of."""
        entrant = Entrant(self.method.name, self.method.options, self.dataset.arm)
        return Cell(self.suite, self.task, self.dataset.name, entrant, self.seed)

    @property
    def path(self) -> Path:
        """Where the record lies under a results folder."""
        return self.cell.path


def schema() -> str:
    """The JSON Schema of a record, as committed in `record.schema.json`."""
    return json.dumps(Record.model_json_schema(), indent=1, sort_keys=True) + "\n"


def write(record: Record, folder: Path) -> Path:
    """Write a record under `folder`, whole or not at all."""
    path = folder / record.path
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (record.model_dump_json(indent=2) + "\n").encode())
    return path


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file so that a reader, or a crash, meets the old one or the new one, whole."""
    # Named by machine and process: machines may share the disk.
    temporary = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def defined(value: float) -> float | None:
    """None for what has no finite value: JSON holds neither NaN nor infinity."""
    return value if math.isfinite(value) else None


def parse(text: bytes, where: str, mend: str = "delete the file to run it again") -> Record:
    """Parse a record of this or an older version from JSON.

    Raises RecordError that says `where` it stands, what is wrong, and how to `mend` it.
    """
    try:
        return Record.model_validate(migrated(json.loads(text, parse_constant=_refuse)))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the record"
        raise RecordError(f"{where}: {field}: {first['msg']}; {mend}") from None
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(f"{where}: not a record ({error}); {mend}") from None


def read(path: Path) -> Record:
    """Read one record. Raises RecordError naming the file and the field that is wrong."""
    try:
        return parse(regular(path).read_bytes(), str(path))
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror}") from None


def read_all(folder: Path) -> list[Record]:
    """Read every record under a results folder, in the order of their paths.

    Raises RecordError for one that lies where another belongs.
    """
    return list(_read_all(folder))


def migrated(data: Any) -> Any:
    """Bring a record's JSON into the present schema, from that of any version before."""
    while (
        isinstance(data, dict) and (step := MIGRATIONS.get(data.get("schema_version"))) is not None
    ):
        data = step(data)
    return data


def _from_1(data: dict[str, Any]) -> dict[str, Any]:
    """Version 1 had no seeds by role, no digests of suite and harness, no FLOPs, no predictions."""
    cost, environment = data["cost"], data["environment"]
    return data | {
        "schema_version": 2,
        "seeds": {},
        "predictions": None,
        "method": data["method"] | {"source": None},
        "dataset": data["dataset"]
        | {"pinned": data["dataset"]["origin"] != "built here, unpinned"},
        "cost": cost and cost | {"flops_per_network": None},
        "environment": environment
        | {"suite_sha256": None, "harness_sha256": None, "cuda": None, "driver": None},
    }


def _from_2(data: dict[str, Any]) -> dict[str, Any]:
    """Version 2 hashed files byte by byte, suite and harness apart, and told of torch alone."""
    method, environment = data["method"], dict(data["environment"])
    for name in ("suite_sha256", "harness_sha256"):
        del environment[name]
    versions = {"torch": environment.pop("torch")}
    return data | {
        "schema_version": 3,
        "seeds": {},  # they were made by another rule
        "method": method | {"base": method["name"], "options": [], "reads_functions": False},
        "environment": environment | {"versions": versions, "capability": None},
    }


MIGRATIONS: dict[Any, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1, 2: _from_2}
"""By the version that each leads away from."""


def _read_all(folder: Path) -> Iterator[Record]:
    for path in sorted(folder.glob("*/*/*/*/seed-*.json")):
        record = read(path)
        if path.relative_to(folder) != record.path:
            raise RecordError(f"{path}: holds the record of {record.path}; move it there")
        yield record


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number in JSON")
