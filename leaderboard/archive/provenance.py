"""Whether a record may be ranked: its commit, dataset, code and settings."""

from __future__ import annotations

from collections.abc import Iterable

from benchmark import suites
from benchmark.datasets import listing
from benchmark.errors import UserError
from benchmark.record import equivalence, sources
from benchmark.record.schema import Record
from benchmark.suites import settings


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
        reasons.append("of code that has changed since")
    elif not _has_present_settings(record):
        reasons.append("of settings that have changed since")
    return reasons


def identity(record: Record) -> tuple[str, ...]:
    """Return what records of one mean have in common: equivalent code, and library versions."""
    code = equivalence.representative(record.method.name, record.method.code_sha256)
    versions = (
        f"{name} {version}" for name, version in sorted(record.environment.versions.items())
    )
    return code, *versions


def mixtures(records: Iterable[Record]) -> dict[str, list[tuple[str, ...]]]:
    """Return the cells whose seeds differ in code or versions, each with its identities."""
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


def _has_present_settings(record: Record) -> bool:
    """Whether the record ran with what the suite and its settings file say now."""
    try:
        suite = suites.get(record.suite)
        task = suite.tasks[record.task]
        choices = settings.read(suite.settings, record.method.name)
    except (UserError, KeyError):
        return False
    values = choices.of(record.task, record.dataset.name) if choices else {}
    options = {option.partition("=")[0] for option in record.method.options}
    hyperparameters = record.method.hyperparameters
    protocol, encoder_protocol = task.protocols(record.method.name)
    protocols = [(protocol, record.protocol)]
    if record.encoder and encoder_protocol:
        protocols.append((encoder_protocol, record.encoder.protocol))
    return all(present.model_dump() == recorded for present, recorded in protocols) and all(
        hyperparameters.get(name) == value for name, value in values.items() if name not in options
    )
