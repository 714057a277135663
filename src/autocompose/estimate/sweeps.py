"""Further looks at a whole picture, after the detector saw it once: turned to either side, and through windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from PIL import Image

from autocompose.estimate.detector import CELL, SIDE, Detector
from autocompose.estimate.finding import Find, decoded, find, seen

SCALES = (0.62, 0.41)  # sides of the windows / the picture's long side
STEP = 0.55  # between windows / their side, at most
LEAST = 64  # pixels; smaller windows show nothing
CELLS = SIDE // CELL  # of a window

Sweep = Callable[[Detector, Image.Image], list[Find]]


def in_turned_pictures(detector: Detector, picture: Image.Image) -> list[Find]:
    """Detections in the picture turned by a quarter to the left and to the right; it misses many who lie."""
    width, height = picture.size
    left = find(detector, picture.transpose(Image.Transpose.ROTATE_90))
    right = find(detector, picture.transpose(Image.Transpose.ROTATE_270))
    return [
        *[_turned(one, np.array([[0, 1], [-1, 0]]), np.array([width, 0])) for one in left],
        *[_turned(one, np.array([[0, -1], [1, 0]]), np.array([0, height])) for one in right],
    ]


def _turned(one: Find, axes: np.ndarray, shift: np.ndarray) -> Find:
    """A detection whose points become ``points @ axes + shift``."""
    corners = one.box.reshape(2, 2) @ axes + shift
    return replace(one, box=np.concatenate([corners.min(0), corners.max(0)]), points=one.points @ axes + shift)


def in_windows(detector: Detector, picture: Image.Image, scale: float) -> list[Find]:
    """Detections in overlapping windows, which show small people large and cut neighbours away.

    The windows share the detector's early layers.

    :param scale: side of the windows / the picture's long side.
    """
    side = round(scale * max(picture.size))
    if side < LEAST:
        return []
    size = np.maximum(np.round(np.array(picture.size) * (SIDE / side)), 1).astype(int)
    canvas = np.maximum(-(-size // CELL) * CELL, SIDE)
    corner = (canvas - size) // 2
    frame = Image.new("RGB", (int(canvas[0]), int(canvas[1])))
    small = picture.resize((int(size[0]), int(size[1])), Image.Resampling.BILINEAR, reducing_gap=3.0)
    frame.paste(small, (int(corner[0]), int(corner[1])))
    fine = detector.early(seen(frame))
    detections = []
    for y in starts(int(canvas[1]) // CELL):
        for x in starts(int(canvas[0]) // CELL):
            part = fine[:, :, y : y + CELLS, x : x + CELLS].contiguous(memory_format=torch.channels_last)
            origin = (np.array([x, y]) * CELL - corner) * (side / SIDE)
            detections += decoded(*detector.late(part), side, origin)
    return detections


def starts(length: int) -> list[int]:
    """Where the windows begin, evenly spread over a side of ``length`` cells, from its beginning to its end."""
    steps = int(np.ceil((length - CELLS) / (STEP * CELLS)))
    return [round(i * (length - CELLS) / steps) for i in range(steps + 1)] if steps > 0 else [0]


SWEEPS: tuple[Sweep, ...] = (in_turned_pictures, *[partial(in_windows, scale=scale) for scale in SCALES])
