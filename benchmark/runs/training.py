"""The one training loop: schedule, selection on validation, one look at the test set, checkpoints.

Every random number comes from a named seed or from torch's global generator, whose state is part of
the checkpoint, and the metrics of a run that was killed and resumed are bit for bit those of one
that was not.
"""

from __future__ import annotations

import io
import math
import pickle
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.methods import FittedModule
from benchmark.runs import checkpoints
from benchmark.runs.augmentation import Augmentation
from benchmark.runs.environment import can_compile
from benchmark.runs.mixup import Mixing
from benchmark.suites.protocol import Protocol

REPORT_EVERY = 20  # steps

DAMAGED = (
    RuntimeError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    OSError,
    pickle.UnpicklingError,
)
"""What reading a damaged file of tensors raises."""


class Diverged(Exception):
    """The training loss stopped being a number."""

    def __init__(self, step: int) -> None:
        super().__init__(f"the training loss was NaN or infinite at step {step}")
        self.step = step


class Stopped(BaseException):
    """What a monitor raises to end a run early: a checkpoint is written first.

    No `except Exception` of a method catches it.
    """


def _ignore(*_: Any) -> None:
    pass


@dataclass(frozen=True)
class Monitor:
    """Whom a run tells how it fares.

    step: called with the step now and then; may raise Stopped.
    note: called with a line for people.
    evaluated: called each time the validation split is scored, with the step, the score (higher is
        better) and the predictions `[networks, ...]`; may raise Stopped.
    """

    step: Callable[[int], None] = _ignore
    note: Callable[[str], None] = _ignore
    evaluated: Callable[[int, float, Tensor], None] = _ignore

    def after(self, steps: int) -> Monitor:
        """The same for a stage that begins after so many steps of an earlier one."""

        def evaluated(step: int, score: float, predictions: Tensor) -> None:
            self.evaluated(steps + step, score, predictions)

        return Monitor(lambda step: self.step(steps + step), self.note, evaluated)


@dataclass(frozen=True)
class Data:
    """One split on the device: weights `[networks, parameters]` and targets `[networks, ...]`."""

    weights: Tensor
    targets: Tensor


@dataclass
class Progress:
    """Where a run stands: what a checkpoint holds beside module, optimizer and generators."""

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
    """What training made.

    predictions: of the selected checkpoint, `[networks, ...]` by split. curve: one point for each
    scoring of the validation split; empty where nothing was trained by steps.
    """

    predictions: Mapping[str, Tensor]
    curve: list[dict[str, float]]
    training_seconds: float
    evaluation_seconds: float
    networks_per_second: float


