"""Records: complete, checked when read, and never half written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT, UNFINISHED, example
from helpers import example_record as make

from benchmark.record import schema as records
from benchmark.record.schema import RecordError


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    record = make()
    path = records.write(record, tmp_path)
    assert path.relative_to(tmp_path).as_posix() == "mini/inr-classification/small/nft/seed-0.json"
    assert records.read(path) == record
    aligned = make(dataset={"arm": "aligned"})
    assert records.write(aligned, tmp_path).relative_to(tmp_path).parts[3] == "nft@aligned"
    assert records.read_all(tmp_path) == [record, aligned]
    assert [entry.name for entry in path.parent.iterdir()] == ["seed-0.json"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {name: value for name, value in example().items() if name != "seed"},
            "seed: Field required",
        ),
        (example(seed="zero"), "seed: Input should be a valid integer"),
        (example(seed=-1), "seed: Input should be greater than or equal to 0"),
        (example() | {"surprise": 1}, "surprise: Extra inputs"),
        (example(schema_version=4), "schema_version: Input should be 3"),
        (
            example(method={"source": "baselines/../../etc/x.py"}),
            "method.source: String should match pattern",
        ),
        (example(finished_at="yesterday"), "finished_at: String should match pattern"),
        (example(method={"name": "../../x"}), "method.name: String should match pattern"),
        (example(metrics={"test": 0.5}), "has test and validation metrics"),
        (example(status="diverged"), "says why"),
        *(
            (
                example(**{"status": "diverged", "reason": "NaN"} | UNFINISHED | {part: value}),
                "a run that did not finish has no results",
            )
            for part, value in example(predictions="c" * 64).items()
            if part in UNFINISHED
        ),
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


def test_a_crash_while_writing_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = records.write(make(), tmp_path)
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("killed here")))
    with pytest.raises(OSError, match="killed here"):
        records.write(make(seed=0, reason="x"), tmp_path)
    assert records.read(path) == make()


def as_of_version_2() -> dict[str, Any]:
    data = example(schema_version=2)
    data["method"] = without(data["method"], "base", "options", "reads_functions")
    environment = without(data["environment"], "versions", "capability")
    data["environment"] = environment | {
        "suite_sha256": None,
        "harness_sha256": None,
        "torch": "2.8",
    }
    return data


def as_of_version_1() -> dict[str, Any]:
    data = without(as_of_version_2() | {"schema_version": 1}, "seeds", "predictions")
    data["method"] = without(data["method"], "source")
    data["dataset"] = without(data["dataset"], "pinned")
    data["cost"] = without(data["cost"], "flops_per_network")
    names = ("suite_sha256", "harness_sha256", "cuda", "driver")
    data["environment"] = without(data["environment"], *names)
    return data


def without(data: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in names}


@pytest.mark.parametrize("old", [as_of_version_1(), as_of_version_2()], ids=["1", "2"])
def test_older_records_are_brought_to_the_present_schema(
    tmp_path: Path, old: dict[str, Any]
) -> None:
    path = tmp_path / "seed-0.json"
    path.write_text(json.dumps(old))
    record = records.read(path)
    assert record.schema_version == 3
    assert record.method.source == old["method"].get("source")
    assert record.method.base == "nft"
    assert record.environment.versions == {"torch": "2.8"}
    assert record.seeds == {}
    assert record.dataset.pinned
    assert record.metrics == old["metrics"]


def test_the_committed_schema_is_that_of_records() -> None:
    committed = ROOT / "leaderboard/record.schema.json"
    assert committed.read_text(encoding="utf-8") == records.schema()
