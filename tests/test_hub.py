"""Fetching and publishing by the Hub's real clients, from a loopback server that can go wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from helpers import ROOT
from hub_server import Fault, Hub, Repository, cut, garble, redirect, status
from scripts import run_script

from benchmark.datasets import catalog, listing, storage
from benchmark.record import schema as records

NAME, SOURCE = "fashion-inr-mini", listing.EMBEDDED / "fashion-inr-mini"
TRAIN = "data/train-00000-of-00001.parquet"

# A catalogue in which the dataset is pinned on the Hub and does not come with the project.
PINNED = """
import sys
from benchmark.datasets import catalog, listing
from benchmark.datasets.hub import Published
listing.EMBEDDED = listing.EMBEDDED / "none"
entry = catalog.entry({name!r}).model_copy(update={{
    "published": Published(repository="someone/fashion", revision={revision!r}),
}})
catalog.catalog()[{name!r}] = entry
from benchmark.__main__ import main
sys.argv = ["benchmark", *{arguments!r}]
main()
"""


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    yield server
    server.close()


@pytest.fixture
def pinned(hub: Hub) -> str:
    """The revision of a repository that holds the dataset."""
    repository = hub.repositories["someone/fashion"] = Repository()
    files = {
        path.relative_to(SOURCE).as_posix(): path.read_bytes()
        for path in SOURCE.rglob("*")
        if path.is_file()
    }
    return repository.commit(files | {"unasked.bin": b"x"})


def benchmark(
    hub: Hub, folder: Path, revision: str, *arguments: str, **environment: str
) -> tuple[int, str, str]:
    code = PINNED.format(name=NAME, revision=revision, arguments=arguments)
    settings = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(folder / "hf"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NFT_BENCHMARK_CACHE": str(folder / "cache"),
        "NO_PROXY": "127.0.0.1",
    }
    return run_script(code, ROOT, os.environ | settings | environment)


def pull(hub: Hub, folder: Path, revision: str, **environment: str) -> tuple[int, str, str]:
    return benchmark(hub, folder, revision, "datasets", "pull", "fashion-inr-mini", **environment)


def test_a_pinned_dataset_is_fetched_verified_and_kept(
    hub: Hub, pinned: str, tmp_path: Path
) -> None:
    code, output, errors = pull(hub, tmp_path, pinned)
    assert code == 0, errors
    assert f"someone/fashion@{pinned}" in output
    fetched = storage.read(tmp_path / "cache/datasets/fashion-inr-mini")
    expected = storage.read(SOURCE)
    assert torch.equal(fetched.splits["test"].weights, expected.splits["test"].weights)
    assert not any(path.endswith("unasked.bin") for _, path, _ in hub.requests)
    asked = len(hub.requests)
    code, again, errors = pull(hub, tmp_path, pinned)
    assert (code, again) == (0, output), errors
    assert len(hub.requests) == asked, "a dataset that is here needs no Hub"
    code, output, _ = benchmark(hub, tmp_path, pinned, "datasets", "verify", "fashion-inr-mini")
    assert (code, "11,000 networks, whole" in output) == (0, True)


def test_a_run_names_the_revision(hub: Hub, pinned: str, tmp_path: Path) -> None:
    """Workers read what was fetched; the record says from where."""
    code = f"""
