"""Joints of the average body, for sampling and retargeting without the body model."""

from __future__ import annotations

import numpy as np

from autocompose.bodies.rotations import forward_kinematics, rotation_matrices
from autocompose.bodies.skeleton import SMPL22, mirror_joints

# Half of the T-pose joints of the default ``Body`` in metres, pelvis in the origin, rounded to 1 mm.
_LEFT: dict[str, tuple[float, float, float]] = {
    "pelvis": (0, 0, 0), "spine1": (0, 0.075, 0.015), "spine2": (0, 0.161, 0.016), "spine3": (0, 0.305, 0.003),
    "neck": (0, 0.498, 0.036), "head": (0, 0.606, 0.073), "collar": (0.025, 0.42, 0.054),
    "shoulder": (0.186, 0.397, 0.05), "elbow": (0.472, 0.397, 0.05), "wrist": (0.729, 0.397, 0.05),
    "hip": (0.115, -0.096, 0.031), "knee": (0.115, -0.542, 0.031), "ankle": (0.115, -0.998, 0.031),
    "foot": (0.115, -1.052, 0.186),
}  # fmt: skip


def _rest() -> np.ndarray:
    left = np.array([_LEFT[name.rpartition("_")[2]] for name in SMPL22])
    right = np.array([name.startswith("right_") for name in SMPL22])
    return np.where(right[:, None], mirror_joints(left), left)


REST: np.ndarray = _rest()  # (22, 3)


def forward(rotations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joints and world rotations of poses.

    :param rotations: ``(N, 22, 3)`` local axis-angle, radians, as ``Body.pose`` takes them.
    :return: joints ``(N, 22, 3)`` metres, pelvis in the origin, and rotations from the T-pose ``(N, 22, 3, 3)``.
    """
    still = np.broadcast_to(np.eye(3), (len(rotations), 3, 3))
    world, joints = forward_kinematics(rotation_matrices(rotations), np.broadcast_to(REST, rotations.shape), still)
    return joints, world
