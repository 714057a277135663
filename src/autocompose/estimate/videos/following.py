"""People in a stretch of a video: some of its frames are searched for them, and from there they are followed both ways.

Whoever was seen in a frame is looked for in the next one where their landmarks say that they are, without the detector
(as MediaPipe follows one person). So one search that shows somebody is enough for all frames of the stretch.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import numpy as np
import torch
from PIL import Image

from autocompose.estimate.estimator import Estimator, Person
from autocompose.estimate.finding import find
from autocompose.estimate.marking import Views
from autocompose.estimate.regions import Region
from autocompose.estimate.searching import Window, distinct

EVERY = 6  # frames of which one is searched, at most
AROUND = 1.4  # side of the window in which the detector looks for somebody who was lost / side of their region
ASTRAY = 0.5  # so far from where they were expected may they be / side of their region
GROWTH = 0.5  # so far may the logarithm of that side change

People = dict[int, Views]  # by a number that stays with somebody while they are followed


@torch.inference_mode()
def follow(estimator: Estimator, pictures: Sequence[Image.Image]) -> list[list[Person]]:
    """The people in each of successive frames of one shot, the most prominent first.

    :param pictures: RGB, of one size.
    """
    frames = _forward(estimator, pictures)
    for number in range(len(pictures) - 2, -1, -1):
        now, after = frames[number], frames[number + 1]
        missed = {who: views for who, views in after.items() if who not in now}
        frames[number] = _once(now | _followed(estimator, pictures[number], missed))
    return [
        [estimator.person(picture, views) for views in people.values()]
        for picture, people in zip(pictures, frames, strict=True)
    ]


def _forward(estimator: Estimator, pictures: Sequence[Image.Image]) -> list[People]:
    """Searching, and following them to later frames. Where nobody is left, the whole frame is glanced at."""
    frames: list[People] = []
    known: People = {}
    fresh, searched = count(), _searched(len(pictures))
    for number, picture in enumerate(pictures):
        known = _once(_followed(estimator, picture, known))
        if number in searched or not known:
            who = {id(views): name for name, views in known.items()}
            seen = estimator.views(picture, "auto" if number in searched else False, known.values())
            known = {who[id(views)] if id(views) in who else next(fresh): views for views in seen}
        frames.append(known)
    return frames


def _searched(length: int) -> set[int]:
    """Which of so many frames are searched: the middles of equal parts."""
    parts = -(-length // EVERY)
    return {(2 * part + 1) * length // (2 * parts) for part in range(parts)}


def _followed(estimator: Estimator, picture: Image.Image, known: People) -> People:
    """Those of the known people who are in the next frame."""
    seen = ((who, _again(estimator, picture, views.plain.region)) for who, views in known.items())
    return {who: views for who, views in seen if views}


def _once(people: People) -> People:
    """Without doubles, the largest first."""
    who = {id(views): name for name, views in people.items()}
    return {who[id(views)]: views for views in distinct(list(people.values()))}


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
