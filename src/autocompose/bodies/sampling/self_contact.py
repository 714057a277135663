"""Self-intersection, floor contact and balance of a pose, with capsules on SMPL-22 joints."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from autocompose.bodies.skeleton import SMPL22

HAND = 0.14  # metres from wrist to fingertip
# capsule: (from, to, radius in metres); radii are those of an average adult, a little slim so that skin may touch
CAPSULES: dict[str, tuple[str, str, float]] = {
    "left_upperarm": ("left_shoulder", "left_elbow", 0.042),
    "right_upperarm": ("right_shoulder", "right_elbow", 0.042),
    "left_forearm": ("left_elbow", "left_wrist", 0.034),
    "right_forearm": ("right_elbow", "right_wrist", 0.034),
    "left_hand": ("left_wrist", "left_fingers", 0.03),
    "right_hand": ("right_wrist", "right_fingers", 0.03),
    "left_thigh": ("left_hip", "left_knee", 0.065),
    "right_thigh": ("right_hip", "right_knee", 0.065),
    "left_shin": ("left_knee", "left_ankle", 0.048),
    "right_shin": ("right_knee", "right_ankle", 0.048),
    "left_foot": ("left_ankle", "left_foot", 0.038),
    "right_foot": ("right_ankle", "right_foot", 0.038),
    "belly": ("pelvis", "spine3", 0.105),
    "chest": ("left_collar", "right_collar", 0.095),
    "seat": ("left_hip", "right_hip", 0.085),
    "head": ("neck", "crown", 0.085),
}
POINTS: tuple[str, ...] = (*SMPL22, "left_fingers", "right_fingers", "crown")
# neighbours on the body, which always overlap, and the folded knee (calf on thigh)
_JOINED = {
    frozenset(pair)
    for side in ("left", "right")
    for pair in (
        (f"{side}_upperarm", f"{side}_forearm"), (f"{side}_forearm", f"{side}_hand"), (f"{side}_upperarm", "chest"),
        (f"{side}_upperarm", "belly"), (f"{side}_thigh", f"{side}_shin"), (f"{side}_shin", f"{side}_foot"),
        (f"{side}_thigh", "seat"), (f"{side}_thigh", "belly"), (f"{side}_upperarm", "head"),
        (f"{side}_upperarm", f"{side}_hand"), (f"{side}_thigh", f"{side}_foot"),
    )
} | {frozenset(p) for p in (("belly", "chest"), ("belly", "seat"), ("chest", "head"), ("left_thigh", "right_thigh"),
                            ("belly", "head"))}  # fmt: skip
PAIRS = tuple(p for p in combinations(CAPSULES, 2) if frozenset(p) not in _JOINED)
# skin below a joint in metres: what touches the floor; fingers give way
_SKIN = {"ankle": 0.075, "foot": 0.03, "knee": 0.055, "wrist": 0.035, "fingers": -HAND, "elbow": 0.045, "pelvis": 0.1,
         "hip": 0.095, "shoulder": 0.07, "head": 0.1, "crown": 0.09, "spine1": 0.1, "spine2": 0.1, "spine3": 0.105,
         "neck": 0.06, "collar": 0.07}  # fmt: skip
SKIN = np.array([_SKIN[p.rpartition("_")[2]] for p in POINTS])
# share of the body's mass near each joint (de Leva 1996, trunk spread over the spine)
_MASS = {"pelvis": 0.14, "spine1": 0.08, "spine2": 0.1, "spine3": 0.12, "head": 0.08, "hip": 0.06, "knee": 0.065,
         "ankle": 0.035, "elbow": 0.025, "wrist": 0.025, "shoulder": 0.03}  # fmt: skip
MASS = np.array([_MASS.get(j.rpartition("_")[2], 0.0) for j in SMPL22])
_P = {name: i for i, name in enumerate(POINTS)}
# of PAIRS: both ends of the first capsule, both of the second, and the sum of their radii
_ENDS = tuple([_P[CAPSULES[pair[i]][:2][k]] for pair in PAIRS] for i in (0, 1) for k in (0, 1))
_RADII = np.array([CAPSULES[x][2] + CAPSULES[y][2] for x, y in PAIRS])


def extended(joints: np.ndarray) -> np.ndarray:
    """Add fingertips and crown: ``(N, 22, 3)`` -> ``(N, 25, 3)`` in the order of ``POINTS``.

    Poses that have them already are returned as they are, so all functions here take either.
    """
    if joints.shape[1] == len(POINTS):
        return joints
    extra = []
    for side in ("left", "right"):
        wrist, elbow = joints[:, _P[f"{side}_wrist"]], joints[:, _P[f"{side}_elbow"]]
        extra.append(wrist + HAND * _unit(wrist - elbow))
    head, neck = joints[:, _P["head"]], joints[:, _P["neck"]]
    extra.append(head + 0.08 * _unit(head - neck))
    return np.concatenate([joints, np.stack(extra, 1)], axis=1)


def depth(joints: np.ndarray) -> np.ndarray:
    """How deep the worst two body parts run into each other.

    :param joints: ``(N, 22, 3)`` metres.
    :return: ``(N,)`` metres; negative = the smallest gap. Around 0.02 is a touch that skin gives way to.
    """
    points = extended(joints)
    a0, a1, b0, b1 = (points[:, ends] for ends in _ENDS)
    return (_RADII - segment_distance(a0, a1, b0, b1)).max(axis=1)


def clearance(joints: np.ndarray) -> np.ndarray:
    """Height ``(N, 25)`` of the skin of each of ``POINTS`` above the pose's own floor, in metres."""
    low = extended(joints)[..., 1] - SKIN
    return low - low.min(axis=1, keepdims=True)


