"""Disturbs commands at random, by a seed, and sees that nothing finished is lost.

    nox -s faults -- --seed 0 --kills 100

A command is killed at random instants, meets a full disk or a folder that takes nothing, a clock
that jumps, or another process at the same folder. Then it is given again, undisturbed. What was
finished before must still be there, and at the end every file must have the bytes that it has
without a disturbance, but for dates and durations. The tally goes to `tests/corpus/faults.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import own_networks
import pyarrow as pa
import torch

from benchmark import __main__ as benchmark
from benchmark.datasets import build, own, storage
from benchmark.datasets.storage import SPLITS, Split
from benchmark.runs import execute, launch
from leaderboard import __main__ as leaderboard
from leaderboard.publish import own as boards
from nft.network import NetworkSpec

LOADED = (build, execute, launch, own, boards)  # before any process is forked
HERE = Path(__file__).resolve().parent
TALLY = HERE / "corpus/faults.json"
SPEC = NetworkSpec.mlp(2, 6, 6, 1, activation="sine", omega=15.0)
SUITE = """\
note = "A few steps."

[tasks.inr-classification]
datasets = []
seeds = [0]

[tasks.inr-classification.protocol]
steps = 60
batch_size = 8
warmup_steps = 2
evaluations = 6
clip = 1.0

[tasks.inr-classification.encoder_protocol]
steps = 30
batch_size = 8
warmup_steps = 2
evaluations = 3
clip = 1.0
"""
METHODS = "statnn,mlp,inr2array-mlp"
PASSING = {
    "finished_at",
    "training_seconds",
    "evaluation_seconds",
    "encoding_seconds",
    "networks_per_second",
    "peak_memory_mib",
    "from_cache",
    "commit",
    "clean",
}
"""Fields of records that say when, how fast and from which commit, which may be made meanwhile."""


@dataclass(frozen=True)
class Command:
    """A command of the project that is disturbed.

    arguments: of the command line, for a folder; `main` is that of the package.
    finished: the files that no disturbance may change once they are there, as patterns.
    """

    main: Callable[[], object]
    arguments: Callable[[Path], Sequence[str]]
    finished: tuple[str, ...]


def _train(folder: Path) -> list[str]:
    given = {
        "--suite": folder / "few.toml",
        "--datasets": folder / "small",
        "--methods": METHODS,
        "--results": folder / "results",
    }
    words = [str(word) for pair in given.items() for word in pair]
    return ["run", "inr-classification", *words, "--workers", "0", "--device", "cpu", "--keep"]


def _build(folder: Path) -> list[str]:
    output = ["--output", str(folder / "sines"), "--device", "cpu"]
    return ["datasets", "build", "sine-inr-mini", "--limit", "60", *output]


def _new(folder: Path) -> list[str]:
    given = {
        "--from": folder / "networks",
        "--table": folder / "table.csv",
        "--targets": "accuracy",
        "--activation": "relu",
        "--output": folder / "moons",
    }
    return ["datasets", "new", "moons", *(str(word) for pair in given.items() for word in pair)]


def _render(folder: Path) -> list[str]:
    return ["build", "--records", str(folder / "ranked")]


def _leaderboard() -> None:
    sys.exit(leaderboard.main())


COMMANDS = {
    "build": Command(benchmark.main, _build, ("sines/data/*.parquet", "sines/manifest.json")),
    "new": Command(benchmark.main, _new, ("moons/**/*",)),
    "train": Command(
        benchmark.main, _train, ("results/*/*/*/*/seed-0.json", "results/*/*/*/*/seed-0.npz")
    ),
    "render": Command(_leaderboard, _render, ("ranked/*/*/*/*/*",)),
}


def prepare(folder: Path) -> None:
    """Write what the commands read."""
    generator = torch.Generator().manual_seed(0)
    columns, rows = storage.Columns(SPEC, ("a", "b"), "psnr"), 24
    paths = {name: storage.shard_paths(name, 1) for name in SPLITS}
    for (path,) in paths.values():
        index = torch.arange(rows, dtype=torch.int32)
        split = Split(
            0.1 * torch.randn(rows, SPEC.parameters, generator=generator),
            torch.arange(rows) % 2,
            index,
            torch.zeros_like(index),
            torch.full((rows,), 20.0),
        )
        storage.write_shard(folder / "small" / path, columns, split, {"recipe": "none"})
    examples = np.zeros((4, 8, 8), np.uint8)
    storage.seal(folder / "small", "small", columns, {"seed": 0}, paths, examples)
    own_networks.zoo(folder, 24)
    (folder / "few.toml").write_text(SUITE, encoding="utf-8")


class Child:
    """A command in a process of its own, forked from this one, which has loaded everything."""

    def __init__(self, command: Command, folder: Path, log: Path, shift: float = 0.0) -> None:
        self.log, self.started = log, time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            _become(command, folder, log, shift)

    def end(self, after: float | None = None) -> int | None:
        """Wait for its status; with `after`, kill it so many seconds after its start: then None."""
        while after is not None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() - self.started >= after:
                os.kill(self.pid, signal.SIGKILL)
                break
            time.sleep(0.001)
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return None if code == -signal.SIGKILL else code

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


def _become(command: Command, folder: Path, log: Path, shift: float) -> None:
    """Be a command's process, and never come back."""
    code = 1
    try:
        opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, 1)
        os.dup2(opened, 2)
        os.environ["NFT_BENCHMARK_CACHE"] = str(folder / "cache")
        sys.argv = ["command", *command.arguments(folder)]
        if shift:
            now = time.time
            time.time = lambda: now() + shift
        command.main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class Trouble(Exception):
    """What a disturbance did that it must not do."""


