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

from autocompose.estimate.estimator import Estimator, Person, Windows
from autocompose.estimate.finding import Window
from autocompose.estimate.marking import Views
from autocompose.estimate.regions import Region
from autocompose.estimate.searching import distinct

EVERY = 4  # frames of which one is searched, at most
AROUND = 1.4  # side of the window that is searched for somebody who was lost / side of their region
ASTRAY = 0.5  # so far from where they were may they be / side of their region

People = dict[int, Views]  # by a number that stays with somebody while they are followed


@torch.inference_mode()
def follow(estimator: Estimator, pictures: Sequence[Image.Image]) -> list[list[Person]]:
    """The people in each of successive frames of one shot, the most prominent first.

    :param pictures: RGB, of one size.
    """
    way = _Way(estimator, pictures)
    frames = way.forward()
    for number in range(len(pictures) - 2, -1, -1):
        now, after = frames[number], frames[number + 1]
        missed = {who: views for who, views in after.items() if who not in now}
        frames[number] = way.followed(number, missed, now)
    return [
        [estimator.person(picture, views) for views in people.values()]
        for picture, people in zip(pictures, frames, strict=True)
    ]


class _Way:
    """Following through some pictures."""

    def __init__(self, estimator: Estimator, pictures: Sequence[Image.Image]) -> None:
        self.estimator, self.pictures = estimator, pictures
        self._numbers = count()

    def forward(self) -> list[People]:
        """Search, and follow to later frames whom that shows; where nobody is left, glance at the whole frame."""
        frames: list[People] = []
        known: People = {}
        searched = _searched(len(self.pictures))
        for number, picture in enumerate(self.pictures):
            known = self.followed(number, known, {})
            if number in searched or not known:
                windows: Windows = "auto" if number in searched else False
                known = self._named(self.estimator.views(picture, windows, known.values()), known, {})
            frames.append(known)
        return frames

    def followed(self, number: int, people: People, now: People) -> People:
        """Who is in a picture: those who are there ``now``, and those of the people of its neighbour who are."""
        picture = self.pictures[number]
        seen = {who: self.estimator.look(picture, views.plain.region) for who, views in people.items()}
        present = now | {who: views for who, views in seen.items() if views}
        now = self._named(distinct(list(present.values())), present, {})
        lost = {who: views.plain.region for who, views in people.items() if who not in now}
        windows = [window for region in lost.values() if (window := _window(region, picture.size))]
        return self._named(self.estimator.search(picture, windows, list(now.values())), now, lost) if windows else now

    def _named(self, seen: Sequence[Views], now: People, lost: dict[int, Region]) -> People:
        """``seen`` with their numbers, in their order.

        :param now: people who have numbers. :param lost: who the others may be.
        """
        names = {id(views): who for who, views in now.items()}
        for views in seen:
            if id(views) not in names:
                place = views.plain.region.centre
                near = (w for w, r in lost.items() if np.hypot(*np.subtract(place, r.centre)) < ASTRAY * r.side)
                names[id(views)] = who = next(near, next(self._numbers))
                lost = {w: region for w, region in lost.items() if w != who}
        return {names[id(views)]: views for views in seen}


def _searched(length: int) -> set[int]:
    """Which of so many frames are searched: the middles of equal parts."""
    parts = -(-length // EVERY)
    return {(2 * part + 1) * length // (2 * parts) for part in range(parts)}


def _window(region: Region, size: tuple[int, int]) -> Window | None:
    """The square around a region, cut to the picture; None when little is left of it."""
    half = AROUND * region.side / 2
    (x, y), (width, height) = region.centre, size
    window = (
        max(0, round(x - half)), max(0, round(y - half)), min(width, round(x + half)), min(height, round(y + half))
    )  # fmt: skip
    return window if min(window[2] - window[0], window[3] - window[1]) > half / 2 else None
