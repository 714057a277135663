"""Which triangle is seen through which pixel: a z-buffer in numpy.

A body has 27,000 triangles, most of them smaller than a sample, so all triangles are tested together against the few
samples inside their bounding boxes. For such small pictures this is several times faster than building a ray tracer's
tree, which would be thrown away after one picture.
"""

from __future__ import annotations

import numpy as np

_TOLERANCE = -1e-5  # of barycentric weights: rounding must not open cracks between neighbours


def rasterise(
    corners: np.ndarray, depth: np.ndarray, faces: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the nearest triangle that faces the viewer at each sample centre of a square picture.

    :param corners: ``(V, 2)`` positions in samples, x right, y down; sample ``(i, j)`` has its centre at ``+ 0.5``.
    :param depth: ``(V,)`` positive distances; perspective is undone with ``1 / depth``, which is linear on the screen.
    :param faces: ``(F, 3)``; those that turn clockwise on the screen (seen from behind) are skipped.
    :return: flat indices of the covered samples ``(N,)``, the triangle of each ``(N,)``, and its perspective-correct
        barycentric weights ``(N, 3)``.
    """
    x, y = np.ascontiguousarray(corners.T, np.float32)
    nodes = faces.T  # columns: numpy is slow along axes of length 2 and 3
    triangle, left, top, width, height, planes = _planes(x[nodes], y[nodes], size)
    count = width * height
    own = np.repeat(np.arange(len(count)), count)
    step = np.arange(len(own), dtype=np.int32) - np.repeat(np.cumsum(count, dtype=np.int32) - count, count)
    down = step // width[own]
    right = step - down * width[own]
    start, across, along = planes
    moved_right, moved_down = right.astype(np.float32), down.astype(np.float32)
    first, second = (start[k][own] + across[k][own] * moved_right + along[k][own] * moved_down for k in (0, 1))
    inside = np.flatnonzero(np.minimum(np.minimum(first, second), 1 - first - second) >= _TOLERANCE)
    own = own[inside]
    sample = (top * size + left)[own].astype(np.intp) + down[inside] * size + right[inside]
    first, second = first[inside], second[inside]
    weights = np.stack([first, second, 1 - first - second])
    near = (1 / depth.astype(np.float32))[nodes[:, triangle]]
    nearness = np.einsum("kn,kn->n", weights, near[:, own])
    samples, chosen = _nearest(sample, nearness, size * size)
    own = own[chosen]
    weights = weights[:, chosen] * near[:, own] / nearness[chosen]
    return samples, triangle[own], weights.T


def _planes(x: np.ndarray, y: np.ndarray, size: int) -> tuple[np.ndarray, ...]:
    """Triangles that face the viewer and may cover a sample.

    :param x, y: ``(3, F)`` corners in samples.
    :return: their numbers ``(K,)``, the box of samples around each (left, top, width, height, all ``(K,)``), and
        ``(3, 2, K)``: the weights of the first two corners at the box's first sample and their steps in x and in y.
    """
    (ax, bx, cx), (ay, by, cy) = x, y
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    left, width = _span(x, size)
    top, height = _span(y, size)
    kept = np.flatnonzero((area < -1e-9) & (width > 0) & (height > 0))
    ax, bx, cx, ay, by, cy, area = (values[kept] for values in (ax, bx, cx, ay, by, cy, area))
    left, top, width, height = (values[kept] for values in (left, top, width, height))
    px, py = left + np.float32(0.5), top + np.float32(0.5)
    start = (bx - px) * (cy - py) - (by - py) * (cx - px), (cx - px) * (ay - py) - (cy - py) * (ax - px)
    planes = np.stack([np.stack(start), np.stack([by - cy, cy - ay]), np.stack([cx - bx, ax - cx])]) / area
    return kept, left, top, width, height, planes.astype(np.float32)


def _span(corners: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """First sample centre, and their number (below 1: none), between the least and greatest of ``(3, F)``."""
    a, b, c = corners
    low = np.clip(np.ceil(np.minimum(np.minimum(a, b), c) - np.float32(0.5)), 0, size).astype(np.int32)
    high = np.clip(np.floor(np.maximum(np.maximum(a, b), c) - np.float32(0.5)), -1, size - 1).astype(np.int32)
    return low, high - low + 1


def _nearest(sample: np.ndarray, nearness: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The samples below ``count`` that occur in ``sample`` (N,), and for each the place of the greatest nearness."""
    best = np.zeros(count, np.float32)
    np.maximum.at(best, sample, nearness)
    first = np.flatnonzero(nearness == best[sample])
    winner = np.full(count, -1)
    winner[sample[first]] = first  # of equally near ones the last stays
    samples = np.flatnonzero(winner >= 0)
    return samples, winner[samples]
