"""Records: complete, checked when read, and never half written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmark.record import schema as records
from benchmark.record.schema import Record, RecordError


def example(**changes: Any) -> dict[str, Any]:
    """A record's data; the changes replace top-level fields, or fields of a part given as a dict."""
    data: dict[str, Any] = {
        "schema_version": 2,
        "task": "inr-classification",
        "metric": "accuracy",
        "suite": "mini",
        "setting": "reduced",
        "seed": 0,
        "seeds": {"parameters": 1},
        "method": {
            "name": "nft",
            "title": "NFT",
            "paper": "arXiv:2305.13546",
            "source": "baselines/nft.py",
            "code_sha256": "a" * 64,
            "hyperparameters": {"channels": 8},
            "parameters": 1000,
        },
        "dataset": {
            "name": "small",
            "arm": "permuted",
            "origin": "embedded",
            "pinned": True,
            "fingerprint": "b" * 64,
        },
        "protocol": {"steps": 10},
        "status": "finished",
        "reason": None,
        "metrics": {"test": 0.7, "validation": 0.72},
        "predictions": None,
        "curve": [{"step": 10, "loss": 1.0, "validation": 0.72}],
        "encoder": None,
        "cost": {
            "training_seconds": 10.0,
            "evaluation_seconds": 1.0,
            "networks_per_second": 100.0,
            "flops_per_network": None,
            "peak_memory_mib": None,
        },
        "environment": {
            "commit": None,
            "clean": False,
            "suite_sha256": None,
            "harness_sha256": None,
            "python": "3.12",
            "torch": "2.8",
            "cuda": None,
            "driver": None,
            "system": "Linux",
            "processor": "x",
            "device": "cpu",
            "threads": 1,
            "workers": 2,
        },
        "command": "python -m benchmark run",
        "finished_at": "2026-01-01T00:00:00+00:00",
    }
    for name, value in changes.items():
        whole = name in ("metrics", "seeds") or not isinstance(value, dict)
        data[name] = value if whole else data[name] | value
    return data


def make(**changes: Any) -> Record:
    return Record.model_validate(example(**changes))


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    record = make()
    path = records.write(record, tmp_path)
    assert path.relative_to(tmp_path).as_posix() == "mini/inr-classification/small/nft/seed-0.json"
    assert records.read(path) == record
    aligned = make(dataset={"arm": "aligned"})
    assert records.write(aligned, tmp_path).relative_to(tmp_path).parts[3] == "nft@aligned"
    assert records.read_all(tmp_path) == [record, aligned]
    assert [found.name for found in path.parent.iterdir()] == ["seed-0.json"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({name: value for name, value in example().items() if name != "seed"}, "seed: Field required"),
        (example(seed="zero"), "seed: Input should be a valid integer"),
        (example(seed=-1), "seed: Input should be greater than or equal to 0"),
        (example(surprise=1) if "surprise" in example() else example() | {"surprise": 1}, "surprise: Extra inputs"),
        (example(schema_version=3), "schema_version: Input should be 2"),
        (example(method={"source": "baselines/../../etc/x.py"}), "method.source: String should match pattern"),
        (example(finished_at="yesterday"), "finished_at: String should match pattern"),
        (example(method={"name": "../../x"}), "method.name: String should match pattern"),
        (example(metrics={"test": 0.5}), "has test and validation metrics"),
        (example(status="diverged"), "says why"),
        ([], "the record: Input should be"),
    ],
)
def test_a_wrong_record_is_named_with_its_field(tmp_path: Path, data: object, message: str) -> None:
    path = tmp_path / "seed-0.json"
    path.write_text(json.dumps(data))
    with pytest.raises(RecordError) as caught:
        records.read(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", '{"seed": NaN}', "[" * 100_000, "\x00"])
def test_what_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "seed-0.json"
    path.write_text(text)
    with pytest.raises(RecordError, match="not a record"):
        records.read(path)


def test_no_record_holds_nan() -> None:
    with pytest.raises(ValueError, match="finite"):
        make(metrics={"test": float("nan"), "validation": 0.5})


def test_a_record_in_anothers_place_is_found(tmp_path: Path) -> None:
    path = records.write(make(), tmp_path)
    path.rename(path.with_name("seed-1.json"))
    with pytest.raises(RecordError, match="holds the record of mini"):
        records.read_all(tmp_path)


def test_a_crash_while_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = records.write(make(), tmp_path)
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("killed here")))
    with pytest.raises(OSError, match="killed here"):
        records.write(make(seed=0, reason="x"), tmp_path)
    assert records.read(path) == make()


def test_a_record_of_the_first_schema_is_brought_to_the_present_one(tmp_path: Path) -> None:
    old = example(schema_version=1)
    for part, names in {
        "method": ["source"],
        "dataset": ["pinned"],
        "cost": ["flops_per_network"],
        "environment": ["suite_sha256", "harness_sha256", "cuda", "driver"],
    }.items():
        old[part] = {name: value for name, value in old[part].items() if name not in names}
    old = {name: value for name, value in old.items() if name not in ("seeds", "predictions")}
    path = tmp_path / "seed-0.json"
    path.write_text(json.dumps(old))
    found = records.read(path)
    assert found.schema_version == 2
    assert found.method.source is None
    assert found.dataset.pinned
    assert found.metrics == old["metrics"]


def test_the_committed_schema_is_that_of_records() -> None:
    committed = Path(records.__file__).with_name("record.schema.json")
    assert committed.read_text(encoding="utf-8") == records.schema()
