"""Has a file changed? Size and times decide if they can, otherwise the content.

An edit may keep the size, and clocks of file systems tick as rarely as every two seconds, so that a file that changed
just before it was read may change again unseen. Such files, and those whose times differ, are read again.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from autocompose.core.errors import AutocomposeError
from autocompose.core.files import file_hash, read_json, write_text
from autocompose.core.run_folder import files_of_others

WHOLE = 8 << 20  # bytes; larger files (videos) are known by size and time of change, as reading them takes too long
TICK_NS = 2_000_000_000  # of the coarsest clock of a file system
MEMO = ".hashes.json"


def changed_ns(state: os.stat_result) -> int:
    """When a file's content last changed, as far as the file system tells; nanoseconds since 1970.

    The time of change of the entry itself counts too: nobody can set it back.
    """
    return max(state.st_mtime_ns, state.st_ctime_ns if os.name != "nt" else 0)


class Contents:
    """Hashes of contents, remembered in a file so that unchanged files are read once.

    :param folder: ``save`` writes ``.hashes.json`` there; None remembers nothing.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.memo = None if folder is None else Path(folder) / MEMO
        self.known: dict[str, list[int | str]] = {}
        self.new = False
        if self.memo and self.memo.exists():
            with suppress(AutocomposeError, ValueError, TypeError, AttributeError):  # damaged: files are read again
                self.known = {str(path): list(entry) for path, entry in read_json(self.memo).items() if len(entry) == 4}

    def of(self, paths: Sequence[Path]) -> list[str]:
        """A string for each file, the same as long as its content is the same; one that cannot be read has a reason."""
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(self._of, paths))

    def save(self) -> None:
        """Store the fingerprint; silently skipped if it cannot be written."""
        if self.memo and self.new:
            with suppress(AutocomposeError):
                write_text(self.memo, json.dumps(self.known))

    def _of(self, path: Path) -> str:
        now = time.time_ns()
        try:
            state = path.stat()
            if state.st_size > WHOLE:
                return f"{state.st_size} bytes, {state.st_mtime_ns}"
            key, stamp = os.path.abspath(path), [state.st_size, changed_ns(state)]
            entry = self.known.get(key)
            if entry and entry[:2] == stamp and changed_ns(state) + TICK_NS < int(entry[2]):
                return str(entry[3])
            digest = file_hash(path)
        except OSError as error:
            return f"unreadable: {error.strerror}"
        self.known[key], self.new = [*stamp, now, digest], True
        return digest


def remembered(paths: Sequence[Path], folder: Path) -> list[str]:
    """``Contents.of`` with the memory of ``folder``, brought up to date."""
    contents = Contents(folder)
    hashes = contents.of(paths)
    contents.save()
    return hashes


def files_below(paths: Iterable[Path]) -> dict[str, Path]:
    """Name -> file for all files at and below ``paths``, in order of name, but those that this program made."""
    names: dict[str, Path] = {}
    for root in paths:
        below = files_of_others(root) if root.is_dir() else [root]
        names |= {f"{root.name}/{p.relative_to(root).as_posix()}" if p != root else p.name: p for p in below}
    return names
