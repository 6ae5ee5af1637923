"""Notes below a table: further metrics, runs that did not finish, and what the runs share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import expm1
from statistics import mean, stdev

from benchmark.record.metrics import Metric
from benchmark.record.schema import EncoderPart, Record, Settings
from leaderboard.archive.tables import Board, with_arm
from leaderboard.statistics.ranks import MOST_SEEDS, Column

FURTHER = {
    "test_r2": "R2",
    "test_kendall_tau": "Kendall's tau",
    "test_low": "lower end of Kendall's tau's 95 % bootstrap interval over networks",
    "test_high": "upper end of Kendall's tau's 95 % bootstrap interval over networks",
    "test_mean_psnr": "PSNR of the edited images in dB, mean over networks",
    "test_fit": "error of the unedited INRs on their own images, which fitting costs",
    "test_ceiling": "error of the same networks fitted to the edited images directly, the ceiling",
}
"""Metrics beside a task's own."""


def results(board: Board) -> list[str]:
    """List reconstructions, further metrics, and runs that learned nothing or did not finish."""
    return [*measured(board.records), *_constant(board), *_failures(board.records)]


def measured(records: Sequence[Record]) -> list[str]:
    """List what was measured beside the scores: reconstructions, and further metrics."""
    return [*_reconstructions(records), *_further(records)]


def resolutions(metric: Metric, columns: Mapping[str, Column]) -> list[str]:
    """State the difference that the seeds of each column resolve, and what more seeds would do."""
    lines = []
    for dataset, column in columns.items():
        if (reach := column.resolution()) is None:
            continue
        counts = [column.samples[name].seeds for name in column.spreads]
        seeds = f"{min(counts)} to {max(counts)}" if min(counts) < max(counts) else f"{counts[0]}"
        text = f"{dataset}: for half of all pairs, {seeds} seeds resolve differences of "
        text += difference(metric, reach)
        best = column.resolution(MOST_SEEDS)
        if best is not None and max(counts) < MOST_SEEDS:
            text += f"; {MOST_SEEDS} would resolve {difference(metric, best)}"
        lines.append(text)
    return lines


def difference(metric: Metric, value: float) -> str:
    """Show a difference that a column resolves, in its unit."""
    if metric.relative:  # of logarithms
        return f"{100 * expm1(value):.0f} % of the error"
    return metric.show(value) + (" points" if metric.scale != 1 else "")


def provenance(records: Sequence[Record]) -> list[str]:
    """List what the runs share: protocol, seeds, data and environment."""
    protocols = _protocols("Protocol", [(record, record.protocol) for record in records])
    encoders = [(record, record.encoder.protocol) for record in records if record.encoder]
    seeds = sorted({record.seed for record in records})
    data = sorted(
        {f"{record.dataset.name} {record.dataset.fingerprint[:12]}" for record in records}
    )
    return [
        *protocols,
        *_protocols("Protocol of the first of two stages", encoders),
        f"Seeds: {', '.join(map(str, seeds))}",
        f"Datasets, with their fingerprints: {', '.join(data)}",
        *_environments(records),
    ]


def _reconstructions(records: Sequence[Record]) -> list[str]:
    """State how well the arrays of two-stage methods reconstruct the networks of each dataset.

    Only where an encoder learned to: one that is fitted at once, as a matching of neurons is, loses
    nothing.
    """
    datasets: dict[str, dict[str, list[EncoderPart]]] = {}
    for record in records:
        if record.encoder and record.encoder.curve:
            methods = datasets.setdefault(record.dataset.name, {})
            methods.setdefault(_title(record), []).append(record.encoder)
    lines = []
    for dataset, methods in sorted(datasets.items()):
        results = []
        for title, parts in methods.items():
            values = [part.test_psnr for part in parts]
            spread = f" ± {stdev(values):.1f}" if len(values) > 1 else ""
            results.append((mean(values), f"{title} {mean(values):.1f}{spread}"))
            mean_image = parts[0].mean_image_psnr
        best_first = [text for _, text in sorted(results, reverse=True)]
        lines.append(
            f"{dataset}, PSNR in dB of what arrays reconstruct of unseen networks: "
            f"{'; '.join(best_first)}; the networks' mean image {mean_image:.1f}"
        )
    return lines


def _title(record: Record) -> str:
    """What a record's results are collected under: the runs of two arms have no common mean."""
    return with_arm(record.method.title, record.dataset.arm)


def _constant(board: Board) -> list[str]:
    """Name whose runs predict the same of every network, which a mean does not show."""
    lines = []
    for dataset in board.datasets:
        found = []
        for row in board.rows:
            runs = row.cells[dataset].entries if dataset in row.cells else ()
            if alike := sum(entry.is_constant for entry in runs):
                found.append(f"{row.title_with_arm} ({alike} of {len(runs)} runs)")
        if found:
            lines.append(f"{dataset}, predict the same of every network: {', '.join(found)}")
    return lines


def _further(records: Sequence[Record]) -> list[str]:
    """State each dataset's further metrics: means over seeds."""
    groups: dict[tuple[str, str], dict[str, list[float]]] = {}
    for record in records:
        for name in FURTHER.keys() & record.metrics.keys():
            if (value := record.metrics[name]) is not None:
                methods = groups.setdefault((record.dataset.name, name), {})
                methods.setdefault(_title(record), []).append(value)
    lines = []
    for (dataset, name), methods in sorted(groups.items()):
        means = sorted(
            ((sum(values) / len(values), title) for title, values in methods.items()), reverse=True
        )
        results = "; ".join(
            f"{title} {value:.4g}" if len(means) > 1 else f"{value:.4g}" for value, title in means
        )
        lines.append(f"{dataset}, {FURTHER[name]}: {results}")
    return lines


def _failures(records: Sequence[Record]) -> list[str]:
    return [
        f"{record.method.title} ({record.dataset.arm}) on {record.dataset.name}, "
        f"seed {record.seed}: {record.status}: {record.reason}"
        for record in records
        if record.status != "finished"
    ]


def _protocols(heading: str, pairs: Sequence[tuple[Record, Settings]]) -> list[str]:
    """State each protocol once, and whose it is where methods have different ones."""
    methods: dict[str, set[str]] = {}
    for record, protocol in pairs:
        methods.setdefault(_settings(protocol), set()).add(record.method.title)
    if len(methods) == 1:
        return [f"{heading}: {protocol}" for protocol in methods]
    return [
        f"{heading}, {' and '.join(sorted(titles))}: {protocol}"
        for protocol, titles in sorted(methods.items())
    ]


def _settings(protocol: Settings) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in protocol.items())


def _environments(records: Sequence[Record]) -> list[str]:
    """State what the runs were made with; which was made with which, the records tell."""
    commits, libraries, machines = set(), set(), set()
    for environment in (record.environment for record in records):
        state = "" if environment.clean else " with uncommitted changes"
        commits.add((environment.commit or "none")[:12] + state)
        libraries |= {f"{name} {version}" for name, version in environment.versions.items()}
        shared = f"{environment.workers} runs at a time with {environment.threads} threads each"
        machines.add(f"{environment.device}: {environment.processor}, {shared}")
    return [
        f"Commits: {', '.join(sorted(commits))}",
        f"Libraries: {', '.join(sorted(libraries))}",
        f"Machines: {'; '.join(sorted(machines))}",
    ]
