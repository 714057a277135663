"""Tensors out of pickled files that hold more than tensors, without running anything that is in them.

``torch.save`` files (archives, and the older single pickles) and TorchScript archives are pickles, and a pickle may
name any function. Here every such name becomes a stand-in, which stores its arguments and has no code.
Tensors are described first and read afterwards, so that unused ones are never read.
"""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from autocompose.core.errors import CheckpointError

DTYPES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
PREAMBLE = 3  # pickles before the data of a single-pickle file: a magic number, the protocol, the machine


class Storage(NamedTuple):
    """Where numbers lie: ``numbers`` of them under ``key``."""

    dtype: torch.dtype
    key: str
    numbers: int


class View(NamedTuple):
    """A tensor, not yet read."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class StandIn:
    """Stands in for an object of a class that the file names, with its contents."""

    content: dict[Any, Any]

    def __new__(cls, *_: Any, **__: Any) -> StandIn:
        new = object.__new__(cls)
        object.__setattr__(new, "content", {})
        return new

    def __init__(self, *_: Any, **__: Any) -> None:
        """Ignores the arguments."""

    def __setstate__(self, state: Any) -> None:
        self.content |= state if isinstance(state, dict) else {}

    def __setitem__(self, key: Any, value: Any) -> None:
        self.content[key] = value

    def append(self, _: Any) -> None:
        """Ignores the item: lists of the file's own kind hold no weights."""

    def extend(self, _: Any) -> None:
        """As ``append``."""

    def add(self, _: Any) -> None:
        """As ``append``."""


def read_pickled(path: Path) -> tuple[Any, list[str]]:
    """The tree of a ``torch.save`` file or TorchScript archive: dictionaries, lists, tensors, ``StandIn``.

    :return: also the names for which there are stand-ins.
    :raises CheckpointError: it describes tensors that it does not hold; or whatever a damaged file raises.
    """
    if not zipfile.is_zipfile(path):
        return _read_single(path)
    with zipfile.ZipFile(path) as archive:
        data = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        with archive.open(data) as file:
            reader = Reader(file)
            tree = reader.load()
        folder, limit = data.removesuffix(".pkl"), path.stat().st_size

        def stored(storage: Storage) -> Tensor:
            member = archive.getinfo(f"{folder}/{storage.key}")
            if member.file_size > limit:
                raise CheckpointError("its tensors are compressed, which no weight file is")
            return torch.frombuffer(bytearray(archive.read(member)), dtype=storage.dtype, count=storage.numbers)

        return _read_views(tree, stored), reader.names


def _read_single(path: Path) -> tuple[Any, list[str]]:
    """The older format: pickles one after the other, then the numbers of all storages."""
    with open(path, "rb") as file:
        for _ in range(PREAMBLE):
            Reader(file).load()
        reader = Reader(file)
        tree = reader.load()
        places: dict[str, int] = {}
        for key in Reader(file).load():
            (count,) = struct.unpack("<q", file.read(8))
            places[key] = file.tell()
            file.seek(count * reader.widths[key], 1)
        size = path.stat().st_size

        def stored(storage: Storage) -> Tensor:
            length = storage.numbers * storage.dtype.itemsize
            file.seek(places[storage.key])
            if length > size:
                raise CheckpointError("it describes more numbers than it holds")
            return torch.frombuffer(bytearray(file.read(length)), dtype=storage.dtype, count=storage.numbers)

        return _read_views(tree, stored), reader.names


class Reader(pickle._Unpickler):  # in Python: the one in C makes room for whatever number a damaged file names
    """Builds the tree of a file; every name maps to something inert, and those that were replaced are in ``names``."""

    dispatch: ClassVar = {
        code: load for code, load in pickle._Unpickler.dispatch.items() if code != pickle.BYTEARRAY8[0]
    }

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, encoding="utf-8", errors="replace")
        self.names: list[str] = []
        self.widths: dict[str, int] = {}  # bytes of a number in each storage

    def find_class(self, module: str, name: str) -> Any:
        if module in ("torch", "torch.storage") and name in DTYPES:
            return DTYPES[name]
        if (module, name) in _REBUILD:
            return _REBUILD[module, name]
        if module == "torch.jit._pickle":  # typed lists and dictionaries: the plain value is enough
            return _first
        if not module.startswith("__torch__") and f"{module}.{name}" not in self.names:
            self.names.append(f"{module}.{name}")
        return type(name, (StandIn,), {})

    def persistent_load(self, pid: Any) -> Any:
        if pid[0] == "module":  # an older file keeps the source of a module's class beside it
            return pid[1]
        kind, dtype, key, _, count, *_ = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise CheckpointError(f"unknown kind of stored data {kind!r}")
        self.widths[str(key)] = dtype.itemsize
        return Storage(dtype, str(key), int(count))


def _view(storage: Storage, offset: int, size: Any, stride: Any, *_: Any) -> View:
    return View(storage, int(offset), tuple(map(int, size)), tuple(map(int, stride)))


def _first(value: Any = None, *_: Any) -> Any:
    return value


_REBUILD: dict[tuple[str, str], Callable[..., Any]] = {
    ("torch._utils", "_rebuild_tensor"): _view,
    ("torch._utils", "_rebuild_tensor_v2"): _view,
    ("torch._utils", "_rebuild_parameter"): _first,
    ("torch._utils", "_rebuild_parameter_with_state"): _first,
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "Size"): tuple,
}


def _read_views(tree: Any, stored: Callable[[Storage], Tensor]) -> Any:
    """Put tensors in the place of their descriptions, in dictionaries and stand-ins; each container once."""
    whole: dict[str, Tensor] = {}

    def tensor(view: View) -> Tensor:
        storage = view.storage
        if storage.key not in whole:
            whole[storage.key] = stored(storage) if storage.numbers else torch.empty(0, dtype=storage.dtype)
        # refuses to reach beyond the storage
        return torch.as_strided(whole[storage.key], view.size, view.stride, view.offset)

    root = {"": tree}
    waiting, seen = [root], {id(root)}
    while waiting:
        table = waiting.pop()
        for key, value in table.items():
            inner = value.content if isinstance(value, StandIn) else value
            if isinstance(value, View):
                table[key] = tensor(value)
            elif isinstance(inner, dict) and id(inner) not in seen:
                seen.add(id(inner))
                waiting.append(inner)
    return root[""]
