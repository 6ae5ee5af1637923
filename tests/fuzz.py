"""Harms files at random, by a seed, and sees that each is read right or refused with one line.

    nox -s fuzz -- --seed 0 --inputs 3000

Every input is read in a process of its own, which has ten seconds and a gigabyte. The tally goes to
`tests/corpus/fuzz.json`; an input that failed is kept in `build/fuzz` as the files that differ from
the reader's sample. Put it into `tests/corpus/<reader>/<name>`, and `test_hostile.py` reads it.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import pickle
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import datasets  # noqa: F401, slow to import, and large: before any process is forked
import hypothesis
import pyarrow as pa
import torch
import torch._dynamo  # which optimizers load
from harms import Draw, harm
from hypothesis import strategies as st
from readers import READERS, Reader

from benchmark.errors import UserError

HERE = Path(__file__).resolve().parent
CORPUS, TALLY = HERE / "corpus", HERE / "corpus/fuzz.json"
FAILED = HERE.parent / "build/fuzz"
SECONDS, BYTES, LONGEST = 10, 2**30, 4000
GOOD = ("read", "refused")
UNREADABLE = Exception


@dataclass(frozen=True)
class Outcome:
    """What became of one input: "read", "refused", or what went wrong; and how it was said."""

    kind: str
    said: str
    seconds: float


def in_a_child(action: Callable[[], object], limited: bool = True) -> Outcome:
    """Do something in a forked process with ten seconds and a gigabyte more than it has."""
    started = time.monotonic()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        os.close(reading)
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(pickle.dumps(_done(action, limited)))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        ready, _, _ = select.select([pipe], [], [], SECONDS if limited else None)
        if not ready:
            os.killpg(child, signal.SIGKILL)
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    seconds = time.monotonic() - started
    if not ready:
        return Outcome("never ended", "", seconds)
    if not answer:
        return Outcome("died", f"status {status}", seconds)
    return Outcome(*pickle.loads(answer), seconds)


def _done(action: Callable[[], object], limited: bool) -> tuple[str, str]:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    if limited:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
        most = pages * resource.getpagesize() + BYTES  # data, without address space that is unused
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    try:
        action()
    except UserError as error:
        text = str(error)
        if len(text.splitlines()) != 1 or len(text) > LONGEST or not text.isprintable():
            return "no line", repr(text[:500])
        return "refused", text
    except BaseException as error:
        trace = traceback.format_exc()[-3000:]
        return "traceback", f"{type(error).__name__}\n{trace}"
    return "read", ""


class Samples:
    """A good sample of each reader, made once, and copied for each input."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self.folder = folder
        for name in names:
            outcome = in_a_child(partial(READERS[name].make, self.of(name)), limited=False)
            assert outcome.kind == "read", outcome.said

    def check(self) -> None:
        """Read each as it is."""
        for path in (self.folder / "samples").iterdir():
            outcome = in_a_child(partial(READERS[path.name].read, self.copy(path.name)))
            assert outcome.kind == "read", f"{path.name}: {outcome}"

    def of(self, name: str) -> Path:
        return self.folder / "samples" / name

    def copy(self, name: str) -> Path:
        """A copy in a folder of its own, where reading may leave something beside it."""
        work = self.folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(self.of(name), work / name)
        return work / name


def harmed(draw: Draw, reader: Reader, folder: Path) -> str:
    """Harm a sample once or twice, and mostly let its other files vouch for that."""
    done = []
    for _ in range(draw(st.sampled_from([1, 1, 1, 2]))):
        with suppress(UNREADABLE):  # the second harm of what the first made unreadable
            done.append(harm(draw, folder))
    regular = all(path.is_file() or path.is_dir() for path in folder.rglob("*"))
    if regular and draw(st.sampled_from([True, True, False])):
        with suppress(UNREADABLE):
            reader.seal(folder)
            done.append("sealed")
    return ", ".join(done)


def fuzz(names: list[str], seed: int, inputs: int) -> dict[str, object]:
    """Read so many harmed inputs, about as many of each reader."""
    tally: dict[str, Counter[str]] = {}
    slowest: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as place:
        samples = Samples(Path(place), names)
        samples.check()
        for name in names:
            outcomes = _outcomes(samples, name, seed, -(-inputs // len(names)))
            tally[name] = Counter(outcome.kind for outcome in outcomes)
            slowest[name] = round(max(outcome.seconds for outcome in outcomes), 1)
            print(f"{name}: {dict(tally[name])}, slowest {slowest[name]} s", flush=True)
    whole = sum(tally.values(), Counter())
    return {
        "seed": seed,
        "inputs": whole.total(),
        "outcomes": dict(sorted(whole.items())),
        "limits": {"seconds": SECONDS, "bytes": BYTES},
        "versions": {"hypothesis": hypothesis.__version__, "torch": torch.__version__},
        "readers": {
            name: {**dict(sorted(counts.items())), "slowest_seconds": slowest[name]}
            for name, counts in tally.items()
        },
    }


def _outcomes(samples: Samples, name: str, seed: int, count: int) -> list[Outcome]:
    outcomes: list[Outcome] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(st.data())
    def one(data: st.DataObject) -> None:
        folder = samples.copy(name)
        done = harmed(data.draw, READERS[name], folder)
        before = samples.folder / "before"
        shutil.rmtree(before, ignore_errors=True)
        shutil.copytree(folder, before, symlinks=True, ignore=_pipes)
        outcome = in_a_child(partial(READERS[name].read, folder))
        outcomes.append(outcome)
        if outcome.kind not in GOOD:
            kept = FAILED / name / f"{seed}-{len(outcomes)}"
            _keep(before, samples.of(name), kept)
            (kept.with_suffix(".txt")).write_text(
                f"{outcome.kind} of {done}\n{outcome.said}", encoding="utf-8", errors="replace"
            )

    one()
    return outcomes


def _pipes(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(folder) / name).is_fifo()]


def _keep(harmed: Path, sample: Path, kept: Path) -> None:
    """Keep the files that differ from the sample."""
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    for path in harmed.rglob("*"):
        name = path.relative_to(harmed)
        whole = sample / name
        same = whole.is_file() and path.is_file() and filecmp.cmp(path, whole, shallow=False)
        if path.is_symlink() or (path.is_file() and not same):
            (kept / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, kept / name, follow_symlinks=False)


def read_corpus() -> dict[str, Outcome]:
    """Read every input that once failed, laid over its reader's sample."""
    cases = sorted(path for path in CORPUS.glob("*/*") if path.is_dir())
    with tempfile.TemporaryDirectory() as place:
        samples = Samples(Path(place), sorted({case.parent.name for case in cases}))
        outcomes = {}
        for case in cases:
            folder = samples.copy(case.parent.name)
            shutil.copytree(case, folder, dirs_exist_ok=True)
            read = partial(READERS[case.parent.name].read, folder)
            outcomes[f"{case.parent.name}/{case.name}"] = in_a_child(read)
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--inputs", type=int, default=3000)
    parser.add_argument("--readers", default=",".join(READERS), help="with commas between them")
    parser.add_argument("--note", action="store_true", help="write the tally")
    options = parser.parse_args()
    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    tally = fuzz(options.readers.split(","), options.seed, options.inputs)
    if options.note:
        TALLY.write_text(json.dumps(tally, indent=1) + "\n", encoding="utf-8")
    bad = {kind: count for kind, count in tally["outcomes"].items() if kind not in GOOD}
    print(f"{tally['inputs']} inputs, seed {tally['seed']}: {tally['outcomes']}")
    sys.exit(f"{bad}: see {FAILED}" if bad else 0)


if __name__ == "__main__":
    main()
