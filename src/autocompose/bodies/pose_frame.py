"""Bring poses into the frame that the pose thresholds assume: pelvis in the origin, average body, facing the viewer."""

from __future__ import annotations

import numpy as np

from autocompose.bodies.skeleton import SMPL22, SMPL22_PARENTS, turn
from autocompose.core.errors import PoseError

FINGER_LENGTH = 0.1367  # metres from wrist to the middle finger's second joint: the mean that PoseFix reports
# Bone lengths in metres of an average adult (about 1.70 m tall), bone = (parent, joint) in SMPL-22 order, rounded
# to 5 mm; the metre thresholds of the pose codes were set on such a body. The last two lead to the middle fingers.
PARENTS24: tuple[int, ...] = (*SMPL22_PARENTS, 20, 21)
NEUTRAL_BONES: tuple[float, ...] = (
    0.0, 0.110, 0.110, 0.120, 0.385, 0.385, 0.135, 0.405, 0.405, 0.055, 0.140, 0.140, 0.215, 0.140, 0.140, 0.100,
    0.115, 0.115, 0.260, 0.260, 0.255, 0.255, FINGER_LENGTH, FINGER_LENGTH,
)  # fmt: skip
_NAMES24 = (*SMPL22, "left_middle2", "right_middle2")
SHORTEST_BONE = 1e-3  # metres; below it a bone has no direction
CLEAR_KNEE = 0.5  # cosine between the front and the way a knee stands out, above which it tells where the front is
BENT_KNEE = 0.16  # a knee's distance from the line hip - ankle, as a share of the thigh, from which the leg is bent
_FOOT, _ANKLE = ({s: SMPL22.index(f"{s}_{part}") for s in ("left", "right")} for part in ("foot", "ankle"))
_HIP_L, _HIP_R, _NECK = SMPL22.index("left_hip"), SMPL22.index("right_hip"), SMPL22.index("neck")


def check_joints(joints: np.ndarray, counts: tuple[int, ...] = (22, 24), what: str = "joints") -> np.ndarray:
    """Refuse anything but finite ``(N, J, 3)``; returns float64 (differences of float32 metres lose digits).

    :param counts: allowed J; 24 = SMPL-22 and the two middle fingers.

    :raises PoseError: wrong shape, or NaN/infinite coordinates (names the first pose at fault).
    """
    joints = np.asarray(joints, np.float64)
    if joints.ndim != 3 or joints.shape[1] not in counts or joints.shape[2] != 3:
        allowed = " or ".join(map(str, counts))
        raise PoseError(f"{what}: expected (N, {allowed}, 3) metres, got {joints.shape}; convert the skeleton first")
    bad = ~np.isfinite(joints).all(axis=(1, 2))
    if bad.any():
        raise PoseError(f"{what}[{int(bad.argmax())}]: NaN or infinite coordinate ({int(bad.sum())} poses affected)")
    return joints


def faults(joints: np.ndarray) -> list[str]:
    """The fault of each SMPL-22 pose ``(N, 22, 3)``; "" for usable ones."""
    finite = np.isfinite(joints).all(axis=(1, 2))
    bones = np.linalg.norm(joints[:, 1:] - joints[:, np.array(SMPL22_PARENTS[1:])], axis=2)
    flat = (bones < SHORTEST_BONE).any(axis=1)
    return [
        "NaN coordinate" if not ok else "zero-length bone" if bad else "" for ok, bad in zip(finite, flat, strict=True)
    ]


def centre(joints: np.ndarray) -> np.ndarray:
    """Move the pelvis (joint 0) of ``(N, J, 3)`` into the origin."""
    return joints - joints[:, :1]


def yaw_of(joints: np.ndarray) -> np.ndarray:
    """Yaw ``(N,)`` in degrees of SMPL-22 joints ``(N, 22, 3)``; 0 = faces +z, positive = turned to their own left.

    It is the heading of the hip line, which is the yaw of the pelvis in the order yaw-pitch-roll. When the hip line
    stands almost upright (lying on one side) its heading means nothing, and the heading of the front is taken.
    """
    left = joints[:, _HIP_L] - joints[:, _HIP_R]
    yaw = np.arctan2(-left[:, 2], left[:, 0])
    steep = np.hypot(left[:, 0], left[:, 2]) < 0.3 * np.linalg.norm(left, axis=1)
    if steep.any():
        front = np.cross(left[steep], joints[steep, _NECK] - joints[steep, 0])
        yaw[steep] = np.arctan2(front[:, 0], front[:, 2])
    return np.degrees(yaw)


def remove_yaw(joints: np.ndarray, yaw: np.ndarray | None = None) -> np.ndarray:
    """Turn each pose ``(N, 22, 3)`` to face the viewer; pitch and roll stay. ``yaw`` replaces the measured one."""
    return turn(joints, -(yaw_of(joints) if yaw is None else np.asarray(yaw)))


