"""The temporary folder of a server's uploads and counters; it is deleted however the server ends."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "autocompose-serve-"
LOCK = "lock"
_WATCH = 'cat >/dev/null; rm -rf -- "$1"'  # ends when its input does, which a killed process cannot keep open


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A private folder below the temporary one, deleted at the end.

    A small process deletes it when this one is killed. Should both be, as by a power cut, the next server does it: the
    folder of a running one is locked.
    """
    remove_left(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as name, FileLock(Path(name, LOCK)):
        watch = subprocess.Popen(["/bin/sh", "-c", _WATCH, "sh", name], stdin=subprocess.PIPE, start_new_session=True)
        try:
            yield Path(name)
        finally:
            watch.communicate()


def remove_left(folder: Path) -> None:
    """Delete what dead servers have left in ``folder``."""
    for path in folder.glob(f"{PREFIX}*"):
        try:
            state = path.lstat()
            if state.st_uid != os.getuid() or path.is_symlink():
                continue
            if (path / LOCK).is_file():  # without one it is not ours
                with FileLock(path / LOCK, timeout=0):
                    shutil.rmtree(path, ignore_errors=True)
        except (OSError, Timeout):  # locked: in use
            continue
