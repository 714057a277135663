"""Tensors out of weight files, without running anything that is in them.

Read: safetensors; ``torch.save`` files (only tensors and plain containers are accepted); TorchScript archives such as
OpenAI's CLIP files, whose pickled module tree is walked with inert stand-ins for its classes.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from autocompose.core.errors import CheckpointError, missing_file

DTYPES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}

_DAMAGE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    StopIteration,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    EOFError,
)


def read_archive(path: Path) -> Any:
    """What a weight file holds: a dictionary of tensors, or nested dictionaries as it was saved.

    :raises CheckpointError: missing, damaged, or holding anything but data.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(str(missing_file(path, "weight file", "check the path, or download the file yourself")))
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    if _is_torchscript(path):
        return _read_torchscript(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path}: holds more than weights, so it is not loaded ({_line(error)})") from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{path}: damaged or not a weight file ({_line(error)}); download or export it again"
        ) from None


def _line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__).split(". ")[0]


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file.

    :raises CheckpointError: truncated or not a safetensors file.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a complete safetensors file ({error})") from None


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _read_torchscript(path: Path) -> dict[str, Tensor]:
    try:
        with zipfile.ZipFile(path) as archive:
            data = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            with archive.open(data) as file:
                tree = _TreeReader(file, archive, data.removesuffix(".pkl")).load()
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except _DAMAGE as error:
        raise CheckpointError(f"{path}: damaged TorchScript archive ({error})") from None
    return dict(_tensors(tree, ""))


def _tensors(node: Any, prefix: str) -> list[tuple[str, Tensor]]:
    if isinstance(node, Tensor):
        return [(prefix, node)]
    children = node.attributes if isinstance(node, _Node) else {}
    dot = f"{prefix}." if prefix else ""
    return [found for name, child in children.items() for found in _tensors(child, dot + name)]


class _Node:
    """Stands for an object of a class that the archive defines: its attributes, none of its code."""

    attributes: dict[str, Any]

    def __setstate__(self, state: Any) -> None:
        self.attributes = state if isinstance(state, dict) else {}


class _TreeReader(pickle.Unpickler):
    """Builds the module tree of a TorchScript archive; every name that it asks for maps to something inert."""

    def __init__(self, file: Any, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(file)
        self.archive, self.folder = archive, folder

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__"):
            return type(name, (_Node,), {})
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor_view
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch.jit._pickle":  # typed lists and dictionaries: the plain value is enough
            return _first
        raise CheckpointError(f"asks for {module}.{name}, which no weight file needs; it is not loaded")

    def persistent_load(self, pid: Any) -> Tensor:
        kind, dtype, key, _, count = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise CheckpointError(f"unknown kind of stored data {kind!r}")
        data = bytearray(self.archive.read(f"{self.folder}/{key}"))
        return torch.frombuffer(data, dtype=dtype, count=count) if count else torch.empty(0, dtype=dtype)


def _tensor_view(storage: Tensor, offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
    return torch.as_strided(storage, size, stride, offset)  # refuses to reach beyond the storage


def _first(value: Any, *_: Any) -> Any:
    return value
