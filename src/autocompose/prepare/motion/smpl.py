"""SMPL-like pose parameters -> the 22 local rotations of our body; their heading; sequence files of AMASS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from autocompose.bodies.kinematics import forward
from autocompose.bodies.motion.mocap import Clip
from autocompose.bodies.pose_frame import yaw_of
from autocompose.core.errors import InputError
from autocompose.core.reading.arrays import ArrayFile
from autocompose.prepare.foreign_files import array_of, positive, read_npz, read_pickle

JOINTS = 22
# joints of the families that share SMPL's first 22: SMPL-22, SMPL, SMPL-H, SMPL-X
_COUNTS = (22, 24, 52, 55)
_Z_UP = Rotation.from_euler("x", -90, degrees=True)  # (x, y, z) -> (x, z, -y)


def rotations_of(poses: np.ndarray, up: str, place: str) -> np.ndarray:
    """Axis-angle parameters of SMPL, SMPL-H or SMPL-X -> ``(T, 22, 3)`` in the scene frame.

    :param poses: ``(T, 3 * J)`` or ``(T, J, 3)``, root first, J = 22, 24, 52 or 55; hands, jaw and eyes are left out.
    :param up: the world's vertical, "y" or "z" (AMASS).
    :param place: file, named in errors.
    :raises InputError: another shape, or values that are not finite.
    """
    poses = array_of(poses, place)
    joints = poses.shape[1] if poses.ndim == 3 else (poses.shape[-1] // 3 if poses.ndim == 2 else 0)
    if joints not in _COUNTS or poses.size != len(poses) * joints * 3:
        raise InputError(f"{place}: poses have shape {poses.shape}; expected (T, 3 J) or (T, J, 3) with J in {_COUNTS}")
    rotations = poses.reshape(len(poses), joints, 3)[:, :JOINTS].astype(float)
    bad = ~np.isfinite(rotations).all((1, 2))
    if bad.any():
        raise InputError(f"{place}: frame {int(bad.argmax())} has values that are not finite ({int(bad.sum())} frames)")
    if up == "z" and len(rotations):
        rotations[:, 0] = (_Z_UP * Rotation.from_rotvec(rotations[:, 0])).as_rotvec()
    return rotations


def face_viewer(rotations: np.ndarray, yaw: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Take the heading out of poses.

    :param rotations: ``(N, 22, 3)``, scene frame.
    :param yaw: ``(N,)`` degrees to take out instead of each pose's own heading.
    :return: rotations with the pelvis turned by -yaw, and yaw in degrees, both ``N`` rows.
    """
    if not len(rotations):
        return rotations, np.zeros(0)
    if yaw is None:
        yaw = yaw_of(forward(rotations)[0])
    turned = rotations.copy()
    turn = Rotation.from_euler("y", -np.asarray(yaw)[:, None], degrees=True)
    turned[:, 0] = (turn * Rotation.from_rotvec(rotations[:, 0])).as_rotvec()
    return turned, np.asarray(yaw, float)


def read_sequence(path: Path, up: str = "z") -> Clip:
    """A motion file with SMPL-like parameters: AMASS ``.npz``, AIST++ or SMPL ``.pkl``, or the ``.npy`` of either.

    Rotations are ``poses`` or ``smpl_poses``, or ``root_orient`` + ``pose_body``; the frame rate is
    ``mocap_framerate``, ``mocap_frame_rate`` or ``fps`` (60 when none is given).

    :raises InputError: missing, damaged, or without these arrays.
    """
    arrays = read_pickle(path) if _is_pickle(path) else _npz(path)
    if not isinstance(arrays, dict):
        raise InputError(f"{path}: expected a dictionary of arrays, got {type(arrays).__name__}")
    poses = next((arrays[key] for key in ("poses", "smpl_poses") if key in arrays), None)
    if poses is None and {"root_orient", "pose_body"} <= arrays.keys():
        root, rest = (array_of(arrays[key], f"{path}: {key}") for key in ("root_orient", "pose_body"))
        if root.ndim != 2 or rest.ndim != 2 or len(root) != len(rest):
            raise InputError(f"{path}: root_orient {root.shape} and pose_body {rest.shape} do not fit together")
        poses = np.concatenate([root, rest], 1)
    if poses is None:
        there = ", ".join(map(str, arrays))
        raise InputError(f"{path}: no poses, smpl_poses, or root_orient + pose_body; there are {there}")
    rotations = rotations_of(poses, up, str(path))
    rates = (arrays[key] for key in ("mocap_framerate", "mocap_frame_rate", "fps") if key in arrays)
    rate = positive(next(rates, 60.0), f"{path}: frame rate")
    return Clip(path.stem, np.arange(len(rotations)) / rate, rotations)


def _is_pickle(path: Path) -> bool:
    """By its content; the ending decides where that says nothing (pickles of old protocols, damaged files)."""
    try:
        with open(path, "rb") as file:
            start = file.read(8)
    except OSError:
        return False  # the reader names the cause
    if start.startswith(np.lib.format.MAGIC_PREFIX):
        return ArrayFile(path).pickled
    return not start.startswith(b"PK") and (start[:1] == b"\x80" or path.suffix.lower() in (".pkl", ".pickle"))


def _npz(path: Path) -> dict[str, np.ndarray]:
    rates = ("pose_body", "mocap_framerate", "mocap_frame_rate", "fps")
    return read_npz(path, (), optional=rates, one_of=("poses", "smpl_poses", "root_orient"))
