"""Atomic files: a file appears under its final name only when it is complete.

It is written beside its place, flushed to the disk, and renamed.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from autocompose.core.errors import StorageError
from autocompose.core.reading.jsontext import parse_json, to_json
from autocompose.core.reading.plain import read_file


@contextmanager
def atomic_file(path: Path, *, durable: bool = True) -> Iterator[IO[bytes]]:
    """Open a binary file that replaces ``path`` when the block ends without an error.

    :param durable: wait for the disk, so that a power cut leaves the old or the new content. Without, it may leave an
        incomplete file; for what can be made again, and is checked when it is read.
    :raises StorageError: when the disk refuses; ``path`` keeps its old content.
    """
    path = Path(path)
    part = path.with_name(f".{path.name[:40]}.{secrets.token_hex(8)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # not tempfile.mkstemp, whose files are private: here the user's umask decides, as for any new file
        handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        with suppress(OSError):  # a file that was private stays private
            os.chmod(part, stat.S_IMODE(path.stat().st_mode))
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        if error.filename not in (None, str(part)):
            raise  # of a file that the block reads
        raise cannot_write(path, error) from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def cannot_write(path: Path, error: OSError) -> StorageError:
    """The one wording for a disk that refuses."""
    return StorageError(f"{path}: cannot be written ({error.strerror or error}); free space or choose another folder")


_PART = re.compile(r"\..*\.[0-9a-f]{16}\.part", re.DOTALL)


def is_part(name: str) -> bool:
    """Whether a file is named as a half-written one of this program."""
    return _PART.fullmatch(name) is not None


def clear_parts(folder: Path) -> None:
    """Remove the half-written files that killed runs left below ``folder``; only when nothing writes there."""
    for path in Path(folder).rglob(".*.part"):
        if is_part(path.name):
            path.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` atomically."""
    with atomic_file(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically; half a character (of a file name that is not UTF-8) is written as ``\\udc83``.

    That is how JSON spells it, so names survive in JSON files.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def json_bytes(value: Any, indent: int | None = None) -> bytes:
    """JSON as UTF-8; see ``to_json``."""
    return to_json(value, indent).encode()


def write_json(path: Path, value: Any, *, indent: int | None = 1) -> None:
    """Write JSON atomically (UTF-8, non-ASCII kept readable; NaN and infinite numbers become null)."""
    write_bytes(path, json_bytes(value, indent) + b"\n")


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a compressed npz atomically; equal arrays give equal bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict(arrays))  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())


def read_json(path: Path, expected: type | None = None) -> Any:
    """Read JSON; ``core.jsontext.parse_json`` says what becomes of NaN and of keys that occur twice.

    :param expected: ``dict`` or ``list`` when the value must be one.
    :raises InputError: the file cannot be read, is not UTF-8, not JSON (with line and column), or of another type.
    """
    return parse_json(read_file(path), path, expected)


def file_hash(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def value_hash(value: Any) -> str:
    """SHA-256 of a JSON-able value, hexadecimal; key order does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
