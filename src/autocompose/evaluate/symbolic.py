"""Search without a trained model: the claims of a text, applied to the reference's 3D pose, score every candidate.

A candidate is good when every claim holds for the change from the reference to it, by about as much as the text says,
and when nothing else has changed. Its score is the sum over claims of -(miss / spread)^2, a miss being zero inside the
range that the claim's degree means, plus the sum over the measured coordinates that no claim speaks about of
-(change / spread)^2; each term is bounded, so that one wrong claim does not decide alone.

``ceiling`` does the same with the pair codes of the true joints: what a searcher could reach that measures bodies
without error and is told everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from autocompose.core.errors import InputError
from autocompose.core.log import track
from autocompose.describe.audit.claims import LIMB_PARTS, RELATIONS, STATES, Claim
from autocompose.describe.audit.judge import agreement
from autocompose.describe.audit.measure import Feature, PoseRow, Poses
from autocompose.describe.audit.parse import parse

# Change in units of the judge's tolerance (5 cm, 8 degrees, 5 degrees of lean) that a degree word means.
RANGE: dict[str | None, tuple[float, float]] = {"slight": (2.5, 8.5), None: (3.5, 40.0), "large": (8.0, 40.0)}
CLAIM_SPREAD = 0.9  # of misses, in the same units
CLAIM_WORST = 8.0  # no claim costs more
QUIET, LOOSE = 0.12, 0.40  # metres by which unmentioned coordinates, and those of mentioned limbs, may change
CHANGE_WORST = 6.0  # no coordinate costs more
BENDS_ALONG = 1.5  # a limb that moves may bend this much more freely
DEGREES_PER_METRE = 100.0  # angles enter beside metres

POINTS = [(part, side) for part in ("hand", "elbow", "foot", "knee") for side in ("left", "right")]
COORDINATES: list[Feature] = [("coordinate", axis, part, side) for part, side in POINTS for axis in "xyz"]
ANGLES: list[Feature] = [("bend", joint, side) for joint in ("elbow", "knee") for side in ("left", "right")]
TRUNK: list[Feature] = [("lean-forward", "torso"), ("lean-left", "torso"), ("twist",)]
FEATURES: list[Feature] = COORDINATES + ANGLES + TRUNK
_COLUMN = {feature: i for i, feature in enumerate(FEATURES)}
_AXIS = {"up": "y", "down": "y", "left": "x", "right": "x", "forward": "z", "backward": "z"}
_OF_LIMB = {"arm": ("hand", "elbow"), "leg": ("foot", "knee")}


def rank(text: str, reference_joints: np.ndarray, gallery_joints: np.ndarray) -> np.ndarray:
    """Score the poses of a gallery for a text that changes a reference pose.

    :param reference_joints: ``(22, 3)`` metres, SMPL-22, scene frame.
    :param gallery_joints: ``(N, 22, 3)``.
    :return: ``(N,)`` float32, higher is better, at most 0. A text without claims ranks by likeness to the reference.
    :raises PoseError: joints of a wrong shape or not finite.
    """
    reference = Poses(np.asarray(reference_joints)[None])
    return _score(parse(text), reference.row(0), Poses(gallery_joints), _vector(reference)[0])


def rank_all(texts: Sequence[str], references: Sequence[int], gallery: Poses) -> np.ndarray:
    """Score the whole gallery for many queries whose references are in the gallery.

    :param references: gallery row of each text's reference.
    :return: ``(Q, N)`` float32 scores, higher is better.
    """
    vectors, found = _vector(gallery), np.empty((len(texts), len(gallery)), np.float32)
    queries = zip(texts, references, strict=True)
    for i, (text, row) in enumerate(track(queries, "symbolic search", len(texts))):
        found[i] = _score(parse(text), gallery.row(row), gallery, vectors[row], vectors)
    return found


def ceiling(codes: np.ndarray, told: np.ndarray) -> np.ndarray:
    """Score candidates by how well their codes from the reference agree with the codes that the text was made of.

    :param codes: ``(N, C)`` integer levels of each candidate measured from the reference, 0 = no change.
    :param told: ``(C,)`` levels of the true target.
    :return: ``(N,)`` float32, higher is better: minus the summed distance of levels.
    :raises InputError: shapes do not fit.
    """
    if codes.ndim != 2 or told.shape != codes.shape[1:]:
        raise InputError(f"ceiling: codes {codes.shape} and told {told.shape}, expected (N, C) and (C,)")
    return -np.abs(codes.astype(np.int32) - told.astype(np.int32)).sum(1).astype(np.float32)


def _vector(poses: Poses) -> np.ndarray:
    """``(N, F)`` float32 of all coordinates, in metres; undefined ones are NaN."""
    columns = [np.asarray(poses.feature(feature), float) for feature in FEATURES]
    columns[len(COORDINATES) :] = [angle / DEGREES_PER_METRE for angle in columns[len(COORDINATES) :]]
    return np.stack(columns, 1).astype(np.float32)


def _score(
    claims: Sequence[Claim], reference: PoseRow, gallery: Poses, start: np.ndarray, vectors: np.ndarray | None = None
) -> np.ndarray:
    vectors = _vector(gallery) if vectors is None else vectors
    change = vectors - start
    cost = np.square(change, out=change) * _weights(claims)
    total = -np.minimum(np.nan_to_num(cost, copy=False), CHANGE_WORST).sum(1)
    for claim in claims:
        limbs = 2 if claim.side == "both" and claim.other is None else 1
        measured = replace(claim, degree=None)  # the judge's tolerance for "slightly" is not ours: RANGE has one
        total += limbs * _fit(claim, agreement(measured, reference, gallery)[0])
    return total


def _fit(claim: Claim, agrees: np.ndarray) -> np.ndarray:
    """``(N,)``: 0 when a claim holds as told, down to -CLAIM_WORST."""
    low, high = (1.0, np.inf) if claim.action in RELATIONS + STATES else RANGE[claim.degree]
    if claim.action.startswith(("lean", "turn")):
        low = min(low, 3.0)
    miss = np.maximum(low - agrees, np.maximum(agrees - high, 0)) / CLAIM_SPREAD
    return -np.minimum(np.nan_to_num(miss, nan=0.0) ** 2, CLAIM_WORST).astype(np.float32)


def _weights(claims: Sequence[Claim]) -> np.ndarray:
    """``(F,)``: how much a change of each coordinate counts against a candidate."""
    spread = np.full(len(FEATURES), QUIET, np.float32)
    told: set[int] = set()
    for claim in claims:
        for feature in _loosened(claim):
            spread[_COLUMN[feature]] = LOOSE * (BENDS_ALONG if feature[0] == "bend" else 1)
        told |= {_COLUMN[feature] for feature in _told(claim)}
    weights = 1 / np.square(spread)
    weights[sorted(told)] = 0
    return weights


def _limb(part: str) -> str:
    return "arm" if part in LIMB_PARTS[:6] else "leg"


def _sides(claim: Claim) -> tuple[str, ...]:
    return (claim.side,) if claim.side in ("left", "right") else ("left", "right")


def _told(claim: Claim) -> Iterator[Feature]:
    """Coordinates that a claim itself speaks about."""
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
    """Coordinates that change along: the rest of a mentioned limb, arms with the trunk, legs in a squat."""
    if claim.part == "head":
        return
    limbs = [_limb(claim.part)] if claim.part in LIMB_PARTS else ["arm"] if claim.part == "torso" else ["arm", "leg"]
    for limb in limbs:
        for side in _sides(claim):
            yield "bend", "elbow" if limb == "arm" else "knee", side
            yield from (("coordinate", axis, point, side) for point in _OF_LIMB[limb] for axis in "xyz")
    if claim.part not in LIMB_PARTS or claim.part == "shoulder":
        yield from TRUNK
