"""Detecting people: the detector's output as regions, its window over a picture, and duplicate removal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from autocompose.estimate.detector import SIDE, Detector, anchors
from autocompose.estimate.regions import Region, as_input

SURE = 0.3  # minimum score of an anchor; the landmark network decides whether it is a person
SAME = 0.3  # intersection over union from which two boxes of one window are of the same person
_ANCHORS = anchors().numpy()

Window = tuple[int, int, int, int]  # left, top, right, bottom in pixels


@dataclass(frozen=True)
class Find:
    """A detected person.

    :param score: 0 to 1.
    :param box: ``(4,)`` left, top, right, bottom of the face and shoulders in pixels.
    :param points: ``(4, 2)`` pixels: middle of the hips, a point above on the circle around the whole body, and the
        same for the upper body.
    """

    score: float
    box: np.ndarray
    points: np.ndarray

    @property
    def region(self) -> Region:
        """The square around the whole body."""
        return Region.around(self.points[0], self.points[1])


def find(detector: Detector, picture: Image.Image, window: Window | None = None) -> list[Find]:
    """Run the detector on a picture once.

    :param window: the whole picture when left out.
    :return: the most certain first.
    """
    box = window or (0, 0, *picture.size)
    side = max(box[2] - box[0], box[3] - box[1])
    corner = np.array([(box[0] + box[2] - side) / 2, (box[1] + box[3] - side) / 2])
    logits, values = detector(_framed(picture, box))
    return decoded(logits, values, side, corner)


def decoded(logits: Tensor, values: Tensor, side: float, corner: np.ndarray) -> list[Find]:
    """People from the detector's output for one square, the most certain first.

    :param logits, values: as ``Detector`` returns them, of a single picture.
    :param side: of the square, pixels of the picture. :param corner: ``(2,)`` its upper left one, in pixels.
    """
    score = torch.sigmoid(logits[0]).numpy()
    chosen = np.flatnonzero(score > SURE)
    points = values[0].numpy()[chosen] / SIDE
    points[:, 0] += _ANCHORS[chosen]
    points[:, 2:] += _ANCHORS[chosen, None]
    half = points[:, 1] / 2
    boxes = np.concatenate([points[:, 0] - half, points[:, 0] + half], 1) * side + np.tile(corner, 2)
    return merged(score[chosen], boxes, points[:, 2:] * side + corner)


def _framed(picture: Image.Image, box: Window) -> Tensor:
    """A window in the middle of a black square, ``(1, 3, SIDE, SIDE)``, -1 to 1."""
    width, height = box[2] - box[0], box[3] - box[1]
    scale = SIDE / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    canvas = Image.new("RGB", (SIDE, SIDE))
    small = picture.resize(size, Image.Resampling.BILINEAR, box, reducing_gap=3.0)
    canvas.paste(small, ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return seen(canvas)


def seen(picture: Image.Image) -> Tensor:
    """A picture as the detector sees it: ``(1, 3, H, W)``, -1 to 1."""
    return as_input(picture).div_(127.5).sub_(1)


def merged(score: np.ndarray, boxes: np.ndarray, points: np.ndarray) -> list[Find]:
    """Weighted non-maximum suppression: detections that overlap the most certain one are averaged with it."""
    people, left = [], np.argsort(-score, kind="stable")
    while len(left):
        near = overlaps(boxes[left[0]], boxes[left]) > SAME
        near[0] = True
        group, left = left[near], left[~near]
        weights = score[group] / score[group].sum()
        people.append(
            Find(float(score[group[0]]), weights @ boxes[group], np.einsum("n,nkd->kd", weights, points[group]))
        )
    return people


def overlaps(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of a box ``(4,)`` with others ``(N, 4)``."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    common = np.prod(np.clip(high - low, 0, None), 1)
    area, areas = np.prod(box[2:] - box[:2]), np.prod(others[:, 2:] - others[:, :2], 1)
    both = np.maximum(area + areas - common, 1e-9)
    return np.asarray(common / both)
