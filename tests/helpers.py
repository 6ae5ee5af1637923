"""What several tests share: example records, small datasets, commands, copies of the project."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scripts import HANGS

from benchmark import suites
from benchmark.datasets import listing, locate
from benchmark.datasets.storage import WeightDataset
from benchmark.record import schema, sources
from benchmark.record.cell import Cell
from benchmark.record.predictions import Outcome, digest
from benchmark.record.predictions import write as write_predictions
from benchmark.record.schema import Record
from benchmark.runs.plan import Run
from benchmark.suites import settings
from benchmark.suites.protocol import Protocol
from leaderboard.reported import Reported
from nft.network import LayerSpec, NetworkSpec

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("nft", "baselines", "benchmark", "leaderboard")
CPU = torch.device("cpu")
FEW = Protocol(steps=20, batch_size=8, warmup_steps=2, evaluations=2, clip=1.0)

SPECS = {
    "siren": NetworkSpec.mlp(2, 5, 4, 3, activation="sine", omega=15.0),
    "shallow": NetworkSpec.mlp(3, 6, 2),
    "cnn": NetworkSpec((LayerSpec(4, 1, (3, 3)), LayerSpec(5, 4, (3, 3)), LayerSpec(3, 5))),
    "cnn-flattened": NetworkSpec((LayerSpec(4, 2, (2, 2)), LayerSpec(6, 4, (9,)), LayerSpec(3, 6))),
}

# Records.


def example(**changes: Any) -> dict[str, Any]:
    """A record's data. Changes replace fields, or the fields of a part that are given as a dict."""
    data: dict[str, Any] = {
        "schema_version": 3,
        "task": "inr-classification",
        "metric": "accuracy",
        "suite": "mini",
        "setting": "reduced",
        "seed": 0,
        "seeds": {"parameters": 1},
        "method": {
            "name": "nft",
            "title": "NFT",
            "paper": "arXiv:2305.13546",
            "base": "nft",
            "options": [],
            "reads_functions": False,
            "source": "baselines/nft.py",
            "code_sha256": "a" * 64,
            "hyperparameters": {"channels": 8},
            "parameters": 1000,
        },
        "dataset": {
            "name": "small",
            "arm": "permuted",
            "origin": "embedded",
            "pinned": True,
            "fingerprint": "b" * 64,
        },
        "protocol": {"steps": 10},
        "status": "finished",
        "reason": None,
        "metrics": {"test": 0.7, "validation": 0.72},
        "predictions": None,
        "curve": [{"step": 10, "loss": 1.0, "validation": 0.72}],
        "encoder": None,
        "cost": {
            "training_seconds": 10.0,
            "evaluation_seconds": 1.0,
            "networks_per_second": 100.0,
            "flops_per_network": None,
            "peak_memory_mib": None,
        },
        "environment": {
            "commit": None,
            "clean": False,
            "python": "3.12",
            "versions": {"torch": "2.8", "numpy": "2.3"},
            "cuda": None,
            "driver": None,
            "system": "Linux",
            "processor": "x",
            "capability": "AVX2",
            "device": "cpu",
            "threads": 1,
            "workers": 2,
        },
        "command": "python -m benchmark run",
        "finished_at": "2026-01-01T00:00:00+00:00",
    }
    for name, value in changes.items():
        whole = name in ("metrics", "seeds", "protocol") or not isinstance(value, dict)
        data[name] = value if whole else data[name] | value
    if "fingerprint" not in changes.get("dataset", {}):
        data["dataset"]["fingerprint"] = listing.fingerprint(data["dataset"]["name"]) or "b" * 64
    return data


def example_record(**changes: Any) -> Record:
    """The same as a record."""
    return Record.model_validate(example(**changes))


UNFINISHED: dict[str, Any] = {"metrics": {}, "predictions": None, "curve": [], "cost": None}
"""What the record of a run that did not finish has in the place of results."""


TARGETS = np.arange(100) % 10


def outcome(right: int, shift: int = 1) -> Outcome:
    """Of 100 networks, the first `right` of them right."""
    return Outcome(np.where(np.arange(100) < right, TARGETS, (TARGETS + shift) % 10), TARGETS)


