"""The 3D poses behind a corpus' pictures: ``poses.npz``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from autocompose.core.errors import InputError, PoseError
from autocompose.core.files import write_npz
from autocompose.core.reading.arrays import ArrayFile


@dataclass(frozen=True)
class PoseTable:
    """3D poses, one row per picture.

    :param names: N image names.
    :param joints: ``(N, 22, 3)`` float32 SMPL-22 joints, metres, scene frame of ``bodies.skeleton`` (yaw included).
    :param yaw: ``(N,)`` float32 degrees of the person relative to the camera; positive = to their own left.
    :param columns: further arrays with N rows: ``coco`` (N, 17, 3), ``rotations`` (N, 22, 3) local axis-angle,
        ``cube``, ``body``, ``family``, ``sequence``, ``time``, ``scene`` (poses of different ones share no camera) ...
    """

    names: tuple[str, ...]
    joints: np.ndarray
    yaw: np.ndarray
    columns: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.names)
        if self.joints.shape != (n, 22, 3) or self.yaw.shape != (n,):
            raise PoseError(
                f"poses: {n} names need joints ({n}, 22, 3) and yaw ({n},), got {self.joints.shape}, {self.yaw.shape}"
            )
        for key, array in (("joints", self.joints), ("yaw", self.yaw)):
            if array.dtype.kind not in "fiu":
                raise PoseError(f"poses: {key} must be numbers, got the type {array.dtype}")
        for key, column in self.columns.items():
            if not column.ndim:
                raise PoseError(f"poses: column {key!r} is a single value, expected {n} rows")
            if len(column) != n:
                raise PoseError(f"poses: column {key!r} has {len(column)} rows, expected {n}")

    def rows(self, names: list[str] | tuple[str, ...]) -> np.ndarray:
        """Row numbers of images.

        :raises PoseError: an image has no pose; names the first one.
        """
        index = self.index()
        missing = [n for n in names if n not in index]
        if missing:
            raise PoseError(f"{missing[0]}: no 3D pose in poses.npz ({len(missing)} of {len(names)} images lack one)")
        return np.array([index[n] for n in names], int)

    def index(self) -> dict[str, int]:
        """Image name -> row."""
        return {name: row for row, name in enumerate(self.names)}

    def save(self, path: Path) -> None:
        """Write atomically."""
        write_npz(
            path,
            {
                "names": np.array(self.names, str),
                "joints": self.joints.astype(np.float32),
                "yaw": self.yaw.astype(np.float32),
                **self.columns,
            },
        )

    @classmethod
    def load(cls, path: Path) -> PoseTable:
        """Read ``poses.npz``.

        :raises PoseError: missing, truncated, or arrays of the wrong shape.
        """
        if not path.exists():
            raise PoseError(f"{path}: file not found; it stores the 3D pose of every picture (docs/formats.md)")
        try:
            file = ArrayFile(path)
            arrays = {} if file.single else {key: _decoded(array) for key, array in file.items()}
        except InputError as error:
            cause = str(error).removeprefix(f"{path}: ")
            raise PoseError(
                f"{path}: cannot be read as a pose file ({cause}); write it again with the prepare verb that made it"
            ) from None
        missing = {"names", "joints", "yaw"} - arrays.keys()
        if missing:
            single = "; it holds a single array (numpy.save); use numpy.savez" if file.single else ""
            raise PoseError(f"{path}: arrays {sorted(missing)} are missing{single}")
        try:
            names = _texts(arrays.pop("names"))
            return cls(names, arrays.pop("joints"), arrays.pop("yaw"), arrays)
        except PoseError as error:
            raise PoseError(f"{path}: {error}") from None


def _texts(names: np.ndarray) -> tuple[str, ...]:
    """Picture names.

    :raises PoseError: not a list of texts.
    """
    if names.ndim != 1 or names.dtype.kind != "U":
        raise PoseError(f"poses: names must be a list of texts, got {names.dtype} {names.shape}")
    return tuple(names.tolist())


def _decoded(array: np.ndarray) -> np.ndarray:
    return np.char.decode(array, "utf-8", "backslashreplace") if array.dtype.kind == "S" else array
