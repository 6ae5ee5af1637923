"""Checkpoints on disk: whole or not at all, in files small enough to carry between machines."""

from __future__ import annotations

import hashlib
from pathlib import Path

from benchmark.record.paths import regular
from benchmark.record.schema import write_atomically

LARGEST = 16 * 2**20  # bytes of one file
HEAD = b"parts of a checkpoint, by their SHA-256:\n"
WHOLE = b"a checkpoint, after its SHA-256:\n"
DIGITS = 64


def write(path: Path, data: bytes) -> None:
    """Write a checkpoint; a crash leaves the one before.

    One beyond 16 MiB is cut into parts beside a file that lists them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    before = _parts(path)
    parts: list[Path] = []
    if len(data) <= LARGEST:
        write_atomically(path, WHOLE + hashlib.sha256(data).hexdigest().encode() + data)
    else:
        for start in range(0, len(data), LARGEST):
            part = data[start : start + LARGEST]
            digest = hashlib.sha256(part).hexdigest()
            parts.append(_part(path, digest))
            write_atomically(parts[-1], part)
        write_atomically(path, HEAD + "\n".join(part.suffix[1:] for part in parts).encode())
    for part in set(before) - set(parts):
        part.unlink(missing_ok=True)


def read(path: Path) -> bytes:
    """Read a checkpoint's bytes.

    Raises OSError where a file is missing, ValueError where one was changed: torch reads a file
    with flipped bits without a word.
    """
    data = regular(path).read_bytes()
    if not data.startswith(HEAD):
        digest, content = data[len(WHOLE) :][:DIGITS], data[len(WHOLE) + DIGITS :]
        if not data.startswith(WHOLE) or hashlib.sha256(content).hexdigest().encode() != digest:
            raise ValueError(f"{path} was changed")
        return content
    whole = []
    for part in _parts(path):
        content = regular(part).read_bytes()
        if hashlib.sha256(content).hexdigest() != part.suffix[1:]:
            raise ValueError(f"{part} was changed")
        whole.append(content)
    return b"".join(whole)


def remove(path: Path) -> None:
    """Remove a checkpoint and its parts, where there are any."""
    for file in (*_parts(path), path):
        file.unlink(missing_ok=True)


def _part(path: Path, digest: str) -> Path:
    return path.with_name(f"{path.name}.{digest}")


def _parts(path: Path) -> list[Path]:
    try:
        data = regular(path).read_bytes() if path.stat().st_size <= LARGEST else b""
    except OSError:
        return []
    if not data.startswith(HEAD):
        return []
    return [_part(path, digest) for digest in data[len(HEAD) :].decode(errors="replace").split()]
