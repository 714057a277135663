"""How to get from the pose in one picture to that in another: people are found, their poses estimated and compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from autocompose.bodies.skeleton import turn
from autocompose.core.errors import ImageError, InputError
from autocompose.corpus.pictures.gate import as_rgb, open_image
from autocompose.describe.pictures.change import PoseChange, pose_change
from autocompose.describe.rules.changes import Figures
from autocompose.estimate import Person
from autocompose.estimate.people_finder import PeopleFinder

Picture = Path | str | Image.Image | np.ndarray
NAMES = ("the first picture", "the second picture")  # of those that are no files


class Finder(Protocol):
    """Finds people, as ``Estimator`` does."""

    def people(self, pictures: Sequence[Image.Image]) -> list[list[Person]]:
        """The people in each picture, the most prominent first."""


def describe_change(
    a: Picture,
    b: Picture,
    *,
    person: tuple[int | None, int | None] = (None, None),
    wordings: int = 1,
    weights: Path | None = None,
    estimator: Finder | None = None,
    seed: int = 0,
) -> PoseChange:
    """Say how to get from the pose in picture A to that in picture B.

    Only changes that exceed the uncertainty of the estimated joints are described. A turn or tilt of the whole person
    may come from the camera and is left out.

    :param a, b: files, opened pictures, or uint8 arrays ``(H, W, 3)``.
    :param person: which person of A and of B, counted from the left, beginning with 1; None = the most prominent.
    :param wordings: how many texts. :param seed: decides between wordings.
    :param weights: a weight file as for ``Estimator.load``.
    :param estimator: what finds the people; by default the networks in ``weights``, loaded once per process.
    :raises ImageError: a picture cannot be read, or shows nobody.
    :raises InputError: a picture shows fewer people than ``person`` says.
    :raises CheckpointError: ``weights`` are missing, damaged, or not ours.
    """
    opened = [_opened(picture, name) for picture, name in zip((a, b), NAMES, strict=True)]
    estimator = estimator or PeopleFinder(weights).estimator
    figures, people, chosen = [], [], []
    for picture, shown, name, number in zip(opened, (a, b), NAMES, person, strict=True):
        detected = estimator.people([picture])[0]
        one, place = _chosen(detected, number, str(shown) if isinstance(shown, (Path, str)) else name)
        figures.append(Figures(turn(one.joints[None], np.array([one.heading])), uncertainty=one.uncertainty[None]))
        people.append(len(detected))
        chosen.append(place)
    change = pose_change(*figures, wordings=wordings, seed=seed)
    return replace(change, people=(people[0], people[1]), chosen=(chosen[0], chosen[1]))


def _opened(picture: Picture, name: str) -> Image.Image:
    if isinstance(picture, (Path, str)):
        return open_image(picture)
    if isinstance(picture, Image.Image):
        return as_rgb(picture)
    if isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.shape[2:] in ((), (3,), (4,)):
        return as_rgb(Image.fromarray(picture))
    shape, kind = getattr(picture, "shape", ""), getattr(picture, "dtype", type(picture).__name__)
    raise ImageError(f"{name}: {kind} {shape} is no picture; expected a path, a PIL image or a uint8 array (H, W, 3)")


def _chosen(people: list[Person], number: int | None, name: str) -> tuple[Person, int]:
    """The person that is meant, and their place from the left."""
    if not people:
        raise ImageError(f"{name}: nobody is found in it; give a picture that shows a person")
    from_left = sorted(people, key=lambda one: one.box[0] + one.box[2])
    if number is None:
        return people[0], from_left.index(people[0]) + 1
    if not 1 <= number <= len(people):
        raise InputError(f"{name}: there is no person {number}; {len(people)} found, counted from the left from 1")
    return from_left[number - 1], number
