"""The user's files, read whole and bounded; every fault becomes a one-line error."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from autocompose.core.errors import AutocomposeError, InputError

MAX_BYTES = 1 << 30  # of a text file: more than any corpus known, less than the memory of a small machine
_AT_ONCE = getattr(os, "O_NONBLOCK", 0)  # else a pipe that nobody writes to would hold the program for ever
KNOWN_CAUSES = {
    errno.EACCES: "no permission to read it",
    errno.EPERM: "no permission to read it",
    errno.EISDIR: "is a folder, expected a file",
    errno.ENOTDIR: "a part of its path is a file, expected a folder",
    errno.ENAMETOOLONG: "its name is too long",
    errno.ENOENT: "file not found",
    errno.ELOOP: "its links go round in circles",
    errno.EIO: "the disk cannot read it",
    errno.EMFILE: "too many files are open",
    errno.ENFILE: "too many files are open",
    errno.ESTALE: "the network drive has lost it",
}
# longest first: the mark of UTF-16 is the beginning of UTF-32's
_MARKS = (
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


def cause(error: OSError) -> str:
    """Why a file or folder cannot be read, in a few words."""
    return KNOWN_CAUSES.get(error.errno or 0, error.strerror or str(error))


def unreadable(path: Path | str, error: OSError) -> InputError:
    """The one line for a file that the operating system does not give."""
    return InputError(f"{path}: {cause(error)}")


def open_plain(path: Path, error: type[AutocomposeError], expected: str, missing: str = "") -> BinaryIO:
    """A plain file, open for reading; never one that would wait for a writer.

    :param error: raised for whatever prevents it. :param expected: what the file should be, such as "a picture".
    :param missing: what to say when there is no such file; "" = as for other causes.
    """
    try:
        handle = os.open(path, os.O_RDONLY | _AT_ONCE | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as why:
        if missing and isinstance(why, (FileNotFoundError, NotADirectoryError)):
            raise error(f"{path}: {missing}") from None
        raise error(f"{path}: {cause(why) if isinstance(why, OSError) else why}") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise error(f"{path}: not a file; expected {expected}")
    return os.fdopen(handle, "rb")


def read_file(path: Path, limit: int = MAX_BYTES) -> bytes:
    """The bytes of a plain file (or of the shell's ``<(...)``).

    :raises InputError: missing, no permission, a folder, a device or pipe, or larger than ``limit``.
    """
    path = Path(path)
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | _AT_ONCE)) as file:
            kind = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(kind) and not (stat.S_ISFIFO(kind) and str(path).startswith("/dev/")):
                raise InputError(f"{path}: not a regular file")
            if _AT_ONCE:
                os.set_blocking(file.fileno(), True)
            data = file.read(limit + 1)
    except OSError as error:
        raise unreadable(path, error) from None
    if len(data) > limit:
        raise InputError(f"{path}: more than {limit:,} bytes; name a smaller file")
    return data


def encoding_of(data: bytes) -> str:
    """The encoding that the first bytes tell: by their mark, or by the zeros of UTF-16 without one; else UTF-8."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding
    start = data[:4]
    if len(start) == 4 and b"\0" in start:
        if all(start[::2]) and not any(start[1::2]):
            return "utf-16-le"
        if all(start[1::2]) and not any(start[::2]):
            return "utf-16-be"
    return "utf-8"


def decode(data: bytes, origin: Path | str) -> str:
    """Unicode text, with or without a byte order mark.

    :raises InputError: not UTF-8 (nor UTF-16 or UTF-32 by its mark); says at which byte.
    """
    encoding = encoding_of(data)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        name = "UTF-8" if encoding.startswith("utf-8") else encoding.upper()
        raise InputError(f"{origin}: not {name} at byte {error.start}; save the file as UTF-8") from None
