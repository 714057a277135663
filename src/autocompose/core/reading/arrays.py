"""Array files of strangers: npz archives and single npy arrays, read within bounds and without ever running code."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO
from zipfile import ZipFile, ZipInfo

import numpy as np

from autocompose.core.errors import InputError

LARGEST = 512 << 20  # bytes that arrays may take in memory, whatever the size of their file ...
DENSEST = 100  # ... and beyond that, as a multiple of it; real poses hardly shrink to a half
_KINDS = {
    b"version https://git-lfs": "a Git LFS pointer; fetch the file itself with git lfs pull",
    b"\x80": "a pickle, not an npz; name it .pkl, or write its arrays with numpy.savez",
    b"\x89HDF": "an HDF5 file",
    b"<": "a web page or XML, not the file itself; download it again",
    b"{": "JSON",
    b"\x00\x05\x16\x07": "the side file of a Mac; the data are in the file without ._",
}


class ArrayFile(Mapping[str, np.ndarray]):
    """The arrays of an npz file by name; of a file of ``numpy.save``, its array under the name "".

    Each array is read when it is asked for. Objects (pickles) are refused, and so is an array that is not as large as
    its header says or would not fit into the bounds above.

    :ivar single: it is a file of ``numpy.save``; ``pickled``: and holds one Python object, such as a dictionary.
    :raises InputError: missing, damaged, neither npz nor npy; names the file and the true cause.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._members: dict[str, ZipInfo] = {}
        self.pickled = False
        try:
            with open(self.path, "rb") as file:
                self._open(file)
        except FileNotFoundError:
            raise InputError(f"{path}: file not found") from None
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
        except InputError:
            raise
        except Exception as error:  # zipfile raises many kinds
            raise self._damaged(error) from None

    def _open(self, file: IO[bytes]) -> None:
        start = file.read(32)
        file.seek(0)
        self.single = start.startswith(np.lib.format.MAGIC_PREFIX)
        if self.single:
            self.pickled = self._header(file, "")[2].hasobject
            return
        if not start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            kind = next((kind for magic, kind in _KINDS.items() if start.lstrip().startswith(magic)), "")
            raise InputError(f"{self.path}: {(kind and 'this is ' + kind) or 'damaged, truncated, or not an npz file'}")
        with ZipFile(file) as archive:
            self._members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        size, whole = os.fstat(file.fileno()).st_size, sum(info.file_size for info in self._members.values())
        if whole > max(LARGEST, DENSEST * size):
            raise InputError(f"{self.path}: damaged: {size:,} bytes that claim to hold {whole:,}")

    def __iter__(self) -> Iterator[str]:
        return iter([""] if self.single else self._members)

    def __len__(self) -> int:
        return 1 if self.single else len(self._members)

    def __getitem__(self, name: str) -> np.ndarray:
        if not self.single and name not in self._members:
            raise KeyError(name)
        try:
            with open(self.path, "rb") as file:
                if self.single:
                    return self._array(file, os.fstat(file.fileno()).st_size, "")
                info = self._members[name]
                with ZipFile(file) as archive, archive.open(info) as member:
                    return self._array(member, info.file_size, name)
        except InputError:
            raise
        except Exception as error:  # zlib.error, SyntaxError, struct.error, BadZipFile ...
            raise self._damaged(error, name) from None

    def _array(self, file: IO[bytes], size: int, name: str) -> np.ndarray:
        shape, fortran, dtype = self._header(file, name)
        what = f"array {name!r}" if name else "the array"
        if dtype.hasobject:
            raise InputError(
                f"{self.path}: not an npz of plain arrays: {what} holds Python objects; save numbers or texts "
                "with numpy.savez"
            )
        there, wanted = size - file.tell(), math.prod(shape) * dtype.itemsize
        if there != wanted:
            raise InputError(f"{self.path}: damaged: {what} should be {shape} in {wanted:,} bytes, but has {there:,}")
        data = bytearray(wanted)
        if _fill(file, memoryview(data)) != wanted:
            raise InputError(f"{self.path}: damaged: {what} ends too early")
        return np.frombuffer(data, dtype, math.prod(shape)).reshape(shape, order="F" if fortran else "C")

    def _header(self, file: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise InputError(f"{self.path}: array {name!r} is of an unknown format {version}")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        header: tuple[tuple[int, ...], bool, np.dtype] = read(file)
        return header

    def _damaged(self, error: Exception, name: str = "") -> InputError:
        what = f"array {name!r}, " if name else ""
        why = f"{type(error).__name__}: {error}"
        return InputError(f"{self.path}: damaged, truncated, or not an npz of plain arrays ({what}{why:.150})")


def _fill(file: IO[bytes], data: memoryview) -> int:
    done = 0
    while done < len(data) and (got := file.readinto(data[done:])):  # type: ignore[attr-defined]
        done += got
    return done
