"""Every reader of files that come from elsewhere: a small good sample, and how it is read.

What reads a file goes on to use what it read as the command line does, so that what is read wrong
shows. `make` runs where nothing was harmed, `read` where something may be.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import own_networks
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml
from helpers import finished_run, make_zoo
from PIL import Image
from torch import nn

import baselines
import benchmark
from benchmark import suites, tasks
from benchmark.checks import canary
from benchmark.datasets import commands, foreign, importers, own, own_tables, sources, storage
from benchmark.datasets.importers import CnnZoo, DwsSirens, Importer, NfnSirens
from benchmark.datasets.sources import ImageSource
from benchmark.datasets.storage import SPLITS, Split
from benchmark.errors import UserError
from benchmark.methods import Problem
from benchmark.record import equivalence, predictions, symmetries, traces, variance
from benchmark.record import schema as records
from benchmark.runs import kept
from benchmark.runs.plan import plan
from benchmark.runs.training import Data, Monitor, Trainer
from benchmark.suites import settings
from benchmark.suites.protocol import Protocol
from benchmark.tuning import log as logs
from leaderboard.archive import entries, lints, tables
from leaderboard.publish import own as boards
from leaderboard.publish import render
from leaderboard.reported import claims
from leaderboard.reported import read as read_reported
from leaderboard.submissions import review
from nft.network import NetworkSpec

ROOT = Path(__file__).resolve().parent.parent
SPEC = NetworkSpec.mlp(2, 3, 1, activation="sine", omega=15.0)


@dataclass(frozen=True)
class Reader:
    """One reader.

    make: writes the sample into a folder.
    read: reads it there; raises UserError for what is wrong.
    seal: after a file was harmed, makes the others vouch for it as it is now, so that the harm is
        met by what reads the file, not by what compares digests.
    """

    make: Callable[[Path], object]
    read: Callable[[Path], object]
    seal: Callable[[Path], object] = lambda _: None


# Records, and what lies beside them.


def _make_results(folder: Path) -> None:
    for seed in range(2):
        finished_run(folder, 70 - seed, seed=seed)


def _read_results(folder: Path) -> None:
    for entry in entries.of_results(folder):
        if entry.has_predictions:
            _ = entry.predictions
    boards.build(folder)


def _make_archive(folder: Path) -> None:
    results = folder.with_name("results-of-the-archive")
    _make_results(results)
    entries.write_file(folder, entries.of_results(results))
    shutil.rmtree(results)


def _read_archive(folder: Path) -> None:
    """As `verify` and `build` do."""
    archive = entries.read(folder)
    failures = [*lints.failures(archive.current), *lints.warnings(archive.current)]
    if failures:
        raise UserError(max(failures, key=lambda line: line.count("\n")))
    for board in tables.boards(archive.current):
        render.board_markdown(board)


def _seal_predictions(folder: Path) -> None:
    """Name predictions by digests of what they are now, in their file and in all records."""
    for path in folder.rglob("*.npz"):
        runs = {}
        with np.load(path) as opened:
            for key in {name.partition("/")[0] for name in opened.files}:
                parts = ("predictions", "targets")
                runs[key] = {
                    split: predictions.Outcome(*(opened[f"{key}/{split}.{part}"] for part in parts))
                    for split in ("validation", "test")
                }
        names = {key: predictions.digest(run) for key, run in runs.items()}
        # As they are: to write them the project's way would mend their types.
        with np.load(path) as opened:
            arrays = {
                names[name.partition("/")[0]] + "/" + name.partition("/")[2]: opened[name]
                for name in opened.files
            }
        with path.open("wb") as file:
            np.savez(file, **arrays)
        for lines in [*folder.rglob("*.json"), *folder.rglob("*.jsonl")]:
            text = lines.read_text(encoding="utf-8")
            for key, name in names.items():
                text = text.replace(key, name)
            lines.write_text(text, encoding="utf-8")


def _method() -> object:
    return baselines.get("mlp").make("mini", "inr-classification", "mnist-inr-mini", ())


def _make_kept(folder: Path) -> None:
    method = _method()
    (stage,) = method.stages
    statistics = SPEC.statistics(torch.randn(8, SPEC.parameters))
    problem = Problem(SPEC, 10, *statistics, (3, 4))
    record = finished_run(folder, name="mlp", method={"hyperparameters": asdict(method)})
    fitted = SimpleNamespace(problem=problem, modules={stage.role: stage.build(problem)})
    kept.write(record, fitted, folder)


def _read_kept(folder: Path) -> None:
    path = folder / "mini/inr-classification/small/mlp/seed-0.json"
    benchmark.load(path, method=type(_method()))


# Training.


class _Killed(Exception):
    pass


def _trainer(folder: Path, last: int) -> Trainer:
    def evaluated(step: int, *_: object) -> None:
        if step > last:
            raise _Killed

    torch.manual_seed(0)
    return Trainer(
        identity="0" * 64,
        order_seed=lambda epoch: epoch,
        module=nn.Linear(4, 2),
        loss=nn.functional.cross_entropy,
        score=lambda predictions, labels: float((predictions.argmax(1) == labels).float().mean()),
        protocol=Protocol(steps=8, batch_size=8, warmup_steps=1, evaluations=2, clip=1.0),
        learning_rate=1e-2,
        weight_decay=0.0,
        augmentation=None,
        mixing=None,
        checkpoint=folder / "run.checkpoint",
        monitor=Monitor(evaluated=evaluated),
    )


def _train(folder: Path, last: int = 8) -> torch.Tensor:
    folder.mkdir(parents=True, exist_ok=True)
    random = torch.Generator().manual_seed(0)
    weights = torch.randn(24, 4, generator=random)
    data = [Data(weights, (weights[:, 0] > 0).long())] * 3
    return _trainer(folder, last).run(*data).predictions["test"]


def _make_checkpoint(folder: Path) -> None:
    """What a run leaves that was killed after its first checkpoint."""
    with suppress(_Killed):
        _train(folder, last=4)


def _read_checkpoint(folder: Path) -> None:
    """Whatever a checkpoint holds, the run ends as one without does."""
    try:
        found = _train(folder)
    except OSError as error:  # which the command line says in a line
        raise UserError(str(error)) from None
    shutil.rmtree(folder)
    folder.mkdir()
    if not torch.equal(found, _train(folder)):
        raise AssertionError("a harmed checkpoint changed what the run predicts")


# Datasets.


def _make_dataset(folder: Path) -> None:
    columns, random = storage.Columns(SPEC, ("a", "b"), "psnr"), torch.Generator().manual_seed(0)
    rows = 6
    split = Split(
        torch.randn(rows, SPEC.parameters, generator=random),
        torch.arange(rows) % 2,
        torch.arange(rows, dtype=torch.int32),
        torch.zeros(rows, dtype=torch.int32),
        torch.full((rows,), 20.0),
    )
    paths = {name: storage.shard_paths(name, 1) for name in SPLITS}
    for (path,) in paths.values():
        storage.write_shard(folder / path, columns, split, {"recipe": "none"})
    examples = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    storage.seal(folder, "small", columns, {"seed": 0}, paths, examples)
    (folder / "README.md").write_text("# Small\n", encoding="utf-8")


def _read_dataset(folder: Path) -> None:
    name, place = foreign.choose(str(folder), None)
    dataset = storage.read(folder, folder.with_name("cache"))
    storage.read(folder, folder.with_name("cache"))
    storage.verify(folder)
    task = tasks.registry()["inr-classification"](dataset)
    for split in SPLITS:
        task.targets(split)
    assert name and place and len(dataset.activations("test"))


def _seal_dataset(folder: Path) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_bytes())
    for file in [
        manifest["examples"],
        *(one for part in manifest["files"].values() for one in part),
    ]:
        file["sha256"] = storage._sha256(folder / file["path"])
    path.write_text(json.dumps(manifest), encoding="utf-8")


NFN = NfnSirens(
    format="nfn-sirens", prefix="rand", side=6, omega=30.0, validation_from=3, test_from=4
)
DWS = DwsSirens(format="dws-sirens", side=6, omega=30.0, validation_from=3, test_from=4)
ZOO = CnnZoo(format="cnn-zoo", order="order.csv")


def _save_network(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 3), nn.Linear(3, 1)).state_dict(), path)


def _make_nfn(folder: Path) -> None:
    for index in range(6):
        _save_network(folder / f"rand_{index % 2}s/net{index}.pth")


def _make_dws(folder: Path) -> None:
    for index in range(6):
        kind, number = ("testing", index - 4) if index >= 4 else ("training", index)
        name = f"mnist_png_{kind}_{index % 2}_{number}"
        _save_network(folder / name / "checkpoints/model_final.pth")


def _import(layout: Importer) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        output = folder.with_name("imported")
        images = ImageSource(
            repository="a/b",
            config="c",
            revision="0" * 40,
            licence="mit",
            citation="",
            classes=("0", "1"),
        )
        importers.import_original(layout, "small", "Small", images, folder, output)
        storage.verify(output)

    return read


# A user's own networks.

OWN = own.Options(targets=("accuracy",), classes=("speed",), activation="relu", group="run")


def _make_own(folder: Path) -> None:
    _, table = own_networks.zoo(folder, 24)
    own_tables.read(table).rows.to_parquet(folder / "table.parquet")
    first = own_networks.SPEC.to_state_dict(torch.randn(own_networks.SPEC.parameters))
    torch.save(first, folder / "like.pt")
    torch.save(torch.randn(24, own_networks.SPEC.parameters), folder / "rows.pt")
    (folder / "text.md").write_text("Words of their owner.\n", encoding="utf-8")


def _read_own(folder: Path) -> None:
    source, output = folder / "networks", folder.with_name("moons")
    options = OWN.model_copy(update={"text": commands._text(folder / "text.md")})
    own.make("moons", source, folder / "table.csv", output, options)
    head = (output / "README.md").read_text(encoding="utf-8").split("\n---\n")[0]
    if yaml.safe_load(head.removeprefix("---"))["pretty_name"] != "moons":
        raise AssertionError("the card's head is not what was written")
    storage.verify(output)
    whole = folder.with_name("whole")
    own.make(
        "moons", folder / "rows.pt", folder / "table.parquet", whole, options, folder / "like.pt"
    )
    storage.verify(whole)


# Source images.

IMAGES = ImageSource(
    repository="a/b", config="c", revision="0" * 40, licence="mit", citation="", classes=("0", "1")
)


def _make_images(folder: Path) -> None:
    files = []
    for shade in range(4):
        data = io.BytesIO()
        Image.fromarray(np.full((5, 5), shade, np.uint8)).save(data, "png")
        files.append({"bytes": data.getvalue(), "path": None})
    path = folder / "datasets/a/b/c/train-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"image": files, "label": [0, 1, 0, 1]}), path)


def _read_images(folder: Path) -> None:
    pixels, labels = sources.images(IMAGES, "train", [0, 1, 3], folder)
    assert pixels.shape == (3, 5, 5, 3) and len(labels) == 3


# Files that people write.


def _make_suite(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(suites.file_of("mini"), folder / "mine.toml")


def _read_suite(folder: Path) -> None:
    path = str(folder / "mine.toml")
    for task in suites.get(path).tasks:
        plan(path, task, None, ["mlp"] if task != "inr-editing" else None)


def _make_settings(folder: Path) -> None:
    (folder / "mini").mkdir(parents=True)
    shutil.copy(settings.path_of("mini", "mlp"), folder / "mini/mlp.toml")


def _read_settings(folder: Path) -> None:
    with mock.patch.object(settings, "FOLDER", folder):
        settings.read.cache_clear()
        baselines.get("mlp").make("mini", "inr-classification", "mnist-inr-mini", ())


def _copy(source: Path, name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, folder / name)

    return make


def _read_log(folder: Path) -> None:
    log = logs.read(folder / "log.json")
    assert log is None or log.best is not NotImplemented


REVIEW = {
    "methods": [
        {
            "name": "nft",
            "conforms": True,
            "conformance": "ok",
            "reruns": ["bit-equal"],
            "standings": ["first"],
            "stands": True,
        }
    ],
    "failures": ["none"],
}


def _make_review(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "review.json").write_text(json.dumps(REVIEW), encoding="utf-8")


EQUIVALENCES = [{"cell": "a/b", "base": "0" * 40, "was": "1" * 64, "now": "2" * 64}]


def _make_equivalences(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "nft.json").write_text(json.dumps(EQUIVALENCES), encoding="utf-8")


def _first(folder: Path) -> Path:
    return sorted(folder.glob("*.json"))[0]


REPORTED = ROOT / "leaderboard/reported"

READERS = {
    "results": Reader(_make_results, _read_results, _seal_predictions),
    "archive": Reader(_make_archive, _read_archive, _seal_predictions),
    "record": Reader(
        finished_run,
        lambda folder: [records.read(path) for path in folder.rglob("*.json")],
    ),
    "kept": Reader(_make_kept, _read_kept),
    "checkpoint": Reader(_make_checkpoint, _read_checkpoint),
    "dataset": Reader(_make_dataset, _read_dataset, _seal_dataset),
    "nfn": Reader(_make_nfn, _import(NFN)),
    "dws": Reader(_make_dws, _import(DWS)),
    "zoo": Reader(make_zoo, _import(ZOO)),
    "own": Reader(_make_own, _read_own),
    "images": Reader(_make_images, _read_images),
    "suite": Reader(_make_suite, _read_suite),
    "settings": Reader(_make_settings, _read_settings),
    "log": Reader(
        _copy(_first(settings.FOLDER / "mini/logs"), "log.json"),
        _read_log,
    ),
    "audit": Reader(
        _copy(_first(symmetries.FOLDER), "audit.json"),
        lambda folder: [symmetries.describe([one]) for one in symmetries.read(folder)],
    ),
    "trace": Reader(
        _copy(_first(traces.FOLDER), "trace.json"),
        lambda folder: [traces.table(one) for one in traces.read(folder)],
    ),
    "variance": Reader(
        _copy(variance.PATH, "variance.json"),
        lambda folder: variance.table(variance.read(folder / "variance.json")),
    ),
    "equivalence": Reader(_make_equivalences, lambda folder: equivalence.read("nft", folder)),
    "canaries": Reader(
        _copy(canary.COMMITTED, "canary.json"), lambda folder: canary.read(folder / "canary.json")
    ),
    "review": Reader(
        _make_review, lambda folder: review.comment(review.read(folder / "review.json"))
    ),
    "reported": Reader(
        _copy(REPORTED / "reported.csv", "reported.csv"),
        lambda folder: [row.text for row in read_reported(folder / "reported.csv")],
    ),
    "claims": Reader(
        _copy(REPORTED / "claims.csv", "claims.csv"),
        lambda folder: claims.read(folder / "claims.csv"),
    ),
}
