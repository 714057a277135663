"""How far the measurements of a pose may be off, given the uncertainty of its joints."""

from __future__ import annotations

import numpy as np

from autocompose.bodies.line_of_sight import deviations
from autocompose.bodies.points import normal_points
from autocompose.describe.rules.codes.pair_codes import pair_measures
from autocompose.describe.rules.codes.upper_body import upper_measures

DRAWS = 64


def spreads(joints: np.ndarray, uncertainty: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """Standard deviations by moving the joints about at random, each on its own, most along the line of sight.

    :param joints: ``(N, 22, 3)`` SMPL-22 joints (or 24), metres, scene frame.
    :param uncertainty: ``(N, 22)`` metres, expected distances of the joints from the true ones.
    :param known: as in ``normal_points``.
    :return: ``(49, N)``: the pair measures, lean, tilt, twist, and two for the head, unknown; metres and degrees. Rows
        that are unknown are NaN.
    """
    rng = np.random.default_rng(0)
    width = np.zeros(joints.shape)
    width[:, : uncertainty.shape[1]] = deviations(uncertainty)
    noise = rng.normal(size=(DRAWS, 1, *joints.shape[1:]))
    moved = (joints + width * noise).reshape(-1, *joints.shape[1:])
    points = normal_points(moved, None if known is None else np.tile(known, (DRAWS, 1)))
    drawn = np.concatenate([pair_measures(points), upper_measures(points, None, None)])
    with np.errstate(invalid="ignore"):
        return np.asarray(drawn.reshape(len(drawn), DRAWS, -1).std(axis=1))
