"""The one training loop: schedule, selection on validation, one look at the test set, checkpoints and resuming.

Every random number comes from a named seed or from torch's global generator, whose state is part of the checkpoint, and
the metrics of a run that was killed and resumed are bit for bit those of one that was not.
"""

from __future__ import annotations

import io
import math
import pickle
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from benchmark.runs import checkpoints
from benchmark.runs.environment import can_compile
from benchmark.seeds import generator
from nft.network import NetworkSpec


class Protocol(BaseModel):
    """How a suite trains every method: AdamW, linear warm-up, then half a cosine to zero.

    evaluations: how often the validation split is scored, evenly spaced; the best of these checkpoints is kept, and a
    checkpoint for resuming is written each time. clip: the largest norm of a step's gradient. compiled: the steps go through
    `torch.compile` where that works. precision: of the matrix products; with "bfloat16", autocast on a GPU, and float32 elsewhere, and
    the optimizer's moments are rounded to bfloat16 at every checkpoint, which halves its size.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    steps: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    warmup_steps: int = Field(ge=0)
    evaluations: int = Field(gt=0)
    clip: float = Field(gt=0)
    compiled: bool = False
    precision: Literal["float32", "bfloat16"] = "float32"


class Diverged(Exception):
    """The training loss stopped being a number."""

    def __init__(self, step: int) -> None:
        super().__init__(f"the training loss was NaN or infinite at step {step}")
        self.step = step


class Stopped(BaseException):
    """What `report` raises to end a run early: a checkpoint is written first. No `except Exception` of a method catches it."""


@dataclass(frozen=True)
class Data:
    """One split on the device: weights `[networks, parameters]` and targets `[networks, ...]`."""

    weights: Tensor
    targets: Tensor


@dataclass
class Progress:
    """Where a run stands: everything but the module, the optimizer and the generators that a checkpoint holds."""

    step: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)
    best: float = -math.inf
    best_state: dict[str, Tensor] = field(default_factory=dict)
    loss_sum: float = 0.0  # since the last evaluation
    loss_steps: int = 0
    training_seconds: float = 0.0
    evaluation_seconds: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """What training made: the selected checkpoint's predictions `[networks, ...]` by split, the learning curve, and what it cost."""

    predictions: Mapping[str, Tensor]
    curve: list[dict[str, float]]
    training_seconds: float
    evaluation_seconds: float
    networks_per_second: float


