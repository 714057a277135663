"""The box around a person, from landmarks, extended beyond wrists, ankles and eyes."""

from __future__ import annotations

import numpy as np

from autocompose.estimate.landmarks import POINTS
from autocompose.estimate.marking import NAMES, Marks

_FACE = [i for i, name in enumerate(NAMES) if name.split("_")[0] in ("nose", "mouth") or "eye" in name or "ear" in name]
_TRUNK = [NAMES.index(f"{side}_{part}") for side in ("left", "right") for part in ("shoulder", "hip")]
HEAD = 0.32  # radius of the head / length of the trunk
LIMB = 0.06  # flesh around the other landmarks / length of the trunk


def outline(marks: Marks, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Left, top, right, bottom in pixels, cut to the picture.

    :param size: width and height of the picture.
    """
    points = marks.points[:POINTS]
    left, hip_left, right, hip_right = points[_TRUNK]
    trunk = float(np.linalg.norm((left + right - hip_left - hip_right) / 2))
    trunk = max(trunk, float(np.linalg.norm(left - right)), 1.0)
    head = points[_FACE].mean(0)
    low = np.minimum(points.min(0) - LIMB * trunk, head - HEAD * trunk)
    high = np.maximum(points.max(0) + LIMB * trunk, head + HEAD * trunk)
    last = np.array(size, float)
    low, high = np.clip(low, 0, last - 1), np.clip(high, 1, last)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])
