"""What can be measured on a pose: one number per pose and feature.

Every pose is centred on its pelvis, turned so that its hip line lies along x (left hip at +x, person faces +z) and
scaled
to legs of 0.8 m, so that thresholds in metres mean the same on every body.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autocompose.bodies.skeleton import SMPL22
from autocompose.core.errors import PoseError

LEG_LENGTH = 0.8  # metres, thigh and shin of an average adult
HAND_BEYOND_WRIST = 0.25  # share of the forearm from the wrist to the middle of the hand
Feature = tuple[Any, ...]
JOINT = {name: i for i, name in enumerate(SMPL22)}
AXIS = {"x": 0, "y": 1, "z": 2}
SEGMENTS = {
    "arm": ("shoulder", "wrist"), "upper arm": ("shoulder", "elbow"), "forearm": ("elbow", "wrist"), "hand": ("elbow",
    "wrist"),
    "elbow": ("shoulder", "elbow"), "leg": ("hip", "ankle"), "thigh": ("hip", "knee"), "knee": ("hip", "knee"),
    "shin": ("knee", "ankle"), "foot": ("ankle", "foot"),
}  # fmt: skip


class Poses:
    """N poses with lazily measured, remembered features.

    :param joints: ``(N, 22, 3)`` metres, SMPL-22, scene frame of ``bodies.skeleton``.
    :param yaw: ``(N,)`` degrees in which the person turned, positive = to their own left; None: turns cannot be
        checked.
    :param face: ``(N, 3)`` directions in which the face looks, scene frame; None: head turns cannot be checked.
    :raises PoseError: wrong shape or not finite.
    """

    def __init__(self, joints: np.ndarray, yaw: np.ndarray | None = None, face: np.ndarray | None = None) -> None:
        joints = np.asarray(joints, np.float64)
        if joints.ndim != 3 or joints.shape[1:] != (22, 3):
            raise PoseError(f"audit: joints of shape {joints.shape}, expected (N, 22, 3) in SMPL-22 order")
        if not np.isfinite(joints).all():
            row = int(np.flatnonzero(~np.isfinite(joints).all((1, 2)))[0])
            raise PoseError(f"audit: pose {row} has joints that are not finite; drop it or repair it")
        self.joints, frame = normalise(joints)
        self.yaw = None if yaw is None else np.asarray(yaw, float)
        self.face = None if face is None else np.einsum("nij,nj->ni", frame, np.asarray(face, float))
        self._known: dict[Feature, np.ndarray | None] = {}

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
        """``(N, 3)``: where a part is. Limbs as a whole stand for their outer half."""
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
    centred = np.einsum("nij,nkj->nki", frame, joints - joints[:, :1])
    legs = sum(
        np.linalg.norm(joints[:, JOINT[f"{side}_{a}"]] - joints[:, JOINT[f"{side}_{b}"]], axis=1)
        for side in ("left", "right")
        for a, b in (("hip", "knee"), ("knee", "ankle"))
    )
    scale = LEG_LENGTH / np.maximum(np.asarray(legs) / 2, 1e-3)
    return centred * scale[:, None, None], frame


def _coordinate(poses: Poses, axis: str, part: str, side: str) -> np.ndarray:
    """Relative to the pelvis; the pelvis relative to the feet and, in height, to the floor."""
    point = poses.point(part, side)[:, AXIS[axis]]
    if part not in ("pelvis", "body"):
        return point
    if axis == "y":
        return -poses.floor
    feet = (poses.joint("ankle", "left") + poses.joint("ankle", "right")) / 2
    return -feet[:, AXIS[axis]]


def _bend(poses: Poses, joint: str, side: str) -> np.ndarray:
    """Inner angle of elbow or knee, 180 = straight."""
    start, end = ("shoulder", "wrist") if joint == "elbow" else ("hip", "ankle")
    middle = poses.joint(joint, side)
    return _angle(poses.joint(start, side) - middle, poses.joint(end, side) - middle)


def _angle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(u, axis=1) * np.linalg.norm(v, axis=1)
    cosine = (u * v).sum(1) / np.where(norm > 0, norm, 1)
    return np.where(norm > 0, np.degrees(np.arccos(np.clip(cosine, -1, 1))), np.nan)


def _distance(poses: Poses, part: str, side: str, other: str, other_side: str) -> np.ndarray:
    """Between two parts; to the trunk, its nearest point; to a part without a side, the nearer side."""
    point = poses.point(part, side)
    if other in ("torso", "body"):
        return _to_segment(point, poses.joint("pelvis"), poses.joint("neck"))
    sides = ("left", "right") if other_side in ("both", "none") and other not in ("head", "pelvis") else (other_side,)
    if other in ("forearm", "upper arm", "thigh", "shin", "arm", "leg"):
        ends = [(poses.joint(SEGMENTS[other][0], s), poses.joint(SEGMENTS[other][1], s)) for s in sides]
        return np.min([_to_segment(point, start, end) for start, end in ends], 0)
    if other == "pelvis":
        return _to_segment(point, poses.joint("hip", "left"), poses.joint("hip", "right"))
    return np.min([np.linalg.norm(point - poses.point(other, s), axis=1) for s in sides], 0)


def _to_segment(point: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    line = end - start
    t = ((point - start) * line).sum(1) / np.maximum((line * line).sum(1), 1e-9)
    return np.linalg.norm(point - start - np.clip(t, 0, 1)[:, None] * line, axis=1)


def _reach(poses: Poses, part: str, side: str) -> np.ndarray:
    return np.linalg.norm(poses.point(part, side) - poses.point("torso", ""), axis=1)


def _lateral(poses: Poses, part: str, side: str) -> np.ndarray:
    return poses.point(part, side)[:, 0] * (1 if side == "left" else -1)


def _gap(poses: Poses, part: str) -> np.ndarray:
    return np.linalg.norm(poses.point(part, "left") - poses.point(part, "right"), axis=1)


def _axis_of(poses: Poses, part: str) -> np.ndarray:
    """The upward line of a central part, ``(N, 3)`` of unit length."""
    shoulders = (poses.joint("shoulder", "left") + poses.joint("shoulder", "right")) / 2
    line = {
        "head": poses.joint("head") - poses.joint("neck"),
        "pelvis": poses.joint("spine1") - poses.joint("pelvis"),
    }.get(part, shoulders - poses.joint("pelvis"))
    return line / np.maximum(np.linalg.norm(line, axis=1, keepdims=True), 1e-9)


def _lean_forward(poses: Poses, part: str) -> np.ndarray:
    """Degrees forward of the vertical; the head relative to the trunk. NaN when the part points sideways."""
    line = _axis_of(poses, part)
    angle = np.degrees(np.arctan2(line[:, 2], line[:, 1]))
    angle = np.where(np.hypot(line[:, 1], line[:, 2]) > 0.3, angle, np.nan)
    return (angle - _lean_forward(poses, "torso") + 180) % 360 - 180 if part == "head" else angle


def _lean_left(poses: Poses, part: str) -> np.ndarray:
    """Degrees to the left of the vertical; pelvis and shoulders by the slope of their line."""
    if part in ("pelvis", "shoulder"):
        joint = "hip" if part == "pelvis" else "shoulder"
        line = poses.joint(joint, "right") - poses.joint(joint, "left")
        return np.degrees(np.arctan2(line[:, 1], np.hypot(line[:, 0], line[:, 2])))
    angle = np.degrees(np.arcsin(np.clip(_axis_of(poses, part)[:, 0], -1, 1)))
    return angle - _lean_left(poses, "torso") if part == "head" else angle


def _twist(poses: Poses) -> np.ndarray:
    """Degrees that the shoulders are turned to the left of the hips."""
    return _heading(poses.joint("shoulder", "left") - poses.joint("shoulder", "right"), across=True)


def _heading(line: np.ndarray, across: bool) -> np.ndarray:
    """Yaw of a horizontal direction in degrees, positive = left; NaN when it is nearly vertical."""
    x, z = line[:, 0], line[:, 2]
    angle = np.degrees(np.arctan2(-z, x) if across else np.arctan2(x, z))
    return np.where(np.hypot(x, z) > 0.3 * np.linalg.norm(line, axis=1), angle, np.nan)


def _foot_yaw(poses: Poses, side: str) -> np.ndarray:
    return _heading(poses.joint("foot", side) - poses.joint("ankle", side), across=False)


def _face_yaw(poses: Poses) -> np.ndarray | None:
    return None if poses.face is None else _heading(poses.face, across=False)


def _face_down(poses: Poses) -> np.ndarray | None:
    if poses.face is None:
        return None
    return -np.degrees(np.arcsin(np.clip(poses.face[:, 1] / np.linalg.norm(poses.face, axis=1), -1, 1)))


def _tilt(poses: Poses, part: str, side: str) -> np.ndarray:
    """Degrees between a segment and the vertical, 0..90."""
    if part in ("torso", "body", "head"):
        cosine = np.abs(_axis_of(poses, part)[:, 1])
        return np.degrees(np.arccos(np.clip(cosine, 0, 1)))
    start, end = SEGMENTS[part]
    angle = _angle(poses.joint(end, side) - poses.joint(start, side), np.array([[0.0, 1.0, 0.0]]))
    return np.minimum(angle, 180 - angle)


def _relative(poses: Poses, axis: str, part: str, side: str, other: str, other_side: str) -> np.ndarray:
    sides = (
        ("left", "right")
        if other_side in ("both", "none") and other not in ("head", "pelvis", "torso")
        else (other_side,)
    )
    place = np.mean([poses.point(other, s)[:, AXIS[axis]] for s in sides], 0)
    return poses.point(part, side)[:, AXIS[axis]] - place


def _above_floor(poses: Poses, part: str, side: str) -> np.ndarray:
    if part == "foot":
        low = np.minimum(poses.joint("foot", side)[:, 1], poses.joint("ankle", side)[:, 1])
    elif part == "leg":
        low = np.minimum(poses.joint("knee", side)[:, 1], poses.joint("ankle", side)[:, 1])
    else:
        low = poses.point(part, side)[:, 1]
    return low - poses.floor


def _crossing(poses: Poses, part: str) -> np.ndarray:
    """How far the left end lies to the right of the right end."""
    joint = "wrist" if part in ("arm", "hand", "forearm") else "ankle"
    return poses.joint(joint, "right")[:, 0] - poses.joint(joint, "left")[:, 0]


FEATURES: dict[str, Callable[..., np.ndarray | None]] = {
    "coordinate": _coordinate, "bend": _bend, "distance": _distance, "reach": _reach, "lateral": _lateral, "gap": _gap,
    "lean-forward": _lean_forward, "lean-left": _lean_left, "twist": _twist, "foot-yaw": _foot_yaw, "face-yaw":
    _face_yaw,
    "face-down": _face_down, "yaw": lambda poses: poses.yaw, "tilt": _tilt, "relative": _relative, "floor":
    _above_floor,
    "crossing": _crossing,
}  # fmt: skip
