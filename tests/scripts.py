"""Scripts in processes of their own, forked from one that has loaded torch already.

Loading torch takes longer than most of what such scripts do. This module loads nothing of the
project: a script's own variables must be set before that.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

HANGS = 600
"""Seconds after which a command is taken to hang: nothing here is meant to take a tenth of that."""

CONTEXT = multiprocessing.get_context("forkserver")
# Nothing that reads the environment as it loads, like the Hub's clients.
CONTEXT.set_forkserver_preload(["torch", "pandas", "pyarrow.parquet", "pydantic"])


def run_script(code: str, folder: Path, environment: Mapping[str, str]) -> tuple[int, str, str]:
    """Run Python code as a process would that starts in a folder with these variables alone.

    Returns:
        Its exit status, its standard output and its standard error.
    """
    with tempfile.TemporaryDirectory() as place:
        files = [Path(place, name) for name in ("stdout", "stderr")]
        process = CONTEXT.Process(target=_run, args=(code, folder, dict(environment), files))
        process.start()
        process.join(HANGS)
        if process.exitcode is None:
            process.kill()
            process.join()
        output, errors = (file.read_text(encoding="utf-8") for file in files)
    assert process.exitcode is not None
    return process.exitcode, output, errors


def _run(code: str, folder: Path, environment: dict[str, str], files: list[Path]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for stream, file in zip((sys.stdout, sys.stderr), files, strict=True):
        with file.open("wb") as opened:
            os.dup2(opened.fileno(), stream.fileno())
    exec(compile(code, "<script>", "exec"), {"__name__": "__main__"})
