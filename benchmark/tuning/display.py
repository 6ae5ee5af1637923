"""What a person sees of a search: a progress bar in a terminal, a line for each trial."""

from __future__ import annotations

from types import TracebackType

from rich.progress import TaskID

from benchmark.record import metrics
from benchmark.runs.display import bars
from benchmark.tuning.log import SearchLog, Trial, Values


class Display:
    """A context manager around a search, which tells it how its trials fare."""

    def __init__(self) -> None:
        self.progress = bars()
        self.trials: TaskID | None = None
        self.steps: TaskID | None = None

    def __enter__(self) -> Display:
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.progress.stop()

    def begin(self, log: SearchLog) -> None:
        """Show that the next trial of a search begins."""
        if self.trials is None:
            name = f"{log.method} on {log.dataset}"
            self.trials = self.progress.add_task(name, total=log.budget.trials, unit="trials")
        self.progress.update(self.trials, completed=len(log.trials))
        stages = [log.encoder_protocol, log.protocol]
        total = sum(protocol["steps"] for protocol in stages if protocol)
        self.steps = self.progress.add_task("this trial", total=total, unit="steps")

    def step(self, step: int) -> None:
        """Show how far the trial is."""
        self.progress.update(self.steps, completed=step)

    def finish(self, log: SearchLog) -> None:
        """Print the line of a search's last trial."""
        self.progress.remove_task(self.steps)
        self.progress.update(self.trials, completed=len(log.trials))
        self.note(
            f"[{len(log.trials)}/{log.budget.trials}] {describe(log, log.trials[-1])} "
            f"({log.cpu_seconds:,.0f} of {log.budget.cpu_seconds:,.0f} s)"
        )

    def note(self, line: str) -> None:
        """Print a line for people."""
        self.progress.console.print(line, soft_wrap=True)


def describe(log: SearchLog, trial: Trial) -> str:
    """Return a trial in one line: its settings, how far it came, and how well it did."""
    scores = [point.validation for point in trial.curve if point.validation is not None]
    score = trial.validation if trial.status == "finished" else (scores or [None])[-1]
    shown = "undefined" if score is None else metrics.get(log.metric).show(score)
    place = f"after {trial.curve[-1].step} steps" if trial.curve else "before it was scored"
    outcome = {
        "finished": f"{log.metric} {shown}",
        "pruned": f"given up {place}, {log.metric} {shown}",
        "stopped": f"the CPU time was used up {place}",
    }.get(trial.status, f"{trial.status}: {trial.reason}")
    return f"{spell(trial.settings)}: {outcome}, {trial.cpu_seconds:.0f} s"


def summary(log: SearchLog) -> str:
    """Return in one line what a finished search came to."""
    cost = f"{len(log.trials)} trials in {log.cpu_seconds:,.0f} s"
    if log.best is None:
        return f"{log.method} on {log.dataset}: no trial was finished and scored; {cost}"
    metric = metrics.get(log.metric)
    first = log.trials[0].validation
    before = "undefined" if first is None else metric.show(first)
    return (
        f"{log.method} on {log.dataset}: {spell(log.best.settings)}: validation {log.metric} "
        f"{metric.show(log.best.validation)}, and {before} with the first settings; {cost}"
    )


def spell(settings: Values) -> str:
    """Return settings as people read them."""
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in settings.items()
    )
