"""Runs other people's code in a fresh interpreter that sees its input and the code, and no more.

On Linux it has a root of its own, with Python and a copy of the project's code but without
datasets, records and repository, and no network, no other processes and nothing that it could
change. Where the system has no such namespaces, it is a fresh process alone, and `weakness` says
so.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmark.datasets.listing import EMBEDDED
from benchmark.record.sources import METHODS, ROOT

PACKAGES = ("nft", "baselines", "benchmark", "leaderboard")
NAMESPACES = ("--user", "--map-root-user", "--mount", "--net", "--pid", "--ipc", "--fork")
MORTAL = ("setpriv", "--pdeathsig", "KILL")
"""Before a command that is not to outlive the process that starts it."""
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ld.so.cache")
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")

# A new root is filled with what is bound, all of it read-only; the old one is then let go.
ENTER = """
set -e
root=$1; shift
tree=$1; shift
mount --make-rprivate /
mount -t tmpfs -o nosuid,nodev tmpfs "$root"
cd "$root"
mkdir -p proc tmp dev/shm project old
bind() {
  if [ -d "$1" ]; then mkdir -p "$root$2"; else mkdir -p "$(dirname "$root$2")"; : > "$root$2"; fi
  mount --bind "$1" "$root$2"
  mount -o "remount,bind,ro,nosuid$3" "$root$2"
}
bind "$tree" /project ,nodev
while [ "$1" != -- ]; do
  if [ -L "$1" ]; then cp -P "$1" "$root$1"
  elif [ -c "$1" ]; then bind "$1" "$1" ''
  elif [ -e "$1" ]; then bind "$1" "$1" ,nodev; fi
  shift
done
shift
mount -t proc proc proc 2>/dev/null || true
pivot_root . old
cd /project
umount -l /old
exec "$@"
"""


@dataclass(frozen=True)
class Answer:
    """What a command left: its exit status, standard output, and the end of standard error."""

    status: int
    output: bytes
    errors: str


@cache
def weakness() -> str | None:
    """Say what is missing of the sandbox on this machine; None where nothing is."""
    if not sys.platform.startswith("linux") or not all(map(shutil.which, (MORTAL[0], "unshare"))):
        return "no namespaces on this system: the method could read files and the network"
    with tempfile.TemporaryDirectory() as folder:
        answer = _run([*_entering(_laid_out(Path(folder))), "/bin/true"], b"", 60, Path(folder))
    if answer.status:
        reason = (answer.errors.strip().splitlines() or ["unshare fails"])[-1]
        return f"no namespaces here ({reason}): the method could read files and the network"
    return None


def run(
    module: str,
    arguments: tuple[str, ...] = (),
    given: bytes = b"",
    *,
    datasets: bool = False,
    root: Path = ROOT,
    timeout: float = 3600,
) -> Answer:
    """Run a module of the project's code.

    Args:
        module: Its name, as for `python -m`.
        arguments: Those of its command line.
        given: What it reads from standard input.
        datasets: Whether it may read the embedded datasets.
        root: The project whose code is run.
        timeout: Seconds after which it is ended, with status -9.
    """
    with tempfile.TemporaryDirectory() as folder:
        tree = _laid_out(Path(folder))
        _copy(root, tree, datasets)
        # -E and -s: no variable and no folder of the user's adds code.
        command = [sys.executable, "-E", "-s", "-B", "-m", module, *arguments]
        if weakness() is None:
            command = [*_entering(tree), *command]
        return _run(command, given, timeout, tree)


def _laid_out(folder: Path) -> Path:
    """Make the folders of the sandbox's root and, beside it, of the code, which is returned."""
    (folder / "root").mkdir()
    (folder / "tree").mkdir()
    return folder / "tree"


def _copy(root: Path, tree: Path, datasets: bool) -> None:
    """Copy the code; nothing else of a checkout goes along.

    A link could lead to what is hidden, and a method's data to the targets: links stay behind, and
    of the methods' folder all that is no Python file.
    """
    hidden = {"__pycache__", "records", "tables"} | (set() if datasets else {EMBEDDED.name})
    methods = root / METHODS.name

    def ignored(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if name in hidden or not goes_along(Path(folder, name))]

    def goes_along(path: Path) -> bool:
        if path.is_symlink():
            return False
        return path.is_dir() or path.suffix == ".py" or methods not in path.parents

    for package in PACKAGES:
        shutil.copytree(root / package, tree / package, ignore=ignored)


def _entering(tree: Path) -> list[str]:
    """The command that makes the sandbox, before the one that runs there."""
    places = dict.fromkeys((*SYSTEM, *DEVICES, sys.base_prefix, sys.prefix))
    outside = [place for place in places if place in SYSTEM or not place.startswith("/usr/")]
    script = [
        "/bin/sh",
        "-c",
        ENTER,
        "sandbox",
        str(tree.with_name("root")),
        str(tree),
        *outside,
        "--",
    ]
    return [*MORTAL, "unshare", *NAMESPACES, "--kill-child", *script]


def _run(command: list[str], given: bytes, timeout: float, folder: Path) -> Answer:
    pipe = subprocess.PIPE
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": str(folder),  # in the sandbox of the same name, and empty
        "NFT_BENCHMARK_CACHE": str(folder / "cache"),
        "NUMBA_CACHE_DIR": str(folder / "numba"),
        "LC_ALL": "C.UTF-8",
    }
    process = subprocess.Popen(
        command,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        cwd=folder,
        env=environment,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(given, timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, errors = process.communicate()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)  # Ctrl-C does not reach another session
        process.wait()
        raise
    return Answer(process.returncode, output, errors.decode(errors="replace")[-4000:])
