"""Is "left" in AIST++ the dancer's own left? All texts depend on it, so the program measures it on the data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from autocompose.bodies.kinematics import forward
from autocompose.bodies.skeleton import COCO17, SMPL22
from autocompose.core.errors import InputError
from autocompose.core.log import say
from autocompose.prepare.releases.aist_release import VIEWS, Camera, Sequence

SURE = 0.9
_C = {name: i for i, name in enumerate(COCO17)}
_S = {name: i for i, name in enumerate(SMPL22)}


@dataclass(frozen=True)
class Sides:
    """Shares of frames (0..1, NaN when nothing could be measured).

    :param face: the shoulder named left lies to the left of where nose and ears point.
    :param smpl: left in the SMPL rotations and left in the key points are the same side.
    :param front: in pictures from cameras that see the front, the left shoulder is on the right of the picture.
    :param reprojection: median distance in pixels of projected 3D and detected 2D key points.
    """

    face: float
    smpl: float
    front: float
    reprojection: float


def measure_sides(sequences: Iterable[tuple[Sequence, dict[str, Camera] | None]]) -> Sides:
    """Measure the four numbers over some sequences."""
    face, smpl, front, errors = [], [], [], []
    for sequence, cameras in sequences:
        points = sequence.keypoints3d
        across = points[:, _C["left_shoulder"]] - points[:, _C["right_shoulder"]]
        ahead = points[:, _C["nose"]] - points[:, [_C["left_ear"], _C["right_ear"]]].mean(1)
        # up x ahead points to the own left, in any right-handed y-up frame
        face.append(_votes(across[:, 0] * ahead[:, 2] - across[:, 2] * ahead[:, 0]))
        joints = forward(sequence.rotations)[0]
        own = joints[:, _S["left_shoulder"]] - joints[:, _S["right_shoulder"]]
        smpl.append(_votes((own * across).sum(-1)))
        if cameras is None or sequence.keypoints2d is None:
            continue
        for k, view in enumerate(VIEWS):
            seen = sequence.keypoints2d[k]
            toward = np.radians(cameras[view].heading)
            frontal = ahead @ np.array([np.sin(toward), 0, np.cos(toward)]) > 0.7 * np.linalg.norm(ahead, axis=-1)
            front.append(_votes((seen[:, _C["left_shoulder"], 0] - seen[:, _C["right_shoulder"], 0])[frontal]))
            projected = cameras[view].project(points * sequence.scale)
            errors.append(np.linalg.norm(projected - seen[..., :2], axis=-1).ravel())
    return Sides(_share(face), _share(smpl), _share(front), _median(errors))


def _votes(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)] > 0


def _share(votes: list[np.ndarray]) -> float:
    every = np.concatenate([np.zeros(0, bool), *votes])
    return float(every.mean()) if len(every) else float("nan")


def _median(errors: list[np.ndarray]) -> float:
    every = np.concatenate([np.zeros(0), *errors])
    every = every[np.isfinite(every)]
    return float(np.median(every)) if len(every) else float("nan")


def check_sides(sides: Sides) -> bool:
    """Print the numbers; say whether left and right of the COCO key points must be exchanged.

    :raises InputError: the rotations and the key points contradict each other, so no side can be trusted.
    """
    say(
        f"left and right: face {sides.face:.1%}, SMPL like key points {sides.smpl:.1%}, left is right in front views"
        f" {sides.front:.1%}; reprojection {sides.reprojection:.1f} px (median)"
    )
    swapped = sides.face < 1 - SURE
    if not (sides.face > SURE or swapped):
        raise InputError(
            f"AIST++: only {sides.face:.1%} of the frames distinguish left from right; the keypoints are damaged"
        )
    agree = sides.smpl if not swapped else 1 - sides.smpl
    if agree < SURE:
        raise InputError(
            f"AIST++: the sides of the SMPL rotations agree with the faces in only {agree:.1%} of the frames; the texts"
            " would swap left and right; check that motions and keypoints3d are of the same release"
        )
    if swapped:
        say("the key points name the other side; left and right of the COCO joints are exchanged here")
    return swapped
