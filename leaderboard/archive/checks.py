"""All checks of an archive: each record by itself, against the project, and beside the others."""

from __future__ import annotations

from leaderboard.archive import clocks, copies, declarations, growth, lints, reruns
from leaderboard.archive.entries import Archive


def failures(archive: Archive, base: str | None = None) -> list[str]:
    """List what is wrong with an archive, a line each.

    Args:
        archive: The records.
        base: A commit whose records must all be there still; None for no such check.

    Raises:
        RecordError: git does not know the commit.
    """
    current = archive.current
    lines = certain(archive)
    suspicious, places = copies.failures(current), {entry.place: entry for entry in current}
    lines += [
        f"{line}; where it is true, a rerun shows it: python -m leaderboard rerun"
        for place, line in suspicious.items()
        if not reruns.covers(places[place].record)
    ]
    return lines + (growth.failures(base, archive) if base is not None else [])


def certain(archive: Archive) -> list[str]:
    """List what is wrong without doubt, which no rerun of a method would change."""
    current = archive.current
    lines = lints.failures(current)
    lines += [
        f"{entry.place}: {trouble}" for entry in current for trouble in declarations.troubles(entry)
    ]
    lines += [
        f"{cell.row}: seed {cell.seed} is missing beside others: a row has all seeds of its suite, "
        "or all up to its last on networks that do not come with the project"
        for cell in declarations.lacking([entry.record.cell for entry in current])
    ]
    return [*lines, *_unexplained(archive), *clocks.failures(current)]


def _unexplained(archive: Archive) -> list[str]:
    """Tell of records that replace another without a reason, or give one and replace none."""
    lines, later = [], {new.place for _, new in archive.superseded}
    for entry in archive.entries:
        if entry.place in later and entry.why is None:
            lines.append(f"{entry.place}: it replaces an older record and does not say why")
        elif entry.place not in later and entry.why is not None:
            lines.append(f"{entry.place}: it says why it replaces one, but none is older")
    return lines
