"""A pose seen from its side: a skeleton that shows what a picture hides, how far in front or behind a limb is."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from autocompose.bodies.skeleton import SMPL22, SMPL22_PARENTS
from autocompose.describe.audit.measure import normalise

COLOURS = {"left": (30, 110, 255), "right": (255, 140, 0)}
"""The tint of the person's own sides; ``own_sides.COLOUR_WORDS`` names them for the model."""
TRUNK = (90, 90, 90)
SPAN = 2.2  # metres that a view shows in width and height, on a body with legs of 0.8 m
HEAD = 0.09


def side_view(joints: np.ndarray, size: int) -> Image.Image:
    """The skeleton in the frame of its hips, front to the right; what is nearer to the viewer (the right side) covers.

    :param joints: ``(22, 3)`` metres, SMPL-22.
    :param size: pixels of the square picture.
    """
    posed = normalise(joints[None].astype(np.float64))[0][0]
    flat = posed[:, [2, 1]] - (posed[:, [2, 1]].min(0) + posed[:, [2, 1]].max(0)) / 2
    points = size / 2 + flat * [size / SPAN, -size / SPAN]
    image = Image.new("RGB", (size, size), (245, 245, 245))
    pen = ImageDraw.Draw(image)
    bones = [(joint, parent) for joint, parent in enumerate(SMPL22_PARENTS) if parent >= 0]
    for joint, parent in sorted(bones, key=lambda bone: -posed[list(bone), 0].sum()):
        colour = COLOURS.get(SMPL22[joint].split("_")[0], TRUNK)
        pen.line([tuple(points[parent]), tuple(points[joint])], fill=colour, width=max(3, size // 40))
    (x, y), radius = points[SMPL22.index("head")], HEAD * size / SPAN
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=TRUNK)
    return image
