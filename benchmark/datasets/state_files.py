"""Files of weights: state_dicts, or one tensor of many networks. No code in them is run."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from benchmark.errors import UserError
from benchmark.record.paths import regular

SAFETENSORS = ".safetensors"
ENDINGS = (".pt", ".pth", ".bin", SAFETENSORS)
DAMAGED = (
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    AssertionError,
    MemoryError,
    EOFError,
    struct.error,
    SafetensorError,
)
"""What reading a damaged file of tensors raises."""


def read(path: Path) -> dict[str, Tensor] | Tensor:
    """Read a state_dict, or a tensor.

    A checkpoint with one state_dict beside other things is read as that.

    Raises:
        UserError: the file holds neither, or cannot be read without running code in it.
    """
    content = _load(path)
    if isinstance(content, Tensor) or _is_state_dict(content):
        return _plain(path, content)
    inner = (
        [name for name, value in content.items() if _is_state_dict(value)]
        if _named(content)
        else []
    )
    if len(inner) == 1:
        return _plain(path, content[inner[0]])
    found = f"; it holds several: {', '.join(inner)}" if inner else ""
    raise UserError(
        f"{path}: holds no state_dict of tensors{found}; save one: "
        "torch.save(module.state_dict(), path)"
    )


def state_dict(path: Path) -> dict[str, Tensor]:
    """Read a state_dict. Raises UserError as `read` does, and for a lone tensor."""
    content = read(path)
    if isinstance(content, Tensor):
        raise UserError(f"{path}: holds no state_dict of tensors, but one tensor")
    return content


def _load(path: Path) -> object:
    try:
        if regular(path).suffix == SAFETENSORS:
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise UserError(
            f"{path}: cannot be read as tensors, for it holds other objects, whose code would have "
            "to be run; save the state_dict alone: torch.save(module.state_dict(), path)"
        ) from None
    except DAMAGED as error:
        raise UserError(
            f"{path}: cannot be read as tensors ({type(error).__name__}); fetch the file again"
        ) from None


def _plain(path: Path, content: dict[str, Tensor] | Tensor) -> dict[str, Tensor] | Tensor:
    """The same. Raises UserError for tensors without all of their numbers in the file."""
    tensors = {"the tensor": content} if isinstance(content, Tensor) else content
    for name, tensor in tensors.items():
        dense = tensor.layout == torch.strided and not (tensor.is_meta or tensor.is_nested)
        if not dense or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise UserError(
                f"{path}: {name[:80]} is sparse, nested, expanded or without numbers; save dense "
                "tensors: tensor.to_dense().contiguous()"
            )
    if isinstance(content, Tensor):
        return content.detach()
    return {name: tensor.detach() for name, tensor in content.items()}


def _named(content: object) -> bool:
    return isinstance(content, dict) and all(isinstance(name, str) for name in content)


def _is_state_dict(content: object) -> bool:
    if not _named(content) or not content:
        return False
    return all(isinstance(tensor, Tensor) for tensor in content.values())
