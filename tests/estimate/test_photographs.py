"""People in photographs that Debian and Python packages hold; they are read where they lie and never copied."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autocompose.estimate import Estimator

OPENCV = Path("/usr/share/doc/opencv-doc/examples/data")
LABELME = Path("/usr/share/doc/labelme-examples/examples/bbox_detection/data_annotated")
# Every 40th frame of vtest.avi (20 in all), counted by eye: boxes (left, top, right, bottom) of the walkers over 100
# pixels tall, cut or half hidden ones included. The other frames have none.
WALKERS = {
    40: [(734, 283, 768, 395)],
    200: [(617, 265, 652, 370), (705, 253, 742, 355)],
    240: [(451, 250, 482, 354), (656, 272, 708, 382)],
    400: [(686, 301, 744, 413)],
    480: [(463, 238, 508, 340), (608, 270, 644, 390)],
    520: [(733, 330, 768, 453), (505, 425, 555, 576), (500, 411, 535, 555)],
    560: [(643, 305, 671, 413), (174, 354, 210, 490), (198, 392, 246, 538)],
    600: [(453, 302, 506, 419), (641, 305, 670, 413), (282, 432, 331, 576)],
    640: [(336, 385, 388, 525)],
    680: [(448, 242, 482, 343), (152, 331, 200, 451)],
}
# Everybody else in these frames, taller than 60 pixels: left, top, width, height; neighbours may share a box.
OTHERS = {
    0: [(501, 157, 28, 77), (254, 220, 31, 89), (639, 241, 47, 85)],
    80: [(259, 174, 27, 72), (433, 174, 69, 82), (373, 180, 55, 85), (568, 192, 32, 92)],
    240: [(642, 116, 42, 64), (236, 156, 47, 79), (39, 177, 30, 68), (614, 200, 27, 81)],
    600: [(190, 144, 24, 71), (569, 200, 28, 88), (670, 209, 42, 89)],
    640: [(118, 144, 22, 70), (363, 160, 31, 72), (174, 162, 20, 68), (642, 211, 38, 95), (504, 248, 33, 92)],
}


@pytest.fixture(scope="module")
def estimator():
    return Estimator.load()


def photograph(path):
    if not path.exists():
        pytest.skip(f"{path} is not there; install the Debian package {path.parts[4]}")
    return Image.open(path).convert("RGB")


def centre(box):
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def inside(point, box, room=6):
    return box[0] - room <= point[0] <= box[2] + room and box[1] - room <= point[1] <= box[3] + room


def test_one_person_on_grass(estimator):
    (person,) = estimator.people([photograph(OPENCV / "messi5.jpg")])[0]
    assert person.presence > 0.9 and person.joints.shape == (22, 3) and person.uncertainty.shape == (22,)
    left_wrist, right_wrist = person.points[[15, 16]]
    assert left_wrist[0] > right_wrist[0]  # he faces the camera, so his left is on the right
    assert abs(person.heading) < 60


@pytest.mark.slow
@pytest.mark.parametrize("windows", ["auto", True])
def test_three_people_on_a_sofa(estimator, windows):
    people = estimator.people([photograph(LABELME / "2011_000006.jpg")], windows)[0]
    assert len(people) == 3
    heads = sorted(person.points[0, 0] for person in people)
    assert np.allclose(heads, [210, 262, 320], atol=20)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fruits.jpg", "home.jpg"])
def test_nobody(estimator, name):
    assert estimator.people([photograph(OPENCV / name)], windows=True) == [[]]


@pytest.mark.slow
def test_walkers_in_a_street(estimator):
    """At least 70 % of the walkers over 100 pixels in 20 whole frames; in five of them nobody who is not there."""
    if not (OPENCV / "vtest.avi").exists() or importlib.util.find_spec("av") is None:
        pytest.skip("vtest.avi of the Debian package opencv-doc and the Python package av are needed")
    import av

    hits = false = 0
    with av.open(str(OPENCV / "vtest.avi")) as video:
        for number, frame in enumerate(video.decode(video=0)):
            if number % 40 or number >= 800 or not (number in WALKERS or number in OTHERS):
                continue
            people = estimator.people([frame.to_image()])[0]
            places = [centre(person.box) for person in people]
            walkers = WALKERS.get(number, [])
            hits += sum(any(inside(place, box) for place in places) for box in walkers)
            if number in OTHERS:
                known = [*walkers, *[(x, y, x + w, y + h) for x, y, w, h in OTHERS[number]]]
                false += sum(not any(inside(place, box) for box in known) for place in places)
    total = sum(map(len, WALKERS.values()))
    assert total == 20 and hits >= 0.7 * total, f"{hits} of {total}"
    assert false <= len(OTHERS)
