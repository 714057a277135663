"""The pictures of a question: each scaled, with its limbs tinted by side, and numbered candidates in one grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from autocompose.describe.mllm.asking.sent_pictures import tint
from autocompose.rerank.settings import COLUMNS

GAP = 8  # pixels between the cells
BAND = 0.1  # height of the number above a picture, share of the cell
GREY, WHITE, BLACK = (128, 128, 128), (255, 255, 255), (0, 0, 0)


@dataclass(frozen=True)
class Shown:
    """A picture as it is sent, RGB.

    :param tinted: limbs are tinted by the person's own side.
    """

    image: Image.Image
    tinted: bool = False


def shown(image: Image.Image, size: int, points: np.ndarray | None = None, seen: np.ndarray | None = None) -> Shown:
    """Scale a picture to ``size`` pixels, and tint the limbs where their joints are known.

    A small picture is enlarged, so that it fills its place in a grid.

    :param points: ``(17, 2)`` COCO keypoints in pixels of ``image``; None or not finite: not known.
    :param seen: ``(17,)`` bool, which of them can be relied on; None: all.
    """
    width = image.width
    image = ImageOps.contain(image.convert("RGB"), (size, size), Image.Resampling.LANCZOS)
    if points is None or not np.isfinite(points).all():
        return Shown(image)
    return Shown(tint(image, points * (image.width / width), seen), True)


def grid(images: Sequence[Image.Image], size: int) -> Image.Image:
    """Numbered pictures in rows of ``COLUMNS``; number n stands above picture n.

    :param size: pixels of a square cell, in which a picture stands in the middle.
    """
    band = max(16, round(BAND * size))
    columns, rows = min(COLUMNS, len(images)), -(-len(images) // COLUMNS)
    canvas = Image.new("RGB", (columns * (size + GAP) - GAP, rows * (band + size + GAP) - GAP), GREY)
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(round(0.8 * band))
    for place, image in enumerate(images):
        left, top = place % COLUMNS * (size + GAP), place // COLUMNS * (band + size + GAP)
        pen.rectangle((left, top, left + size - 1, top + band - 1), fill=WHITE)
        pen.text((left + size / 2, top + band / 2), str(place + 1), fill=BLACK, font=font, anchor="mm")
        canvas.paste(image, (left + (size - image.width) // 2, top + band + (size - image.height) // 2))
    return canvas