def content(folder: Path) -> dict[str, object]:
    """What every file under a folder holds, without dates, durations and what is temporary."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or "/." in f"/{name}" or name.startswith("cache/"):
            continue
        if name.endswith("LEADERBOARD.md") and name.startswith("results"):
            continue  # it shows durations
        if path.name == "verified.json" or path.suffix == ".lock":
            continue
        data = path.read_bytes()
        if path.suffix == ".arrays":
            state = torch.load(path, weights_only=True)
            state["part"] = _lasting(json.loads(state["part"]))
            found[name] = repr(state)
        elif path.suffix == ".json":
            found[name] = _lasting(json.loads(data))
        else:
            found[name] = data
    return found


def _lasting(data: object) -> object:
    if isinstance(data, dict):
        return {key: _lasting(value) for key, value in data.items() if key not in PASSING}
    return [_lasting(value) for value in data] if isinstance(data, list) else data


def finished(command: Command, folder: Path) -> dict[Path, bytes]:
    """The files that must stay as they are."""
    return {
        path: path.read_bytes()
        for pattern in command.finished
        for path in folder.glob(pattern)
        if path.is_file() and not path.name.startswith(".") and _counts(path)
    }


def _counts(path: Path) -> bool:
    """A run's files are finished when its record is there."""
    return path.suffix != ".npz" or path.with_suffix(".json").exists()


class Bench:
    """Samples, and what commands make of them undisturbed."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder, self.names = folder, names
        self.sample, self.log = folder / "sample", folder / "log"
        pid = os.fork()  # what makes samples starts threads, which no fork takes along
        if pid == 0:
            prepare(self.sample)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        self.undisturbed(COMMANDS["train"], self.sample)
        (self.sample / "results").rename(self.sample / "ranked")
        shutil.rmtree(self.sample / "cache")
        self.expected: dict[str, dict[str, object]] = {}
        self.seconds: dict[str, float] = {}
        for name in names:
            work = self.fresh()
            started = time.monotonic()
            self.undisturbed(COMMANDS[name], work)
            self.seconds[name] = time.monotonic() - started
            self.expected[name] = content(work)

    def fresh(self, place: Path | None = None) -> Path:
        """A copy of the sample, always under the same name, for records hold their command."""
        work = place or self.folder / "work"
        if place is None:
            shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(self.sample, work, dirs_exist_ok=True)
        return work

    def undisturbed(self, command: Command, folder: Path) -> None:
        child = Child(command, folder, self.log)
        if (code := child.end()) != 0:
            raise Trouble(f"undisturbed, it ends with {code}: {child.said[-1500:]}")

    def refused(self, child: Child) -> None:
        """Raise Trouble where a disturbed command shows a traceback."""
        if "Traceback" in child.said:
            raise Trouble(f"a traceback: {child.said[-3000:]}")

    def compare(self, name: str, folder: Path, before: dict[Path, bytes]) -> None:
        """Go on undisturbed, and compare."""
        self.undisturbed(COMMANDS[name], folder)
        for path, data in before.items():
            if not path.exists() or path.read_bytes() != data:
                raise Trouble(f"{path.relative_to(folder)} was finished, and is lost or another")
        found, expected = content(folder), self.expected[name]
        for path in sorted({*found, *expected}):
            if found.get(path) != expected.get(path):
                state = (
                    "has other content"
                    if path in found and path in expected
                    else ("is left over" if path in found else "is missing")
                )
                raise Trouble(f"{path} {state}")


def kills(bench: Bench, name: str, chance: random.Random, count: int) -> Counter[str]:
    """Kill a command so often, up to three times before it is left alone."""
    tally, command = Counter(), COMMANDS[name]
    while tally["kills"] < count:
        work, before = bench.fresh(), {}
        for _ in range(chance.randint(1, 3)):
            child = Child(command, work, bench.log)
            code = child.end(chance.uniform(0, bench.seconds[name]))
            bench.refused(child)
            tally["kills"] += code is None
            for path, data in finished(command, work).items():
                if before.setdefault(path, data) != data:
                    raise Trouble(f"{path.relative_to(work)} was finished, and is another")
            if code is not None:
                break
        bench.compare(name, work, before)
        tally["ends compared"] += 1
    return tally


def clocks(bench: Bench, name: str, chance: random.Random, count: int) -> Counter[str]:
    """Kill a command, date its files ten years off, and go on with a clock that is off, too."""
    command, years = COMMANDS[name], 10 * 365 * 86400.0
    for _ in range(count):
        work = bench.fresh()
        first = Child(command, work, bench.log, chance.choice([-1, 1]) * years)
        first.end(chance.uniform(0, bench.seconds[name]))
        before = finished(command, work)
        for path in work.rglob("*"):
            when = time.time() + chance.choice([-1, 1]) * years
            os.utime(path, (when, when))
        second = Child(command, work, bench.log, chance.choice([-1, 1]) * years)
        if second.end() != 0:
            raise Trouble(f"with another clock: {second.said[-1500:]}")
        bench.compare(name, work, before)
    return Counter({"clock jumps": count})


def pairs(bench: Bench, name: str, chance: random.Random, count: int) -> Counter[str]:
    """Give a command twice, at nearly the same time, for one folder."""
    command = COMMANDS[name]
    for _ in range(count):
        work = bench.fresh()
        children = [Child(command, work, bench.log)]
        time.sleep(chance.uniform(0, bench.seconds[name] / 2))
        children.append(Child(command, work, bench.log.with_name("other-log")))
        codes = [child.end() for child in children]
        for child in children:
            bench.refused(child)
        if 0 not in codes:
            raise Trouble(f"neither of two ended well: {[child.said[-800:] for child in children]}")
        bench.compare(name, work, finished(command, work))
    return Counter({"pairs": count})


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[Callable[[str], object]]:
    """A disk of a few MiB in a folder, and what changes its options."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield lambda options: subprocess.run(
            ["mount", "-o", f"remount,{options}", str(folder)], check=True, capture_output=True
        )
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)


