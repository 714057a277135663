"""Choosing poses that differ from each other."""

from __future__ import annotations

import numpy as np


def farthest(joints: np.ndarray, count: int, apart: float = 0.0) -> np.ndarray:
    """Farthest point sampling with the mean distance per joint; starts at the first pose.

    :param joints: ``(N, J, 3)`` metres, heading removed and centred on the pelvis; N x J x 3 numbers are visited once
        for each pose that is taken.
    :param count: maximum number of poses.
    :param apart: stop when every pose left is nearer than this to one that was taken, metres.
    :return: row numbers in the order of choice: each is the farthest from all before it.
    """
    if not len(joints) or count < 1:
        return np.zeros(0, int)
    points = np.asarray(joints, np.float32)
    chosen = [0]
    near = np.full(len(points), np.inf, np.float32)
    while True:
        near = np.minimum(near, np.linalg.norm(points - points[chosen[-1]], axis=-1).mean(-1))
        best = int(near.argmax())
        if len(chosen) >= count or near[best] <= max(apart, 0.0):
            return np.array(chosen)
        chosen.append(best)
