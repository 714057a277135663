"""Which triangle is seen through which pixel: a z-buffer in numpy.

A body has 27,000 triangles, most of them smaller than a sample, so all triangles are tested together against the few
samples inside their bounding boxes. For such small pictures this is several times faster than building a ray tracer's
tree, which would be thrown away after one picture.
"""

from __future__ import annotations

import numpy as np


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
    (ax, bx, cx), (ay, by, cy) = x[faces.T], y[faces.T]  # columns: numpy is slow along axes of length 2 and 3
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    left, width = _span(ax, bx, cx, size)
    top, height = _span(ay, by, cy, size)
    kept = np.flatnonzero((area < -1e-9) & (width > 0) & (height > 0))
    count = width[kept] * height[kept]
    face = np.repeat(kept, count)
    step = np.arange(len(face)) - np.repeat(np.cumsum(count) - count, count)
    across = width[face]
    column, row = left[face] + step % across, top[face] + step // across
    px, py = column + np.float32(0.5), row + np.float32(0.5)
    ax, bx, cx, ay, by, cy = (values[face] for values in (ax, bx, cx, ay, by, cy))
    first = ((bx - px) * (cy - py) - (by - py) * (cx - px)) / area[face]
    second = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) / area[face]
    third = 1 - first - second
    inside = np.flatnonzero(np.minimum(np.minimum(first, second), third) >= -1e-6)
    face, sample = face[inside], (row * size + column)[inside]
    weights = np.stack([first[inside], second[inside], third[inside]], 1) / depth.astype(np.float32)[faces[face]]
    nearness = weights[:, 0] + weights[:, 1] + weights[:, 2]
    winner = np.full(size * size, -1)
    order = np.argsort(nearness, kind="stable")
    winner[sample[order]] = order  # of repeated indices the last, the nearest, stays
    samples = np.flatnonzero(winner >= 0)
    chosen = winner[samples]
    return samples, face[chosen], weights[chosen] / nearness[chosen, None]


def _span(a: np.ndarray, b: np.ndarray, c: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """First sample centre, and their number (below 1: none), between the least and greatest of three coordinates."""
    low = np.clip(np.ceil(np.minimum(np.minimum(a, b), c) - 0.5), 0, size).astype(np.int32)
    high = np.clip(np.floor(np.maximum(np.maximum(a, b), c) - 0.5), -1, size - 1).astype(np.int32)
    return low, high - low + 1
