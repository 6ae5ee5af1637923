"""Ways to harm a file: of its bytes, of its place in the file system, of what it holds.

Each draws all that it needs from hypothesis, so that a seed gives the same harm again.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import struct
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

Draw = Callable[[st.SearchStrategy], Any]

DEEP = "a very deep list"
"""Stands for 100,000 lists in each other, which no library writes."""

STRANGE: list[Any] = [
    None,
    True,
    -1,
    0,
    2,
    2**31,
    2**63,
    2**64,
    10**400,
    0.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    "",
    " ",
    "nan",
    "x" * 100_000,
    "a\nb\r\nc",
    "\x1b[31m\x07\u202e",
    "\0",
    "\ud800",
    "../../x",
    "/dev/zero",
    "ünïcödé ±",
    [],
    [[]],
    [0] * 10_000,
    {},
    {"": None},
    DEEP,
]


def harm(draw: Draw, folder: Path) -> str:
    """Harm one file of a folder. Returns what was done, in a word or two."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path = draw(st.sampled_from(files))
    known = [*BYTES, *BYTES, *PLACES, *(3 * OF_KIND.get(path.suffix, []))]
    kind = draw(st.sampled_from(known))
    kind(draw, path)
    return f"{path.relative_to(folder).as_posix()}: {kind.__name__}"


def _place(draw: Draw, data: bytes) -> int:
    return draw(st.integers(0, max(0, len(data) - 1)))


# Of bytes.


def cut(draw: Draw, path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: _place(draw, data)])


def behead(draw: Draw, path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[_place(draw, data) :])


def flip(draw: Draw, path: Path) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(draw(st.integers(1, 8))):
        if data:
            data[_place(draw, data)] ^= draw(st.integers(1, 255))
    path.write_bytes(data)


def splice(draw: Draw, path: Path) -> None:
    data = path.read_bytes()
    start, other = _place(draw, data), _place(draw, data)
    path.write_bytes(data[:start] + data[other : other + 64] + data[start + 16 :])


def insert(draw: Draw, path: Path) -> None:
    data = path.read_bytes()
    start = _place(draw, data)
    path.write_bytes(data[:start] + draw(st.binary(min_size=1, max_size=64)) + data[start:])


def number(draw: Draw, path: Path) -> None:
    """Put an extreme number over four or eight bytes."""
    data = bytearray(path.read_bytes())
    value = draw(st.sampled_from([0, 1, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1, 2**40]))
    start = _place(draw, data)
    code = "<I" if value < 2**32 and draw(st.booleans()) else "<Q"
    data[start : start + struct.calcsize(code)] = struct.pack(code, value)
    path.write_bytes(data)


def replace(draw: Draw, path: Path) -> None:
    path.write_bytes(draw(st.binary(max_size=200)))


def zero(draw: Draw, path: Path) -> None:
    data = path.read_bytes()
    start = _place(draw, data)
    path.write_bytes(data[:start] + bytes(len(data) - start))


def text(draw: Draw, path: Path) -> None:
    path.write_text(draw(st.text(max_size=200)), encoding="utf-8", errors="surrogatepass")


# Of places.


def remove(draw: Draw, path: Path) -> None:
    path.unlink()


def make_folder(draw: Draw, path: Path) -> None:
    path.unlink()
    path.mkdir()


def link(draw: Draw, path: Path) -> None:
    path.unlink()
    path.symlink_to(draw(st.sampled_from([path.name, "nowhere", "/dev/zero", "/dev/null", "."])))


