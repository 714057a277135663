"""The searchable parts of a picture: each person, cropped with their pose, or the whole picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from autocompose.estimate.estimator import Person
from autocompose.estimate.people_finder import Finder
from autocompose.gallery.item import Box
from autocompose.gallery.pose import Pose

MAX_SIDE = 1024
SEARCHED_SIDE = 1280  # pixels in which people are looked for; more are not decoded
MARGIN = 0.08  # around a person, share of the box's longer side; as ``prepare folder`` cuts
FILLS = 0.5  # the longer sides of a person and of a picture: from here on one person alone is the whole picture

Known = tuple[Box | None, Pose | None]  # where (None = the whole picture), and the pose if known
WHOLE: tuple[Known, ...] = ((None, None),)


@dataclass(frozen=True)
class Crop:
    """A part of a picture with at most one person.

    :param box: in pixels of the upright picture; None = all of it.
    :param image: RGB, at most 1,024 px.
    :param people: whom a finder sees in it, one or nobody; None: none has looked.
    """

    box: Box | None
    image: Image.Image
    pose: Pose | None = None
    people: tuple[Person, ...] | None = None


def shrink(picture: Image.Image) -> Image.Image:
    """At most 1,024 px on the longer side: encoders see less than that, and a batch of photos must fit into memory."""
    if max(picture.size) > MAX_SIDE:
        picture = picture.copy()
        picture.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BICUBIC)
    return picture


def detected_people(picture: Image.Image, size: tuple[int, int], finder: Finder) -> list[Crop]:
    """Each detected person; the whole picture if it shows nobody or one large person.

    :param picture: RGB, perhaps smaller than the file. :param size: of the file's upright picture in pixels.
    """
    people = finder.find(picture)
    if not people:
        return [Crop(None, shrink(picture), people=())]
    if len(people) == 1 and _fills(people[0], picture.size):
        return [Crop(None, shrink(picture), Pose.of(people[0], size[0] / picture.width), (people[0],))]
    crops: dict[Box | None, Crop] = {}
    for crop in (person_crop(picture, size, person) for person in people):
        crops.setdefault(crop.box, crop)
    return list(crops.values())


def person_crop(picture: Image.Image, size: tuple[int, int], person: Person) -> Crop:
    """One of the people in a picture.

    :param picture, size: as for ``detected_people``.
    """
    scale, box = size[0] / picture.width, _around(person, picture.size)
    return Crop(_scaled(box, scale, size), shrink(picture.crop(box)), Pose.of(person, scale), (person,))


def known_people(picture: Image.Image, people: Sequence[Known], finder: Finder | None) -> list[Crop]:
    """The known people in a full-size picture; unknown poses are estimated."""
    crops = []
    for box, pose in people:
        part = picture.crop(box) if box else picture
        crops.append(Crop(box, shrink(part), pose) if pose or finder is None else prominent(part, finder, box))
    return crops


def prominent(part: Image.Image, finder: Finder, box: Box | None = None) -> Crop:
    """A picture, or a box of one, with the pose of its most prominent person.

    :param part: RGB, full size, cut to the box.
    """
    people = tuple(finder.find(part)[:1])
    pose = Pose.of(people[0], 1.0, box[:2] if box else (0, 0)) if people else None
    return Crop(box, shrink(part), pose, people)


def _around(person: Person, size: tuple[int, int]) -> Box:
    left, top, right, bottom = person.box
    more = MARGIN * max(right - left, bottom - top)
    low = max(0, round(left - more)), max(0, round(top - more))
    return *low, min(size[0], round(right + more)), min(size[1], round(bottom + more))


def _scaled(box: Box, scale: float, size: tuple[int, int]) -> Box:
    left, top, right, bottom = (round(v * scale) for v in box)
    return left, top, min(right, size[0]), min(bottom, size[1])


def _fills(person: Person, size: tuple[int, int]) -> bool:
    left, top, right, bottom = person.box
    return max(right - left, bottom - top) >= FILLS * max(size)
