"""What the present code says of a method in each cell of the suites: what records are held against.

`descriptions/<method>.json` holds it, and `python -m benchmark describe` writes it, so that records
can be checked without torch, and without running anybody's code.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from benchmark.record.schema import Record, RecordError, Settings

FOLDER = Path(__file__).resolve().parent / "descriptions"


class Description(BaseModel):
    """A method in one suite, task and dataset.

    row: the method with its options, as "mlp+hidden=64".
    parameters: trainable numbers of all stages. flops_per_network: of matrix products. Both are
        counted on a module that was built for networks of the dataset's shape; None where the
        catalogue does not say that shape, or the method cannot read it, and no FLOPs where they
        depend on the network.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    suite: str
    task: str
    dataset: str
    row: str
    metric: str
    title: str
    paper: str
    base: str
    reads_functions: bool
    source: str | None
    hyperparameters: Settings
    parameters: int | None
    flops_per_network: int | None

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.suite, self.task, self.dataset, self.row


_FILE = TypeAdapter(list[Description])


@cache
def read(method: str, folder: Path = FOLDER) -> dict[tuple[str, str, str, str], Description]:
    """Read what is said of a method, by cell; nothing where there is no file.

    Raises:
        RecordError: If the file is malformed.
    """
    path = folder / f"{method}.json"
    if not path.is_file():
        return {}
    try:
        return {one.key: one for one in _FILE.validate_json(path.read_bytes())}
    except ValidationError as error:
        line = str(error).splitlines()[0]
        raise RecordError(
            f"{path}: {line}; write it again: python -m benchmark describe {method}"
        ) from None


def of(record: Record, folder: Path = FOLDER) -> Description | None:
    """Return what is said of a record's cell; None where nothing is."""
    key = (record.suite, record.task, record.dataset.name, record.cell.entrant.label)
    return read(record.method.name, folder).get(key)


def text(descriptions: Iterable[Description]) -> str:
    """Render one method's file, in the order of cells."""
    ordered = sorted(descriptions, key=lambda one: one.key)
    return json.dumps(_FILE.dump_python(ordered, mode="json"), indent=1) + "\n"
