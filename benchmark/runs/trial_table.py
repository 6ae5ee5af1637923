"""The table of trials: what was changed, and what came of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from statistics import mean, stdev

from tabulate import tabulate

from benchmark.record import metrics
from benchmark.record.metrics import Metric
from benchmark.record.schema import Record

HEADERS = ("dataset", "method", "steps", "seeds", "validation", "test", "parameters", "seconds")


def table(records: Iterable[Record], splits: Collection[str]) -> str:
    """Render trials, best first on validation, a table for each task.

    Args:
        records: Of trials.
        splits: Those whose results are shown, "validation" or "test".
    """
    tasks: dict[str, dict[tuple[str, str, int], list[Record]]] = {}
    for record in records:
        steps = record.protocol["steps"]
        key = (record.dataset.name, str(record.cell.entrant), steps)
        tasks.setdefault(record.task, {}).setdefault(key, []).append(record)
    return "\n\n".join(_of_task(task, groups, splits) for task, groups in sorted(tasks.items()))


def _of_task(
    task: str, groups: dict[tuple[str, str, int], list[Record]], splits: Collection[str]
) -> str:
    metric = metrics.get(next(iter(groups.values()))[0].metric)
    sign = -1 if metric.direction == "max" else 1

    def order(key: tuple[str, str, int]) -> tuple[str, bool, float]:
        scores = _scores(groups[key], "validation")
        return key[0], not scores, sign * mean(scores) if scores else 0.0

    hidden = {"validation", "test"} - set(splits)
    rows = []
    for key in sorted(groups, key=order):
        records = groups[key]
        shown = {split: _summary(metric, records, split) for split in splits}
        costs = [record.cost for record in records if record.cost]
        seconds = [cost.training_seconds + cost.evaluation_seconds for cost in costs]
        row = {
            **dict(zip(HEADERS, key, strict=False)),
            "seeds": ",".join(str(record.seed) for record in records),
            **shown,
            "parameters": f"{records[-1].method.parameters or 0:,}",
            "seconds": f"{mean(seconds):.0f}" if seconds else "",
        }
        rows.append([row[name] for name in HEADERS if name not in hidden])
    headers = [name for name in HEADERS if name not in hidden]
    body = tabulate(rows, headers, tablefmt="simple", disable_numparse=True)
    return f"{task}, trials: {metric.label}, mean ± standard deviation over seeds\n{body}"


def _scores(records: Iterable[Record], split: str) -> list[float]:
    scores = [record.metrics.get(split) for record in records]
    return [score for score in scores if score is not None]


def _summary(metric: Metric, records: Iterable[Record], split: str) -> str:
    scores = _scores(records, split)
    if not scores:
        return ", ".join(sorted({record.status for record in records}))
    spread = f" ± {metric.show(stdev(scores))}" if len(scores) > 1 else ""
    return metric.show(mean(scores)) + spread
