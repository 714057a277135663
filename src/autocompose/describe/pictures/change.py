"""How to get from the pose in one picture to that in another: estimated poses, told by the rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from autocompose.bodies.pose_frame import centre, remove_yaw, rescale
from autocompose.core.errors import ImageError
from autocompose.corpus.pictures.gate import as_rgb, open_image
from autocompose.describe.pictures.camera import without_tilt
from autocompose.describe.rules.changes import Figures
from autocompose.describe.rules.options import RuleOptions
from autocompose.describe.rules.texts import describe
from autocompose.estimate import Estimator, Person

OPTIONS = RuleOptions(noise=0.0, absolute="none", trunk=True, rotation=False, max_tokens=None)
Shown = Path | str | Image.Image


class Finder(Protocol):
    """Finds people, as ``Estimator`` does."""

    def people(self, pictures: Sequence[Image.Image]) -> list[list[Person]]:
        """The people in each picture, the most prominent first."""


@dataclass(frozen=True)
class PictureChange:
    """What changed between two poses.

    :param text: how to get from the first pose to the second, left and right the person's own; "" where no change is
        larger than what the estimate may be wrong by.
    :param measured: the numbers behind the text: code, category (a key of the word bank), ``from``, ``to``, unit (m or
        deg) and ``uncertainty``, the standard deviation of the difference.
    :param left_out: changes of the same form that the uncertainty of the poses may explain.
    :param tilt: degrees by which the whole person tilts; taken for a move of the camera and not told.
    :param turned: degrees by which the person turned to their own left, as seen by the camera, which may have moved
        instead; not told.
    :param people: how many people each picture shows; the most prominent are compared.
    """

    text: str
    measured: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[dict[str, Any]] = field(default_factory=list)
    tilt: float = 0.0
    turned: float = 0.0
    people: tuple[int, int] = (1, 1)


def describe_change(
    a: Shown, b: Shown, *, weights: Path | None = None, estimator: Finder | None = None, seed: int = 0
) -> PictureChange:
    """Say how to get from the pose in picture A to that in picture B.

    A change is told when it is at least twice its standard deviation, which follows from the uncertainties of the
    joints. The heading, and a tilt of the whole person, may be the camera's and are not told.

    :param a, b: files or opened pictures. :param weights: a weight file as for ``Estimator.load``.
    :param estimator: what finds the people; by default the shipped networks, loaded for this call.
    :param seed: decides between wordings.
    :raises ImageError: a picture cannot be read, or shows nobody.
    :raises CheckpointError: ``weights`` are missing, damaged, or not ours.
    """
    estimator = estimator or Estimator.load(weights)
    found = [_people(shown, estimator, name) for shown, name in ((a, "the first picture"), (b, "the second picture"))]
    first, second = (people[0] for people in found)
    return change_between(first, second, seed, (len(found[0]), len(found[1])))


def _people(shown: Shown, estimator: Finder, name: str) -> list[Person]:
    opened = isinstance(shown, Image.Image)
    people = estimator.people([as_rgb(shown) if isinstance(shown, Image.Image) else open_image(shown)])[0]
    if not people:
        raise ImageError(f"{name if opened else shown}: nobody is found; give a picture that shows a person")
    return people


def change_between(first: Person, second: Person, seed: int = 0, people: tuple[int, int] = (1, 1)) -> PictureChange:
    """The same for two people who are found already."""
    start, goal = (remove_yaw(rescale(centre(person.joints[None].astype(float)))) for person in (first, second))
    level, tilt = without_tilt(start[0], goal[0])
    figures = [Figures(joints) for joints in (start, level[None])]
    unsure = [
        one._replace(uncertainty=person.uncertainty[None])
        for one, person in zip(figures, (first, second), strict=True)
    ]
    told = describe(*unsure, seed, 1, OPTIONS, numbers=True)[0]
    every = describe(*figures, seed, 1, OPTIONS, numbers=True)[0]
    sure = {entry["code"] for entry in told.measured}
    turned = (second.heading - first.heading + 180) % 360 - 180
    return PictureChange(
        text=told.texts[0] if told.texts else "",
        measured=told.measured,
        left_out=[entry for entry in every.measured if entry["code"] not in sure],
        tilt=round(tilt, 1),
        turned=round(float(turned), 1),
        people=people,
    )
