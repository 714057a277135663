"""Measurements on the 35 points, vectorised over poses, and their binning into categories."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autocompose.bodies.points import POINTS35

Array = np.ndarray
_INDEX = {name: i for i, name in enumerate(POINTS35)}


def columns(points: Array) -> Array:
    """``(N, 35, 3)`` -> contiguous ``(35, 3, N)``: every measurement then runs along memory."""
    return np.ascontiguousarray(points.transpose(1, 2, 0))


def index(names: Sequence[str]) -> Array:
    """Row numbers of point names."""
    return np.array([_INDEX[n] for n in names])


def angles(cols: Array, sets: Sequence[tuple[str, ...]]) -> Array:
    """Angle at the second of three points, ``(S, N)`` degrees 0..180 (180 = straight)."""
    a, b, c = (cols[index([s[i] for s in sets])] for i in range(3))
    return np.degrees(np.arccos(_cosine(a - b, c - b)))


def distances(cols: Array, sets: Sequence[tuple[str, ...]]) -> Array:
    """Euclidean distance of two points, ``(S, N)`` metres."""
    d = cols[index([s[0] for s in sets])] - cols[index([s[1] for s in sets])]
    return np.sqrt(np.einsum("skn,skn->sn", d, d))


def offsets(cols: Array, sets: Sequence[tuple[str, ...]], axis: int) -> Array:
    """First minus second point along an axis, ``(S, N)`` metres."""
    return cols[index([s[0] for s in sets]), axis] - cols[index([s[1] for s in sets]), axis]


def verticality(cols: Array, sets: Sequence[tuple[str, ...]]) -> Array:
    """Angle of a segment to the vertical, folded: ``(S, N)`` degrees 0 (upright) .. 90 (flat)."""
    d = cols[index([s[0] for s in sets])] - cols[index([s[1] for s in sets])]
    length = np.sqrt(np.einsum("skn,skn->sn", d, d))
    return np.degrees(np.arccos(np.clip(np.abs(d[:, 1]) / np.maximum(length, 1e-9), 0.0, 1.0)))


def above_lowest(cols: Array, names: Sequence[str]) -> Array:
    """Height above the lowest point of the body, ``(S, N)`` metres; there is no ground plane."""
    return cols[index(names), 1] - np.fmin.reduce(cols[:, 1], axis=0)


def _cosine(u: Array, v: Array) -> Array:
    dot = np.einsum("skn,skn->sn", u, v)
    size = np.sqrt(np.einsum("skn,skn->sn", u, u) * np.einsum("skn,skn->sn", v, v))
    return np.clip(dot / np.maximum(size, 1e-12), -1.0, 1.0)


def bins(values: Array, thresholds: Sequence[float]) -> Array:
    """Category of each value: the first i with value <= threshold i, else the last; -1 for NaN. int8."""
    category = np.zeros(values.shape, np.int8)
    for threshold in thresholds:
        category += values > threshold
    category[np.isnan(values)] = -1
    return category


def levels(values: Array, thresholds: Sequence[float]) -> Array:
    """Signed steps away from the middle bin for thresholds +-t of *start minus goal* values; NaN gives 0. int8.

    A positive level means that the goal has the larger measurement. A value on a threshold falls into the lower bin.
    """
    level = np.zeros(values.shape, np.int8)
    for threshold in thresholds:
        level += values <= -threshold
        level -= values > threshold
    return level


def jitter(shape: tuple[int, int], keys: Array, seed: int, stream: int) -> Array:
    """Uniform noise in [-1, 1) of ``(rows, columns)``, a pure function of (seed, stream, row, key of the column).

    Splitting a corpus over processes or batches therefore never changes a text.

    :param keys: ``(columns,)`` uint64, one per pair.
    """
    with np.errstate(over="ignore"):
        rows = np.arange(1, shape[0] + 1, dtype=np.uint64)[:, None] * np.uint64(0x9E3779B97F4A7C15)
        mixed = _mix(keys[None, :] + _mix(np.array([[seed * 4 + stream]], np.uint64) + rows))
    return (mixed >> np.uint64(11)).astype(np.float64) * (2.0 / (1 << 53)) - 1.0


def _mix(x: Array) -> Array:
    """Finaliser of splitmix64."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
