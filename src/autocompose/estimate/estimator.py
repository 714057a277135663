"""People in pictures: detected, landmarked, lifted to 3D."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image

from autocompose.estimate.detector import Detector
from autocompose.estimate.finding import Find, Window, find
from autocompose.estimate.landmarks import POINTS, LandmarkNet
from autocompose.estimate.lifting import Lifter
from autocompose.estimate.marking import Marks, Views, mark
from autocompose.estimate.outline import outline
from autocompose.estimate.regions import Region
from autocompose.estimate.searching import DIM, PRESENT, SMALL, candidates, distinct, extent, is_person
from autocompose.estimate.sweeps import SWEEPS
from autocompose.estimate.weights import load_networks

SURE = 0.5  # score of an uncertain detection in the whole picture, such as a person lying face down
CLOSE = (0.12, 0.2, 0.5)  # two regions are alike: share of the side, logarithm of the side, radians
PASSES = 3  # over a region that its landmarks move

Windows = bool | Literal["auto"]


@dataclass(frozen=True)
class Person:
    """One person in a picture; left and right are the person's own.

    :param box: left, top, right, bottom in pixels, inside the picture.
    :param presence: probability that this is a person, 0 to 1.
    :param points: ``(33, 2)`` MediaPipe's landmarks in pixels.
    :param visibility: ``(33,)`` probability that each is seen.
    :param world: ``(33, 3)`` the same in metres: x right, y down, z away from the camera, hips in the origin.
    :param joints: ``(22, 3)`` SMPL-22 joints in metres, pelvis in the origin, facing the viewer (yaw removed):
        x to the person's left, y up, z forward.
    :param heading: degrees of the person relative to the camera; 0 faces it, positive = turned to their own left.
    :param uncertainty: ``(22,)`` expected distance in metres between each joint and the true one.
    """

    box: tuple[float, float, float, float]
    presence: float
    points: np.ndarray
    visibility: np.ndarray
    world: np.ndarray
    joints: np.ndarray
    heading: float
    uncertainty: np.ndarray


class Estimator:
    """Finds people and estimates their poses.

    One picture and one crop at a time: on a CPU batches are not faster, and the result of a picture cannot depend on
    its neighbours.
    """

    def __init__(self, detector: Detector, net: LandmarkNet, lifter: Lifter) -> None:
        self.detector, self.net, self.lifter = detector, net, lifter

    @classmethod
    def load(cls, weights: Path | None = None) -> Estimator:
        """Read the networks.

        :param weights: a file written by ``runs/convert_blazepose.py``; the shipped one when left out.
        :raises CheckpointError: missing, damaged, or not one of ours.
        """
        return cls(*load_networks(weights), Lifter.load())

    def people(self, pictures: Sequence[Image.Image], windows: Windows = "auto") -> list[list[Person]]:
        """The people in each picture, the most prominent first.

        :param pictures: RGB, of any size.
        :param windows: search the pictures turned and in parts as well: always, never, or where the whole picture
            shows nobody or only small people.
        """
        return [self._people(picture.convert("RGB"), windows) for picture in pictures]

    @torch.inference_mode()
    def _people(self, picture: Image.Image, windows: Windows) -> list[Person]:
        return [self.person(picture, views) for views in self.views(picture, windows)]

    @torch.inference_mode()
    def views(self, picture: Image.Image, windows: Windows = "auto", known: Iterable[Views] = ()) -> list[Views]:
        """The landmarks of each person in an RGB picture, the most prominent first.

        :param known: people who are there, for whom it need not be searched.
        """
        people = self.search(picture, [(0, 0, *picture.size)], list(known))
        for sweep in SWEEPS if windows else ():
            if windows == "auto" and any(extent(views.plain) >= SMALL * min(picture.size) for views in people):
                break
            people = self._with(picture, people, sweep(self.detector, picture))
        return people

    @torch.inference_mode()
    def search(self, picture: Image.Image, windows: list[Window], known: list[Views]) -> list[Views]:
        """The known people in an RGB picture, and those that these windows of it add."""
        whole = windows == [(0, 0, *picture.size)]
        detections = [one for window in windows for one in find(self.detector, picture, window)]
        return self._with(picture, known, detections, SURE if whole else np.inf)

    def _with(
        self, picture: Image.Image, known: list[Views], detections: list[Find], sure: float = np.inf
    ) -> list[Views]:
        """The known people, and those whom the detections show.

        :param sure: score of a detection that is beyond doubt.
        """
        looks = [self.look(picture, one.region, one.score >= sure) for one in candidates(detections, known)]
        return distinct([*known, *[views for views in looks if views]])

    @torch.inference_mode()
    def look(self, picture: Image.Image, region: Region, sure: bool = False) -> Views | None:
        """The landmarks of the person in a region of an RGB picture; None when nobody is there.

        :param sure: the whole picture showed somebody there to the detector without doubt; then they may be unclear.
        """
        plain = settled(self.net, picture, region)
        if not sure and (plain.presence < PRESENT or plain.peak.mean() < DIM):
            return None
        views = Views(plain, mark(self.net, picture, plain.region, mirrored=True))
        return views if is_person(views, sure) else None

    def person(self, picture: Image.Image, views: Views) -> Person:
        """The person with these landmarks in a picture."""
        plain, mirror = views
        joints, heading, uncertainty = self.lifter.lift(views)
        return Person(
            box=outline(plain, picture.size),
            presence=min(plain.presence, mirror.presence),
            points=(plain.points[:POINTS] + mirror.points[:POINTS]) / 2,
            visibility=(plain.visibility + mirror.visibility) / 2,
            world=(plain.world + mirror.world) / 2,
            joints=joints,
            heading=heading,
            uncertainty=uncertainty,
        )


def settled(net: LandmarkNet, picture: Image.Image, region: Region) -> Marks:
    """Landmarks of a person, recomputed when they show that the region was poor."""
    place, size, turn = CLOSE
    for _ in range(PASSES):
        plain = mark(net, picture, region)
        better = plain.region
        moved = np.hypot(*np.subtract(better.centre, region.centre)) / max(better.side, region.side)
        turned = abs((better.angle - region.angle + np.pi) % (2 * np.pi) - np.pi)
        if moved < place and abs(np.log(better.side / region.side)) < size and turned < turn:
            break
        region = better
    return plain
