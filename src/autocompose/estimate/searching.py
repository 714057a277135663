"""From detections to people: which places to look at closely, who is a person, and which two are one."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from autocompose.estimate.finding import Find, overlaps
from autocompose.estimate.landmarks import POINTS
from autocompose.estimate.marking import Marks, Views
from autocompose.estimate.regions import Region

SMALL = 0.6  # the larger side of a small person's extent / the picture's shorter side
ALIKE = (
    0.25  # two regions are of one person: distance of the centres / the smaller side, and the same share of the side
)
PRESENT, CLEAR = 0.5, 0.4  # minimum presence and clearness of a person
APART = 0.12  # maximum distance between the two views of a person / their extent
DIM = 0.35  # mean peak of one view, below which the other need not be looked at
HEAD = slice(0, 13)  # landmarks of face and shoulders
COVERED = 0.65  # two people are one: intersection over union of the boxes around their landmarks
DOUBLE = 0.15  # two people are one: mean distance of face and shoulders / the larger extent


def candidates(detections: Iterable[Find], known: list[Views]) -> list[Find]:
    """The most certain first, one for each place without a known person."""
    taken = [views.plain.region for views in known]
    kept: list[Find] = []
    for one in sorted(detections, key=lambda one: -one.score):
        if not any(_alike(one.region, other) for other in taken):
            kept.append(one)
            taken.append(one.region)
    return kept


def _alike(one: Region, other: Region) -> bool:
    small, large = sorted((one.side, other.side))
    return float(np.hypot(*np.subtract(one.centre, other.centre))) < ALIKE * small and small > (1 - ALIKE) * large


def extent(marks: Marks) -> float:
    """The larger side of the box around the landmarks, pixels."""
    return float(np.ptp(marks.points[:POINTS], axis=0).max())


def is_person(views: Views, sure: bool = False) -> bool:
    """Both views say that somebody is there, see much of it clearly, and agree on where it is.

    :param sure: the whole picture showed it to a detector without doubt; then it may be unclear.
    """
    plain, mirror = views
    if sure:
        return (plain.presence + mirror.presence) / 2 >= PRESENT
    apart = np.linalg.norm(plain.points[:POINTS] - mirror.points[:POINTS], axis=1).mean() / extent(plain)
    return bool(min(plain.presence, mirror.presence) >= PRESENT and clearness(views) >= CLEAR and apart <= APART)


def clearness(views: Views) -> float:
    """Mean peak of the heatmaps of both views, 0 to 1: the best single sign of a person."""
    return float((views.plain.peak.mean() + views.mirror.peak.mean()) / 2)


def distinct(people: list[Views]) -> list[Views]:
    """Without duplicates, keeping the clearest of each; the largest first."""
    kept: list[Views] = []
    for views in sorted(people, key=lambda views: -clearness(views)):
        if not any(_same(views.plain, other.plain) for other in kept):
            kept.append(views)
    return sorted(kept, key=lambda views: -extent(views.plain))


def _same(a: Marks, b: Marks) -> bool:
    """Face and shoulders lie in one place, or (upside down) most of the bodies do."""
    gap = np.linalg.norm(a.points[HEAD] - b.points[HEAD], axis=1).mean()
    common = overlaps(_box(a), _box(b)[None])[0]
    return bool(gap < DOUBLE * max(extent(a), extent(b)) or common > COVERED)


def _box(marks: Marks) -> np.ndarray:
    points = marks.points[:POINTS]
    return np.concatenate([points.min(0), points.max(0)])
