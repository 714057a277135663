"""Tensors out of pickled files that hold more than tensors, without running anything that is in them.

``torch.save`` files (archives, and the older single pickles), TorchScript archives and plain pickles may name any
function. Here every such name becomes a stand-in, which stores its arguments and has no code.
Tensors (and arrays of numpy) are described first and read afterwards, so that unused ones are never read.
"""

from __future__ import annotations

import io
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
from autocompose.model.weights import pickled_arrays
from autocompose.model.weights.pickled_arrays import Array

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
MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of torch's older files
PREAMBLE = 3  # pickles before the data of such a file: the number above, the protocol, the machine


class Storage(NamedTuple):
    """Where numbers lie: ``numbers`` of them under ``key``."""

    dtype: torch.dtype
    key: str
    numbers: int


class View(NamedTuple):
    """A tensor, not yet read."""

    storage: Storage | Tensor  # the second in plain pickles, which hold the numbers right here
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
    """The tree of a file as the module's text names them: dictionaries, lists, tensors, ``StandIn``.

    :return: also the names for which there are stand-ins.
    :raises CheckpointError: it describes tensors that it does not hold; or whatever a damaged file raises.
    """
    size = path.stat().st_size
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as file:
            return _read_single(file, size)
    with zipfile.ZipFile(path) as archive:

        def checked(member: zipfile.ZipInfo) -> zipfile.ZipInfo:
            if member.file_size > size:
                raise CheckpointError("its tensors are compressed, which no weight file is")
            return member

        data = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        with archive.open(checked(archive.getinfo(data))) as member:
            reader = Reader(member, size)
            tree = reader.load()
        folder = data.removesuffix(".pkl")

        def stored(storage: Storage) -> Tensor:
            member = checked(archive.getinfo(f"{folder}/{storage.key}"))
            return torch.frombuffer(bytearray(archive.read(member)), dtype=storage.dtype, count=storage.numbers)

        return _read_views(tree, stored, reader.names), reader.names


def _read_single(file: IO[bytes], size: int) -> tuple[Any, list[str]]:
    """A plain pickle; or the older format of torch: pickles one after the other, then the numbers of all storages."""
    reader = Reader(file, size)
    tree = reader.load()
    if tree != MAGIC:
        return _read_views(tree, _nowhere, reader.names), reader.names
    for _ in range(PREAMBLE - 1):
        Reader(file, size).load()
    reader = Reader(file, size)
    tree = reader.load()
    places: dict[str, int] = {}
    for key in Reader(file, size).load():
        (count,) = struct.unpack("<q", file.read(8))
        places[key] = file.tell()
        file.seek(count * reader.widths[key], 1)

    def stored(storage: Storage) -> Tensor:
        length = storage.numbers * storage.dtype.itemsize
        file.seek(places[storage.key])
        if length > size:
            raise CheckpointError("it describes more numbers than it holds")
        return torch.frombuffer(bytearray(file.read(length)), dtype=storage.dtype, count=storage.numbers)

    return _read_views(tree, stored, reader.names), reader.names


def _nowhere(storage: Storage) -> Tensor:
    raise CheckpointError(f"it describes numbers ({storage.key}) that it does not hold")


def _load_bytearray(reader: Any) -> None:
    """As in the standard library, but no room is made for more bytes than the file has."""
    (length,) = struct.unpack("<Q", reader.read(8))
    if length > reader.size:
        raise CheckpointError("it describes more bytes than it holds")
    reader.append(bytearray(reader.read(length)))


class Reader(pickle._Unpickler):  # in Python: the one in C makes room for whatever number a damaged file names
    """Builds the tree of a file; every name maps to something inert, and those that were replaced are in ``names``."""

    dispatch: ClassVar = pickle._Unpickler.dispatch | {pickle.BYTEARRAY8[0]: _load_bytearray}

    def __init__(self, file: IO[bytes], size: int) -> None:
        super().__init__(file, encoding="utf-8", errors="replace")
        self.size = size
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


def _storage_of(data: Any) -> Tensor:
    """What a plain pickle of a tensor holds: a file of torch's older format with the numbers of one storage."""
    numbers, _ = _read_single(io.BytesIO(data), len(data))
    if not isinstance(numbers, Tensor):
        raise CheckpointError("the numbers of a tensor are of an unknown kind")
    return numbers


_REBUILD: dict[tuple[str, str], Callable[..., Any]] = {
    **pickled_arrays.BUILD,
    ("torch.storage", "_load_from_bytes"): _storage_of,
    ("torch._utils", "_rebuild_tensor"): _view,
    ("torch._utils", "_rebuild_tensor_v2"): _view,
    ("torch._utils", "_rebuild_parameter"): _first,
    ("torch._utils", "_rebuild_parameter_with_state"): _first,
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "Size"): tuple,
}


def _read_views(tree: Any, stored: Callable[[Storage], Tensor], names: list[str]) -> Any:
    """Put tensors in the place of their descriptions, in dictionaries and stand-ins; each container once.

    :param names: those of arrays that are no numbers are added.
    """
    whole: dict[str, Tensor] = {}

    def numbers(storage: Storage | Tensor) -> Tensor:
        if isinstance(storage, Tensor):
            return storage
        if storage.key not in whole:
            whole[storage.key] = stored(storage) if storage.numbers else torch.empty(0, dtype=storage.dtype)
        return whole[storage.key]

    root = {"": tree}
    waiting, seen = [root], {id(root)}
    while waiting:
        table = waiting.pop()
        for key, value in table.items():
            inner = value.content if isinstance(value, StandIn) else value
            if isinstance(value, View):  # as_strided refuses to reach beyond the storage
                table[key] = torch.as_strided(numbers(value.storage), value.size, value.stride, value.offset)
            elif isinstance(value, Storage):
                table[key] = numbers(value)
            elif isinstance(value, Array) and value.plain:
                table[key] = value.tensor()
            elif isinstance(value, Array):
                names.append(f"{key} (an array of {getattr(value.type, 'code', 'objects')})")
            elif isinstance(inner, dict) and id(inner) not in seen:
                seen.add(id(inner))
                waiting.append(inner)
    return root[""]
