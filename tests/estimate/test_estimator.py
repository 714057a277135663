"""The estimator on a rendered person: what it returns, and that it does not depend on neighbours."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autocompose.estimate import Estimator


@pytest.fixture(scope="module")
def estimator():
    return Estimator.load()


@pytest.fixture(scope="module")
def picture():
    with np.load(Path(__file__).with_name("vectors.npz")) as file:
        return Image.fromarray(file["crops"][0])


def values(people):
    return [[v if isinstance(v, (float, tuple)) else v.tolist() for v in vars(person).values()] for person in people]


def test_a_person(estimator, picture):
    (person,) = estimator.people([picture], windows=False)[0]
    left, top, right, bottom = person.box
    assert 0 <= left < right <= 256 and 0 <= top < bottom <= 256 and bottom - top > 100
    assert person.points.shape == (33, 2) and person.visibility.shape == (33,) and person.world.shape == (33, 3)
    assert person.joints.shape == (22, 3) and np.isfinite(person.joints).all() and (person.joints[0] == 0).all()
    assert (person.uncertainty[1:] > 0.005).all() and (person.uncertainty < 1).all()
    assert -180 <= person.heading <= 180
    hips = person.joints[1] - person.joints[2]
    assert hips[0] > abs(hips[2])  # faces the viewer


def test_the_same_alone_and_among_others(estimator, picture):
    empty = Image.new("RGB", (90, 60), "grey")
    alone = estimator.people([picture], windows=False)[0]
    first, nobody, last = estimator.people([picture, empty, picture], windows=False)
    assert values(alone) == values(first) == values(last) and nobody == []


def test_a_mirrored_picture_gives_about_the_mirrored_person(estimator, picture):
    (one,) = estimator.people([picture], windows=False)[0]
    (other,) = estimator.people([picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)], windows=False)[0]
    assert abs(one.heading + other.heading) < 15
    assert abs(256 - one.box[0] - other.box[2]) < 12


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (20000, 50)])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "CMYK"])
def test_odd_pictures(estimator, size, mode):
    assert estimator.people([Image.new(mode, size)], windows=False) == [[]]
