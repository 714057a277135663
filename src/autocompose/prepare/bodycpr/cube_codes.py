"""Pair codes of an edit cube: clear edits, distinguishable targets, and blind guessing.

Only codes that a text can mention count; a change of distance alone never is.
"""

from __future__ import annotations

import numpy as np

from autocompose.bodies.points import normal_points
from autocompose.bodies.pose_frame import centre
from autocompose.describe.rules.codes.pair_codes import NOISE, PAIR_CODES, THRESHOLDS, pair_levels, pair_measures

MASKS = np.array([[m >> 2 & 1, m >> 1 & 1, m & 1] for m in range(8)])  # (8, 3) edits on or off
USABLE = np.array([[(r ^ t).bit_count() in (1, 2) for t in range(8)] for r in range(8)])  # [reference, target]
MIN_MOVE = 0.018  # metres, mean over the joints: an edit that small pictures show (one hand moves by 40 cm)
_STATED = np.array([code.kind != "gap" for code in PAIR_CODES])
_THRESHOLD = np.array([THRESHOLDS[code.kind][0] for code in PAIR_CODES])[_STATED]
_CLEAR = _THRESHOLD + np.array([NOISE[code.kind] for code in PAIR_CODES])[_STATED]


def cube_levels(joints: np.ndarray) -> np.ndarray:
    """Levels of the stated pair codes from every pose of a cube to every other, without noise.

    :param joints: ``(8, 22, 3)`` metres, any yaw.
    :return: ``(8, 8, C)`` int8, [reference, target, code].
    """
    measures = pair_measures(normal_points(joints))
    n = measures.shape[1]
    values = measures[:, :, None] - measures[:, None, :]
    return pair_levels(values.reshape(len(measures), -1)).reshape(-1, n, n)[_STATED].transpose(1, 2, 0)


def told_apart(levels: np.ndarray) -> np.ndarray:
    """``(8, 8)`` bool: the codes from r to t are not empty and differ from those of every other candidate of r.

    :param levels: of ``cube_levels``.
    """
    same = (levels[:, :, None] == levels[:, None, :]).all(-1)  # (r, t, other)
    index = np.arange(len(levels))
    same[index, :, index] = False  # the reference is no candidate
    return (same.sum(-1) == 1) & levels.any(-1) & (index[:, None] != index)


def clearly_differ(one: np.ndarray, other: np.ndarray, margin: float = 1.0) -> np.ndarray:
    """Which poses differ by more than noise: enough movement, and a code beyond threshold plus noise.

    :param one, other: ``(A, 22, 3)`` and ``(B, 22, 3)`` metres, facing +z.
    :param margin: factor on both limits.
    :return: ``(A, B)`` bool.
    """
    first = pair_measures(normal_points(one))[_STATED]
    second = first if other is one else pair_measures(normal_points(other))[_STATED]
    differ = np.abs(first[:, :, None] - second[:, None]) > margin * _CLEAR[:, None, None]
    move = np.linalg.norm(centre(one)[:, None] - centre(other)[None], axis=-1).mean(-1)
    return differ.any(0) & (move > margin * MIN_MOVE)


def edits_are_clear(joints: np.ndarray) -> bool:
    """Every usable pair of a cube ``(8, 22, 3)`` (metres, facing +z) differs clearly."""
    return bool(clearly_differ(joints, joints)[USABLE].all())


def blind(joints: np.ndarray) -> float:
    """Share of a cube's usable pairs whose target ranks first without the reference.

    The scorer sees the true joints of the candidates and the codes: it adds up how far each candidate's measurements
    lie to the side that the codes name. Three independent edits give 0.375 (1/4 of the pairs one
    edit apart, 1/2 of those two apart).

    :param joints: ``(8, 22, 3)`` metres.
    """
    levels = cube_levels(joints).astype(float)
    measures = pair_measures(normal_points(joints))[_STATED] / _THRESHOLD[:, None]
    scores = levels @ measures  # (r, t, candidate)
    index = np.arange(len(levels))
    scores[index, :, index] = -np.inf  # the reference is no candidate
    return float((scores.argmax(-1) == index)[USABLE].mean())