def disks(bench: Bench, name: str, chance: random.Random, count: int) -> Counter[str]:
    """Fill the disk but for a random rest, then make it read-only, then larger again."""
    tally, command = Counter(), COMMANDS[name]
    for _ in range(count):
        work = bench.folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        with small_disk(work, 64) as remount:
            bench.fresh(work)
            free = shutil.disk_usage(work).free
            # Of what the command writes, a random part fits.
            fits = chance.randrange(int(1.1 * _written(bench, name)) + 1)
            with (work / ".filler").open("wb") as filler:
                filler.write(b"\0" * max(0, free - fits))
            child = Child(command, work, bench.log)
            code = child.end()
            bench.refused(child)
            tally["full disks"] += 1
            tally["full disks that ended the command"] += code != 0
            before = finished(command, work)
            remount("ro")
            child = Child(command, work, bench.log)
            child.end()
            bench.refused(child)
            tally["folders that take nothing"] += 1
            remount("rw")
            (work / ".filler").unlink()
            bench.compare(name, work, before)
    return tally


def _written(bench: Bench, name: str) -> int:
    """About the bytes that a command writes."""
    sizes = [
        len(data) if isinstance(data, bytes) else len(json.dumps(data, default=str))
        for path, data in bench.expected[name].items()
        if not (bench.sample / path).exists()
    ]
    return sum(sizes) + 100_000


def can_mount() -> bool:
    """Whether this process may mount a disk."""
    with tempfile.TemporaryDirectory() as place:
        try:
            with small_disk(Path(place) / "disk", 1):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


def disturb(names: Sequence[str], seed: int, count: int) -> dict[str, object]:
    """Disturb each command in each way. Returns the tally."""
    chance, tally, troubles = random.Random(seed), {}, []
    ways: list[tuple[Callable[..., Counter[str]], int]] = [
        (kills, -(-count // len(names))),
        (clocks, 3),
        (pairs, 3),
    ]
    ways += [(disks, 5)] if can_mount() else []
    with tempfile.TemporaryDirectory() as place:
        bench = Bench(Path(place), names)
        for name in names:
            tally[name] = Counter()
            for way, often in ways:
                try:
                    tally[name] += way(bench, name, chance, often)
                except Trouble as trouble:
                    troubles.append(f"{name}, {way.__name__}: {trouble}")
            print(f"{name} ({bench.seconds[name]:.1f} s): {dict(tally[name])}", flush=True)
    return {
        "seed": seed,
        **sum(tally.values(), Counter()),
        **({} if can_mount() else {"skipped": "full disks: only root may mount one"}),
        "troubles": troubles,
        "commands": {name: dict(counts) for name, counts in tally.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=120)
    parser.add_argument("--commands", default=",".join(COMMANDS), help="with commas between them")
    parser.add_argument("--note", action="store_true", help="write the tally")
    options = parser.parse_args()
    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    tally = disturb(options.commands.split(","), options.seed, options.kills)
    if options.note:
        TALLY.write_text(json.dumps(tally, indent=1) + "\n", encoding="utf-8")
    for trouble in tally["troubles"]:
        print(trouble, file=sys.stderr)
    sys.exit(bool(tally["troubles"]))


if __name__ == "__main__":
    main()
