"""Whether a record may be ranked: its commit, dataset, code and settings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmark import suites
from benchmark.datasets import listing
from benchmark.errors import UserError
from benchmark.record import differences, equivalence, sources
from benchmark.record.schema import Record
from benchmark.suites import settings

CHANGED = ("of code that has changed since", "of settings that have changed since")
"""The objections to records of what is not the present code and settings."""


def objections(record: Record) -> list[str]:
    """List why a record is not ranked; nothing for one that is."""
    environment, reasons = record.environment, []
    if environment.commit is None:
        reasons.append("from no commit")
    elif not environment.clean:
        reasons.append("from a tree with uncommitted changes")
    pinned = listing.fingerprint(record.dataset.name)
    if not record.dataset.pinned:
        reasons.append("on a dataset whose fingerprint the catalogue does not pin")
    elif pinned not in (None, record.dataset.fingerprint):
        reasons.append("on networks that are not the catalogue's")
    if not _is_present_code(record):
        reasons.append(CHANGED[0])
    elif changed_settings(record):
        reasons.append(CHANGED[1])
    return reasons


def identity(record: Record) -> tuple[str, ...]:
    """Return what records of one mean have in common: equivalent code, data and versions."""
    code = equivalence.representative(record.method.name, record.method.code_sha256)
    versions = (
        f"{name} {version}" for name, version in sorted(record.environment.versions.items())
    )
    return code, f"data {record.dataset.fingerprint}", *versions


def mixtures(records: Iterable[Record]) -> dict[str, list[tuple[str, ...]]]:
    """Return the cells whose seeds differ in code, data or versions, each with its identities."""
    identities: dict[str, list[tuple[str, ...]]] = {}
    for record in records:
        known = identities.setdefault(str(record.cell.column), [])
        if record.status == "finished" and (current := identity(record)) not in known:
            known.append(current)
    return {cell: known for cell, known in identities.items() if len(known) > 1}


def _is_present_code(record: Record) -> bool:
    now = sources.digest(record.method.source, record.task, record.dataset.arm)
    return now is not None and equivalence.equivalent(
        record.method.name, now, record.method.code_sha256
    )


def changed_settings(record: Record) -> list[str]:
    """Say what the suite and its settings file have otherwise than the record; nothing if nothing.

    As "channels was 16, is 32".
    """
    try:
        suite = suites.get(record.suite)
        task = suite.tasks[record.task]
        choices = [settings.read(layer, record.method.name) for layer in suite.layers]
    except (UserError, KeyError):
        return [f"suite {record.suite!r} has no settings for {record.task} that can be read"]
    values: dict[str, Any] = {}
    for choice in choices:
        values |= choice.of(record.task, record.dataset.name) if choice else {}
    options = {option.partition("=")[0] for option in record.method.options}
    chosen = {name: value for name, value in values.items() if name not in options}
    hyperparameters = record.method.hyperparameters
    recorded = {name: hyperparameters[name] for name in chosen if name in hyperparameters}
    protocol, encoder_protocol = task.protocols(record.method.name)
    changes = differences.between(recorded, chosen)
    changes += differences.between(record.protocol, protocol.model_dump())
    if record.encoder and encoder_protocol:
        present = encoder_protocol.model_dump()
        changes += differences.between(record.encoder.protocol, present, differences.FIRST_STAGE)
    return changes
