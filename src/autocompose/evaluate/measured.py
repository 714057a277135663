"""Poses with uncertainty: how uncertain joints affect the measured features."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from autocompose.bodies.line_of_sight import EVERY_DIRECTION, MEAN_DISTANCE, variance_share
from autocompose.bodies.skeleton import SMPL22
from autocompose.core.errors import PoseError
from autocompose.describe.audit.measure import Feature, PoseRow, Poses
from autocompose.describe.audit.rules import ANGLES
from autocompose.evaluate.pose_coordinates import FEATURES, UNITS, coordinates

LEVER = 0.25  # metres: an error at the end of this turns a limb by its angle
_ENDS = {
    "hand": ("elbow", "wrist"), "forearm": ("elbow", "wrist"), "elbow": ("elbow",), "upper arm": ("shoulder", "elbow"),
    "arm": ("elbow", "wrist"), "shoulder": ("shoulder",), "foot": ("ankle", "foot"), "shin": ("knee", "ankle"),
    "knee": ("knee",), "thigh": ("hip", "knee"), "leg": ("knee", "ankle"), "hip": ("hip",),
}  # fmt: skip
_CENTRE = {"head": ("head", "neck"), "torso": ("neck", "spine3"), "pelvis": ("spine1",), "body": ("neck", "spine3")}
_BENT = {"elbow": ("shoulder", "elbow", "wrist"), "knee": ("hip", "knee", "ankle")}
_SIDES = ("left", "right")
_ALONG_AXIS = ("coordinate", "relative", "apex", "from-chest")  # the axis is their second word
_DIRECTION = {
    "height": "y", "floor": "y", "before": "z", "lean-forward": "z", "twist": "z",
    "lateral": "x", "crossing": "x", "gap": "x", "lean-left": "x",
}  # fmt: skip
_JOINT = {name: i for i, name in enumerate(SMPL22)}


class Measured:
    """N poses, their compared coordinates, and how uncertain each feature is.

    What is measured across the line of sight is more certain than what is measured along it.

    :param doubts: ``(N, 22)`` metres, expected distance of each joint from the true one; None: the poses are known.
    :raises PoseError: doubts of a wrong shape, negative or not finite.
    """

    def __init__(self, poses: Poses | PoseRow, doubts: np.ndarray | None = None) -> None:
        self.poses = poses
        self.doubts = None if doubts is None else np.asarray(doubts, np.float32)
        if self.doubts is not None:
            if self.doubts.shape != (len(poses), len(SMPL22)):
                raise PoseError(f"uncertainty of shape {self.doubts.shape}, expected ({len(poses)}, {len(SMPL22)})")
            if not (np.isfinite(self.doubts).all() and (self.doubts >= 0).all()):
                raise PoseError("uncertainty: expected finite metres from 0")
        self._variances: dict[Feature, np.ndarray] = {}

    @classmethod
    def of(cls, joints: np.ndarray, doubts: np.ndarray) -> Measured:
        """Joints ``(N, 22, 3)`` and doubts ``(N, 22)``, all 0 if the poses are known."""
        return cls(Poses(joints), doubts if doubts.any() else None)

    @classmethod
    def one(cls, joints: np.ndarray, doubts: np.ndarray | None = None) -> Measured:
        """A single pose: joints ``(22, 3)``, doubts ``(22,)``."""
        return cls(Poses(np.asarray(joints)[None]), None if doubts is None else np.asarray(doubts)[None])

    def __len__(self) -> int:
        return len(self.poses)

    def row(self, i: int) -> Measured:
        """One of the poses; its features are looked up here."""
        assert isinstance(self.poses, Poses), "a row of a row"
        return Measured(self.poses.row(i), None if self.doubts is None else self.doubts[i : i + 1])

    @cached_property
    def coordinates(self) -> np.ndarray:
        """``(N, F)`` float32, see ``pose_coordinates``."""
        return coordinates(self.poses)

    @cached_property
    def coordinate_variances(self) -> np.ndarray:
        """``(N, F)`` squares of those units; ``(1, 1)`` zero for known poses."""
        if self.doubts is None:
            return np.zeros((1, 1), np.float32)
        return np.stack([self.variance(feature) for feature in FEATURES], 1) / np.square(UNITS)

    def variance(self, feature: Feature) -> np.ndarray:
        """``(N,)`` square metres or degrees by which a feature may be off; ``(1,)`` zero for known poses."""
        if self.doubts is None:
            return np.zeros(1, np.float32)
        if feature not in self._variances:
            joints = deciding_joints(feature)
            square = np.square(self.doubts[:, joints] / MEAN_DISTANCE).mean(1) if joints else np.zeros(len(self))
            square = square * variance_share(self._cosine_squared(feature))
            turned = np.degrees(1 / LEVER) if feature[0] in ANGLES else 1.0
            self._variances[feature] = (square * turned**2).astype(np.float32)
        return self._variances[feature]

    def _cosine_squared(self, feature: Feature) -> np.ndarray | float:
        """``(N,)`` of the angle between the direction that a feature measures and the line of sight."""
        axis = feature[1] if feature[0] in _ALONG_AXIS else _DIRECTION.get(feature[0])
        return EVERY_DIRECTION if axis is None else np.square(self.poses.sight[:, "xyz".index(axis)])


def deciding_joints(feature: Feature) -> list[int]:
    """The SMPL-22 joints that decide a feature; a part without a side stands for both."""
    name, *words = feature
    if name == "bend":
        return [_JOINT[f"{words[1]}_{joint}"] for joint in _BENT[words[0]]]
    if name == "twist":
        return [_JOINT[f"{side}_shoulder"] for side in _SIDES]
    joints: list[int] = []
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if word in _ENDS:
            sides = (after,) if after in _SIDES else _SIDES
            joints += [_JOINT[f"{side}_{joint}"] for side in sides for joint in _ENDS[word]]
        joints += [_JOINT[joint] for joint in _CENTRE.get(word, ())]
    return joints