def make_pipe(draw: Draw, path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def take_another(draw: Draw, path: Path) -> None:
    others = sorted(one for one in path.parent.rglob("*") if one.is_file() and one != path)
    others += sorted(one for one in path.parent.parent.rglob("*.*") if one.is_file())[:20]
    shutil.copy(draw(st.sampled_from([path, *others])), path.with_name("another"))
    path.with_name("another").replace(path)


def add(draw: Draw, path: Path) -> None:
    """Put another file beside it, whose name may be no text."""
    name = draw(st.sampled_from([b"x\xff" + os.fsencode(path.suffix), b"net00.pth", b"-", b"a\nb"]))
    shutil.copy(path, path.with_name(os.fsdecode(name)))


# Of what JSON, TOML and CSV hold.


def change_json(draw: Draw, path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    whole = path.suffix == ".json"
    place = 0 if whole else draw(st.integers(0, len(lines) - 1))
    data = _changed(draw, json.loads("\n".join(lines) if whole else lines[place]))
    changed = json.dumps(data).replace(json.dumps(DEEP), "[" * 100_000 + "]" * 100_000)
    lines = [changed] if whole else [*lines[:place], changed, *lines[place + 1 :]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def change_toml(draw: Draw, path: Path) -> None:
    data = _changed(draw, tomllib.loads(path.read_text(encoding="utf-8")))
    lines = [f"{json.dumps(key)} = {_toml(value)}" for key, value in data.items()]
    changed = "\n".join(lines).replace(json.dumps(DEEP), "[" * 100_000 + "]" * 100_000)
    path.write_text(changed + "\n", encoding="utf-8")


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, float):
        return str(value)
    return json.dumps(value)


def _changed(draw: Draw, data: Any) -> Any:
    """Change one value, wherever it is, or a key."""
    places = list(_places(data))
    if not places:
        return draw(st.sampled_from(STRANGE))
    part, key = draw(st.sampled_from(places))
    how = draw(st.sampled_from(["value", "value", "value", "gone", "key", "whole", "swap"]))
    if how == "whole":
        return draw(st.sampled_from(STRANGE)) if not isinstance(data, dict) else {}
    if how == "gone":
        del part[key]
    elif how == "key" and isinstance(part, dict):
        part[str(draw(st.sampled_from(STRANGE)))] = part.pop(key)
    elif how == "swap":
        other, name = draw(st.sampled_from(places))
        part[key], other[name] = other[name], part[key]
        if _is_round(data):
            part[key] = None
    else:
        part[key] = draw(st.sampled_from(STRANGE))
    return data


def _is_round(data: Any) -> bool:
    try:
        json.dumps(data)
    except (ValueError, RecursionError):
        return True
    return False


def _places(data: Any) -> Any:
    keys = data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    for key in list(keys)[:200]:
        yield data, key
        yield from _places(data[key])


def change_csv(draw: Draw, path: Path) -> None:
    packed = path.suffix == ".gz"
    data = path.read_bytes()
    lines = (gzip.decompress(data) if packed else data).decode().splitlines()
    row = draw(st.integers(0, len(lines) - 1))
    cells = lines[row].split(",")
    value = str(draw(st.sampled_from(STRANGE)))[:200_000]
    how = draw(st.sampled_from(["cell", "cell", "cell", "more", "fewer", "line", "quote"]))
    place = draw(st.integers(0, len(cells) - 1))
    if how == "cell":
        cells[place] = value
    elif how == "more":
        cells += [value] * draw(st.integers(1, 5))
    elif how == "fewer":
        del cells[place]
    elif how == "quote":
        cells[place] = '"' + cells[place]
    lines[row : row + 1] = [] if how == "line" else [",".join(cells)]
    changed = ("\n".join(lines) + "\n").encode(errors="replace")
    path.write_bytes(gzip.compress(changed, mtime=0) if packed else changed)


# Of what tables, arrays and tensors hold.

ARRAYS = [
    lambda old: np.zeros((0,), old.dtype),
    lambda old: old[:-1],
    lambda old: old.reshape(1, -1),
    lambda old: np.array(0, old.dtype),
    lambda old: old.astype(np.float64),
    lambda old: old.astype(np.int16),
    lambda old: -old.astype(np.int16) - 1,
    lambda old: old.astype(np.complex64),
    lambda old: old.astype("S4"),
    lambda old: old.astype(bool),
    lambda old: old.astype(">f4"),
    lambda old: np.full(old.shape, np.nan, np.float32),
    lambda old: np.full(old.shape, np.inf, np.float32),
    lambda old: np.zeros(old.shape, [("a", "i4"), ("b", "f4")]),
    lambda old: np.zeros(1000, np.float32),
    lambda old: old.astype("M8[s]"),
]


def change_npz(draw: Draw, path: Path) -> None:
    with np.load(path) as opened:
        arrays = {name: opened[name] for name in opened.files}
    names = draw(st.lists(st.sampled_from(sorted(arrays)), min_size=1, max_size=4))
    if draw(st.booleans()):  # a split's predictions and targets alike
        change, stem = draw(st.sampled_from(ARRAYS)), names[0].rpartition(".")[0]
        arrays |= {name: change(arrays[name]) for name in arrays if name.startswith(stem)}
    else:
        arrays |= {name: draw(st.sampled_from(ARRAYS))(arrays[name]) for name in names}
    with path.open("wb") as file:
        np.savez(file, **arrays)


def change_zip(draw: Draw, path: Path) -> None:
    """Write one member otherwise: of another size, method, name or content."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = draw(st.sampled_from(sorted(members)))
    how = draw(st.sampled_from(["bomb", "gone", "twice", "junk", "header", "bzip", "method"]))
    content = members[name]
    if how == "bomb":
        content = bytes(2**27)
    elif how == "junk":
        content = draw(st.binary(max_size=100))
    elif how == "header":
        shape = draw(st.sampled_from(["(2**40,)", "(1099511627776,)", "(-1,)", "()", "(1,", "x"]))
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
        content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    buffer = io.BytesIO()
    kind = zipfile.ZIP_BZIP2 if how == "bzip" else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for other, data in members.items():
            if other != name:
                archive.writestr(other, data)
            elif how != "gone":
                archive.writestr(other, content)
                if how == "twice":
                    archive.writestr(other, data[: len(data) // 2])
    data = buffer.getvalue()
    if how == "method":  # one that no library knows, in both headers
        data = data.replace(b"\x08\x00\x00\x00!\x00", b"\x63\x00\x00\x00!\x00")
    path.write_bytes(data)


def change_npy(draw: Draw, path: Path) -> None:
    array = np.load(path)
    how = draw(st.sampled_from(["array", "header"]))
    if how == "array":
        np.save(path, draw(st.sampled_from(ARRAYS))(array))
        return
    shape = draw(st.sampled_from([(2**40, 40), (40, 2**40), (0, 0), (40,), (2, 3, 4), (-1, 5)]))
    header = str({"descr": "<f4", "fortran_order": False, "shape": shape}).encode() + b"\n"
    path.write_bytes(
        b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + array.tobytes()
    )


COLUMNS = [
    lambda old: pa.nulls(len(old)),
    lambda old: pa.array(["x"] * len(old)),
    lambda old: pa.array([b"\xff"] * len(old)),
    lambda old: pa.array([None, *old.to_pylist()[1:]], old.type),
    lambda old: old.dictionary_encode() if not pa.types.is_nested(old.type) else old,
    lambda old: pa.array([-1] * len(old), pa.int64()),
    lambda old: pa.array([2**40] * len(old), pa.int64()),
    lambda old: pa.array([float("nan")] * len(old), pa.float32()),
    lambda old: pa.array([1e30] * len(old), pa.float64()),
    lambda old: pa.array([[0.0] * 3] * len(old), pa.list_(pa.float32(), 3)),
    lambda old: pa.array([[0.0] * row for row in range(len(old))], pa.list_(pa.float32())),
    lambda old: pa.array([[None] * 13] * len(old), pa.list_(pa.float32(), 13)),
    lambda old: pa.array([{"bytes": None}] * len(old)),
    lambda old: pa.array([{"bytes": b"\x89PNG\r\n\x1a\n" + bytes(30)}] * len(old)),
    lambda old: pa.array([{"other": b"x"}] * len(old)),
    lambda old: pa.array([0] * len(old), pa.timestamp("ns")),
]


def change_parquet(draw: Draw, path: Path) -> None:
    table = pq.read_table(path)
    place = draw(st.integers(0, len(table.column_names) - 1))
    how = draw(st.sampled_from(["column", "column", "column", "gone", "twice", "rows", "none"]))
    name = table.column_names[place]
    if how == "column":
        new = draw(st.sampled_from(COLUMNS))(table[name].combine_chunks())
        table = table.set_column(place, name, new)
    elif how == "gone":
        table = table.remove_column(place)
    elif how == "twice":
        table = table.append_column(name, table[name])
    elif how == "rows":
        table = table.slice(0, draw(st.integers(0, len(table))))
    else:
        table = table.slice(0, 0)
    codec = draw(st.sampled_from(["zstd", "snappy", "gzip", "none"]))
    pq.write_table(table, path, compression=codec)


TENSORS = [
    lambda old: torch.zeros(0),
    lambda old: torch.zeros(()),
    lambda old: old.flatten(),
    lambda old: old[:1],
    lambda old: old.to(torch.complex64),
    lambda old: old.to(torch.int8),
    lambda old: old > 0,
    lambda old: old.to(torch.float8_e4m3fn),
    lambda old: old.double() * 1e300,
    lambda old: old * torch.nan,
    lambda old: old.to_sparse(),
    lambda old: torch.zeros(1).expand(2**40),
    lambda old: torch.zeros(1).expand(2**15, 2**15),
    lambda old: torch.zeros(1, 1).expand(2**20, 2**20),
    lambda old: torch.empty(old.shape, device="meta"),
    lambda old: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
    lambda old: torch.quantize_per_tensor(old, 0.1, 0, torch.qint8),
    torch.nn.Parameter,
    lambda old: 3.0,
    lambda old: None,
    lambda old: [old],
]


def change_tensors(draw: Draw, path: Path) -> None:
    content = torch.load(path, weights_only=True)
    if isinstance(content, torch.Tensor):
        torch.save(_tensor(draw, content), path)
        return
    place, how = content, draw(st.sampled_from(["value", "value", "value", "gone", "name", "many"]))
    inner = [value for value in content.values() if isinstance(value, dict) and value]
    if inner and draw(st.booleans()):
        place = draw(st.sampled_from(inner))
    name = draw(st.sampled_from(sorted(place, key=str)))
    if how == "gone":
        del place[name]
    elif how == "name":
        names = ["", "weight", "0", "0.weight.", "\ud800", 3, "x" * 10_000, "1.running_mean"]
        place[draw(st.sampled_from(names))] = place.pop(name)
    elif how == "many":
        # As many orders as there can be, and the last layer fits none.
        letters = "abcdefghijklmnopqrstuvwxyz"
        place.clear()
        place |= {f"{letter}.weight": torch.zeros(8, 8) for letter in letters}
        place["zz.weight"] = torch.zeros(3, 5)
    else:
        place[name] = _tensor(draw, place[name])
    torch.save(content, path)


def _tensor(draw: Draw, old: Any) -> Any:
    if not isinstance(old, torch.Tensor) or not old.is_floating_point():
        return draw(st.sampled_from(STRANGE[:-1]))
    return draw(st.sampled_from(TENSORS))(old)


def change_safetensors(draw: Draw, path: Path) -> None:
    how = draw(st.sampled_from(["tensor", "header", "many"]))
    if how != "header":
        tensors = load_file(path)
        if how == "many":
            tensors = {f"{letter}.weight": torch.zeros(8, 8) for letter in "abcdefghijklmnopqrst"}
            tensors["z.weight"] = torch.zeros(3, 5)
        else:
            name = draw(st.sampled_from(sorted(tensors)))
            new = draw(st.sampled_from(TENSORS[:10]))(tensors[name])
            tensors[name] = new.contiguous().clone()
        save_file(tensors, path)
        return
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.dumps(_changed(draw, json.loads(data[8 : 8 + size])))
    packed = header.encode(errors="replace")
    path.write_bytes(struct.pack("<Q", len(packed)) + packed + data[8 + size :])


BYTES = [cut, behead, flip, splice, insert, number, replace, zero, text]
PLACES = [remove, make_folder, link, make_pipe, take_another, add]
OF_KIND: dict[str, list[Callable[[Draw, Path], None]]] = {
    ".json": [change_json] * 5,
    ".jsonl": [change_json] * 5,
    ".toml": [change_toml] * 5,
    ".csv": [change_csv] * 5,
    ".gz": [change_csv] * 5,
    ".npz": [change_npz] * 3 + [change_zip] * 3,
    ".npy": [change_npy] * 5,
    ".parquet": [change_parquet] * 5,
    ".pth": [change_tensors] * 5,
    ".pt": [change_tensors] * 5,
    ".checkpoint": [change_tensors] * 5,
    ".safetensors": [change_safetensors] * 5,
}
