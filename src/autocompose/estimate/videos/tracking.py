"""Following people through a shot: by the places of their boxes and by their poses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from autocompose.bodies.skeleton import turn
from autocompose.estimate.estimator import Person

LOST = 1.5  # seconds after which somebody who is not seen is no longer waited for
REACH = 0.9  # a person's height: as far may somebody be from where they were expected
GROWTH = 0.7  # so far may the logarithm of their height change
POSE = 0.5  # metres of mean joint distance that count as much as one height of place
STEADY = 0.5  # weight of the newest speed
BEYOND = 1e6  # cost of what cannot be one person


@dataclass(frozen=True)
class Track:
    """Somebody who is followed.

    :param number: from 1, in the order of appearance in the video.
    :param box: ``(4,)`` left, top, right, bottom in pixels when last seen; ``speed``: ``(2,)`` pixels a second.
    :param joints: ``(22, 3)`` metres, heading included, the pelvis in the origin.
    :param seconds: when last seen.
    :param kept: the joints when last kept; None = never.
    """

    number: int
    box: np.ndarray
    speed: np.ndarray
    joints: np.ndarray
    seconds: float
    kept: np.ndarray | None = None

    def record(self) -> dict[str, Any]:
        """As a JSON-able value, exactly."""
        values = dict(vars(self))
        return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in values.items()}

    @classmethod
    def of_record(cls, values: dict[str, Any]) -> Track:
        """The inverse of ``record``."""
        arrays: dict[str, Any] = {k: np.array(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**arrays)


@dataclass
class Tracker:
    """The people of the current shot.

    :param known: how many there have been in the whole video.
    """

    tracks: list[Track] = field(default_factory=list)
    known: int = 0

    def follow(self, seconds: float, people: Sequence[Person]) -> list[Track]:
        """Who the people of the next frame are: their tracks, in the order of ``people``, brought up to date."""
        self.tracks = [track for track in self.tracks if seconds - track.seconds <= LOST]
        boxes = np.array([person.box for person in people], float).reshape(-1, 4)
        joints = [turn(person.joints, person.heading) for person in people]
        same = dict(self._matches(seconds, boxes, joints))
        now: list[Track] = []
        for row, (box, pose) in enumerate(zip(boxes, joints, strict=True)):
            if row in same:
                now.append(_moved(self.tracks[same[row]], box, pose, seconds))
            else:
                self.known += 1
                now.append(Track(self.known, box, np.zeros(2), pose, seconds))
        seen = {track.number for track in now}
        self.tracks = [*(track for track in self.tracks if track.number not in seen), *now]
        return now

    def keep(self, track: Track) -> None:
        """Remember that somebody's present pose is kept."""
        self.tracks = [replace(t, kept=t.joints) if t.number == track.number else t for t in self.tracks]

    def _matches(self, seconds: float, boxes: np.ndarray, joints: list[np.ndarray]) -> list[tuple[int, int]]:
        """Pairs of a person and a track, cheapest in all (the Hungarian method)."""
        if not len(boxes) or not self.tracks:
            return []
        costs = np.array(
            [[_cost(t, box, pose, seconds) for t in self.tracks] for box, pose in zip(boxes, joints, strict=True)]
        )
        return [(row, column) for row, column in _cheapest(costs) if costs[row, column] < BEYOND]


def _cheapest(costs: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of a row and a column, each at most once, whose sum of costs is least."""
    if 1 in costs.shape:
        return [divmod(int(costs.argmin()), costs.shape[1])]
    from scipy.optimize import linear_sum_assignment  # a second to import, which one person alone does not need

    rows, columns = linear_sum_assignment(costs)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def moved_by(one: np.ndarray, other: np.ndarray) -> float:
    """How far the joint that has moved farthest is from where it was, of two poses ``(22, 3)``, metres."""
    return float(np.linalg.norm(one - other, axis=-1).max())


def _unlike(one: np.ndarray, other: np.ndarray) -> float:
    """Mean distance of the joints of two poses, metres."""
    return float(np.linalg.norm(one - other, axis=-1).mean())


def _cost(track: Track, box: np.ndarray, joints: np.ndarray, seconds: float) -> float:
    expected = _centre(track.box) + track.speed * (seconds - track.seconds)
    height, before = box[3] - box[1], track.box[3] - track.box[1]
    place = float(np.linalg.norm(_centre(box) - expected)) / max(height, before, 1.0)
    growth = abs(float(np.log(max(height, 1.0) / max(before, 1.0))))
    if place > REACH or growth > GROWTH:
        return BEYOND
    return place + growth + _unlike(track.joints, joints) / POSE


def _centre(box: np.ndarray) -> np.ndarray:
    return (box[:2] + box[2:]) / 2


def _moved(track: Track, box: np.ndarray, joints: np.ndarray, seconds: float) -> Track:
    passed = max(seconds - track.seconds, 1e-3)
    speed = (_centre(box) - _centre(track.box)) / passed
    return replace(
        track, box=box, joints=joints, seconds=seconds, speed=STEADY * speed + (1 - STEADY) * track.speed
    )  # fmt: skip
