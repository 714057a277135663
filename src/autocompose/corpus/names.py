"""Which picture names a corpus may hold, and names for files that are called otherwise."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path, PurePosixPath

MAX_NAME = 255
_KEPT = 60  # letters that stay of a part that is too long: at most 240 bytes, and 13 for its hash
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]|(?<=^.):|^\s|\s$")


def name_fault(name: str) -> str | None:
    """Why ``name`` is not a picture name below ``images/``, or None when it is one.

    A name is a relative POSIX path that stays below its folder, so that joining it to a folder is always safe.
    """
    if not name or name != name.strip() or any(ord(c) < 32 for c in name):
        return "is empty, or has control characters or spaces at an end"
    if not name.isascii() and any("\ud800" <= c <= "\udfff" for c in name):
        return "is not UTF-8; rename the file"
    if "\\" in name or PurePosixPath(name).is_absolute() or (len(name) > 1 and name[1] == ":"):
        return "must be a relative path with forward slashes"
    if any(part in ("", ".", "..") for part in name.split("/")):
        return "must not contain '..', '.' or empty parts"
    if any(len(part.encode("utf-8", "surrogatepass")) > MAX_NAME for part in name.split("/")):
        return f"has a part of more than {MAX_NAME} bytes"
    return None


def safe_name(text: str) -> str:
    """A picture name made of any relative path: what is not allowed becomes ``%83``, very long parts are shortened.

    >>> safe_name("take 1/walk"), safe_name("\\udc83_walk")
    ('take 1/walk', '%83_walk')
    """
    parts = "/".join(part for part in text.split("/") if part not in ("", ".", ".."))
    return "/".join(_short(part) for part in _UNSAFE.sub(_percent, parts).split("/")) or "_"


def _percent(match: re.Match[str]) -> str:
    """Bytes that could not be decoded are kept as half characters, U+DC80 to U+DCFF; they become that byte again."""
    errors = "surrogateescape" if "\udc80" <= match[0] <= "\udcff" else "surrogatepass"
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", errors))


def _short(part: str) -> str:
    if len(part.encode("utf-8")) <= MAX_NAME:
        return part
    return f"{part[:_KEPT]}~{blake2b(part.encode(), digest_size=6).hexdigest()}"


def safe_names(paths: Iterable[Path], root: Path, suffix: bool = True) -> dict[str, Path]:
    """Name -> file: paths relative to ``root``, with or without their ending, safe and different from each other.

    Files that differ in nothing but their ending keep it; where two names are still equal, a number tells them apart.
    """
    paths = list(paths)
    short = [(path if suffix else path.with_suffix("")).relative_to(root).as_posix() for path in paths]
    often = Counter(short)
    names: dict[str, Path] = {}
    for path, name in zip(paths, short, strict=True):
        text = unique = safe_name(name if often[name] == 1 else path.relative_to(root).as_posix())
        number = 1
        while unique in names:
            number += 1
            unique = f"{text}~{number}"
        names[unique] = path
    return names
