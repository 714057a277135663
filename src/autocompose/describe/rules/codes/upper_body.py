"""Trunk and head: two later additions to the PoseFix codes. Trunk angles come from points, the head from rotations."""

from __future__ import annotations

import numpy as np

from autocompose.bodies.points import POINTS35
from autocompose.bodies.pose_frame import yaw_of
from autocompose.bodies.rotations import rotation_matrices
from autocompose.bodies.skeleton import SMPL22

# pair thresholds in degrees; positive levels: forward, left, right (left shoulder forward), left, chin down
UPPER_THRESHOLDS: dict[str, tuple[float, ...]] = {
    "lean": (20.0, 45.0),
    "tilt": (15.0, 30.0),
    "twist": (20.0, 45.0),
    "head": (15.0, 30.0),
    "chin": (30.0,),
}
UPPER_NOISE = 5.0
UPRIGHT = 0.20  # metres that the shoulders must be above an ankle; lying and handstands have no forward lean
# share of the trunk's length that is height: a trunk that lies has no twist about the vertical, and one that hangs head
# down no lean to a side, since left of the hips would be right of the floor below (ours)
ERECT = 0.5
_HEAD_FROM_PELVIS = ("pelvis", "spine1", "spine2", "spine3", "neck", "head")
_HEAD_FROM_NECK = ("neck", "head")


def upper_measures(points: np.ndarray, joints: np.ndarray | None, rotations: np.ndarray | None) -> np.ndarray:
    """Trunk and head angles in degrees, ``(5, N)`` in the order of ``UPPER_THRESHOLDS``; NaN = not known.

    :param points: ``(N, 35, 3)`` normalised points.
    :param joints, rotations: ``(N, 22, 3)`` scene-frame joints and local axis-angle rotations of the same poses, needed
        for the head.
    """
    p = {name: points[:, i] for i, name in enumerate(POINTS35)}
    middle = (p["left_shoulder"] + p["right_shoulder"]) / 2
    trunk, across = middle - p["pelvis"], p["left_shoulder"] - p["right_shoulder"]
    lean = np.degrees(np.arctan2(trunk[:, 2], trunk[:, 1]))
    ankle = np.minimum(p["left_ankle"][:, 1], p["right_ankle"][:, 1])
    lean[middle[:, 1] - ankle < UPRIGHT] = np.nan
    length = np.maximum(np.linalg.norm(trunk, axis=1), 1e-9)
    tilt = np.degrees(np.arcsin(np.clip(trunk[:, 0] / length, -1, 1)))
    tilt[trunk[:, 1] < -ERECT * length] = np.nan
    twist = np.degrees(np.arctan2(across[:, 2], across[:, 0]))
    twist[trunk[:, 1] < ERECT * length] = np.nan
    if joints is None or rotations is None:
        head = chin = np.full(len(points), np.nan)
    else:
        head, chin = _head(np.asarray(joints, float), np.asarray(rotations, float))
    return np.stack([lean, tilt, twist, head, chin])


def _head(joints: np.ndarray, rotations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn of the head against the facing direction of the pelvis, and nod against the neck, degrees."""
    yaw = np.radians(yaw_of(joints))
    facing = rotation_matrices(np.stack([np.zeros_like(yaw), -yaw, np.zeros_like(yaw)], 1))
    turned = facing @ _chain(rotations, _HEAD_FROM_PELVIS)
    nodded = _chain(rotations, _HEAD_FROM_NECK)
    turn = np.degrees(np.arcsin(np.clip(-turned[:, 2, 0], -1, 1)))
    return turn, np.degrees(np.arctan2(nodded[:, 2, 1], nodded[:, 2, 2]))


def _chain(rotations: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    result = np.broadcast_to(np.eye(3), (len(rotations), 3, 3))
    for name in names:
        result = result @ rotation_matrices(rotations[:, SMPL22.index(name)])
    return result
