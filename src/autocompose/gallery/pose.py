"""The pose of a person in a picture: known, or estimated with its uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from autocompose.bodies.skeleton import SMPL22, mirror_joints, mirror_order, turn

if TYPE_CHECKING:
    from autocompose.estimate.estimator import Person

Kind = Literal["known", "estimated"]
JOINTS, LANDMARKS = len(SMPL22), 33
DIGITS = 4


@dataclass(frozen=True, eq=False)
class Pose:
    """A pose; left and right are the person's own.

    :param joints: ``(22, 3)`` float32 SMPL-22, metres, scene frame of ``bodies.skeleton`` (heading included).
    :param uncertainty: ``(22,)`` float32, expected distance of each joint from the true one in metres; None: the pose
        is known, not estimated.
    :param landmarks: ``(33, 3)`` float32: MediaPipe's landmarks as x and y in pixels of the upright picture, and the
        probability that each is seen; None: not known.
    """

    joints: np.ndarray
    uncertainty: np.ndarray | None = None
    landmarks: np.ndarray | None = None

    @classmethod
    def of(cls, person: Person, scale: float = 1.0, corner: tuple[float, float] = (0.0, 0.0)) -> Pose:
        """An estimate.

        :param scale, corner: pixels of the whole picture / pixels that were searched, and where these began.
        """
        points = person.points * scale + np.array(corner)
        landmarks = np.column_stack([points, person.visibility]).astype(np.float32)
        joints = turn(person.joints, person.heading).astype(np.float32)
        return cls(joints, person.uncertainty.astype(np.float32), landmarks)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pose) and all(
            a is b or (a is not None and b is not None and np.array_equal(a, b))
            for a, b in zip(self._arrays(), other._arrays(), strict=True)
        )

    def __hash__(self) -> int:
        return hash(self.joints.tobytes())

    def _arrays(self) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        return self.joints, self.uncertainty, self.landmarks

    @property
    def kind(self) -> Kind:
        """Where it comes from."""
        return "known" if self.uncertainty is None else "estimated"

    @property
    def doubts(self) -> np.ndarray:
        """``(22,)`` uncertainty in metres; zeros when the pose is known."""
        return np.zeros(JOINTS, np.float32) if self.uncertainty is None else self.uncertainty

    @property
    def mean_uncertainty(self) -> float | None:
        """Over all joints, metres; None when the pose is known."""
        return None if self.uncertainty is None else round(float(self.uncertainty.mean()), DIGITS)

    def mirrored(self) -> Pose:
        """The pose in the horizontally flipped picture; landmarks belong to the picture and are dropped."""
        order = mirror_order(SMPL22)
        return Pose(mirror_joints(self.joints), None if self.uncertainty is None else self.uncertainty[order])

    def record(self) -> dict[str, Any]:
        """All numbers as a JSON-able value."""
        names = ("joints", "joint_uncertainty", "landmarks")
        return {n: None if a is None else a.round(DIGITS).tolist() for n, a in zip(names, self._arrays(), strict=True)}

    def to_bytes(self) -> tuple[bytes, bytes | None]:
        """For a store: joints; then uncertainty and, where known, landmarks."""
        joints = np.ascontiguousarray(self.joints, np.float32).tobytes()
        more = [np.ascontiguousarray(a, np.float32).tobytes() for a in self._arrays()[1:] if a is not None]
        return joints, b"".join(more) if self.uncertainty is not None else None

    @classmethod
    def from_bytes(cls, joints: bytes | None, more: bytes | None) -> Pose | None:
        """The inverse of ``to_bytes``; None without joints."""
        if joints is None:
            return None
        values = np.frombuffer(more, np.float32) if more else None
        uncertainty = None if values is None else values[:JOINTS]
        landmarks = values[JOINTS:].reshape(LANDMARKS, 3) if values is not None and len(values) > JOINTS else None
        return cls(np.frombuffer(joints, np.float32).reshape(JOINTS, 3), uncertainty, landmarks)
