"""Which triangle is seen through which sample: a z-buffer.

A body has 27,000 triangles, most of them smaller than a sample. Compiled, a loop over them takes about a
millisecond, a fraction of what building a ray tracer's tree takes, which would be thrown away after one picture.
"""

from __future__ import annotations

import math

import numpy as np

from autocompose.bodies.compiled import compiled

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
    nearest = np.zeros(size * size, np.float32)
    triangle = np.full(size * size, -1, np.intp)
    weights = np.empty((size * size, 3), np.float32)
    _fill(corners.astype(np.float32), (1 / depth).astype(np.float32), faces, size, nearest, triangle, weights)
    samples = np.flatnonzero(triangle >= 0)
    return samples, triangle[samples], weights[samples]


@compiled
def _fill(
    corners: np.ndarray,
    nearness: np.ndarray,
    faces: np.ndarray,
    size: int,
    nearest: np.ndarray,
    triangle: np.ndarray,
    weights: np.ndarray,
) -> None:
    """Go through the triangles and keep the nearest at each sample; of equally near ones the last stays."""
    half = np.float32(0.5)
    for face in range(len(faces)):
        a, b, c = faces[face]
        (ax, ay), (bx, by), (cx, cy) = corners[a], corners[b], corners[c]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area >= -1e-9:
            continue
        left, right = max(math.ceil(min(ax, bx, cx) - half), 0), min(math.floor(max(ax, bx, cx) - half), size - 1)
        top, bottom = max(math.ceil(min(ay, by, cy) - half), 0), min(math.floor(max(ay, by, cy) - half), size - 1)
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                px, py = np.float32(column) + half, np.float32(row) + half
                first = ((bx - px) * (cy - py) - (by - py) * (cx - px)) / area
                second = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) / area
                third = np.float32(1) - first - second
                if min(first, second, third) < _TOLERANCE:
                    continue
                first, second, third = first * nearness[a], second * nearness[b], third * nearness[c]
                near, sample = first + second + third, row * size + column
                if near >= nearest[sample]:
                    nearest[sample], triangle[sample] = near, face
                    weights[sample, 0] = first / near
                    weights[sample, 1] = second / near
                    weights[sample, 2] = third / near
