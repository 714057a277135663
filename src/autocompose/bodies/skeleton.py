"""Joint orders of the skeletons we read, and the mirror of each.

Scene frame of all joints in this project: metres, y up, the camera looks along -z from +z. A person with yaw 0 faces
the camera (+z); their own left is +x, which is the right side of the picture. Positive yaw turns the person to their
own left (counter-clockwise seen from above).
"""

from __future__ import annotations

import numpy as np

SMPL22: tuple[str, ...] = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
)  # fmt: skip
SMPL22_PARENTS: tuple[int, ...] = (
    -1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19,
)  # fmt: skip
COCO17: tuple[str, ...] = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip


def mirror_order(names: tuple[str, ...]) -> np.ndarray:
    """Index array that exchanges left and right: ``joints[:, mirror_order(names)]``."""
    other = {"left": "right", "right": "left"}
    swapped = [
        other[n.split("_", 1)[0]] + "_" + n.split("_", 1)[1] if n.split("_", 1)[0] in other else n for n in names
    ]
    return np.array([names.index(n) for n in swapped])


def mirror_joints(joints: np.ndarray, names: tuple[str, ...] = SMPL22) -> np.ndarray:
    """Mirror poses left-right, as a horizontal flip of their pictures does.

    :param joints: ``(..., J, 3)`` metres in the scene frame, in the order of ``names``.
    :return: the same shape; x negated and sides exchanged, so "left" stays the person's own left.
    """
    return joints[..., mirror_order(names), :] * np.array([-1.0, 1.0, 1.0], joints.dtype)


def mirror_rotations(rotations: np.ndarray, names: tuple[str, ...] = SMPL22) -> np.ndarray:
    """Mirror axis-angle rotations ``(..., J, 3)``: sides exchanged, y and z components negated."""
    return rotations[..., mirror_order(names), :] * np.array([1.0, -1.0, -1.0], rotations.dtype)


def turn(joints: np.ndarray, yaw: np.ndarray | float) -> np.ndarray:
    """Turn poses about the vertical through the origin.

    :param joints: ``(..., J, 3)`` metres, scene frame.
    :param yaw: degrees, ``(...)`` or a number; positive = to the person's own left.
    """
    angle = np.radians(np.asarray(yaw, float))[..., None]
    x, y, z = joints[..., 0], joints[..., 1], joints[..., 2]
    return np.stack([x * np.cos(angle) + z * np.sin(angle), y, z * np.cos(angle) - x * np.sin(angle)], -1).astype(
        joints.dtype
    )
