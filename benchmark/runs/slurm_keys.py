"""What jobs ask Slurm for: `--slurm KEY=VALUE`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from benchmark.errors import UserError, suggestion

SHARED = {"timeout_min": int, "cpus_per_task": int, "gpus_per_node": int, "mem_gb": float}
"""What submitit knows of every cluster, with its type."""

OWN = {
    "account": str,
    "array_parallelism": int,
    "comment": str,
    "constraint": str,
    "cpus_per_gpu": int,
    "dependency": str,
    "exclude": str,
    "gres": str,
    "mail_type": str,
    "mail_user": str,
    "mem_per_cpu": str,
    "mem_per_gpu": str,
    "nodelist": str,
    "partition": str,
    "qos": str,
    "signal_delay_s": int,
    "wckey": str,
}
"""What is Slurm's alone."""

ONE = ("nodes", "ntasks_per_node", "tasks_per_node")
"""What every job has one of."""

DEFAULTS = {"timeout_min": 60, "signal_delay_s": 90}

Parameters = dict[str, str | int | float]


def parameters(pairs: Sequence[str]) -> Parameters:
    """What jobs ask Slurm for, from "key=value", with defaults.

    Raises UserError for a key that is none, or a value that does not fit it.
    """
    known, found = SHARED | OWN, dict(DEFAULTS)
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not value.strip() or not value.isprintable():
            raise UserError(f"--slurm takes KEY=VALUE, as partition=gpu, not {pair[:80]!r}")
        if key in ONE:
            raise UserError(f"--slurm {key}: each job has one node and one task; use --workers")
        if key not in known:
            raise UserError(
                f"unknown key of --slurm {key[:80]!r}{suggestion(key, known)}; known: "
                f"{', '.join(sorted(known))}"
            )
        found[key] = _number(key, value, known[key]) if known[key] is not str else value
    return found


def _number(key: str, value: str, kind: type[int] | type[float]) -> int | float:
    pattern = "[1-9][0-9]{0,8}" if kind is int else r"[0-9]{1,8}(\.[0-9]{1,3})?"
    if not re.fullmatch(pattern, value) or not float(value):
        name = "whole number" if kind is int else "number"
        raise UserError(f"--slurm {key} is a {name} above 0, not {value[:80]!r}")
    return kind(value)
