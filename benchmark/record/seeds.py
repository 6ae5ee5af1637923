"""Seeds by name, so that adding a method or a dataset never moves another's random numbers."""

from __future__ import annotations

import hashlib


def named_seed(*parts: str | int) -> int:
    """A seed in [0, 2^63) from the SHA-256 of the named parts it depends on."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
