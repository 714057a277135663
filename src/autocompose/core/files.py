"""Atomic files and the manifest of a finished stage.

A file appears under its final name only when it is complete: written beside it, flushed to the disk, renamed.
A stage is finished when its manifest exists; the manifest is written last and names the stage's settings.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from autocompose.core.errors import StorageError
from autocompose.core.jsontext import parse_json, to_json
from autocompose.core.reading import read_file


@contextmanager
def atomic_file(path: Path, *, durable: bool = True) -> Iterator[IO[bytes]]:
    """Open a binary file that replaces ``path`` when the block ends without an error.

    :param durable: wait for the disk, so that a power cut leaves the old or the new content. Without, it may leave an
        incomplete file; for what can be made again, and is checked when it is read.
    :raises StorageError: when the disk refuses; ``path`` keeps its old content.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be written ({error.strerror or error}); free space or choose another folder"
        ) from error
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except OSError as error:
        _remove(name)
        raise StorageError(
            f"{path}: cannot be written ({error.strerror or error}); free space or choose another folder"
        ) from error
    except BaseException:
        _remove(name)
        raise


def _remove(name: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name)


def clear_parts(folder: Path) -> None:
    """Remove the half-written files that killed runs left below ``folder``; only when nothing writes there."""
    for path in Path(folder).rglob(".*.part"):
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


class Manifest:
    """The record that a stage is complete: ``FOLDER/NAME.manifest.json`` with settings, results, seconds.

    Usage::

        manifest = Manifest(folder, "render")
        if not manifest.matches(settings):
            ...do the work...
            manifest.write(settings, images=8000)
    """

    def __init__(self, folder: Path, stage: str) -> None:
        self.path = Path(folder) / f"{stage}.manifest.json"

    def read(self) -> dict[str, Any] | None:
        """The stored record, or None when the stage has not finished."""
        return read_json(self.path, dict) if self.path.exists() else None

    def matches(self, settings: Mapping[str, Any]) -> bool:
        """The stage has finished with exactly these settings."""
        record = self.read()
        return record is not None and record.get("settings_hash") == value_hash(dict(settings))

    def write(self, settings: Mapping[str, Any], **results: Any) -> None:
        """Declare the stage complete; call it last."""
        write_json(self.path, {"settings_hash": value_hash(dict(settings)), "settings": dict(settings), **results})
