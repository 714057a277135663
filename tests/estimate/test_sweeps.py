"""The picture turned and through windows."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from autocompose.estimate import sweeps
from autocompose.estimate.finding import Find, find
from autocompose.estimate.sweeps import CELLS, in_turned_pictures, in_windows, starts
from autocompose.estimate.weights import load_networks


@pytest.fixture(scope="module")
def detector():
    return load_networks()[0]


@pytest.fixture(scope="module")
def body():
    with np.load(Path(__file__).with_name("vectors.npz")) as file:
        return Image.fromarray(file["crops"][0])


@given(st.integers(CELLS, 200))
def test_windows_cover_a_side_and_stay_in_it(length):
    spans = [(start, start + CELLS) for start in starts(length)]
    assert spans[0][0] == 0 and spans[-1][1] == length
    # neighbours share two fifths of a window, so that nobody who fits in one is cut by all
    assert all(one[1] - other[0] >= 0.4 * CELLS for one, other in pairwise(spans))


def test_a_photograph_has_eighteen_windows():
    """At two scales; the sides are those of 4 : 3, enlarged, in cells."""
    assert (len(starts(46)) * len(starts(34)), len(starts(69)) * len(starts(52))) == (6, 12)


@torch.inference_mode()
def test_the_early_layers_of_a_window_are_those_of_the_picture(detector, body):
    picture = sweeps.seen(body.resize((224, 224)))
    together, alone = detector(picture), detector.late(detector.early(picture))
    assert all(torch.equal(a, b) for a, b in zip(together, alone, strict=True))
    wide = torch.cat([torch.full((1, 3, 224, 64), -1.0), picture, torch.full((1, 3, 224, 64), -1.0)], 3)
    inner = detector.early(wide)[..., 8:36]
    edge = slice(8, -8)
    assert torch.allclose(inner[..., edge, edge], detector.early(picture)[..., edge, edge], atol=1e-3)


@torch.inference_mode()
@pytest.mark.parametrize("place", [(30, 20), (400, 60), (360, 290)])
def test_windows_show_a_small_body_where_it_is(detector, body, place):
    picture = Image.new("RGB", (640, 480), (90, 110, 90))
    picture.paste(body.resize((128, 128)), place)
    left, top = max(0, place[0] - 30), max(0, place[1] - 30)
    near = find(detector, picture, (left, top, left + 188, top + 188))[0].region
    best = max(in_windows(detector, picture, 0.41), key=lambda one: one.score).region
    assert np.hypot(*np.subtract(best.centre, near.centre)) < 0.15 * near.side
    assert best.side == pytest.approx(near.side, rel=0.2)


@torch.inference_mode()
@pytest.mark.parametrize("size", [(1, 1), (60, 100), (3, 500), (4000, 10)])
def test_odd_pictures_have_windows_or_none(detector, size):
    assert in_windows(detector, Image.new("RGB", size), 0.41) == []


@torch.inference_mode()
@pytest.mark.parametrize("turn", [Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270])
def test_who_lies_is_seen_upright(detector, body, turn):
    """One of the turned pictures is the upright one; its answer is turned back to where the body lies."""
    lying = Image.new("RGB", (300, 256))
    lying.paste(body.transpose(turn), (20, 0))
    back, away = {2: (Image.Transpose.ROTATE_270, -1), 4: (Image.Transpose.ROTATE_90, 1)}[turn]
    (standing,) = find(detector, lying.transpose(back))
    (same,) = [one for one in in_turned_pictures(detector, lying) if one.score == standing.score]
    turned = (same.region.angle - standing.region.angle - away * np.pi / 2 + np.pi) % (2 * np.pi) - np.pi
    assert abs(turned) < 1e-6
    x, y = standing.region.centre  # in a picture of 256 x 300
    assert same.region.centre == pytest.approx((y, 256 - x) if away < 0 else (300 - y, x))


def test_points_and_boxes_turn_together(monkeypatch):
    one = Find(0.9, np.array([10.0, 20, 30, 60]), np.array([[10.0, 20], [30, 60], [20, 40], [0, 0]]))
    monkeypatch.setattr(sweeps, "find", lambda detector, picture: [one])
    left, right = in_turned_pictures(None, Image.new("RGB", (200, 100)))
    # the left end of the turned picture is the upper edge of the picture turned left, the lower of that turned right
    assert left.points[0].tolist() == [180, 10] and left.box.tolist() == [140, 10, 180, 30]
    assert right.points[0].tolist() == [20, 90] and right.box.tolist() == [20, 70, 60, 90]
