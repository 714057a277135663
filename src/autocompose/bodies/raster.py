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
    points = corners.astype(np.float32)[faces]  # (F, 3, 2)
    a, b, c = points[:, 0], points[:, 1], points[:, 2]
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    least, most = np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)
    low = np.clip(np.ceil(least - 0.5), 0, size).astype(np.int64)
    high = np.clip(np.floor(most - 0.5), -1, size - 1).astype(np.int64)
    span = high - low + 1
    kept = np.flatnonzero((area < -1e-9) & (span[:, 0] > 0) & (span[:, 1] > 0))
    count = span[kept, 0] * span[kept, 1]
    face = np.repeat(kept, count)
    step = np.arange(len(face)) - np.repeat(np.cumsum(count) - count, count)
    width = span[face, 0]
    x, y = low[face, 0] + step % width, low[face, 1] + step // width
    weights = _barycentric(a[face], b[face], c[face], area[face], x + np.float32(0.5), y + np.float32(0.5))
    inside = np.flatnonzero(np.minimum(np.minimum(weights[0], weights[1]), weights[2]) >= -1e-6)
    face, sample = face[inside], (y * size + x)[inside]
    weights = np.stack(weights, 1)[inside] / depth.astype(np.float32)[faces[face]]
    nearness = weights[:, 0] + weights[:, 1] + weights[:, 2]
    winner = np.full(size * size, -1)
    order = np.argsort(nearness, kind="stable")
    winner[sample[order]] = order  # of repeated indices the last, the nearest, stays
    samples = np.flatnonzero(winner >= 0)
    chosen = winner[samples]
    return samples, face[chosen], weights[chosen] / nearness[chosen, None]


def _barycentric(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, area: np.ndarray, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights of the three corners at the points ``(x, y)``, each ``(N,)``; negative outside."""
    first = ((b[:, 0] - x) * (c[:, 1] - y) - (b[:, 1] - y) * (c[:, 0] - x)) / area
    second = ((c[:, 0] - x) * (a[:, 1] - y) - (c[:, 1] - y) * (a[:, 0] - x)) / area
    return first, second, 1 - first - second
