"""Which picture names a corpus may hold."""

from __future__ import annotations

from pathlib import PurePosixPath

MAX_NAME = 255


def name_fault(name: str) -> str | None:
    """Why ``name`` is not a picture name below ``images/``, or None when it is one.

    A name is a relative POSIX path that stays below its folder, so that joining it to a folder is always safe.
    """
    if not name or name != name.strip() or any(ord(c) < 32 for c in name):
        return "is empty, or has control characters or spaces at an end"
    if any("\ud800" <= c <= "\udfff" for c in name):
        return "is not valid UTF-8; give the file another name"
    if "\\" in name or PurePosixPath(name).is_absolute() or (len(name) > 1 and name[1] == ":"):
        return "must be a relative path with forward slashes"
    if any(part in ("", ".", "..") for part in name.split("/")):
        return "must not contain '..', '.' or empty parts"
    if any(len(part.encode()) > MAX_NAME for part in name.split("/")):
        return f"has a part of more than {MAX_NAME} bytes"
    return None
