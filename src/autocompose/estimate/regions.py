"""Square, turned regions of a picture, and the crops that the landmark network sees."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

ROOM = 1.25  # side of a region / diameter of the circle around a person


@dataclass(frozen=True)
class Region:
    """A square that may be turned and may leave the picture.

    :param centre: x, y in pixels; 0, 0 is the outer corner of the first pixel.
    :param side: pixels.
    :param angle: radians by which its top is turned to the right (clockwise).
    """

    centre: tuple[float, float]
    side: float
    angle: float = 0.0

    @classmethod
    def around(cls, hips: np.ndarray, rim: np.ndarray) -> Region:
        """Upright on a person.

        :param hips: ``(2,)`` pixels, the middle of the hips.
        :param rim: ``(2,)`` pixels, a point above the person on the circle around the body.
        """
        across, down = (rim - hips).tolist()
        side = 2 * ROOM * math.hypot(across, down)
        return cls((float(hips[0]), float(hips[1])), max(side, 1.0), math.atan2(across, -down))

    @property
    def axes(self) -> np.ndarray:
        """``(2, 2)``, columns: the directions right and down of the crop in the picture."""
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        return np.array([[cosine, -sine], [sine, cosine]])

    def to_picture(self, points: np.ndarray) -> np.ndarray:
        """``(..., 2)`` shares of the crop's side, from its upper left corner -> pixels."""
        return (points - 0.5) @ self.axes.T * self.side + np.array(self.centre)

    def to_crop(self, points: np.ndarray) -> np.ndarray:
        """Inverse of ``to_picture``."""
        return (points - np.array(self.centre)) @ self.axes / self.side + 0.5


def cut(picture: Image.Image, region: Region, side: int, *, mirrored: bool = False) -> Tensor:
    """The crop of a region: bilinear, smoothed where it is shrunk, black outside the picture.

    :param picture: RGB. :param side: of the crop in pixels. :param mirrored: flip it left-right.
    :return: ``(1, 3, side, side)`` float32, 0 to 1, channels last in memory.
    """
    origin, shrink = np.zeros(2), int(region.side / side)
    if shrink > 1:  # bilinear sampling alone would skip pixels
        corners = region.to_picture(np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]]))
        last = np.array(picture.size, float)
        low = np.clip(np.floor(corners.min(0)), 0, last - 1).astype(int)
        high = np.maximum(np.clip(np.ceil(corners.max(0)), 0, last).astype(int), low + 1)
        box = (int(low[0]), int(low[1]), int(high[0]), int(high[1]))
        origin, picture = low.astype(float), picture.reduce(shrink, box)
    scale = max(shrink, 1)
    axes = region.axes * region.side / side / scale
    corner = (region.to_picture(np.zeros(2)) - origin) / scale
    if mirrored:
        corner = corner + axes[:, 0] * side
        axes = axes * np.array([-1.0, 1.0])
    flow = (axes[0, 0], axes[0, 1], corner[0], axes[1, 0], axes[1, 1], corner[1])
    crop = picture.transform((side, side), Image.Transform.AFFINE, flow, Image.Resampling.BILINEAR)
    return as_input(crop).div_(255)


def as_input(picture: Image.Image) -> Tensor:
    """RGB picture -> ``(1, 3, H, W)`` float32, 0 to 255, channels last in memory."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float()
