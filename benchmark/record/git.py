"""What git says of a checkout, whatever the caller's environment or settings tell it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from benchmark.errors import UserError


class GitError(UserError):
    """Git is missing, or refuses; the message is its own reason, in a line."""


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder, and return what it prints. Raises GitError."""
    return git_bytes(folder, *arguments).decode(errors="replace").rstrip("\n")


def git_bytes(folder: Path, *arguments: str) -> bytes:
    """The same, of files that are no text."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(folder), "-c", "core.quotePath=false", *arguments]
    environment = inherited | {"LC_ALL": "C"}
    try:
        process = subprocess.run(command, capture_output=True, check=True, env=environment)
    except FileNotFoundError:
        raise GitError("git is not installed") from None
    except subprocess.CalledProcessError as error:
        told = error.stderr.decode(errors="replace").strip()
        lines = told.splitlines() or [f"git ended with {error.returncode}"]
        reason = next((line for line in lines if line.startswith("fatal: ")), lines[0])
        raise GitError(reason.removeprefix("fatal: ")) from None
    return process.stdout
