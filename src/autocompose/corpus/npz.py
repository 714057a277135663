"""Reading npz files of strangers: what their headers promise is checked before anything is allocated."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path

import numpy as np

MAX_BYTES = 4 << 30  # of all arrays
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an npz file by their names; never pickled objects.

    :raises ValueError: not an npz file, damaged, or its headers promise what is not there. Nothing else but OSError.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if sum(entry.file_size for entry in entries) > MAX_BYTES:
                raise ValueError(f"more than {MAX_BYTES >> 30} GB of arrays")
            for entry in entries:
                _check(archive, entry)
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError):
        raise
    except Exception as error:  # zlib.error, BadZipFile, EOFError, NotImplementedError ...
        raise ValueError(str(error) or type(error).__name__) from error


def _check(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    with archive.open(entry) as member:
        read_header = _HEADERS.get(np.lib.format.read_magic(member))  # type: ignore[arg-type]
        if read_header is None:
            raise ValueError(f"{entry.filename}: unknown version of the array format")
        shape, _, dtype = read_header(member)  # type: ignore[arg-type]
        if dtype.hasobject:
            raise ValueError(f"{entry.filename}: holds objects, expected numbers or texts")
        if math.prod(shape) * dtype.itemsize != entry.file_size - member.tell():
            raise ValueError(f"{entry.filename}: promises {shape} x {dtype}, but holds {entry.file_size:,} bytes")
