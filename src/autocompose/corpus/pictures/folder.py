"""A folder of pictures: on this machine, or at any address that fsspec reads (s3://, gs://, hf://, zip://...::...)."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeVar

from autocompose.core.errors import InputError, one_line
from autocompose.core.files import file_hash
from autocompose.core.reading.plain import cause
from autocompose.corpus.names import name_fault
from autocompose.corpus.videos.formats import ENDINGS as VIDEO_ENDINGS
from autocompose.corpus.walk import ending_fault

T = TypeVar("T")
VIDEO = "video, which must be on this machine"
MAX_BYTES = 512 << 20  # of a file elsewhere, which is read as a whole
TRIES, WAIT = 4, 0.5  # of reading a file elsewhere; seconds after the first, doubled each time
# what object stores and archives call the properties that change with the content
_STATES = ("size", "mtime", "LastModified", "last_modified", "updated", "ETag", "etag", "md5Hash", "crc32c", "blob_id",
           "CRC", "date_time", "sha", "oid")  # fmt: skip


class Entry(NamedTuple):
    """A file elsewhere.

    :param stamp: a number below 2^60 that changes with the content, as far as the store tells.
    """

    size: int
    stamp: int


def is_address(folder: str | Path) -> bool:
    """Whether fsspec reads it."""
    return isinstance(folder, str) and "://" in folder


def below(address: str, name: str) -> str:
    """The address of something in a folder; of ``zip://a::s3://b/c.zip`` it is the first part that grows."""
    first, chain, rest = address.partition("::")
    return f"{first}{'' if first.endswith('/') else '/'}{name}{chain}{rest}"


@dataclass(frozen=True)
class PictureFolder:
    """Files by their names below a folder; can be sent to other processes.

    :param address: an absolute path, or an address.
    """

    address: str

    @property
    def is_remote(self) -> bool:
        """Whether the files are read through fsspec."""
        return is_address(self.address)

    @property
    def path(self) -> Path:
        """The folder on this machine.

        :raises InputError: it is elsewhere.
        """
        if self.is_remote:
            raise InputError(f"{self.address}: the pictures are elsewhere; only their thumbnails are on this machine")
        return Path(self.address)

    def content(self, name: str) -> Path | bytes:
        """What ``Picture`` opens: the path of a file, or the bytes of one elsewhere.

        :raises OSError: it cannot be read, also not when tried again.
        """
        return self._read(name) if self.is_remote else self.path / name

    def digest(self, name: str) -> str:
        """SHA-256 of a file.

        :raises OSError: it cannot be read.
        """
        return hashlib.sha256(self._read(name)).hexdigest() if self.is_remote else file_hash(self.path / name)

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """Name and state of every file at and below an address.

        :raises InputError: it cannot be listed, or there is no such folder.
        """
        fs, root = self._store
        try:
            if not fs.isdir(root):
                raise InputError(f"{self.address}: folder not found; name one that holds pictures")
            files: dict[str, dict[str, Any]] = fs.find(root, detail=True)
        except InputError:
            raise
        except Exception as error:  # each store has its own exceptions
            raise self._refused("listed", error) from None
        for path in sorted(files):
            name = path.lstrip("/")[len(root.strip("/")) :].lstrip("/")
            if name:
                yield name, Entry(int(files[path].get("size") or 0), _stamp(files[path]))

    def pictures(self) -> Iterator[tuple[str, Entry, str]]:
        """Of ``entries`` the pictures, by their endings, and why each cannot be used, "" = it can; no hidden ones.

        Videos come too, as what cannot be used here.
        """
        for name, entry in self.entries():
            ending = PurePosixPath(name).suffix.lower()
            fault = VIDEO if ending in VIDEO_ENDINGS - {".ts"} else ending_fault(ending)
            if fault is None or any(part.startswith(".") for part in name.split("/")):
                continue
            if name_fault(name):
                fault = "unusable name"
            yield name, entry, fault or ("" if entry.size <= MAX_BYTES else "larger than 512 MB")

    def is_there(self) -> bool:
        """Whether an address is a folder.

        :raises InputError: its store does not answer.
        """
        fs, root = self._store
        try:
            return bool(fs.isdir(root))
        except Exception as error:
            raise self._refused("read", error) from None

    def fetch(self, names: Sequence[str], target: Path) -> None:
        """Copy those of some files that there are.

        :raises InputError: one of them is there, and cannot be read.
        """
        for name in names:
            try:
                if (size := self._size(name)) > MAX_BYTES:
                    raise InputError(f"{self.address}: {name}: {size:,} bytes, more than {MAX_BYTES:,}")
                data = self._read(name)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise InputError(f"{self.address}: {name}: {cause(error)}; run it again") from None
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes(data)

    @cached_property
    def _store(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        try:
            fs, root = url_to_fs(self.address)
            # Its own reports of what fails go to whoever set up logging, not on the screen: here each becomes one line.
            logging.getLogger(type(fs).__module__.partition(".")[0]).addHandler(logging.NullHandler())
            return fs, root
        except ImportError as error:
            raise InputError(f"{self.address}: {error} (fsspec reads such addresses with another package)") from None
        except Exception as error:
            raise self._refused("opened", error) from None

    def _refused(self, what: str, error: Exception) -> InputError:
        return InputError(
            f"{self.address}: cannot be {what} ({type(error).__name__}: {one_line(str(error))[:200]}); check the "
            "address and the rights"
        )

    def _read(self, name: str) -> bytes:
        # No range, though it would bound what is read: object stores refuse any range of an empty file, and some
        # versions of s3fs take one that begins at 0 for one at the end.
        return self._tried(name, lambda fs, path: fs.cat_file(path))

    def _size(self, name: str) -> int:
        return int(self._tried(name, lambda fs, path: fs.info(path).get("size")) or 0)

    def _tried(self, name: str, work: Callable[[Any, str], T]) -> T:
        fs, root = self._store
        path, wait = f"{root.rstrip('/')}/{name}" if root else name, WAIT
        for attempt in range(1, TRIES + 1):
            try:
                return work(fs, path)
            except (FileNotFoundError, PermissionError) as error:
                code = errno.ENOENT if isinstance(error, FileNotFoundError) else errno.EACCES
                raise OSError(code, os.strerror(code), name) from None
            except Exception as error:
                if attempt == TRIES:
                    raise OSError(f"{type(error).__name__}: {one_line(str(error))[:100]}") from None
            time.sleep(wait)
            wait *= 2
        raise AssertionError("the last try returns or raises")

    def __getstate__(self) -> dict[str, Any]:
        return {"address": self.address}  # connections are made where they are used


def _stamp(info: dict[str, Any]) -> int:
    known = {key: str(info[key]) for key in _STATES if info.get(key) is not None}
    if not known.keys() - {"size"}:  # a store that names them otherwise
        known = {str(key): str(value) for key, value in info.items()}
    return int.from_bytes(hashlib.sha256(repr(sorted(known.items())).encode()).digest()[:8], "big") >> 4
