"""People in a stretch of a video: the middle frame is searched for them, and from there they are followed both ways.

Whoever was seen in a frame is looked for in the next one where their landmarks say that they are, without the detector
(as MediaPipe follows one person). Who comes into the picture later is seen by the search of the next stretch.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from PIL import Image

from autocompose.estimate.estimator import Estimator, Person
from autocompose.estimate.finding import find
from autocompose.estimate.marking import Views
from autocompose.estimate.regions import Region
from autocompose.estimate.searching import Window, distinct

AROUND = 1.4  # side of the window in which the detector looks for somebody who was lost / side of their region
ASTRAY = 0.5  # so far from where they were expected may they be / side of their region
GROWTH = 0.5  # so far may the logarithm of that side change


@torch.inference_mode()
def follow(estimator: Estimator, pictures: Sequence[Image.Image]) -> list[list[Person]]:
    """The people in each of successive frames of one shot, the most prominent first.

    :param pictures: RGB, of one size.
    """
    middle = len(pictures) // 2
    views: dict[int, list[Views]] = {middle: estimator.views(pictures[middle])}
    for way in (range(middle, len(pictures)), range(middle, -1, -1)):
        for known, number in pairwise(way):
            views[number] = _next(estimator, pictures[number], views[known])
    return [[estimator.person(picture, one) for one in views[k]] for k, picture in enumerate(pictures)]


def _next(estimator: Estimator, picture: Image.Image, known: list[Views]) -> list[Views]:
    """Those of the known people who are in the next frame; if that is nobody, who a glance at all of it shows."""
    seen = [_again(estimator, picture, one.plain.region) for one in known]
    return distinct([one for one in seen if one]) or estimator.views(picture, windows=False)


def _again(estimator: Estimator, picture: Image.Image, region: Region) -> Views | None:
    """Somebody who was in a region of the frame before; None when they are lost."""
    views = estimator.look(picture, region)
    if views is None and (window := _window(region, picture.size)):
        near = (one.region for one in find(estimator.detector, picture, window))
        views = next((v for one in near if _is_near(one, region) and (v := estimator.look(picture, one))), None)
    return views


def _window(region: Region, size: tuple[int, int]) -> Window | None:
    """The square around a region, cut to the picture; None when little is left of it."""
    half = AROUND * region.side / 2
    (x, y), (width, height) = region.centre, size
    window = (
        max(0, round(x - half)), max(0, round(y - half)), min(width, round(x + half)), min(height, round(y + half))
    )  # fmt: skip
    return window if min(window[2] - window[0], window[3] - window[1]) > half / 2 else None


def _is_near(one: Region, other: Region) -> bool:
    away = float(np.hypot(*np.subtract(one.centre, other.centre)))
    return away < ASTRAY * other.side and abs(float(np.log(one.side / other.side))) < GROWTH
