"""Whether the archive has only grown since a commit: what was published stays."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
from pathlib import Path

from benchmark.record import schema, sources
from benchmark.record.git import GitError, git, git_bytes
from benchmark.record.schema import Record, RecordError
from leaderboard.archive.entries import Archive

HISTORY = "leaderboard/records"


def failures(base: str, now: Archive, root: Path = sources.ROOT) -> list[str]:
    """List what a commit's records had and the present ones lack, a line each.

    Args:
        base: The commit.
        now: The present archive.
        root: The checkout.

    Raises:
        RecordError: git does not know the commit.
    """
    try:
        names = git(root, "diff", "--name-only", "--merge-base", base, "--", HISTORY).splitlines()
        since = git(root, "merge-base", base, "HEAD")
    except GitError as error:
        raise RecordError(f"git cannot tell what changed since {base!r}: {error}") from None
    present = {_text(entry.record, entry.why) for entry in now.entries}
    kept = {entry.record.predictions for entry in now.entries if entry.has_predictions}
    lines = []
    for name in names:
        try:
            before = git_bytes(root, "show", f"{since}:{name}")
        except GitError:
            continue  # a new file
        if name.endswith(".jsonl"):
            for record, why in _lines(before, f"{since[:12]}:{name}"):
                if _text(record, why) not in present:
                    lines.append(
                        f"{name}: {record.cell} of {record.finished_at} was changed or removed; "
                        "history stays: restore the line"
                    )
        elif name.endswith(".npz"):
            with zipfile.ZipFile(BytesIO(before)) as store:
                keys = {member.partition("/")[0] for member in store.namelist()}
            lines += [
                f"{name}: predictions {key[:12]} were removed; history stays: restore the file"
                for key in sorted(keys - kept)
            ]
    return lines


def _text(record: Record, why: str | None) -> str:
    return json.dumps([record.model_dump(mode="json"), why], sort_keys=True)


def _lines(data: bytes, place: str) -> list[tuple[Record, str | None]]:
    """The records of a file as it was, in the present schema."""
    found = []
    for number, text in enumerate(data.splitlines(), start=1):
        line = json.loads(text)
        inner = json.dumps(line["record"]).encode()
        found.append((schema.parse(inner, f"{place}, line {number}"), line["why"]))
    return found
