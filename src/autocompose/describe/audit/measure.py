"""Poses, normalised for measuring.

Every pose is centred on its pelvis, turned so that its hip line lies along x (left hip at +x, person faces +z) and
scaled to legs of 0.8 m, so that thresholds in metres mean the same on every body.
"""

from __future__ import annotations

import numpy as np

from autocompose.bodies.skeleton import SMPL22
from autocompose.core.errors import PoseError
from autocompose.describe.audit.features import FEATURES, SEGMENTS, Feature

__all__ = ["FEATURES", "Feature", "PoseRow", "Poses", "normalise"]

LEG_LENGTH = 0.8  # metres, thigh and shin of an average adult
HAND_BEYOND_WRIST = 0.25  # share of the forearm from the wrist to the middle of the hand
JOINT = {name: i for i, name in enumerate(SMPL22)}


class Poses:
    """N poses with lazily measured, remembered features.

    :param joints: ``(N, 22, 3)`` metres, SMPL-22, scene frame of ``bodies.skeleton``.
    :param yaw: ``(N,)`` degrees in which the person turned, positive = to their own left; None: turns cannot be
        checked.
    :param face: ``(N, 3)`` directions in which the face looks, scene frame; None: head turns cannot be checked.
    :raises PoseError: wrong shape or not finite.
    :ivar sight: ``(N, 3)`` direction of the scene frame's z axis, along which a camera looks, as seen from each pose.
    """

    def __init__(self, joints: np.ndarray, yaw: np.ndarray | None = None, face: np.ndarray | None = None) -> None:
        joints = np.asarray(joints)
        if joints.ndim != 3 or joints.shape[1:] != (22, 3):
            raise PoseError(f"audit: joints of shape {joints.shape}, expected (N, 22, 3) in SMPL-22 order")
        # column by column in memory: features are sums over few joints and three axes, but many poses
        joints = np.ascontiguousarray(joints.transpose(1, 2, 0), np.float64).transpose(2, 0, 1)
        if not np.isfinite(joints).all():
            row = int(np.flatnonzero(~np.isfinite(joints).all((1, 2)))[0])
            raise PoseError(f"audit: pose {row} has joints that are not finite; drop it or repair it")
        self.joints, frame = normalise(joints)
        self.sight = frame[:, :, 2]
        self.yaw = None if yaw is None else np.asarray(yaw, float)
        self.face = None if face is None else np.einsum("nij,nj->ni", frame, np.asarray(face, float))
        self._known: dict[Feature, np.ndarray | None] = {}

    @classmethod
    def of_normalised(cls, joints: np.ndarray) -> Poses:
        """Poses ``(N, 22, 3)`` that ``normalise`` has made, of any float type; they are not checked again.

        They have no line of sight.
        """
        poses = cls.__new__(cls)
        poses.joints, poses.yaw, poses.face, poses._known = joints, None, None, {}
        return poses

    def __len__(self) -> int:
        return len(self.joints)

    def feature(self, key: Feature) -> np.ndarray | None:
        """``(N,)`` values of a feature (metres or degrees), NaN where undefined, None when the data lack it."""
        if key not in self._known:
            name, *arguments = key
            self._known[key] = FEATURES[name](self, *arguments)
        return self._known[key]

    def row(self, i: int) -> PoseRow:
        """One of the poses; its features are looked up here."""
        return PoseRow(self, i)

    def joint(self, name: str, side: str = "") -> np.ndarray:
        """``(N, 3)`` of an SMPL-22 joint."""
        return self.joints[:, JOINT[f"{side}_{name}" if side else name]]

    def point(self, part: str, side: str) -> np.ndarray:
        """``(N, 3)``: the place of a part. A whole limb is represented by its outer half."""
        if part in ("arm", "leg"):
            inner, outer = ("elbow", "wrist") if part == "arm" else ("knee", "ankle")
            return (self.joint(inner, side) + self.joint(outer, side)) / 2
        if part == "hand":
            wrist = self.joint("wrist", side)
            return wrist + HAND_BEYOND_WRIST * (wrist - self.joint("elbow", side))
        if part == "foot":
            return (self.joint("ankle", side) + self.joint("foot", side)) / 2
        if part in ("upper arm", "forearm", "thigh", "shin"):
            start, end = SEGMENTS[part]
            return (self.joint(start, side) + self.joint(end, side)) / 2
        if part in ("torso", "body"):
            return (self.joint("spine3") + self.joint("neck") + self.joint("pelvis")) / 3
        return self.joint(part) if part in ("head", "pelvis") else self.joint(part, side)

    @property
    def floor(self) -> np.ndarray:
        """``(N,)`` height of the lowest joint: there is no other ground in a pose."""
        return self.joints[:, :, 1].min(1)


class PoseRow:
    """One pose of a table, for features only."""

    def __init__(self, poses: Poses, row: int) -> None:
        self.poses, self.index = poses, row

    def __len__(self) -> int:
        return 1

    @property
    def sight(self) -> np.ndarray:
        """``(1, 3)``, as of all poses."""
        return self.poses.sight[self.index : self.index + 1]

    def feature(self, key: Feature) -> np.ndarray | None:
        """``(1,)`` value of a feature, None when the data lack it."""
        values = self.poses.feature(key)
        return None if values is None else values[self.index : self.index + 1]


def normalise(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre, turn and scale poses.

    :return: joints ``(N, 22, 3)`` and the turns ``(N, 3, 3)`` that were applied. A vertical hip line leaves the turn
        as it is.
    """
    across = joints[:, JOINT["left_hip"]] - joints[:, JOINT["right_hip"]]
    length = np.hypot(across[:, 0], across[:, 2])
    known = length > 1e-6
    c = np.where(known, across[:, 0] / np.where(known, length, 1), 1.0)
    s = np.where(known, across[:, 2] / np.where(known, length, 1), 0.0)
    zero, one = np.zeros_like(c), np.ones_like(c)
    frame = np.stack([np.stack([c, zero, s], 1), np.stack([zero, one, zero], 1), np.stack([-s, zero, c], 1)], 1)
    centred = joints - joints[:, :1]
    x, z, c, s = centred[..., 0], centred[..., 2], c[:, None], s[:, None]
    x[:], z[:] = c * x + s * z, c * z - s * x  # the turn, which leaves y as it is
    legs = sum(
        np.linalg.norm(joints[:, JOINT[f"{side}_{a}"]] - joints[:, JOINT[f"{side}_{b}"]], axis=1)
        for side in ("left", "right")
        for a, b in (("hip", "knee"), ("knee", "ankle"))
    )
    scale = LEG_LENGTH / np.maximum(np.asarray(legs) / 2, 1e-3)
    return centred * scale[:, None, None], frame
