"""Tables from records: text for a terminal, Markdown for `LEADERBOARD.md`."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from tabulate import tabulate

from leaderboard.record import EncoderPart, Record

INTRODUCTION = """\
# Leaderboard

Made from the records beside it; every number comes from a run, and every record holds the command that makes it again.
Test results are of the checkpoint that was best on validation: mean ± standard deviation over seeds.
What the papers report, and what of that was run here at their size: [REPORTED.md](REPORTED.md).
"""


def text(records: Sequence[Record]) -> str:
    """All tables for a terminal."""
    parts = []
    for (suite, task), group in _groups(records):
        parts.append(f"{task}, suite {suite}: test {_unit(group)}, mean ± standard deviation over seeds")
        parts.append(tabulate(table(group), headers="keys", tablefmt="simple", **_layout(group)))
        parts += [f"* {note}" for note in reconstructions(group) + troubles(group)]
    return "\n".join(parts)


def markdown(records: Sequence[Record]) -> str:
    """`LEADERBOARD.md`: every suite's and task's table, with the settings and what went wrong."""
    parts = [INTRODUCTION]
    if not records:
        parts.append("No runs yet.\n")
    for (suite, task), group in _groups(records):
        parts.append(f"## {escape(task)}, suite {escape(suite)}\n")
        parts += [f"{escape(setting)}\n" for setting in sorted({record.setting for record in group})]
        parts.append(f"Test {_unit(group)}.\n")
        shown = table(group).map(escape)
        shown.columns = [escape(column) for column in shown.columns]
        parts.append(tabulate(shown, headers="keys", tablefmt="pipe", **_layout(group)) + "\n")
        notes = reconstructions(group) + troubles(group) + provenance(group)
        parts.append("\n".join(f"- {escape(note)}" for note in notes) + "\n")
    return "\n".join(parts)


def table(records: Sequence[Record]) -> pd.DataFrame:
    """Methods by datasets, best mean first, with parameters and cost. All records are of one suite and task."""
    rows = pd.DataFrame(
        {
            "method": record.method.title if record.dataset.arm == "permuted" else _on_arm(record),
            "dataset": record.dataset.name,
            "score": record.metrics.get("test"),
            "parameters": record.method.parameters,
            "seconds": record.cost and record.cost.training_seconds + record.cost.evaluation_seconds,
            "rate": record.cost and record.cost.networks_per_second,
        }
        for record in records
    )
    datasets = sorted(rows["dataset"].unique())
    rows["score"] = rows["score"].astype(float)
    seeds = int(rows.groupby(["method", "dataset"])["score"].count().max())
    order = rows.groupby("method")["score"].mean().sort_values(ascending=False, na_position="last", kind="stable")
    lines = []
    for method in order.index:
        mine = rows[rows["method"] == method]
        cells = {name: _cell(mine[mine["dataset"] == name]["score"].dropna(), seeds) for name in datasets}
        costs = mine[["parameters", "seconds", "rate"]].astype(float).mean()
        lines.append(
            {
                "method": method,
                **cells,
                "parameters": _count(costs["parameters"]),
                "seconds a run": _count(costs["seconds"]),
                "networks/s": _count(costs["rate"]),
            }
        )
    return pd.DataFrame(lines)


def reconstructions(records: Sequence[Record]) -> list[str]:
    """One line for each two-stage method and dataset: how well its arrays let unseen networks be redrawn."""
    found: dict[tuple[str, str], list[EncoderPart]] = {}
    for record in records:
        if record.encoder:
            found.setdefault((record.method.title, record.dataset.name), []).append(record.encoder)
    lines = []
    for (title, dataset), parts in sorted(found.items()):
        made = pd.Series([part.test_psnr for part in parts])
        spread = f" ± {made.std():.1f}" if len(made) > 1 else ""
        drawn = f"redraws unseen networks at {made.mean():.1f}{spread} dB"
        lines.append(f"{title} on {dataset} {drawn}; their mean image is at {parts[0].mean_image_psnr:.1f} dB")
    return lines


def troubles(records: Sequence[Record]) -> list[str]:
    """One line for every run that did not finish."""
    return [
        f"{_on_arm(record)} on {record.dataset.name}, seed {record.seed}: {record.status}: {record.reason}"
        for record in records
        if record.status != "finished"
    ]


def provenance(records: Sequence[Record]) -> list[str]:
    """What the runs shared: protocol, seeds, data, and where they were made."""
    protocols = {_settings(record.protocol) for record in records}
    encoders = {_settings(record.encoder.protocol) for record in records if record.encoder}
    seeds = sorted({record.seed for record in records})
    data = sorted({f"{record.dataset.name} {record.dataset.fingerprint[:12]}" for record in records})
    environments = sorted({_environment(record) for record in records})
    return [
        *(f"Protocol: {protocol}" for protocol in sorted(protocols)),
        *(f"Protocol of the first of two stages: {protocol}" for protocol in sorted(encoders)),
        f"Seeds: {', '.join(map(str, seeds))}",
        f"Datasets, with their fingerprints: {', '.join(data)}",
        *(f"Made with {environment}" for environment in environments),
    ]


def _settings(protocol: dict[str, int | float | str | bool]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in protocol.items())


def _environment(record: Record) -> str:
    made = record.environment
    commit = made.commit[:12] if made.commit else "no commit"
    state = "" if made.clean else " with uncommitted changes"
    shared = f"{made.workers} runs at a time with {made.threads} threads each"
    return f"commit {commit}{state}, torch {made.torch}, {made.device}: {made.processor}, {shared}"


def _groups(records: Sequence[Record]) -> list[tuple[tuple[str, str], list[Record]]]:
    keys = sorted({(record.suite, record.task) for record in records})
    return [(key, [record for record in records if (record.suite, record.task) == key]) for key in keys]


def _on_arm(record: Record) -> str:
    return f"{record.method.title} ({record.dataset.arm} weights)"


def _cell(scores: pd.Series, seeds: int) -> str:
    if scores.empty:
        return "-"
    spread = f" ± {100 * scores.std():.1f}" if len(scores) > 1 else ""
    few = f" (n={len(scores)})" if len(scores) < max(seeds, 2) else ""
    return f"{100 * scores.mean():.1f}{spread}{few}"


def _count(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:,.0f}"


def _unit(records: Sequence[Record]) -> str:
    return f"{records[0].metric} in percent"


def _layout(records: Sequence[Record]) -> dict[str, object]:
    datasets = len({record.dataset.name for record in records})
    return {"showindex": False, "disable_numparse": True, "colalign": ["left"] + ["right"] * (datasets + 3)}


def escape(text: str) -> str:
    """Text as Markdown shows it, whatever a record holds."""
    for special, harmless in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|"), ("`", "\\`"), ("[", "\\[")):
        text = text.replace(special, harmless)
    return " ".join(text.split())