def centre_of_mass(joints: np.ndarray) -> np.ndarray:
    """``(N, 3)`` metres."""
    return np.einsum("njk,j->nk", joints[:, : len(MASS)], MASS / MASS.sum())


def imbalance(joints: np.ndarray, touch: float = 0.05) -> np.ndarray:
    """How far the centre of mass hangs over the support, in metres; 0 or less = the pose can stand still.

    The support is the convex hull of the points within ``touch`` metres of the floor.

    :param joints: ``(N, 22, 3)`` metres.
    """
    points = extended(joints)
    ground = points[..., [0, 2]]
    centre = centre_of_mass(joints)[:, [0, 2]]
    touching = clearance(points) <= touch
    # Over all directions, the worst overhang beyond the farthest supporting point.
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    directions = np.stack([np.cos(angles), np.sin(angles)])
    reach = np.where(touching[..., None], ground @ directions, -np.inf).max(axis=1)
    return (centre @ directions - reach).max(axis=1)


def segment_distance(a0: np.ndarray, a1: np.ndarray, b0: np.ndarray, b1: np.ndarray) -> np.ndarray:
    """Least distance of segments a0-a1 and b0-b1, all ``(..., 3)`` -> ``(...)``; segments have positive length."""
    u, v, w = a1 - a0, b1 - b0, a0 - b0
    uu, vv, uv, uw, vw = ((x * y).sum(-1) for x, y in ((u, u), (v, v), (u, v), (u, w), (v, w)))
    uu, vv = np.maximum(uu, 1e-12), np.maximum(vv, 1e-12)
    det = uu * vv - uv * uv
    s = np.where(det > 1e-9 * uu * vv, (uv * vw - vv * uw) / np.maximum(det, 1e-15), 0.0).clip(0, 1)
    t = (uv * s + vw) / vv
    # The closest point of b lies outside its segment: clamp it and go back to a.
    s = np.where((t < 0) | (t > 1), ((uv * t.clip(0, 1) - uw) / uu).clip(0, 1), s)
    t = t.clip(0, 1)
    return np.linalg.norm(w + s[..., None] * u - t[..., None] * v, axis=-1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
