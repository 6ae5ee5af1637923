"""The log of a search: what was searched, every trial, and what came out best on validation."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark.errors import UserError
from benchmark.record import metrics
from benchmark.record.schema import NAME, SHA256, write_atomically
from benchmark.tuning.space import Value

Values = dict[str, Value]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Point(_Part):
    """One scoring of the validation split; None where the metric is undefined."""

    step: int = Field(gt=0)
    validation: float | None


class Trial(_Part):
    """Settings that were tried.

    Attributes:
        settings: Values of the fields that are searched.
        status: "finished"; "pruned" by successive halving; "stopped" where the budget ended first;
            "diverged" or "failed" with the reason.
        reason: Why it diverged or failed.
        curve: Scores as far as it came; empty for what is fitted at once.
        validation: Score of the selected checkpoint of a finished trial; None where undefined.
        cpu_seconds: What it took of this process's CPU time, in seconds.
    """

    settings: Values
    status: Literal["finished", "pruned", "stopped", "diverged", "failed"]
    reason: str | None = Field(default=None, max_length=500)
    curve: tuple[Point, ...]
    validation: float | None
    cpu_seconds: float = Field(ge=0)


class Budget(_Part):
    """What a search may take: trials, and seconds of CPU time. It is the same for every method."""

    trials: int = Field(gt=0)
    cpu_seconds: float = Field(gt=0)


class SearchLog(_Part):
    """One search.

    Attributes:
        suite: Name of the suite whose protocol the trials are trained by.
        task: Name of the task.
        dataset: Name of the dataset.
        fingerprint: SHA-256 of the dataset's content.
        method: Name of the method or variant.
        metric: Name of the task's metric.
        seed: Seed of all trials and of the sampler.
        budget: What the search may take.
        space: What is searched by field, as the method's file declares it.
        first: Settings of the first trial, which the suite had before the search.
        others: Values of the method's other fields.
        protocol: Protocol of the trials.
        encoder_protocol: That of the first stage, where there are two.
        code_sha256: Digest of the code that the scores come from.
        versions: Versions of what computes and searches.
        processor: Processor that the CPU time is of.
        trials: Trials in their order.
    """

    suite: str = Field(pattern=NAME)
    task: str = Field(pattern=NAME)
    dataset: str = Field(pattern=NAME)
    fingerprint: str = Field(pattern=SHA256)
    method: str = Field(pattern=NAME)
    metric: str
    seed: int = Field(ge=0)
    budget: Budget
    space: dict[str, str]
    first: Values
    others: Values
    protocol: Values
    encoder_protocol: Values | None
    code_sha256: Annotated[str, Field(pattern=SHA256)]
    versions: dict[str, str]
    processor: str
    trials: tuple[Trial, ...] = ()

    @property
    def cpu_seconds(self) -> float:
        """Seconds of CPU time that all trials took."""
        return sum(trial.cpu_seconds for trial in self.trials)

    @property
    def best(self) -> Trial | None:
        """The finished trial that is best on validation, the first of equals; None without one."""
        scored = [trial for trial in self.trials if trial.validation is not None]
        better = max if metrics.get(self.metric).direction == "max" else min
        return better(scored, key=lambda trial: trial.validation, default=None)

    def trial(self, settings: Mapping[str, Value]) -> Trial | None:
        """Return the trial of these settings, or None if they were not tried."""
        return next((trial for trial in self.trials if trial.settings == settings), None)

    def adding(self, trial: Trial) -> SearchLog:
        """Return the log with one trial more."""
        return self.model_copy(update={"trials": (*self.trials, trial)})

    def begins_like(self, other: SearchLog) -> bool:
        """Return whether two logs are of one search, of which either may be further.

        Where the trials ran, and what the suite says now that one has written its settings, do not
        matter.
        """
        apart = {"first", "processor", "trials"}
        return self.model_dump(exclude=apart) == other.model_dump(exclude=apart)


def read(path: Path) -> SearchLog | None:
    """Read a log, or return None where there is none.

    Raises:
        UserError: If the file holds something else.
    """
    if not path.is_file():
        return None
    try:
        return SearchLog.model_validate_json(path.read_bytes())
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise UserError(
            f"{path}: no log of a search: {reason}; restore it from git or delete it"
        ) from None


def write(log: SearchLog, path: Path) -> None:
    """Write a log with a line for each trial, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = log.model_dump_json(indent=1, exclude={"trials"}).removesuffix("\n}")
    trials = ",\n".join(f"  {trial.model_dump_json()}" for trial in log.trials)
    text = f'{head},\n "trials": [\n{trials}\n ]\n}}\n'
    write_atomically(path, text.encode())


def digest(path: Path) -> str:
    """Return the SHA-256 of a log's file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