import sys; sys.argv = ["x"]
from pathlib import Path
import torch
from benchmark.record.cell import Cell
from benchmark.runs.execute import execute
from benchmark.runs.plan import Run
from benchmark.runs.training import Monitor
from benchmark.suites.protocol import Protocol
few = Protocol(steps=5, batch_size=8, warmup_steps=1, evaluations=1, clip=1.0)
run = Run(Cell.parse("mini/inr-classification/fashion-inr-mini/mlp/0"), few)
execute(run, Path({str(tmp_path / "results")!r}), torch.device("cpu"), 1, Monitor())
"""
    marker = "from benchmark.__main__ import main"
    script = (
        PINNED.replace(marker, "#")
        .replace("main()", "")
        .format(name=NAME, revision=pinned, arguments=())
        + code
    )
    settings = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "hf"),
        "NFT_BENCHMARK_CACHE": str(tmp_path / "cache"),
    }
    ended, _, errors = run_script(script, ROOT, os.environ | settings | {"HF_HUB_DISABLE_XET": "1"})
    assert ended == 0, errors
    (record,) = records.read_all(tmp_path / "results")
    assert record.dataset.origin == f"someone/fashion@{pinned}"
    assert record.status == "finished"


def test_a_cut_connection_is_asked_again(hub: Hub, pinned: str, tmp_path: Path) -> None:
    hub.faults.append(Fault("GET", TRAIN, cut))
    code, _, errors = pull(hub, tmp_path, pinned)
    if code:  # the client gave up: the same command goes on
        assert "Traceback" not in errors
        code, _, errors = pull(hub, tmp_path, pinned)
    assert code == 0, errors
    assert (
        len([path for method, path, _ in hub.requests if method == "GET" and path.endswith(TRAIN)])
        == 2
    )


def test_files_kept_elsewhere_are_followed(hub: Hub, pinned: str, tmp_path: Path) -> None:
    hub.faults += [Fault("HEAD", TRAIN, redirect), Fault("GET", TRAIN, redirect)]
    code, _, errors = pull(hub, tmp_path, pinned)
    assert code == 0, errors
    assert any(path.startswith("/cdn/") for method, path, _ in hub.requests if method == "GET")


def test_busy_servers_are_waited_for(hub: Hub, pinned: str, tmp_path: Path) -> None:
    hub.faults += [
        Fault("GET", TRAIN, status(503)),
        Fault("HEAD", "manifest.json", status(429, Retry_After="1")),
    ]
    code, _, errors = pull(hub, tmp_path, pinned)
    if code:
        assert "Traceback" not in errors
        code, _, errors = pull(hub, tmp_path, pinned)
    assert code == 0, errors


def test_redirects_are_followed(hub: Hub, pinned: str, tmp_path: Path) -> None:
    """The Hub sends large files from elsewhere."""
    place = f"/datasets/someone/fashion/resolve/{pinned}/{TRAIN}"
    hub.faults.append(Fault("GET", TRAIN, status(302, Location=f"{hub.url}{place}")))
    code, _, errors = pull(hub, tmp_path, pinned)
    assert code == 0, errors
    assert not hub.faults[0].times


def test_wrong_bytes_are_named_and_not_kept(hub: Hub, pinned: str, tmp_path: Path) -> None:
    hub.faults.append(Fault("GET", TRAIN, garble))
    code, _, errors = pull(hub, tmp_path, pinned)
    assert code == 2
    assert f"{TRAIN}: damaged or changed" in errors
    assert "Traceback" not in errors
    code, _, errors = pull(hub, tmp_path, pinned)
    assert code == 0, errors


def test_another_dataset_at_the_pin_is_refused(hub: Hub, tmp_path: Path) -> None:
    other = listing.EMBEDDED / "mnist-inr-mini"
    repository = hub.repositories["someone/fashion"] = Repository()
    revision = repository.commit(
        {
            path.relative_to(other).as_posix(): path.read_bytes()
            for path in other.rglob("*")
            if path.is_file()
        }
    )
    code, _, errors = pull(hub, tmp_path, revision)
    assert code == 2
    assert "not the catalogue's fashion-inr-mini: its fingerprint differs" in errors
    assert not (tmp_path / "cache/datasets/fashion-inr-mini").exists()


def test_a_moved_branch_does_not_move_the_pin(hub: Hub, pinned: str, tmp_path: Path) -> None:
    hub.repositories["someone/fashion"].commit({"README.md": b"all gone"})
    code, _, errors = pull(hub, tmp_path, pinned)
    assert code == 0, errors
    code, _, errors = pull(hub, tmp_path / "other", "1" * 40)
    assert code == 2
    assert "that revision is not there" in errors


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (
            lambda hub: hub.repositories.clear(),
            "not found, or private; log in with `hf auth login`",
        ),
        (
            lambda hub: setattr(hub.repositories["someone/fashion"], "token", "secret"),
            "not found, or private",
        ),
        (
            lambda hub: setattr(hub.repositories["someone/fashion"], "gated", True),
            "access must be asked for",
        ),
        (lambda hub: hub.close(), "the same command goes on"),
    ],
    ids=["missing", "private", "gated", "unreachable"],
)
def test_refusals_are_one_clear_line(
    hub: Hub, pinned: str, tmp_path: Path, prepare: object, message: str
) -> None:
    prepare(hub)
    code, output, errors = pull(hub, tmp_path, pinned)
    lines = [line for line in errors.splitlines() if line.startswith("error:")]
    assert (code, output, len(lines)) == (2, "", 1), errors
    assert message in lines[0]
    assert "Traceback" not in errors


def test_a_token_opens_a_private_repository(hub: Hub, pinned: str, tmp_path: Path) -> None:
    hub.repositories["someone/fashion"].token = "secret"
    code, _, errors = pull(hub, tmp_path, pinned, HF_TOKEN="secret")
    assert code == 0, errors


def test_a_mirror_stands_in_for_the_hub(hub: Hub, pinned: str, tmp_path: Path) -> None:
    copy = tmp_path / "mirror/datasets/someone"
    copy.mkdir(parents=True)
    (copy / "fashion").symlink_to(SOURCE)
    code, output, errors = pull(
        hub, tmp_path, pinned, NFT_BENCHMARK_HUB_MIRROR=str(tmp_path / "mirror")
    )
    assert code == 0, errors
    assert str(copy / "fashion") in output
    assert not hub.requests


def test_what_is_pushed_can_be_pulled(hub: Hub, tmp_path: Path) -> None:
    code, output, errors = benchmark(
        hub, tmp_path, "0" * 40, "datasets", "push", str(SOURCE), "someone/fashion", HF_TOKEN="t"
    )
    assert code == 0, errors
    repository = hub.repositories["someone/fashion"]
    assert f'revision = "{repository.main}"' in output
    assert f'fingerprint = "{catalog.entry(NAME).fingerprint}"' in output
    code, _, errors = pull(hub, tmp_path, repository.main)
    assert code == 0, errors


def test_nothing_damaged_is_pushed(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    for path in SOURCE.rglob("*"):
        if path.is_file():
            target = folder / path.relative_to(SOURCE)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    (folder / TRAIN).write_bytes(b"PAR1")
    code, _, errors = benchmark(
        hub, tmp_path, "0" * 40, "datasets", "push", str(folder), "someone/fashion"
    )
    assert code == 2
    assert "damaged or changed" in errors
    assert not hub.repositories


@pytest.mark.parametrize("name", ["networks", "bad name/x", "a/b/c", ""])
def test_what_names_no_repository_asks_nobody(hub: Hub, tmp_path: Path, name: str) -> None:
    code, _, errors = benchmark(hub, tmp_path, "0" * 40, "datasets", "push", str(SOURCE), name)
    assert (code, f"{name!r} is no repository; name it as OWNER/NAME" in errors) == (2, True), (
        errors
    )
    assert not hub.requests


def test_images_come_from_the_hub_too(hub: Hub, tmp_path: Path) -> None:
    """A build asks for source images there, and says when it cannot have them."""
    code, _, errors = benchmark(hub, tmp_path, "0" * 40, "datasets", "build", "mnist-inr")
    assert code == 2
    assert "ylecun/mnist: not found, or private" in errors


# What the Hub's clients meet on people's machines.


def error_of(result: tuple[int, str, str]) -> str:
    """The one line of a mistake."""
    code, output, errors = result
    lines = [line for line in errors.splitlines() if line.startswith("error:")]
    assert (code, output, len(lines)) == (2, "", 1), errors
    assert "Traceback" not in errors
    return lines[0]


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "carrier://127.0.0.1:9"])
def test_a_proxy_that_cannot_be_used_is_named(
    hub: Hub, pinned: str, tmp_path: Path, proxy: str
) -> None:
    settings = {"ALL_PROXY": proxy, "NO_PROXY": "", "no_proxy": ""}
    line = error_of(pull(hub, tmp_path, pinned, **settings))
    assert f"ALL_PROXY={proxy}" in line


def test_the_hubs_own_cache_is_read_offline(hub: Hub, pinned: str, tmp_path: Path) -> None:
    offline = {"HF_HUB_OFFLINE": "1"}
    assert "HF_HUB_OFFLINE is set" in error_of(pull(hub, tmp_path, pinned, **offline))
    code = f"""
