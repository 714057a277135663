"""Arrays of numpy inside pickles, without numpy's own unpickling: they are described first and become tensors after.

A pickle says of an array its shape, type and bytes, in three ways: ``_reconstruct`` and a state, ``_frombuffer`` (of
protocol 5), and ``scalar`` for a single number.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autocompose.core.errors import CheckpointError

TYPES = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1"}
ORDERS = {"<", ">", "=", "|"}


class ArrayType:
    """A numpy type: its code, such as ``f4``, and the order of its bytes."""

    def __init__(self, code: Any = "", *_: Any) -> None:
        self.code, self.order = str(code), "="

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]

    @property
    def plain(self) -> bool:
        """Numbers that a tensor can hold."""
        return self.code in TYPES and self.order in ORDERS

    @property
    def numpy(self) -> np.dtype:
        """The type itself; only of a plain one."""
        return np.dtype(self.order.replace("|", "=") + self.code)


class Array:
    """An array, not yet read."""

    def __init__(self, *_: Any) -> None:
        self.shape: tuple[int, ...] = ()
        self.type = ArrayType()
        self.columns_first, self.data = False, b""
        self.axes: tuple[int, ...] | None = None  # the order in which the bytes run through them

    def __setstate__(self, state: Any) -> None:
        _, shape, self.type, self.columns_first, self.data = state
        self.shape = tuple(map(int, shape))

    @property
    def plain(self) -> bool:
        """It holds numbers only (no objects, texts, dates)."""
        return isinstance(self.type, ArrayType) and self.type.plain and isinstance(self.data, bytes | bytearray)

    def tensor(self) -> Tensor:
        """The numbers, in this machine's order of bytes; only of a plain array.

        :raises CheckpointError: there are more or fewer bytes than its shape says.
        """
        kind = self.type.numpy
        if min(self.shape, default=0) < 0 or math.prod(self.shape) * kind.itemsize != len(self.data):
            raise CheckpointError(f"an array {self.shape} of {kind} has {len(self.data):,} bytes")
        flat = np.frombuffer(bytearray(self.data), kind).astype(kind.newbyteorder("="), copy=False)
        shaped = flat.reshape(self.shape, order="F" if self.columns_first else "C")
        return torch.from_numpy(shaped if self.axes is None else shaped.transpose(self.axes))


def _from_buffer(data: Any, kind: Any, shape: Any, order: Any = "C", axes: Any = None, *_: Any) -> Array:
    array = Array()
    array.__setstate__((1, shape, kind, order == "F", data))
    array.axes = None if axes is None else tuple(map(int, axes))
    return array


def _scalar(kind: Any, data: Any = b"", *_: Any) -> Any:
    number = _from_buffer(data, kind, ())
    return number.tensor().item() if number.plain else None


def _encoded(text: Any, _: Any = None) -> bytes:
    """Bytes, which the older protocols write as a text of letters up to 255."""
    return str(text).encode("latin-1")


def _no_bytes(*_: Any) -> bytes:
    return b""


BUILD: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): Array,
    ("numpy", "dtype"): ArrayType,
    ("_codecs", "encode"): _encoded,
    ("__builtin__", "bytes"): _no_bytes,  # how protocol 2 writes b""
}
for _core in ("numpy.core", "numpy._core"):
    BUILD |= {
        (f"{_core}.multiarray", "_reconstruct"): Array,
        (f"{_core}.multiarray", "scalar"): _scalar,
        (f"{_core}.numeric", "_frombuffer"): _from_buffer,
    }
