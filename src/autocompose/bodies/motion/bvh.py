"""BVH motion files: joint positions of all frames, and conversion to SMPL-22."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autocompose.bodies.bvh_joints import find_joints, named
from autocompose.bodies.bvh_text import Hierarchy, decoded, parse
from autocompose.bodies.convert import EXCHANGED, Converted, Parts, complete
from autocompose.bodies.pose_frame import knees_backwards, sides_exchanged, toes_backwards, y_up
from autocompose.bodies.skeleton import SMPL22
from autocompose.core.errors import PoseError

LARGEST = 1e9  # of a coordinate, in the unit of the file
MAX_BYTES = 512 << 20
MAX_POSITIONS = 32_000_000  # frames times joints
SHORTEST = 2e-3  # share of the figure's size below which a bone has no direction: about 1 mm
SIZES = (1e-4, 1e5)  # length of the trunk in the unit of the file, from kilometres to micrometres
_STRETCH = 500_000  # positions that are computed together
_BONES = [
    *((f"{s}_{a}", f"{s}_{b}") for s in ("left", "right")
      for a, b in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))),
    ("left_hip", "right_hip"), ("left_shoulder", "right_shoulder"),
]  # fmt: skip


@dataclass
class Motion:
    """One BVH file.

    :param names, parents: J joints (end sites are called ``NAME_end``); the root has parent -1.
    :param joints: ``(T, J, 3)`` positions in the unit of the file.
    :param frame_time: seconds per frame.
    :param ends: which of the J are end sites.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    joints: np.ndarray
    frame_time: float
    ends: tuple[bool, ...]