def rescale(joints: np.ndarray) -> np.ndarray:
    """Give pelvis-centred poses ``(N, 22 or 24, 3)`` the bone lengths of the neutral body; directions stay.

    :raises PoseError: a bone is shorter than 1 mm, so it has no direction (names pose and bone).
    """
    parents = np.array(PARENTS24[1 : joints.shape[1]])
    bones = joints[:, 1:] - joints[:, parents]
    lengths = np.sqrt(np.einsum("njk,njk->nj", bones, bones))
    short = lengths < SHORTEST_BONE
    if short.any():
        row, bone = np.argwhere(short)[0]
        raise PoseError(
            f"pose {row}: bone {_NAMES24[parents[bone]]} - {_NAMES24[bone + 1]} has zero length; "
            "drop the pose or convert it from a skeleton that lacks the joint"
        )
    bones *= (np.array(NEUTRAL_BONES[1 : joints.shape[1]]) / lengths)[..., None]
    result = np.zeros_like(joints)
    for joint, parent in enumerate(parents.tolist(), start=1):
        result[:, joint] = result[:, parent] + bones[:, joint - 1]
    return result


def sides_exchanged(joints: np.ndarray) -> float:
    """Share of SMPL-22 poses ``(N, 22, 3)`` whose knees bend backwards, or whose toes point backwards where no knee
    tells, seen from hips and trunk. (Toes alone mislead: whoever kneels has toes that point backwards.)

    Hardly any real pose does that. A large share means that the labels left and right are swapped, or that one axis
    of the coordinates has the wrong sign.
    """
    if len(joints) == 0:
        return 0.0
    knees = sum(np.where(np.abs(ahead) > CLEAR_KNEE, ahead, 0) for ahead in _knees(joints))
    return float(np.where(knees == 0, _toes(joints) < 0, knees < 0).mean())


def toes_backwards(joints: np.ndarray) -> float:
    """Share of SMPL-22 poses ``(N, 22, 3)`` whose toes point backwards, seen from hips and trunk."""
    return float((_toes(joints) < 0).mean()) if len(joints) else 0.0


def knees_backwards(joints: np.ndarray) -> float:
    """Share of the bent legs of SMPL-22 poses ``(N, 22, 3)`` whose knee points backwards, seen from hips and trunk.

    The evidence of exchanged sides for skeletons without feet; NaN when no leg is bent.
    """
    every = np.concatenate([ahead[ahead != 0] for ahead in _knees(joints)])
    return float((every < 0).mean()) if len(every) else float("nan")


def _front(joints: np.ndarray) -> np.ndarray:
    """The direction ``(N, 3)`` that hips and trunk face, of length 1 (0 where there is none)."""
    front = np.cross(joints[:, _HIP_L] - joints[:, _HIP_R], joints[:, _NECK] - joints[:, 0])
    unit: np.ndarray = front / np.maximum(np.linalg.norm(front, axis=1, keepdims=True), 1e-12)
    return unit


def _toes(joints: np.ndarray) -> np.ndarray:
    """How far the toes of both feet point to the front; negative: backwards."""
    toes = sum(joints[:, _FOOT[side]] - joints[:, _ANKLE[side]] for side in ("left", "right"))
    return np.asarray((_front(joints) * toes).sum(1))


def _knees(joints: np.ndarray) -> list[np.ndarray]:
    """For each leg the cosine ``(N,)`` between the front and the way its knee stands out; 0 for straight legs."""
    front, cosines = _front(joints), []
    for side in ("left", "right"):
        hip, knee, ankle = (joints[:, SMPL22.index(f"{side}_{part}")] for part in ("hip", "knee", "ankle"))
        line = ankle - hip
        share = ((knee - hip) * line).sum(1) / np.maximum((line * line).sum(1), 1e-12)
        out = knee - hip - np.clip(share, 0, 1)[:, None] * line
        far = np.linalg.norm(out, axis=1)
        bent = far > BENT_KNEE * np.linalg.norm(knee - hip, axis=1)
        cosines.append(np.where(bent, (out * front).sum(1) / np.maximum(far, 1e-12), 0.0))
    return cosines


def y_up(joints: np.ndarray, up: str) -> np.ndarray:
    """Turn joints ``(..., 3)`` whose vertical is ``up`` ("y", "-y" or "z") so that y points up and x is kept.

    z-up data (AMASS) rotate by -90 degrees about x, image-like data (y down, z away) by 180 degrees.

    :raises PoseError: another axis is named.
    """
    x, y, z = joints[..., 0], joints[..., 1], joints[..., 2]
    if up == "y":
        return joints
    if up == "z":
        return np.stack([x, z, -y], -1)
    if up == "-y":
        return np.stack([x, -y, -z], -1)
    raise PoseError(f"up axis {up!r}: expected y, -y or z")


def own_frame(joints: np.ndarray, yaw: np.ndarray) -> np.ndarray:
    """Joints ``(N, 22, 3)`` in metres with the yaw ``(N,)`` removed and the pelvis at the origin, float32."""
    return turn(joints - joints[:, :1], -yaw).astype(np.float32)