class Batches:
    """The order of the training networks: a permutation for each epoch, from a seed of its own.

    The last networks of an epoch that fill no batch are left out of it.
    """

    def __init__(
        self, networks: int, size: int, seed: Callable[[int], int], device: torch.device
    ) -> None:
        self.networks, self.size, self.seed, self.device = networks, size, seed, device
        self.per_epoch = max(1, networks // size)
        self.epoch, self.order = -1, torch.empty(0)

    def rows(self, step: int) -> Tensor:
        """The networks of a step, `[size]`."""
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            random = torch.Generator().manual_seed(self.seed(epoch))
            self.epoch = epoch
            self.order = torch.randperm(self.networks, generator=random).to(self.device)
        return self.order[place * self.size : (place + 1) * self.size]


class RunningLoss:
    """A sum of losses, and the first step whose loss was no number, without synchronising."""

    def __init__(self, start: float, device: torch.device) -> None:
        self.sum = torch.tensor(start, dtype=torch.float64, device=device)
        self.first_bad = torch.zeros((), dtype=torch.long, device=device)  # 0 while all is well

    def add(self, loss: Tensor, step: int) -> None:
        """Count the loss of a step, from 1."""
        self.sum += loss
        self.first_bad += torch.where((self.first_bad == 0) & ~torch.isfinite(loss), step, 0)

    def total(self) -> float:
        """The sum so far. Raises Diverged."""
        if step := int(self.first_bad):
            raise Diverged(step)
        return self.sum.item()


@dataclass(frozen=True)
class Trainer:
    """One stage of one run.

    identity: of all that a checkpoint depends on; one is taken up where it is the same.
    order_seed: the seed of an epoch's order of the data, by its number.
    loss: `loss(predictions, targets)` is minimised.
    score: of a whole split's predictions, maximised; NaN where it is undefined, which is worse than
    any number.
    augmentation: changes a batch's networks anew each time they are read; None for as they are.
    mixing: mixes a batch's networks, and their targets alike; None for not at all.
    """

    identity: str
    order_seed: Callable[[int], int]
    module: nn.Module
    loss: Callable[[Tensor, Tensor], Tensor]
    score: Callable[[Tensor, Tensor], float]
    protocol: Protocol
    learning_rate: float
    weight_decay: float
    augmentation: Augmentation | None
    mixing: Mixing | None
    checkpoint: Path
    monitor: Monitor

    def run(self, train: Data, validation: Data, test: Data) -> Outcome:
        """Train, select on validation, look at the test split once.

        A module without trainable parameters is only evaluated, after its `fit` where it has one,
        and its curve is empty.

        Raises:
            Diverged: where the loss stops being a number.
            Stopped: what the monitor raised, after a checkpoint.
        """
        if isinstance(self.module, FittedModule):
            return self._fit(train, validation, test)
        if not any(parameter.requires_grad for parameter in self.module.parameters()):
            return self._outcome(Progress(), validation, test)
        optimizer = torch.optim.AdamW(
            self.module.parameters(),
            lr=self.learning_rate,
            weight_decay=self.weight_decay,
            amsgrad=self.protocol.amsgrad,
            fused=True,
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
                self._save(optimizer, progress, small=False)
                raise
            self._evaluate(validation, progress)
            self._save(optimizer, progress, small=self.protocol.precision == "bfloat16")
        self.module.load_state_dict(progress.best_state)
        return self._outcome(progress, validation, test)

    def predict(self, weights: Tensor, batch_size: int = 1000) -> Tensor:
        """Predictions for every network, none left out, in evaluation mode."""
        self.module.eval()
        with torch.inference_mode(), self._autocast(weights.device):
            return torch.cat([self.module(batch).float() for batch in weights.split(batch_size)])

    def _fit(self, train: Data, validation: Data, test: Data) -> Outcome:
        started = time.perf_counter()
        self.module.fit(train.weights, train.targets, self.order_seed(0))
        progress = Progress(training_seconds=time.perf_counter() - started)
        return self._outcome(progress, validation, test)

    def _train(
        self, data: Data, optimizer: torch.optim.Optimizer, progress: Progress, until: int
    ) -> None:
        """Train up to step `until`. Raises Stopped between two steps, Diverged at the end."""
        self.module.train()
        started, device = time.perf_counter(), data.weights.device
        compiled = self.protocol.compiled and can_compile(device)
        forward = torch.compile(self.module, dynamic=False) if compiled else self.module
        batches = Batches(len(data.weights), self.protocol.batch_size, self.order_seed, device)
        running = RunningLoss(progress.loss_sum, device)
        stopped = None
        while progress.step < until and stopped is None:
            rows = batches.rows(progress.step)
            weights, targets = data.weights[rows], data.targets[rows]
            if self.augmentation is not None:
                weights = self.augmentation(weights, rows)
            if self.mixing is not None:
                weights, targets = self.mixing(weights, targets)
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate * self._schedule(progress.step)
            with self._autocast(device):
                predictions = forward(weights)
            loss = self.loss(predictions.float(), targets)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.module.parameters(), self.protocol.clip)
            optimizer.step()
            progress.step += 1
            running.add(loss.detach(), progress.step)
            progress.loss_steps += 1
            stopped = self._report(progress.step)
        progress.loss_sum = running.total()
        progress.training_seconds += time.perf_counter() - started
        if stopped is not None:
            raise stopped

    def _report(self, step: int) -> Stopped | None:
        """Tell the monitor now and then; what it raises waits until the step's books are closed."""
        if step % REPORT_EVERY == 0:
            try:
                self.monitor.step(step)
            except Stopped as stopped:
                return stopped
        return None

    def _schedule(self, step: int) -> float:
        warmup, steps = self.protocol.warmup_steps, self.protocol.steps
        if step < warmup:
            return (step + 1) / warmup
        if self.protocol.schedule == "constant":
            return 1.0
        return (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup))) / 2

    def _evaluate(self, validation: Data, progress: Progress) -> None:
        """Score the validation split, and keep the module where it is the best so far.

        Until a score is a number, there is no best, and the newest module is kept.
        """
        loss = progress.loss_sum / progress.loss_steps
        progress.loss_sum, progress.loss_steps = 0.0, 0
        started = time.perf_counter()
        predictions = self.predict(validation.weights)
        score = self.score(predictions, validation.targets)
        progress.evaluation_seconds += time.perf_counter() - started
        progress.curve.append({"step": progress.step, "loss": loss, "validation": score})
        if score > progress.best or progress.best == -math.inf:
            progress.best = -math.inf if math.isnan(score) else score
            state = self.module.state_dict()
            progress.best_state = {name: value.clone() for name, value in state.items()}
        self.monitor.evaluated(progress.step, score, predictions)

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

    def _autocast(self, device: torch.device) -> torch.autocast:
        enabled = device.type == "cuda" and self.protocol.precision == "bfloat16"
        return torch.autocast(device.type, torch.bfloat16, enabled=enabled)

    def _save(self, optimizer: torch.optim.Optimizer, progress: Progress, small: bool) -> None:
        """Write a checkpoint, with small moments only where a run that is not stopped has them."""
        if small:
            _round_moments(optimizer)
        moments = optimizer.state_dict()
        state: dict[str, Any] = {
            "identity": self.identity,
            "module": self.module.state_dict(),
            "optimizer": _packed(moments) if small else moments,
            "progress": vars(progress),
            "generator": torch.get_rng_state(),
        }
        if torch.cuda.is_available():
            state["cuda_generator"] = torch.cuda.get_rng_state()
        buffer = io.BytesIO()
        torch.save(state, buffer)
        checkpoints.write(self.checkpoint, buffer.getvalue())

    def _resume(self, optimizer: torch.optim.Optimizer) -> Progress | None:
        """Load the checkpoint, or return None where none fits this run."""
        if not self.checkpoint.exists():
            return None
        device = next(self.module.parameters()).device
        try:
            saved = io.BytesIO(checkpoints.read(self.checkpoint))
            state = torch.load(saved, map_location=device, weights_only=True)
            if state["identity"] != self.identity:
                self.monitor.note(
                    f"{self.checkpoint.name} is of other code, settings, data or versions: "
                    "starting anew"
                )
                return None
            self.module.load_state_dict(state["module"])
            optimizer.load_state_dict(
                state["optimizer"]
            )  # which casts the moments to their parameters' type
            torch.set_rng_state(state["generator"].cpu())
            if "cuda_generator" in state and torch.cuda.is_available():
                torch.cuda.set_rng_state(state["cuda_generator"].cpu())
            return Progress(**state["progress"])
        except DAMAGED:
            # A damaged checkpoint costs the time it stood for, never the run.
            self.monitor.note(f"{self.checkpoint.name} is damaged: starting anew")
            return None


MOMENTS = ("exp_avg", "exp_avg_sq")


def _round_moments(optimizer: torch.optim.Optimizer) -> None:
    """Round the moments that the run goes on with, too.

    So it makes no difference whether it is killed and resumed here.
    """
    for state in optimizer.state.values():
        for name in MOMENTS:
            state[name].copy_(state[name].bfloat16())


def _packed(state: dict[str, Any]) -> dict[str, Any]:
    packed = {
        key: {
            name: value.bfloat16() if name in MOMENTS else value for name, value in moments.items()
        }
        for key, moments in state["state"].items()
    }
    return state | {"state": packed}
