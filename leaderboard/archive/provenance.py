"""Whether a record may be ranked: a clean commit, a pinned dataset, the present code and settings."""

from __future__ import annotations

from collections.abc import Iterable

from benchmark import suites
from benchmark.errors import UserError
from benchmark.record import equivalence, sources
from benchmark.record.schema import Record
from benchmark.suites import settings


def objections(record: Record) -> list[str]:
    """Why a record is shown apart and never ranked; none for one that may be."""
    environment, reasons = record.environment, []
    if environment.commit is None:
        reasons.append("from no commit")
    elif not environment.clean:
        reasons.append("from a tree with uncommitted changes")
    if not record.dataset.pinned:
        reasons.append("on a dataset whose fingerprint the catalogue does not pin")
    if not _is_present_code(record):
        reasons.append("of code that has changed since")
    elif not _has_present_settings(record):
        reasons.append("of settings that have changed since")
    return reasons


def identity(record: Record) -> tuple[str, ...]:
    """What records must share for one number to stand for them: code that computes the same, and
    the versions of what computes."""
    code = equivalence.representative(record.method.name, record.method.code_sha256)
    versions = (
        f"{name} {version}" for name, version in sorted(record.environment.versions.items())
    )
    return code, *versions


def mixtures(records: Iterable[Record]) -> dict[str, list[tuple[str, ...]]]:
    """The cells whose seeds were not made alike, each with the identities that it mixes."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for record in records:
        known = found.setdefault(str(record.cell.column), [])
        if record.status == "finished" and (made := identity(record)) not in known:
            known.append(made)
    return {cell: known for cell, known in found.items() if len(known) > 1}


def _is_present_code(record: Record) -> bool:
    now = sources.digest(record.method.source, record.task, record.dataset.arm)
    return now is not None and equivalence.equivalent(
        record.method.name, now, record.method.code_sha256
    )


def _has_present_settings(record: Record) -> bool:
    """Whether suite and settings file say what the record was made with."""
    try:
        suite = suites.get(record.suite)
        task = suite.tasks[record.task]
        chosen = settings.read(suite.settings, record.method.name)
    except (UserError, KeyError):
        return False
    values = chosen.of(record.task, record.dataset.name) if chosen else {}
    options = {option.partition("=")[0] for option in record.method.options}
    found = record.method.hyperparameters
    protocols = [(task.protocol, record.protocol)]
    if record.encoder and task.encoder_protocol:
        protocols.append((task.encoder_protocol, record.encoder.protocol))
    return all(ours.model_dump() == theirs for ours, theirs in protocols) and all(
        found.get(name) == value for name, value in values.items() if name not in options
    )
