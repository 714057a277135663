"""Points whose depth two pictures do not show, so that a model needs a hint."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from autocompose.bodies.skeleton import SMPL22

LARGE = 0.2  # metres along the line of sight from which a change of depth is large
OVERLAP = 0.1  # metres across the line of sight within which a point stands before or behind a body line
POINTS = {"hand": "wrist", "elbow": "elbow", "foot": "ankle", "knee": "knee"}
SIDES = ("left", "right")
_ARM, _LEG = ("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle")
LINES = (
    ("pelvis", "neck"),
    ("neck", "head"),
    *((f"{side}_{a}", f"{side}_{b}") for side in SIDES for limb in (_ARM, _LEG) for a, b in pairwise(limb)),
)
"""Lines of the body, by their joints."""


def unclear_in_depth(joints: np.ndarray) -> frozenset[str]:
    """Names such as ``left_hand``: the depth changes much, or the point lies on another part in one of the pictures.

    :param joints: ``(2, 22, 3)`` metres, SMPL-22, x across the picture, y up, z towards the camera.
    """
    unclear = set()
    for side in SIDES:
        for name, joint in POINTS.items():
            point = joints[:, SMPL22.index(f"{side}_{joint}")]
            deep = abs(float(point[1, 2] - point[0, 2])) >= LARGE
            if deep or any((_to_line(joints, point, line) < OVERLAP).any() for line in _foreign(side, joint)):
                unclear.add(f"{side}_{name}")
    return frozenset(unclear)


def _foreign(side: str, joint: str) -> list[tuple[str, str]]:
    """The lines of the body without those of the limb that a joint belongs to."""
    own = {f"{side}_{name}" for name in (_ARM if joint in _ARM else _LEG)}
    return [line for line in LINES if not own.intersection(line)]


def _to_line(joints: np.ndarray, point: np.ndarray, line: tuple[str, str]) -> np.ndarray:
    """Distance of points from a line of the body in the picture, ``(2,)`` metres."""
    start, end = (joints[:, SMPL22.index(name), :2] for name in line)
    along = end - start
    length = np.maximum((along**2).sum(1), 1e-9)
    share = np.clip(((point[:, :2] - start) * along).sum(1) / length, 0, 1)
    return np.asarray(np.linalg.norm(point[:, :2] - start - share[:, None] * along, axis=1))
