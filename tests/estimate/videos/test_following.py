"""Following, with a stand-in for the networks that sees white squares; the networks themselves are in benchmarks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from autocompose.estimate.finding import Window
from autocompose.estimate.marking import HIPS, RIM, Marks, Views
from autocompose.estimate.regions import Region
from autocompose.estimate.videos.following import EVERY, _searched, _window, follow

SIDE = 20  # of a square
RADIUS = 16  # of the circle around it: its region has a side of 40 pixels
Square = tuple[int, int]  # its centre


def picture(*squares: Square) -> Image.Image:
    image = Image.new("RGB", (300, 100))
    for x, y in squares:
        ImageDraw.Draw(image).rectangle((x - 10, y - 10, x + 9, y + 9), fill="white")
    return image


def squares_in(image: Image.Image, window: Window) -> list[Square]:
    """The centres of squares that do not touch each other, from the left."""
    columns = np.asarray(image.convert("L").crop(window)).max(0) > 0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], columns, [False]]).astype(int)))
    return [(int(left) + 10 + window[0], 50) for left in edges[::2]]


def views_of(square: Square) -> Views:
    points = np.tile(np.array(square, float), (39, 1))
    points[:33] += np.random.default_rng(0).uniform(-SIDE / 2, SIDE / 2, (33, 2))
    points[HIPS], points[RIM] = square, (square[0], square[1] - RADIUS)
    one = np.ones(33)
    marks = Marks(points, np.zeros(39), np.zeros((33, 3)), one, one, one, 0.9)
    return Views(marks, marks)


class Squares:
    """See ``Estimator``. :ivar searched: whether windows were, for each search."""

    def __init__(self) -> None:
        self.searched: list[bool] = []
        self.large: set[Square] = set()  # whom a search without windows shows
        self.reach = 1 / 4  # how far from the centre of a region somebody is seen / its side

    def views(self, image: Image.Image, windows: Any, known: Iterable[Views]) -> list[Views]:
        self.searched.append(bool(windows))
        found = list(known)
        shown = self.search(image, [(0, 0, *image.size)], found)[len(found) :]
        return found + [one for one in shown if windows or one.plain.region.centre in self.large]

    def search(self, image: Image.Image, windows: list[Window], known: list[Views]) -> list[Views]:
        taken = {one.plain.region.centre for one in known}
        shown = dict.fromkeys(square for window in windows for square in squares_in(image, window))
        return known + [views_of(square) for square in shown if square not in taken]

    def look(self, image: Image.Image, region: Region) -> Views | None:
        near = [
            s for s in squares_in(image, (0, 0, *image.size)) if abs(s[0] - region.centre[0]) < region.side * self.reach
        ]
        return views_of(near[0]) if near else None

    def person(self, image: Image.Image, views: Views) -> Any:
        return views.plain.region.centre


@pytest.fixture
def estimator() -> Squares:
    return Squares()


def places(estimator: Squares, *frames: list[Square]) -> list[list[int]]:
    people = follow(estimator, [picture(*squares) for squares in frames])  # type: ignore[arg-type]
    return [sorted(round(person[0]) for person in frame) for frame in people]  # type: ignore[index]


def test_one_search_shows_everybody_in_all_frames(estimator: Squares) -> None:
    frames = [[(20 + 8 * i, 50), (260 - 8 * i, 50)] for i in range(EVERY)]
    assert places(estimator, *frames) == [[x for x, _ in squares] for squares in frames]
    assert estimator.searched == [False] * (EVERY // 2) + [True], "glances, until somebody is known"


def test_who_comes_between_two_searches_is_followed_back(estimator: Squares) -> None:
    frames = [[(20, 50), *([(250 - 6 * i, 50)] if i >= EVERY else [])] for i in range(2 * EVERY)]
    assert places(estimator, *frames) == [sorted(x for x, _ in squares) for squares in frames]
    assert estimator.searched.count(True) == 2


def test_every_part_of_a_stretch_is_searched() -> None:
    for length in range(1, 50):
        searched = sorted(_searched(length))
        gaps = np.diff([-1 - searched[0], *searched, 2 * length - 1 - searched[-1]])
        assert searched[0] >= 0 and searched[-1] < length and gaps.max() <= EVERY + 1


def test_who_leaves_is_gone_and_who_comes_is_seen_by_the_next_search(estimator: Squares) -> None:
    stays, leaves, comes = (40, 50), (120, 50), (220, 50)
    frames = [[stays, leaves], [stays, leaves], [stays], [stays, comes]]
    assert places(estimator, *frames) == [[40], [40], [40], [40]]
    assert places(estimator, *frames[:3]) == [[40, 120], [40, 120], [40]]
    assert places(estimator, *frames[3:]) == [[40, 220]]


def test_the_detector_looks_around_somebody_who_moved_far(estimator: Squares) -> None:
    assert places(estimator, [(40, 50)], [(56, 50)], [(72, 50)]) == [[40], [56], [72]]
    assert places(estimator, [(40, 50)], [(80, 50)]) == [[], [80]], "another one, for all that is known"


def test_when_nobody_is_left_the_whole_picture_is_looked_at(estimator: Squares) -> None:
    estimator.large = {(200, 50)}
    frames = [[], [(40, 50)], [(40, 50)], [(200, 50), (120, 50)]]
    assert places(estimator, *frames) == [[], [40], [40], [200]]
    assert estimator.searched == [False, False, True, False], "windows are left to the next stretch"


def test_two_followed_to_one_place_are_one(estimator: Squares) -> None:
    assert places(estimator, [(50, 50)], [(44, 50), (66, 50)])[0] == [50]
    assert places(estimator, [(56, 50), (80, 50)], [(44, 50), (66, 50)])[0] == [56, 80], "and the other is searched for"


def test_at_the_edge_of_the_picture(estimator: Squares) -> None:
    frames = [[(12, 50)], [(12, 50)], []]
    assert places(estimator, *frames) == [[12], [12], []]
    region = Region((-40.0, 50.0), 40)
    assert _window(region, (300, 100)) is None


def test_two_regions_that_show_the_same_person_give_one(estimator: Squares) -> None:
    estimator.reach = 1 / 3
    assert places(estimator, [(51, 50)], [(40, 50), (62, 50)])[0] == [51]