@dataclass(frozen=True)
class Trainer:
    """One run. `key` names it and seeds the order of the data; a checkpoint is taken up where its `identity` is the same.

    `loss(predictions, targets)` is minimised; `score` of a whole split's predictions is maximised, and never chosen where it is NaN.
    `augment`: permute the hidden neurons of every training network anew. `report(step)` is called now and then, to show progress; it may
    raise Stopped.
    """

    key: tuple[str | int, ...]
    identity: str
    spec: NetworkSpec
    module: nn.Module
    loss: Callable[[Tensor, Tensor], Tensor]
    score: Callable[[Tensor, Tensor], float]
    protocol: Protocol
    learning_rate: float
    weight_decay: float
    augment: bool
    checkpoint: Path
    report: Callable[[int], None]

    def run(self, train: Data, validation: Data, test: Data) -> Outcome:
        """Train, select on validation, look at the test split once. Raises Diverged, and what `report` raises.

        A module that has nothing to learn is only looked at, and its curve is empty.
        """
        if not any(parameter.requires_grad for parameter in self.module.parameters()):
            return self._outcome(Progress(), validation, test)
        optimizer = torch.optim.AdamW(
            self.module.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay, fused=True
        )
        progress = self._resume(optimizer) or Progress()
        steps, evaluations = self.protocol.steps, self.protocol.evaluations
        marks = sorted({max(1, steps * (i + 1) // evaluations) for i in range(evaluations)})
        for mark in marks:
            if progress.curve and mark <= progress.curve[-1]["step"]:
                continue
            try:
                self._train(train, optimizer, progress, mark)
            except Stopped:
                self._save(optimizer, progress)
                raise
            loss = progress.loss_sum / progress.loss_steps
            progress.loss_sum, progress.loss_steps = 0.0, 0
            started = time.perf_counter()
            validation_score = self.score(self.predict(validation.weights), validation.targets)
            progress.evaluation_seconds += time.perf_counter() - started
            progress.curve.append({"step": mark, "loss": loss, "validation": validation_score})
            if validation_score > progress.best or not progress.best_state:
                progress.best = -math.inf if math.isnan(validation_score) else validation_score
                progress.best_state = {name: value.clone() for name, value in self.module.state_dict().items()}
            self._save(optimizer, progress)
        self.module.load_state_dict(progress.best_state)
        return self._outcome(progress, validation, test)

    def _outcome(self, progress: Progress, validation: Data, test: Data) -> Outcome:
        started = time.perf_counter()
        predictions = self.predict(test.weights)
        seconds = time.perf_counter() - started
        return Outcome(
            predictions={"test": predictions, "validation": self.predict(validation.weights)},
            curve=progress.curve,
            training_seconds=progress.training_seconds,
            evaluation_seconds=progress.evaluation_seconds + seconds,
            networks_per_second=len(test.weights) / seconds,
        )

    def predict(self, weights: Tensor, batch_size: int = 1000) -> Tensor:
        """Predictions for every network, none left out, in evaluation mode."""
        self.module.eval()
        with torch.inference_mode(), self._autocast(weights.device):
            return torch.cat([self.module(batch).float() for batch in weights.split(batch_size)])

    def _autocast(self, device: torch.device) -> torch.autocast:
        enabled = device.type == "cuda" and self.protocol.precision == "bfloat16"
        return torch.autocast(device.type, torch.bfloat16, enabled=enabled)

    def _train(self, data: Data, optimizer: torch.optim.Optimizer, progress: Progress, until: int) -> None:
        """Train up to step `until`."""
        self.module.train()
        started = time.perf_counter()
        device = data.weights.device
        compiled = self.protocol.compiled and can_compile(device)
        forward = torch.compile(self.module, dynamic=False) if compiled else self.module
        total = torch.tensor(progress.loss_sum, dtype=torch.float64, device=device)
        diverged_at = torch.zeros(
            (), dtype=torch.long, device=device
        )  # 0 while all is well: no synchronisation in the loop
        order, order_epoch = torch.empty(0), -1
        per_epoch = max(1, len(data.weights) // self.protocol.batch_size)
        stopped = True
        while progress.step < until:
            epoch, place = divmod(progress.step, per_epoch)
            if epoch != order_epoch:
                random = generator(*self.key, "order", epoch)
                order, order_epoch = torch.randperm(len(data.weights), generator=random).to(device), epoch
            rows = order[place * self.protocol.batch_size : (place + 1) * self.protocol.batch_size]
            weights = data.weights[rows]
            if self.augment:
                weights = self.spec.permute(weights, self.spec.random_permutations(len(rows)))
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate * self._schedule(progress.step)
            with self._autocast(device):
                predictions = forward(weights)
            loss = self.loss(predictions.float(), data.targets[rows])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.module.parameters(), self.protocol.clip)
            optimizer.step()
            progress.step += 1
            progress.loss_steps += 1
            total += loss.detach()
            diverged_at += torch.where((diverged_at == 0) & ~torch.isfinite(loss.detach()), progress.step, 0)
            if progress.step % 20 == 0:
                try:
                    self.report(progress.step)
                except Stopped:
                    break
        else:
            stopped = False
        if step := int(diverged_at):
            raise Diverged(step)
        progress.loss_sum = total.item()
        progress.training_seconds += time.perf_counter() - started
        if stopped:
            raise Stopped

    def _schedule(self, step: int) -> float:
        warmup, steps = self.protocol.warmup_steps, self.protocol.steps
        if step < warmup:
            return (step + 1) / warmup
        return (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup))) / 2

    def _save(self, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
        if self.protocol.precision == "bfloat16":
            _round_moments(optimizer)
        state: dict[str, Any] = {
            "identity": self.identity,
            "module": self.module.state_dict(),
            "optimizer": _packed(optimizer.state_dict(), self.protocol.precision),
            "progress": vars(progress),
            "generator": torch.get_rng_state(),
        }
        if torch.cuda.is_available():
            state["cuda_generator"] = torch.cuda.get_rng_state()
        buffer = io.BytesIO()
        torch.save(state, buffer)
        checkpoints.write(self.checkpoint, buffer.getvalue())

    def _resume(self, optimizer: torch.optim.Optimizer) -> Progress | None:
        """Load the checkpoint, or return None where there is none that fits this run."""
        if not self.checkpoint.exists():
            return None
        device = next(self.module.parameters()).device
        try:
            state = torch.load(io.BytesIO(checkpoints.read(self.checkpoint)), map_location=device, weights_only=True)
            if state["identity"] != self.identity:
                return None
            self.module.load_state_dict(state["module"])
            optimizer.load_state_dict(state["optimizer"])  # which casts the moments to their parameters' type
            torch.set_rng_state(state["generator"].cpu())
            if "cuda_generator" in state and torch.cuda.is_available():
                torch.cuda.set_rng_state(state["cuda_generator"].cpu())
            return Progress(**state["progress"])
        except (RuntimeError, ValueError, KeyError, TypeError, EOFError, OSError, pickle.UnpicklingError):
            # A damaged checkpoint costs the time it stood for, never the run.
            return None


MOMENTS = ("exp_avg", "exp_avg_sq")


def _round_moments(optimizer: torch.optim.Optimizer) -> None:
    """Round the moments that the run goes on with as well: whether it is stopped and resumed here makes no difference."""
    for state in optimizer.state.values():
        for name in MOMENTS:
            state[name].copy_(state[name].bfloat16())


def _packed(state: dict[str, Any], precision: str) -> dict[str, Any]:
    if precision != "bfloat16":
        return state
    packed = {
        key: {name: value.bfloat16() if name in MOMENTS else value for name, value in mine.items()}
        for key, mine in state["state"].items()
    }
    return state | {"state": packed}
