"""Who is compared in two pictures, and what is refused; somebody else finds the people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autocompose.core.errors import ImageError, InputError
from autocompose.describe.pictures.pictures import describe_change
from autocompose.estimate import Person
from tests.describe.audit.poses import standing

UP = {"left_elbow": (0.2, 0.35, 0.0), "left_wrist": (0.25, 0.95, 0.0)}
BLANK = Image.new("RGB", (40, 40))


def person(left: float, heading: float = 0.0, /, **moved: tuple[float, float, float]) -> Person:
    joints = standing(**moved)
    return Person(
        box=(left, 0.0, left + 10.0, 40.0),
        presence=1.0,
        points=np.zeros((33, 2)),
        visibility=np.ones(33),
        world=np.zeros((33, 3)),
        joints=joints - joints[0],
        heading=heading,
        uncertainty=np.full(22, 0.02),
    )


class Stub:
    """Finds what it was told, one picture after the other."""

    def __init__(self, *pictures: list[Person]) -> None:
        self.pictures = iter(pictures)

    def people(self, pictures: Sequence[Image.Image]) -> list[list[Person]]:
        return [next(self.pictures) for _ in pictures]


def test_the_most_prominent_is_compared_or_whoever_is_asked_for() -> None:
    crowd = [person(20), person(0, 0, **UP), person(30)]
    change = describe_change(BLANK, BLANK, estimator=Stub(crowd, [person(0, 0, **UP)]))
    assert (change.people, change.chosen) == ((3, 1), (2, 1)) and change.texts
    change = describe_change(BLANK, BLANK, person=(1, None), estimator=Stub(crowd, [person(0, 0, **UP)]))
    assert (change.people, change.chosen, change.texts) == ((3, 1), (1, 1), ())


def test_what_is_told_what_was_measured_and_what_is_left_out() -> None:
    change = describe_change(BLANK, BLANK, wordings=3, estimator=Stub([person(0, 170)], [person(0, -170, **UP)]))
    hand = next(one for one in change.measurements if one.code == "height:left_hand")
    assert (hand.category, hand.unit) == ("up", "m") and 0.9 < hand.after - hand.before < 1.2 and hand.uncertainty > 0
    assert not any("right" in one.code for one in change.measurements)
    assert {code for one in change.statements for code in one.codes} <= {one.code for one in change.measurements}
    assert change.turned == pytest.approx(20, abs=0.1) and len(set(change.texts)) == len(change.texts)


def test_the_order_of_the_pictures_is_the_direction() -> None:
    there = describe_change(BLANK, BLANK, estimator=Stub([person(0)], [person(0, 0, **UP)]))
    back = describe_change(BLANK, BLANK, estimator=Stub([person(0, 0, **UP)], [person(0)]))
    values = {one.code: (one.before, one.after) for one in there.measurements}
    common = {one.code: (one.after, one.before) for one in back.measurements if one.code in values}
    assert "height:left_hand" in common and common == {code: values[code] for code in common}
    assert {one.category for one in back.measurements if one.code == "height:left_hand"} == {"down"}


@pytest.mark.parametrize("place", [0, 4])
def test_a_person_who_is_not_there(place: int) -> None:
    with pytest.raises(InputError, match=f"the second picture: there is no person {place}; 1 found"):
        describe_change(BLANK, BLANK, person=(None, place), estimator=Stub([person(0)], [person(0)]))


def test_nobody_and_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "empty.png"
    BLANK.save(path)
    with pytest.raises(ImageError, match=r"empty.png: nobody is found"):
        describe_change(BLANK, path, estimator=Stub([person(0)], []))
    with pytest.raises(ImageError, match="the first picture: nobody is found"):
        describe_change(BLANK, path, estimator=Stub([], [person(0)]))
    with pytest.raises(ImageError, match=r"missing.png"):
        describe_change(BLANK, tmp_path / "missing.png", estimator=Stub())
    for wrong in (np.zeros((4, 4, 3)), np.zeros((2, 2, 2, 2), np.uint8), 7):
        with pytest.raises(ImageError, match=r"the second picture: .* is no picture"):
            describe_change(BLANK, wrong, estimator=Stub())  # type: ignore[arg-type]
