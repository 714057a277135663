"""The poses of a large gallery as files that are mapped: ``poses-VERSION/``, derived from the rows like the vectors.

They are a ``PoseIndex`` and ``ids.npy``. What they were made from, the version with a hash of ids and poses, stands in
the files and in the store's state; files that say something else are not read.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

import numpy as np

from autocompose.core.errors import AutocomposeError, StorageError
from autocompose.evaluate.pose_index import FILES, PoseIndex
from autocompose.gallery.storage.posed import Posed

IDS = "ids.npy"


def folder_of(gallery: Path, version: int) -> Path:
    """Where the files of a version lie."""
    return gallery / f"poses-{version}"


def write_poses(gallery: Path, version: int, posed: Posed) -> str:
    """Write the files of a version.

    :return: what they were made from, without which they are not opened.
    :raises StorageError: the disk is full, or refuses.
    """
    folder = folder_of(gallery, version)
    digest = hashlib.sha256()
    for array in (posed.ids, posed.joints, posed.uncertainty):
        digest.update(np.ascontiguousarray(array).data)
    made_from = f"{version}-{digest.hexdigest()[:32]}"
    try:
        folder.mkdir(exist_ok=True)
        np.save(folder / IDS, posed.ids)
        PoseIndex.write(folder, posed.joints, posed.uncertainty, made_from)
    except OSError as error:
        raise StorageError(
            f"{folder}: cannot be written ({error}); free space and run the same command again"
        ) from None
    return made_from


def open_poses(gallery: Path, version: int, made_from: str) -> Posed | None:
    """Map the files of a version; None when they are missing, unfinished, damaged or made from something else."""
    folder = folder_of(gallery, version)
    with suppress(OSError, ValueError, AutocomposeError):  # the rows are the truth
        index = PoseIndex.open(folder, made_from)
        ids = np.load(folder / IDS)
        if index is not None and ids.shape == (len(index),) and ids.dtype == np.int64:
            return Posed.mapped(ids, index)
    return None


def remove_poses(gallery: Path, version: int) -> None:
    """Delete the files of a version; what else lies in the folder is not ours and stays."""
    folder = folder_of(gallery, version)
    for name in (*reversed(FILES), IDS):
        with suppress(PermissionError):  # Windows, while a reader maps it: the next run deletes it
            (folder / name).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()
