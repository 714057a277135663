"""The 35 points that pose codes are measured on: 22 joints, 2 finger joints, 11 midpoints."""

from __future__ import annotations

import numpy as np

from autocompose.bodies.pose_frame import FINGER_LENGTH, centre, check_joints, remove_yaw, rescale
from autocompose.bodies.skeleton import SMPL22

MIDPOINTS: dict[str, tuple[str, ...]] = {
    "left_hand": ("left_wrist", "left_middle2"),
    "right_hand": ("right_wrist", "right_middle2"),
    "torso": ("pelvis", "neck", "spine3"),
    "left_thigh": ("left_hip", "left_knee"),
    "right_thigh": ("right_hip", "right_knee"),
    "left_shin": ("left_knee", "left_ankle"),
    "right_shin": ("right_knee", "right_ankle"),
    "left_upperarm": ("left_shoulder", "left_elbow"),
    "right_upperarm": ("right_shoulder", "right_elbow"),
    "left_forearm": ("left_elbow", "left_wrist"),
    "right_forearm": ("right_elbow", "right_wrist"),
}
POINTS35: tuple[str, ...] = (*SMPL22, "left_middle2", "right_middle2", *MIDPOINTS)
_INDEX = {name: i for i, name in enumerate(POINTS35)}
_SIDES = ("left", "right")


def points_of(joints: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """Derive the 35 points from SMPL-22 joints, without moving or scaling them.

    :param joints: ``(N, 22, 3)`` metres, or ``(N, 24, 3)`` with the second joints of the middle fingers. Without them
        the fingers go on from the wrist in the direction of the forearm.
    :param known: ``(22,)`` or ``(N, 22)`` bool; False marks joints that the source skeleton lacks: their points become
        NaN, and so does every point derived from them. NaN points silence the codes that need them.
    :return: ``(N, 35, 3)`` float64 in the order of ``POINTS35``.
    """
    points = np.full((len(joints), len(POINTS35), 3), np.nan)
    points[:, : joints.shape[1]] = joints
    if known is not None:
        points[:, : len(SMPL22)][np.broadcast_to(~np.asarray(known, bool), (len(joints), len(SMPL22)))] = np.nan
    for side in _SIDES if joints.shape[1] == len(SMPL22) else ():
        elbow, wrist = points[:, _INDEX[f"{side}_elbow"]], points[:, _INDEX[f"{side}_wrist"]]
        forearm = wrist - elbow
        length = np.sqrt(np.einsum("nk,nk->n", forearm, forearm))[:, None]
        points[:, _INDEX[f"{side}_middle2"]] = wrist + forearm * (FINGER_LENGTH / np.maximum(length, 1e-9))
    for name, parts in MIDPOINTS.items():
        points[:, _INDEX[name]] = sum(points[:, _INDEX[part]] for part in parts) / len(parts)
    return points


def normal_points(joints: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """The 35 points of poses on the neutral body, pelvis in the origin, facing the viewer.

    :param joints: ``(N, 22, 3)`` SMPL-22 joints (or 24, with fingers), metres, scene frame, any yaw, place, body size.
    :param known: as in ``points_of``.
    :return: ``(N, 35, 3)``; x to the body's left, y up, z forward.
    :raises PoseError: wrong shape, NaN, zero-length bones.
    """
    return points_of(remove_yaw(rescale(centre(check_joints(joints)))), known)