def read_bvh(path: Path) -> Motion:
    """Read a BVH file and compute the joint positions of all frames.

    :raises PoseError: missing, not BVH, a frame with the wrong number of values, NaN, a frame time that is not
        positive.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise PoseError(f"{path}: larger than {MAX_BYTES >> 20} MB; split the motion")
        text = decoded(path.read_bytes())
    except OSError as error:
        raise PoseError(f"{path}: cannot be read ({error.strerror or error})") from None
    try:
        hierarchy, frame_time, values = parse(text)
        del text
        joints = _positions(hierarchy, values)
    except ValueError as error:
        raise PoseError(f"{path}: damaged BVH file ({error})") from None
    return Motion(tuple(hierarchy.names), tuple(hierarchy.parents), joints, frame_time, tuple(hierarchy.ends))


def to_smpl22(motion: Motion, up: str = "y") -> Converted:
    """SMPL-22 joints of every frame, found by joint names and their place in the tree (docs/skeletons.md).

    The unit of the file does not matter: poses are rescaled before they are measured.

    :raises PoseError: a joint that cannot be derived is missing or ambiguous, a bone has no length, left and right
        are exchanged, or there is no frame.
    """
    if not len(motion.joints):
        raise PoseError("the motion has no frames")
    places = find_joints(motion.names, motion.parents, motion.ends, motion.joints)
    _check_bones(motion, places)
    parts: Parts = {name: y_up(motion.joints[:, i], up) for name, i in places.items()}
    known = np.ones(len(SMPL22), bool)
    known[SMPL22.index("head")] = "head" in parts
    feet = [side for side in ("left", "right") if f"{side}_foot" in parts]
    joints = _completed(parts, known)
    sure = len(feet) == 2 and not any(motion.ends[places[f"{side}_foot"]] for side in feet)
    if _check_sides(joints, bool(feet), sure):
        return Converted(joints, known)
    return Converted(_completed({k: v for k, v in parts.items() if not k.endswith("_foot")}, known), known)


def _completed(parts: Parts, known: np.ndarray) -> np.ndarray:
    """Derive what is missing, ``(T, 22, 3)``; feet without a joint are marked in ``known``."""
    for side in ("left", "right"):
        if f"{side}_foot" not in parts:
            known[SMPL22.index(f"{side}_foot")] = False
            foot = parts[f"{side}_ankle"] + 0.35 * (parts[f"{side}_ankle"] - parts[f"{side}_knee"])
            parts = {**parts, f"{side}_foot": foot}
    parts = complete(parts)
    return np.stack([parts[name] for name in SMPL22], 1)


def _check_bones(motion: Motion, places: dict[str, int]) -> None:
    at = {name: motion.joints[:, i] for name, i in places.items()}
    trunk = (at["left_shoulder"] + at["right_shoulder"] - at["left_hip"] - at["right_hip"]) / 2
    spans = {bone: np.linalg.norm(at[bone[0]] - at[bone[1]], axis=1) for bone in _BONES}
    spans["middle of the hips", "middle of the shoulders"] = np.linalg.norm(trunk, axis=1)
    size = max(float(np.median(span)) for span in spans.values())
    for (first, second), span in spans.items():
        flat = span <= SHORTEST * size
        if flat.any():
            ends = " - ".join(repr(named(motion.names[places[n]])) for n in (first, second) if n in places)
            raise PoseError(
                f"zero-length bone {first} - {second} ({ends or 'trunk'}) in {int(flat.sum()):,} of "
                f"{len(flat):,} frames; export the skeleton with its bone lengths"
            )
    if not SIZES[0] < size < SIZES[1]:
        raise PoseError(f"bones {size:.3g} long; expected a figure in a usual unit, such as centimetres")


def _check_sides(joints: np.ndarray, feet: bool, sure: bool) -> bool:
    """Left and right are the person's own: knees and toes tell, knees alone where there are no joints called toes.

    :param sure: the feet are joints with names; an end site at the ankle may be a heel.
    :return: False when the feet are heels.
    :raises PoseError: the sides are swapped.
    """
    hips, shoulders = (
        joints[:, SMPL22.index(f"left_{n}")] - joints[:, SMPL22.index(f"right_{n}")] for n in ("hip", "shoulder")
    )
    if (crossed := float((np.einsum("nk,nk->n", hips, shoulders) < 0).mean())) > EXCHANGED:
        raise PoseError(
            f"the left arm is on the side of the right leg in {crossed:.0%} of {len(joints):,} frames; left and "
            "right are swapped in the arms or in the legs"
        )
    knees = float("nan") if sure else knees_backwards(joints)
    share, what = (
        (knees, "knees bend")
        if not np.isnan(knees)
        else (sides_exchanged(joints) if feet else 0.0, "knees or toes point")
    )
    if share > EXCHANGED:
        raise PoseError(
            f"{what} backwards in {share:.0%} of {len(joints):,} frames; left and right are swapped, or an axis "
            "has the wrong sign"
        )
    return sure or not (feet and toes_backwards(joints) > EXCHANGED)


def _positions(hierarchy: Hierarchy, values: np.ndarray) -> np.ndarray:
    """Forward kinematics: ``(T, W)`` channel values -> ``(T, J, 3)``.

    :raises ValueError: too many positions, or some that are not finite.
    """
    count = len(values) * len(hierarchy.names)
    if count > MAX_POSITIONS:
        raise ValueError(f"{count:,} joint positions, more than {MAX_POSITIONS:,}; split the motion")
    joints = np.empty((len(values), len(hierarchy.names), 3))
    with np.errstate(all="ignore"):
        step = max(1, _STRETCH // len(hierarchy.names))
        for start in range(0, len(values), step):
            _stretch(hierarchy, values[start : start + step], joints[start : start + step])
        if not (np.abs(joints) < LARGEST).all():
            raise ValueError("coordinates that are too large")
    return joints


def _stretch(hierarchy: Hierarchy, values: np.ndarray, joints: np.ndarray) -> None:
    turned: list[np.ndarray] = []
    column = 0
    for j, (parent, channels) in enumerate(zip(hierarchy.parents, hierarchy.channels, strict=True)):
        place = np.tile(hierarchy.offsets[j], (len(values), 1))
        turn = np.eye(3)[None]
        for axis, rotation in channels:
            if rotation:
                turn = turn @ _about(axis, np.radians(values[:, column]))
            else:
                place[:, axis] = values[:, column]
            column += 1
        if parent < 0:
            joints[:, j] = place
            turned.append(turn)
        else:
            joints[:, j] = joints[:, parent] + np.einsum("tij,tj->ti", turned[parent], place)
            turned.append(turned[parent] @ turn if channels else turned[parent])


def _about(axis: int, angle: np.ndarray) -> np.ndarray:
    """Rotation matrices ``(T, 3, 3)`` about a coordinate axis."""
    result = np.zeros((len(angle), 3, 3))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    result[:, axis, axis] = 1.0
    result[:, i, i] = result[:, j, j] = np.cos(angle)
    result[:, j, i] = np.sin(angle)
    result[:, i, j] = -np.sin(angle)
    return result
