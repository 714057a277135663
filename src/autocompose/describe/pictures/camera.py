"""A move of the camera between two pictures: it tilts the whole person, and changes no joint."""

from __future__ import annotations

import numpy as np

MAX_TILT = 30.0  # degrees; a person who tilts by more lies down, whatever the camera did
EXPLAINED = 0.5  # share of the joints' mean distance that must go before a tilt counts as the camera's
ROUNDS, SOFT = 10, 0.03  # of the robust fit, and metres below which a distance counts as none


def without_tilt(start: np.ndarray, goal: np.ndarray) -> tuple[np.ndarray, float]:
    """Undo the tilt of the camera, if one tilt of the whole body explains most of the change.

    The fit minimises the sum of distances, not of their squares, so that a limb that moves does not pull the body
    along.

    :param start, goal: ``(22, 3)`` joints of two poses, pelvis in the origin, facing the viewer, same bone lengths.
    :return: ``goal``, turned back about the pelvis, and by how many degrees; ``goal`` itself and 0 without such a tilt.
    """
    weights = np.ones(len(start))
    for _ in range(ROUNDS):
        rotation = _rotation(start, goal, weights)
        left = np.linalg.norm(goal @ rotation.T - start, axis=1)
        weights = 1 / np.maximum(left, SOFT)
    tilt = float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))
    before = np.linalg.norm(goal - start, axis=1).mean()
    if tilt > MAX_TILT or left.mean() > (1 - EXPLAINED) * before:
        return goal, 0.0
    return goal @ rotation.T, tilt


def _rotation(start: np.ndarray, goal: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """``(3, 3)``, the turn about the origin that brings the goal nearest to the start (Kabsch)."""
    u, _, vt = np.linalg.svd((goal * weights[:, None]).T @ start)
    sign = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    return np.asarray(vt.T @ sign @ u.T)
