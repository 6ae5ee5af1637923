"""The report of a speed run: JSON, a table, and a plot of how the cost grows."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate

from benchmark.runs.environment import describe, keep_freed_memory
from benchmark.speed import cases
from benchmark.speed.measure import MINIMUM_SECONDS, ceilings, time_case

Report = dict[str, Any]


def measure(
    device: torch.device,
    names: Sequence[str] | None,
    progress: Callable[[str], None],
    minimum_seconds: float = MINIMUM_SECONDS,
    dwsnets: Path | None = None,
) -> Report:
    """Time the cases, and how the cost of our block grows.

    Args:
        device: where they run.
        names: of some cases, whose times alone are measured; None for all, and the growth.
        progress: called with the name of what is timed next.
        minimum_seconds: the least time for each contestant.
        dwsnets: folder of a clone of DWSNets, whose layer is timed, too.

    Returns:
        The report, as `write` writes it into `speed.json`.
    """
    comparisons, growth = {}, {}
    keep_freed_memory()
    torch.manual_seed(0)
    before = ceilings(device)
    for name, make in cases.cases(device, dwsnets).items():
        if names is None or name in names:
            progress(name)
            comparisons[name] = asdict(time_case(make(device), device, minimum_seconds))
    if names is None:
        for what, values, make in cases.growth(device):
            progress(f"growth with {what}")
            growth[what] = [
                asdict(time_case(make(value), device, minimum_seconds)) | {"value": value}
                for value in values
            ]
    environment = describe(device, workers=1).model_dump()
    after = ceilings(device)  # again, since a machine can be slower for a while
    best = {name: max(value, after[name]) for name, value in before.items()}
    return {
        "environment": environment,
        "ceilings": best,
        "compared": comparisons,
        "growth": growth,
    }


def ratio(timing: Report) -> dict[str, float]:
    """How many times faster ours is than the other: both eager, and each at its best."""
    seconds = timing["seconds"]
    times = {
        name: value * (10 if name.endswith("a tenth") else 1) for name, value in seconds.items()
    }
    ours = {name: value for name, value in times.items() if name.startswith("ours")}
    others = {name: value for name, value in times.items() if name not in ours}
    return {
        "eager": next(iter(others.values())) / ours["ours"],
        "best": min(others.values()) / min(ours.values()),
    }


def write(report: Report, folder: Path) -> None:
    """Write `speed.json`, `SPEED.md` and, where growth was measured, `growth.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "speed.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if report["growth"]:
        _plot(report, folder / "growth.png")
    (folder / "SPEED.md").write_text(markdown(report), encoding="utf-8")


def markdown(report: Report) -> str:
    """The report for people, as Markdown."""
    environment, best = report["environment"], report["ceilings"]
    clean = (
        environment["commit"]
        and f"commit {environment['commit'][:12]}{'' if environment['clean'] else ', changed'}"
    )
    lines = [
        "# Speed of the layers",
        "",
        f"{environment['processor']}, {environment['threads']} threads, "
        f"torch {environment['versions']['torch']}, {clean or 'no commit'}. "
        f"Measured here: {best['flops_per_second'] / 1e9:,.0f} GFLOP/s in a large matrix product, "
        f"{best['bytes_per_second'] / 1e9:,.0f} GB/s in a large copy.",
        "",
        "Forward and backward unless it says otherwise, in milliseconds: medians of one "
        "interleaved run. `published` is the layer of the `nfn` package, or of a clone of DWSNets. "
        "`ratio` is it (or one at a time) over ours, both eager; `best` is each at its faster of "
        "eager and compiled. `floor` is the time that the same FLOPs take in a large matrix "
        "product: no implementation of the same arithmetic is faster. GB/s counts "
        "what must be moved at least.",
        "",
        compared_table(report, "github"),
        "",
        *fits(report),
    ]
    if report["growth"]:
        lines += [
            "## Growth",
            "",
            "What doubling one size costs our NFT block, beside what its arithmetic says.",
            "",
            growth_table(report, "github"),
            "",
            "![time against FLOPs](growth.png)",
            "",
        ]
    return "\n".join(lines)


def fits(report: Report) -> list[str]:
    """Say how many steps of one SIREN are made per second; nothing where fits were not timed."""
    lines = []
    for timing in report["compared"].values():
        if "steps" not in timing["size"]:
            continue
        done = timing["size"]["networks"] * timing["size"]["steps"]
        rates = {name: done / seconds for name, seconds in timing["seconds"].items()}
        ways = (("torch", "ours"), ("compiled", "ours compiled"), ("the kernel", "ours, kernel"))
        known = [f"{way} {rates[name]:,.0f}" for way, name in ways if name in rates]
        lines += [
            "Fits, in steps of one SIREN (2-32-32-1, 784 points, float32) per second: "
            f"{', '.join(known)}. They tell how long a dataset of INRs takes to build.",
            "",
        ]
    return lines


def compared_table(report: Report, style: str) -> str:
    """A table with a row for each case."""
    rows = []
    for name, timing in report["compared"].items():
        seconds, ceiling = timing["seconds"], report["ceilings"]["flops_per_second"]
        fastest = min(value for key, value in seconds.items() if key.startswith("ours"))
        others = [key for key in seconds if not key.startswith("ours")]
        residuals = timing["kept"]
        columns = [
            seconds.get(others[0]),
            seconds.get(f"{others[0]} compiled"),
            seconds["ours"],
            seconds.get("ours compiled"),
        ]
        if others[0].endswith("a tenth"):
            columns[0] *= 10
        ratios = ratio(timing)
        rows.append(
            [
                name,
                "×".join(map(str, timing["size"].values())),
                *("" if value is None else f"{1e3 * value:.1f}" for value in columns),
                f"{ratios['eager']:.2f}",
                f"{ratios['best']:.2f}",
                f"{1e3 * timing['flops'] / ceiling:.1f}",
                f"{timing['flops'] / fastest / 1e9:,.0f}",
                f"{timing['compulsory_bytes'] / fastest / 1e9:.1f}",
                " / ".join(
                    f"{residuals[key] / 2**20:.0f}"
                    for key in ("ours", others[0])
                    if key in residuals
                ),
            ]
        )
    headers = ["case", "size", "published", "compiled", "ours", "compiled", "ratio", "best"]
    headers += ["floor", "GFLOP/s", "GB/s", "MiB kept, ours / published"]
    return tabulate(
        rows,
        headers,
        tablefmt=style,
        disable_numparse=True,
        colalign=("left", "left") + ("right",) * 10,
    )


def growth_table(report: Report, style: str) -> str:
    """A table with a row for each doubling."""
    rows = []
    for what, timings in report["growth"].items():
        for before, after in pairwise(timings):
            cost = after["seconds"]["ours"] / before["seconds"]["ours"]
            arithmetic = after["flops"] / before["flops"]
            rows.append(
                [
                    what,
                    f"{before['value']} to {after['value']}",
                    f"{cost:.2f}",
                    f"{arithmetic:.2f}",
                    f"{cost / arithmetic:.2f}",
                ]
            )
    headers = ["size", "from, to", "time, times", "FLOPs, times", "time over FLOPs"]
    return tabulate(
        rows,
        headers,
        tablefmt=style,
        disable_numparse=True,
        colalign=("left", "left", "right", "right", "right"),
    )


def _plot(report: Report, path: Path) -> None:
    from matplotlib.figure import Figure  # slow to import

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    flops = []
    for what, timings in report["growth"].items():
        flops += [timing["flops"] for timing in timings]
        axes.loglog(
            [timing["flops"] for timing in timings],
            [timing["seconds"]["ours"] for timing in timings],
            marker="o",
            label=f"{what} {timings[0]['value']} to {timings[-1]['value']}",
        )
    ends = [min(flops), max(flops)]
    axes.loglog(
        ends,
        [end / report["ceilings"]["flops_per_second"] for end in ends],
        "k:",
        label="the same FLOPs in one large product",
    )
    axes.set(xlabel="FLOPs of forward and backward", ylabel="seconds", title="NFT block")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
