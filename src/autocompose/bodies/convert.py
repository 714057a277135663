"""Conversion of any skeleton to SMPL-22 (and the middle fingers), with the joints that the source contains.

| source | taken over | derived | not known (codes that need it are dropped) |
|---|---|---|---|
| smpl22 | all | fingers along the forearm | - |
| smpl24 | all | fingers along wrist - hand | - |
| smplh52 | all, middle fingers | - | - |
| coco17 | shoulders, elbows, wrists, knees, ankles, hips | pelvis, spine, neck, collars, head, fingers | feet |
| coco23 | as coco17 | as coco17; foot = 3/4 toes + 1/4 heel | - |
| mediapipe33 | as coco17 | as coco23; fingers along wrist - index and little finger | - |
| bvh | by name and place (see ``bvh_joints``) | spine along pelvis - neck, fingers | feet without toes, no head |
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from autocompose.bodies.pose_frame import check_joints, faults, sides_exchanged, y_up
from autocompose.bodies.skeleton import COCO17, SMPL22
from autocompose.core.errors import PoseError

_FINGERS = ("index", "middle", "pinky", "ring", "thumb")
_EXTRA_FEET = ("left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe", "left_heel", "right_heel")
SKELETONS: dict[str, tuple[str, ...]] = {
    "smpl22": SMPL22,
    "smpl24": (*SMPL22, "left_hand", "right_hand"),
    "smplh52": SMPL22 + tuple(f"{s}_{f}{i}" for s in ("left", "right") for f in _FINGERS for i in (1, 2, 3)),
    "coco17": COCO17,
    "coco23": COCO17 + _EXTRA_FEET,
    "mediapipe33": (
        "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
        "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder", "right_shoulder", "left_elbow",
        "right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky", "left_index", "right_index",
        "left_thumb", "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
        "left_heel", "right_heel", "left_foot_index", "right_foot_index",
    ),
}  # fmt: skip
EXCHANGED = 0.7  # share of poses with backward knees or toes that is refused; where sides are swapped it is above 0.9
PELVIS_UP = 0.12  # the SMPL pelvis lies above the middle of the hips by this share of the line hips - shoulders
NECK_UP = 0.10  # and the neck above the middle of the shoulders
SPINE = {"spine1": 0.24, "spine2": 0.50, "spine3": 0.62}  # on the line pelvis - neck
COLLAR = 0.30  # on the line neck - shoulder
Parts = dict[str, np.ndarray]


class Converted(NamedTuple):
    """SMPL-22 joints.

    :param joints: ``(N, 22, 3)``, or ``(N, 24, 3)`` with the middle fingers' second joints; metres, y up.
    :param known: ``(22,)`` bool; False = the joint is a placeholder, and codes that need it are dropped.
    """

    joints: np.ndarray
    known: np.ndarray


def convert_joints(joints: np.ndarray, skeleton: str, up: str = "y", check_sides: bool = True) -> Converted:
    """Convert joints of a known skeleton.

    :param joints: ``(N, J, 3)`` metres; J as in ``SKELETONS[skeleton]``.
    :param up: the vertical axis of the input: "y", "z" (AMASS) or "-y" (MediaPipe world landmarks).
    :param check_sides: refuse input whose knees or toes mostly point backwards (sides exchanged, or an axis flipped).
    :raises PoseError: unknown skeleton or axis, wrong joint count, NaN, a bone without length, exchanged sides.
    """
    if skeleton not in SKELETONS:
        raise PoseError(f"skeleton {skeleton!r}: expected one of {', '.join(SKELETONS)}; BVH files: bodies.bvh")
    names = SKELETONS[skeleton]
    joints = y_up(check_joints(joints, (len(names),), skeleton), up)
    parts = {name: joints[:, i] for i, name in enumerate(names)}
    known = np.ones(len(SMPL22), bool)
    if skeleton.startswith("smpl"):
        fingers = {"smpl24": "hand", "smplh52": "middle2"}.get(skeleton)
    else:
        parts, fingers = _from_keypoints(parts), "middle2" if skeleton == "mediapipe33" else None
        known[[SMPL22.index(f"{s}_foot") for s in ("left", "right")]] = skeleton != "coco17"
    result = np.stack([parts[name] for name in SMPL22], 1)
    _check_bones(result, skeleton)
    if check_sides and sides_exchanged(result) > EXCHANGED:
        raise PoseError(
            f"{skeleton}: knees or toes point backwards in {sides_exchanged(result):.0%} of {len(result)} poses; "
            "left and right are swapped, or an axis has the wrong sign"
        )
    if fingers:
        result = np.concatenate([result, np.stack([parts[f"left_{fingers}"], parts[f"right_{fingers}"]], 1)], 1)
    return Converted(result, known)


def _check_bones(joints: np.ndarray, skeleton: str) -> None:
    flat = np.array([fault != "" for fault in faults(joints)], bool)
    if flat.any():
        raise PoseError(f"{skeleton}[{int(flat.argmax())}]: zero-length bone ({int(flat.sum())} poses affected)")


def complete(parts: Parts) -> Parts:
    """Add pelvis, spine, neck, collars and head of a figure that has hips and shoulders; given joints stay."""
    hips, shoulders = _middle(parts, "hip"), _middle(parts, "shoulder")
    trunk = shoulders - hips
    parts = {"pelvis": hips + PELVIS_UP * trunk, "neck": shoulders + NECK_UP * trunk, **parts}
    pelvis, neck = parts["pelvis"], parts["neck"]
    parts = {name: pelvis + share * (neck - pelvis) for name, share in SPINE.items()} | parts
    for side in ("left", "right"):
        parts.setdefault(f"{side}_collar", neck + COLLAR * (parts[f"{side}_shoulder"] - neck))
    parts.setdefault("head", neck + 0.2 * trunk)
    return parts


def _from_keypoints(parts: Parts) -> Parts:
    """Surface key points (COCO, MediaPipe) -> joints."""
    parts = complete({**parts, "head": _middle(parts, "ear")})
    for side in ("left", "right"):
        toes = [parts[n] for n in (f"{side}_big_toe", f"{side}_small_toe", f"{side}_foot_index") if n in parts]
        if toes:
            parts[f"{side}_foot"] = 0.75 * sum(toes) / len(toes) + 0.25 * parts[f"{side}_heel"]
        else:
            parts[f"{side}_foot"] = _placeholder_foot(parts, side)
        if f"{side}_index" in parts:
            parts[f"{side}_middle2"] = (parts[f"{side}_index"] + parts[f"{side}_pinky"]) / 2
    return parts


def _placeholder_foot(parts: Parts, side: str) -> np.ndarray:
    """A foot that points to the front, only so that no bone has length zero; never described."""
    front = np.cross(parts["left_hip"] - parts["right_hip"], parts["neck"] - parts["pelvis"])
    size = np.linalg.norm(front, axis=1, keepdims=True)
    ankle: np.ndarray = parts[f"{side}_ankle"]
    shin = np.linalg.norm(ankle - parts[f"{side}_knee"], axis=1, keepdims=True)
    return ankle + 0.35 * shin * front / np.maximum(size, 1e-9)


def _middle(parts: Parts, part: str) -> np.ndarray:
    middle: np.ndarray = (parts[f"left_{part}"] + parts[f"right_{part}"]) / 2
    return middle