def finished_run(
    results: Path,
    right: int = 70,
    seed: int = 0,
    name: str = "nft",
    shift: int | None = None,
    **changes: Any,
) -> Record:
    """Write a finished run that may be ranked, with its predictions: of a method's file as it is
    now, with the present settings, from a clean commit. Its dataset need not exist.
    """
    suite, task = changes.get("suite", "mini"), changes.get("task", "inr-classification")
    dataset = {"name": "small", "arm": "permuted"} | changes.pop("dataset", {})
    chosen = suites.get(suite)
    values = settings.read(chosen.settings, name)
    source = f"baselines/{name.replace('-', '_')}.py"
    method = {
        "name": name,
        "title": name.upper(),
        "base": name,
        "source": source,
        "code_sha256": sources.digest(source, task, dataset["arm"]),
        "hyperparameters": {"channels": 8} | (values.of(task, dataset["name"]) if values else {}),
    }
    shift = shift or 1 + seed
    predictions = {"test": outcome(right, shift), "validation": outcome(right - 1, shift)}
    protocol = changes.pop("protocol", chosen.tasks[task].protocols(name)[0].model_dump())
    evaluations = protocol.get("evaluations", 1)
    steps = [protocol["steps"] * (mark + 1) // evaluations for mark in range(evaluations)]
    data = {
        "seed": seed,
        "seeds": {},
        "method": method | changes.pop("method", {}),
        "dataset": dataset,
        "protocol": protocol,
        "curve": [{"step": s, "loss": 1.0, "validation": (right - 1) / 100} for s in steps],
        "environment": {"commit": "c" * 40, "clean": True} | changes.pop("environment", {}),
        "metrics": {"test": right / 100, "validation": (right - 1) / 100},
        "predictions": digest(predictions),
        **changes,
    }
    record = example_record(**data)
    roles = ("parameters", "order of epoch 0")
    seeds = {role: record.cell.seed_for(role, record.method.base) for role in roles}
    record = record.model_copy(update={"seeds": seeds})
    path = schema.write(record, results)
    write_predictions(path.with_suffix(".npz"), [(digest(predictions), predictions)])
    return record


def reported(**changes: Any) -> Reported:
    """A row of published numbers."""
    row = {
        "task": "inr-classification",
        "dataset": "mnist-inr",
        "method": "NFT",
        "metric": "accuracy",
        "value": "70.0",
        "spread": "",
        "spread_kind": "",
        "runs": "",
        "claimed_by": "NFT",
        "claimed_in": "arXiv:2305.13546",
        "read_in": "its Table 1",
        "suite": "paper",
        "differs": "",
        "open": "",
        "note": "",
    }
    return Reported.model_validate(row | changes)


# Runs.


def small(name: str, count: int = 48) -> WeightDataset:
    """The first networks of each split of a dataset."""
    dataset, _ = locate.load(name)
    splits = {
        split: replace(part, **{field: value[:count] for field, value in part.columns.items()})
        for split, part in dataset.splits.items()
    }
    return replace(dataset, splits=splits)


def run_of(cell: str, protocol: Protocol = FEW) -> Run:
    """The run of a cell with a few steps for each of its stages."""
    run = Run(Cell.parse(cell), protocol)
    return Run(run.cell, protocol, protocol) if len(run.method.stages) > 1 else run


# Commands.

Command = Callable[..., tuple[int, str, str]]
"""A command's arguments to its exit status, its standard output and its standard error."""


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start `python -m benchmark` in a session of its own, so that it can be sent signals alone."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmark", *arguments],
        cwd=ROOT,
        stdout=pipe,
        stderr=pipe,
        text=True,
        start_new_session=True,
        env=os.environ | environment,
    )
    STARTED.append(process)
    return process


STARTED: list[subprocess.Popen[str]] = []


def end_commands() -> None:
    """Kill the commands that a failed test left running."""
    while STARTED:
        process = STARTED.pop()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


HELD = """
import time
from {module} import {name}
import {module} as module
def held(*arguments, **options):
    result = {name}(*arguments, **options)
    end = time.monotonic() + {seconds}
    while time.monotonic() < end and not ({until}):
        time.sleep(0.02)
    return result
module.{name} = held
"""


def hold_after(folder: Path, module: str, name: str, until: str = "False") -> dict[str, str]:
    """Variables that have a command, and its workers, stand still after each call of a function.

    However fast or busy the machine is, a test can then send a signal at that very place.

    Args:
        until: an expression that lets the command go on.
    """
    folder.mkdir()
    code = HELD.format(module=module, name=name, until=until, seconds=HANGS)
    (folder / "sitecustomize.py").write_text(code, encoding="utf-8")
    return {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}


def benchmark(*arguments: str) -> tuple[int, str, str]:
    """Run `python -m benchmark`: its exit status, its standard output and its standard error."""
    process = start(*arguments)
    output, errors = process.communicate(timeout=HANGS)
    return process.returncode, output, errors


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until something that a process does can be seen."""
    end = time.monotonic() + HANGS
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "it hangs"
        time.sleep(0.02)


# Copies of the project.


def copy_project(folder: Path) -> Path:
    """Copy the project's code, without records and datasets, into a new folder."""
    ignored = shutil.ignore_patterns("__pycache__", "embedded", "records", "tables")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    return folder


def edit(path: Path, old: str, new: str) -> None:
    """Replace the one place of a file that says `old`."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path} says {old!r} {text.count(old)} times"
    path.write_text(text.replace(old, new), encoding="utf-8")


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder, deaf to the settings of whoever runs the tests."""
    names = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    author = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    process = subprocess.run(
        ["git", "-C", str(folder), *author, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=inherited | names,
    )
    return process.stdout.strip()


def make_zoo(folder: Path) -> None:
    """Write forty rows: twenty runs, each at step 0 and at step 86, in TensorFlow's layout."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers, start, rows = np.random.default_rng(0), 0, []
    shapes = {
        "conv/kernel:0": (3, 3, 1, 4),
        "conv/bias:0": (4,),
        "dense/kernel:0": (4, 2),
        "dense/bias:0": (2,),
    }
    for name, shape in shapes.items():
        rows.append((name, start, start + int(np.prod(shape)), str(shape)))
        start = rows[-1][2]
    header = ["varname", "start_idx", "end_idx", "shape"]
    pd.DataFrame(rows, columns=header).to_csv(folder / "layout.csv", index=False)
    np.save(folder / "weights.npy", numbers.normal(size=(40, start)).astype(np.float32))
    metrics = {
        "step": [0, 86] * 20,
        "test_accuracy": numbers.uniform(size=40),
        "train_accuracy": numbers.uniform(size=40),
        "config.activation": ["relu", "relu", "tanh", "tanh"] * 10,
    }
    pd.DataFrame(metrics).to_csv(folder / "metrics.csv.gz", index=False)
    order = pd.Series(numbers.permutation(40))
    order.to_csv(folder / "order.csv", index=False, header=False)
