"""The coordinates in which the symbolic search compares two poses, and how far a text lets each change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from autocompose.describe.audit.measure import Feature, PoseRow, Poses
from autocompose.describe.reading.claims import LIMB_PARTS, Claim

QUIET, LOOSE = 0.12, 0.40  # metres by which unmentioned coordinates, and those of mentioned limbs, may change
BENDS_ALONG = 1.5  # a limb that moves may bend this much more freely
DEGREES_PER_METRE = 100.0  # angles enter beside metres

POINTS = [(part, side) for part in ("hand", "elbow", "foot", "knee") for side in ("left", "right")]
COORDINATES: list[Feature] = [("coordinate", axis, part, side) for part, side in POINTS for axis in "xyz"]
ANGLES: list[Feature] = [("bend", joint, side) for joint in ("elbow", "knee") for side in ("left", "right")]
TRUNK: list[Feature] = [("lean-forward", "torso"), ("lean-left", "torso"), ("twist",)]
FEATURES: list[Feature] = COORDINATES + ANGLES + TRUNK
COLUMN = {feature: i for i, feature in enumerate(FEATURES)}
UNITS = np.array([1.0] * len(COORDINATES) + [DEGREES_PER_METRE] * len(ANGLES + TRUNK), np.float32)
_AXIS = {"up": "y", "down": "y", "left": "x", "right": "x", "forward": "z", "backward": "z"}
_OF_LIMB = {"arm": ("hand", "elbow"), "leg": ("foot", "knee")}


def coordinates(poses: Poses | PoseRow) -> np.ndarray:
    """``(N, F)`` float32 of all ``FEATURES``, metres and hundreds of degrees; undefined ones are NaN."""
    columns = [np.asarray(poses.feature(feature), np.float32) for feature in FEATURES]
    return np.stack(columns, 1) / UNITS


def freedom(claims: Sequence[Claim]) -> np.ndarray:
    """``(F,)``: how far each coordinate may change unmentioned, metres; infinite for those that a claim mentions."""
    spread = np.full(len(FEATURES), QUIET, np.float32)
    for feature in (feature for claim in claims for feature in _loosened(claim)):
        spread[COLUMN[feature]] = LOOSE * (BENDS_ALONG if feature[0] == "bend" else 1)
    spread[[COLUMN[feature] for claim in claims for feature in _mentioned(claim)]] = np.inf
    return spread


def _limb(part: str) -> str:
    return "arm" if part in LIMB_PARTS[:6] else "leg"


def _sides(claim: Claim) -> tuple[str, ...]:
    return (claim.side,) if claim.side in ("left", "right") else ("left", "right")


def _mentioned(claim: Claim) -> Iterator[Feature]:
    """Coordinates that a claim itself mentions."""
    if claim.part in LIMB_PARTS:
        limb = _OF_LIMB[_limb(claim.part)]
        points = [claim.part] if claim.part in limb else list(limb)
        for side in _sides(claim):
            if claim.action in _AXIS:
                yield from (("coordinate", _AXIS[claim.action], point, side) for point in points)
            elif claim.action in ("bend", "straighten", "bent", "straight", "right-angle"):
                yield "bend", "elbow" if _limb(claim.part) == "arm" else "knee", side
    elif claim.part in ("torso", "body"):
        if claim.action in ("lean-left", "lean-right", "left", "right"):
            yield "lean-left", "torso"
        elif claim.action.startswith("turn"):
            yield ("twist",)
        else:
            yield "lean-forward", "torso"


def _loosened(claim: Claim) -> Iterator[Feature]:
    """Coordinates that change with it: the rest of a mentioned limb, arms with the trunk, legs in a squat."""
    if claim.part == "head":
        return
    limbs = [_limb(claim.part)] if claim.part in LIMB_PARTS else ["arm"] if claim.part == "torso" else ["arm", "leg"]
    for limb in limbs:
        for side in _sides(claim):
            yield "bend", "elbow" if limb == "arm" else "knee", side
            yield from (("coordinate", axis, point, side) for point in _OF_LIMB[limb] for axis in "xyz")
    if claim.part not in LIMB_PARTS or claim.part == "shoulder":
        yield from TRUNK
