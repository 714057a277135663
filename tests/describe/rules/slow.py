"""The obvious way to compute pose and pair codes: one pose, one code at a time. Tests compare the package with it."""

from __future__ import annotations

import math

import numpy as np

from autocompose.bodies.points import POINTS35

Point = np.ndarray
PAIR_LIMITS = {"bend": [-80, -45, -18, 18, 45, 80], "gap": [-0.4, -0.1, 0.1, 0.4], "move": [-0.4, -0.15, 0.15, 0.4]}


def angle(a: Point, b: Point, c: Point) -> float:
    u, v = a - b, c - b
    cosine = sum(u * v) / math.sqrt(sum(u * u)) / math.sqrt(sum(v * v))
    return math.degrees(math.acos(min(1.0, max(-1.0, cosine))))


def category(value: float, limits: list[float]) -> int:
    for i, limit in enumerate(limits):
        if value <= limit:
            return i
    return len(limits)


def pair_level(kind: str, points: tuple[str, ...], a: np.ndarray, b: np.ndarray) -> int:
    """Level of one pair code for normalised points (35, 3) of the two poses."""
    p, q = ({name: pose[i] for i, name in enumerate(POINTS35)} for pose in (a, b))
    if kind == "bend":
        value, limits = angle(*(p[n] for n in points)) - angle(*(q[n] for n in points)), PAIR_LIMITS["bend"]
    elif kind == "gap":
        value = math.dist(*(p[n] for n in points)) - math.dist(*(q[n] for n in points))
        limits = PAIR_LIMITS["gap"]
    else:
        axis = ("side", "height", "depth").index(kind)
        value, limits = p[points[0]][axis] - q[points[0]][axis], PAIR_LIMITS["move"]
    return len(limits) // 2 - category(value, limits)


def single_category(kind: str, points: tuple[str, ...], pose: np.ndarray) -> int:
    """Category of one single-pose code for normalised points (35, 3)."""
    p = {name: pose[i] for i, name in enumerate(POINTS35)}
    if kind == "angle":
        return category(angle(*(p[n] for n in points)), [45, 75, 105, 135, 160])
    if kind == "distance":
        return category(math.dist(p[points[0]], p[points[1]]), [0.2, 0.4, 0.8])
    if kind == "ground":
        return category(p[points[0]][1] - min(pose[:, 1]), [0.1])
    if kind == "upright":
        d = p[points[0]] - p[points[1]]
        tilt = math.degrees(math.acos(min(1.0, abs(d[1]) / math.sqrt(sum(d * d)))))
        return category(tilt, [10, 80])
    axis = "xyz".index(kind)
    return category(p[points[0]][axis] - p[points[1]][axis], [-0.15, -0.05, 0.05, 0.15])
