"""The features that can be measured on a pose: one number per pose and feature.

Sides are ``left`` and ``right``; the frame is that of ``measure.normalise``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from autocompose.describe.audit.measure import Poses

Feature = tuple[Any, ...]
AXIS = {"x": 0, "y": 1, "z": 2}
SEGMENTS = {
    "arm": ("shoulder", "wrist"), "upper arm": ("shoulder", "elbow"), "forearm": ("elbow", "wrist"), "hand": ("elbow",
    "wrist"),
    "elbow": ("shoulder", "elbow"), "leg": ("hip", "ankle"), "thigh": ("hip", "knee"), "knee": ("hip", "knee"),
    "shin": ("knee", "ankle"), "foot": ("ankle", "foot"),
}  # fmt: skip


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


RADIUS = {
    "hand": 0.04, "forearm": 0.04, "elbow": 0.05, "upper arm": 0.05, "arm": 0.045, "shoulder": 0.06, "foot": 0.04,
    "shin": 0.05, "knee": 0.06, "thigh": 0.08, "leg": 0.06, "hip": 0.08, "head": 0.11, "torso": 0.13, "body": 0.13,
    "pelvis": 0.13,
}  # fmt: skip
"""Metres from the line through a part's joints to its skin, on a body with legs of 0.8 m."""


def _surface_gap(poses: Poses, part: str, side: str, other: str, other_side: str) -> np.ndarray:
    """Metres between the surfaces of two parts; negative when they overlap."""
    return _distance(poses, part, side, other, other_side) - RADIUS[part] - RADIUS[other]


def _flat_distance(poses: Poses, part: str, side: str, other: str, other_side: str) -> np.ndarray:
    """Distance along the floor, to the nearer side where none is said."""
    point = poses.point(part, side)
    sides = ("left", "right") if other_side in ("both", "none") and other not in _CENTRAL else (other_side,)
    return np.min([np.linalg.norm((point - poses.point(other, s))[:, ::2], axis=1) for s in sides], 0)


_CENTRAL = ("head", "pelvis", "torso", "body")


def _chest_frame(poses: Poses) -> tuple[np.ndarray, np.ndarray]:
    """Unit directions to the chest's left and front along the floor, ``(N, 3)`` each; the hips' if it lies sideways."""
    line = poses.joint("shoulder", "left") - poses.joint("shoulder", "right")
    length = np.hypot(line[:, 0], line[:, 2])
    known = length > 0.3 * np.linalg.norm(line, axis=1)
    x = np.where(known, line[:, 0] / np.where(known, length, 1), 1.0)
    z = np.where(known, line[:, 2] / np.where(known, length, 1), 0.0)
    zero = np.zeros_like(x)
    return np.stack([x, zero, z], 1), np.stack([-z, zero, x], 1)


def _from_chest(poses: Poses, axis: str, part: str, side: str) -> np.ndarray:
    """Coordinate in the frame of the chest, from the middle of the shoulders; it turns with the trunk."""
    origin = (poses.joint("shoulder", "left") + poses.joint("shoulder", "right")) / 2
    across, front = _chest_frame(poses)
    return ((poses.point(part, side) - origin) * {"x": across, "z": front}[axis]).sum(1)


def _height(poses: Poses, part: str, side: str) -> np.ndarray:
    """Above the floor."""
    return poses.point(part, side)[:, 1] - poses.floor


def _aim(poses: Poses, direction: str, part: str, side: str, frame: str) -> np.ndarray:
    """Degrees between where a limb points and a direction, 0..180."""
    start, end = SEGMENTS[part]
    line = poses.joint(end, side) - poses.joint(start, side)
    across, front = (np.eye(3)[[0]], np.eye(3)[[2]]) if frame == "hips" else _chest_frame(poses)
    goal = {"up": np.array([[0.0, 1.0, 0.0]]), "left": across, "forward": front}
    opposite = {"down": "up", "right": "left", "backward": "forward"}
    return _angle(line, goal[direction] if direction in goal else -goal[opposite[direction]])


def _apex(poses: Poses, axis: str, joint: str, side: str) -> np.ndarray:
    """Metres by which an elbow or a knee stands out beyond both its neighbours along an axis, signed."""
    before, after = ("shoulder", "wrist") if joint == "elbow" else ("hip", "ankle")
    point, ends = (
        poses.joint(joint, side)[:, AXIS[axis]],
        [poses.joint(j, side)[:, AXIS[axis]] for j in (before, after)],
    )
    above, below = point - np.max(ends, 0), point - np.min(ends, 0)
    return np.where(above > 0, above, np.where(below < 0, below, 0.0))


def _before(poses: Poses, part: str, side: str, other: str, other_side: str) -> np.ndarray:
    """Metres in front of another part in the trunk's own frame: what is before the chest of one who leans or lies."""
    up = _axis_of(poses, "torso")
    across = poses.joint("shoulder", "left") - poses.joint("shoulder", "right")
    front = np.cross(across, up)
    front = front / np.maximum(np.linalg.norm(front, axis=1, keepdims=True), 1e-9)
    sides = ("left", "right") if other_side in ("both", "none") and other not in _CENTRAL else (other_side,)
    place = np.mean([poses.point(other, s) for s in sides], 0)
    return ((poses.point(part, side) - place) * front).sum(1)


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
    "crossing": _crossing, "surface-gap": _surface_gap, "flat-distance": _flat_distance, "from-chest": _from_chest,
    "height": _height, "aim": _aim, "apex": _apex, "before": _before,
    "stretch": lambda poses, limb, side: np.linalg.norm(
        poses.joint(SEGMENTS[limb][1], side) - poses.joint(SEGMENTS[limb][0], side), axis=1
    ),
}  # fmt: skip