from huggingface_hub import snapshot_download
snapshot_download("someone/fashion", repo_type="dataset", revision={pinned!r})
"""
    settings = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "NO_PROXY": "127.0.0.1"}
    environment = os.environ | settings | {"HF_HUB_DISABLE_XET": "1"}
    ended, _, errors = run_script(code, tmp_path, environment)
    assert ended == 0, errors
    code, output, errors = pull(hub, tmp_path, pinned, **offline)
    assert code == 0, errors
    assert f"someone/fashion@{pinned}" in output


def test_a_token_that_is_refused_is_named_or_not_needed(
    hub: Hub, pinned: str, tmp_path: Path
) -> None:
    hub.expired = "old"
    code, _, errors = pull(hub, tmp_path, pinned, HF_TOKEN="old")
    assert code == 0, errors
    assert "refuses the token in the variable HF_TOKEN; went on without it" in errors
    hub.repositories["someone/fashion"].token = "secret"
    line = error_of(pull(hub, tmp_path / "other", pinned, HF_TOKEN="old"))
    assert "the Hub refuses the token in the variable HF_TOKEN" in line


def test_a_file_that_is_gone_stays_gone(hub: Hub, pinned: str, tmp_path: Path) -> None:
    gone = status(404, X_Error_Code="EntryNotFound")
    hub.faults += [Fault(method, TRAIN, gone, times=9) for method in ("HEAD", "GET")]
    line = error_of(pull(hub, tmp_path, pinned))
    assert "asking again does not help" in line
