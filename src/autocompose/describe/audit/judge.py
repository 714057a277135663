"""Claims against joints: supported, contradicted, unsupported, or not checkable.

A claim becomes tests on features of ``measure.py``: ``all`` of the sides it speaks about, each by ``any`` of its
readings ("out to the side" may be further from the trunk or further from the midline). A test gives an agreement:
>= 1 supports the claim, <= -1 contradicts it, between them the pose says neither.

* Changes: signed change / tolerance. The tolerance is far below what people mention (5 cm, 8 degrees).
* States and relations of B: 1 + (slack beyond the limit) / tolerance: a state supports itself exactly at its limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

import numpy as np

from autocompose.describe.audit.claims import LIMB_PARTS, Claim
from autocompose.describe.audit.measure import Feature, PoseRow, Poses

METRES, DEGREES = 0.05, 8.0  # tolerance of changes
LEAN_DEGREES, TURN_DEGREES, AROUND_DEGREES = 5.0, 10.0, 120.0
SIDE_PAIR = ("left", "right")


class Verdict(str, Enum):
    """What the joints say about a claim."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    UNSUPPORTED = "unsupported"
    UNCHECKABLE = "not checkable"

    def __str__(self) -> str:
        return self.value


class Test(NamedTuple):
    """One reading of a claim.

    :param sign: +1 when a growing feature agrees with the claim, -1 when a shrinking one does, 0: distance from
        ``limit``.
    :param change: compare A and B; else look at B only.
    :param limit: for states: the value from which (sign) the state holds; for sign 0 the wanted value.
    :param slack: for sign 0: how far off still counts.
    :param wraps: an angle in degrees that goes round.
    """

    feature: Feature
    sign: int
    tolerance: float
    change: bool = True
    limit: float = 0.0
    slack: float = 0.0
    wraps: bool = False


@dataclass(frozen=True)
class Judgement:
    """A claim, its verdict and the number behind it.

    :param value: the measured change (or state) in ``unit`` along the claim; None when not checkable.
    :param swap: not supported as it stands, but supported with left and right exchanged.
    """

    claim: Claim
    verdict: Verdict
    agreement: float | None
    value: float | None
    unit: str
    swap: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain values, rounded."""
        rounded = {
            k: None if v is None else round(v, 3) for k, v in (("agreement", self.agreement), ("value", self.value))
        }
        return {**self.claim.to_json(), "verdict": str(self.verdict), **rounded, "unit": self.unit, "swap": self.swap}


def agreement(claim: Claim, a: Poses | PoseRow, b: Poses | PoseRow) -> tuple[np.ndarray, np.ndarray, str]:
    """How well a claim fits changes from A to B, for N pairs at once; one pose in A serves all of B.

    :return: agreement ``(N,)``, NaN where not checkable; the measured value ``(N,)`` behind it, and its unit.
    """
    rows = [_any([_evaluate(test, a, b) for test in group]) for group in tests_of(claim)]
    if not rows:
        return np.full(len(b), np.nan), np.full(len(b), np.nan), ""
    scores = np.stack([score for score, _, _ in rows])
    either = claim.side == "none" and claim.part in LIMB_PARTS
    pick = _extreme(scores, largest=either)
    columns = np.arange(len(b))
    return scores[pick, columns], np.stack([value for _, value, _ in rows])[pick, columns], rows[0][2]


def _any(results: list[tuple[np.ndarray, np.ndarray, str]]) -> tuple[np.ndarray, np.ndarray, str]:
    """Pair by pair: the reading that agrees most if it supports, else the one that contradicts most, if one does."""
    scores = np.stack([score for score, _, _ in results])
    most, least, columns = _extreme(scores, largest=True), _extreme(scores, largest=False), np.arange(scores.shape[1])
    against = (scores[least, columns] <= -1) & (scores[most, columns] < 1)
    pick = np.where(against, least, most)
    return scores[pick, columns], np.stack([value for _, value, _ in results])[pick, columns], results[0][2]


def _extreme(scores: np.ndarray, largest: bool) -> np.ndarray:
    """Row of the largest or smallest value in every column, NaN never wins over a number."""
    filled = np.where(np.isnan(scores), -np.inf if largest else np.inf, scores)
    return filled.argmax(0) if largest else filled.argmin(0)


def _evaluate(test: Test, a: Poses | PoseRow, b: Poses | PoseRow) -> tuple[np.ndarray, np.ndarray, str]:
    unit = "deg" if test.feature[0] in _ANGLES else "m"
    after, before = b.feature(test.feature), a.feature(test.feature) if test.change else None
    if after is None or (test.change and before is None):
        return np.full(len(b), np.nan), np.full(len(b), np.nan), unit
    value = after - before if before is not None else after
    if test.wraps:
        value = (value + 180) % 360 - 180
    if test.sign == 0:
        distance = np.abs(np.abs(value) - test.limit if test.wraps else value - test.limit)
        return 1 + (test.slack - distance) / test.tolerance, value, unit
    if test.change:
        return test.sign * value / test.tolerance, value, unit
    return 1 + test.sign * (value - test.limit) / test.tolerance, value, unit


_ANGLES = frozenset(("bend", "lean-forward", "lean-left", "twist", "foot-yaw", "face-yaw", "face-down", "yaw", "tilt"))
_MOVES = {
    "up": ("y", 1),
    "down": ("y", -1),
    "left": ("x", 1),
    "right": ("x", -1),
    "forward": ("z", 1),
    "backward": ("z", -1),
}
_BEND_JOINT = {"arm": "elbow", "elbow": "elbow", "forearm": "elbow", "upper arm": "elbow", "leg": "knee",
"knee": "knee",
               "shin": "knee", "thigh": "knee"}  # fmt: skip
_SIDES_OF = {"both": SIDE_PAIR, "none": SIDE_PAIR, "left": ("left",), "right": ("right",)}


def tests_of(claim: Claim) -> list[list[Test]]:
    """The tests of a claim: one group of alternative readings per side; [] when joints cannot tell."""
    part, action = claim.part, claim.action
    if action in ("closer", "apart") and claim.other is None and part in LIMB_PARTS:
        return [[Test(("gap", part), 1 if action == "apart" else -1, METRES)]]
    if action in ("crossed", "shoulder-width") or (action == "near" and claim.other is None):
        return _paired_state(part, action)
    sides = _SIDES_OF[claim.side] if part in LIMB_PARTS else ("none",)
    groups = [_readings(claim, side) for side in sides]
    return groups if all(groups) else []


def _paired_state(part: str, action: str) -> list[list[Test]]:
    if part not in LIMB_PARTS:
        return []
    if action == "crossed":
        return [[Test(("crossing", part), 1, 0.08, change=False, limit=-0.05)]]
    if action == "near":
        return [[Test(("gap", part), -1, 0.08, change=False, limit=0.32)]]
    return [[Test(("gap", part), 0, 0.08, change=False, limit=0.32, slack=0.18)]]


def _readings(claim: Claim, side: str) -> list[Test]:
    part, action = claim.part, claim.action
    if action in _MOVES:
        return _move(part, side, action)
    if action in ("bend", "straighten"):
        return _bending(part, side, action)
    if action.startswith("lean-"):
        return _leaning(part, action.removeprefix("lean-"))
    if action.startswith("turn-"):
        return _turning(part, side, action.removeprefix("turn-"))
    if action in ("closer", "apart"):
        return _distance_change(claim, side)
    if action in ("near", "level", "above", "below", "in-front", "behind", "left-of", "right-of"):
        return _relation(claim, side)
    return _state(part, side, action)


def _move(part: str, side: str, action: str) -> list[Test]:
    axis, sign = _MOVES[action]
    tests = [Test(("coordinate", axis, part, side), sign, METRES)]
    if part == "head" and axis == "y":
        tests += [Test(("lean-forward", "head"), -sign, DEGREES, wraps=True), Test(("face-down",), -sign, DEGREES)]
    if part == "torso" and axis != "y":
        tests += _leaning(part, action)
    return tests


def _bending(part: str, side: str, action: str) -> list[Test]:
    if part in _BEND_JOINT:
        return [Test(("bend", _BEND_JOINT[part], side), -1 if action == "bend" else 1, DEGREES)]
    if part in ("torso", "body") and action == "straighten":
        return [Test(("tilt", "torso", "none"), -1, LEAN_DEGREES)]
    return []


def _leaning(part: str, direction: str) -> list[Test]:
    part = {"body": "torso"}.get(part, part)
    if part not in ("head", "torso", "pelvis", "shoulder"):
        return []
    sign = 1 if direction in ("forward", "left") else -1
    if direction in ("left", "right"):
        return [Test(("lean-left", part), sign, LEAN_DEGREES)]
    if part == "shoulder":
        return []
    tests = [Test(("lean-forward", part), sign, LEAN_DEGREES, wraps=True)]
    return [*tests, Test(("face-down",), sign, DEGREES)] if part == "head" else tests


def _turning(part: str, side: str, direction: str) -> list[Test]:
    sign = 1 if direction == "left" else -1
    if direction == "around":
        return (
            [Test(("yaw",), 0, 30.0, limit=180.0, slack=180.0 - AROUND_DEGREES, wraps=True)] if part == "body" else []
        )
    if part == "body":
        return [Test(("yaw",), sign, TURN_DEGREES, wraps=True)]
    if part in ("torso", "shoulder"):
        return [Test(("twist",), sign, DEGREES, wraps=True)]
    if part == "pelvis":
        return [Test(("twist",), -sign, DEGREES, wraps=True), Test(("yaw",), sign, TURN_DEGREES, wraps=True)]
    if part == "foot":
        return [Test(("foot-yaw", side), sign, DEGREES, wraps=True)]
    return [Test(("face-yaw",), sign, DEGREES, wraps=True)] if part == "head" else []


def _distance_change(claim: Claim, side: str) -> list[Test]:
    part, sign = claim.part, 1 if claim.action == "apart" else -1
    if part in ("body", "torso", "pelvis") or claim.other is None:
        return []
    if claim.other in ("body", "torso") and part in LIMB_PARTS:
        keys: list[Feature] = [("reach", part, side), ("lateral", part, side), ("distance", part, side, "body", "none")]
        return [Test(key, sign, METRES) for key in keys]
    return [Test(("distance", part, side, claim.other, _other_side(claim, side)), sign, METRES)]


def _other_side(claim: Claim, side: str) -> str:
    """Both hands on both knees: each on its own, unless the part is the same on either side."""
    if claim.other_side == "both" and claim.side == "both" and claim.other in LIMB_PARTS and claim.other != claim.part:
        return side
    return claim.other_side


_PLACE = {"above": ("y", 1), "below": ("y", -1), "in-front": ("z", 1), "behind": ("z", -1), "left-of": ("x", 1),
          "right-of": ("x", -1)}  # fmt: skip
_NEAR = {"head": 0.34, "torso": 0.34, "body": 0.34, "pelvis": 0.32}  # metres between joint centres, surfaces touching
_LEVEL = {"head": 0.18, "pelvis": 0.18, "torso": 0.22, "body": 0.22}


def _relation(claim: Claim, side: str) -> list[Test]:
    part, action, other = claim.part, claim.action, claim.other or "body"
    other_side = _other_side(claim, side)
    if part in ("body", "torso", "pelvis"):
        return []
    if action == "near":
        key: Feature = ("distance", part, side, other, other_side)
        return [Test(key, -1, 0.08, change=False, limit=_NEAR.get(other, 0.32))]
    if action == "level":
        key = ("relative", "y", part, side, other, other_side)
        return [Test(key, 0, 0.06, change=False, limit=0.0, slack=_LEVEL.get(other, 0.12))]
    axis, sign = _PLACE[action]
    return [Test(("relative", axis, part, side, other, other_side), sign, 0.05, change=False, limit=0.0)]


def _state(part: str, side: str, action: str) -> list[Test]:
    if action in ("bent", "straight", "right-angle") and part in _BEND_JOINT:
        key: Feature = ("bend", _BEND_JOINT[part], side)
        if action == "right-angle":
            return [Test(key, 0, 10.0, change=False, limit=90.0, slack=25.0)]
        sign = 1 if action == "straight" else -1  # "make it straight" also holds when it got straighter
        return [Test(key, sign, 10.0, change=False, limit=150.0), Test(key, sign, DEGREES)]
    if action in ("horizontal", "vertical", "straight") and part not in ("shoulder", "hip", "pelvis"):
        if action == "straight" and part != "torso":
            return []
        key = ("tilt", part, side)
        if action == "horizontal":
            return [Test(key, 1, 10.0, change=False, limit=68.0)]
        return [Test(key, -1, 8.0, change=False, limit=22.0)]
    if action == "on-floor" and part not in ("body", "torso"):
        return [Test(("floor", part, side), -1, 0.08, change=False, limit=0.17)]
    return []


def judge(claims: Sequence[Claim], a: Poses | PoseRow, b: Poses | PoseRow) -> list[list[Judgement]]:
    """Judge the same claims on N pairs.

    :return: one list of judgements per pair.
    """
    measured = [
        (claim, agreement(claim, a, b), agreement(claim.swapped(), a, b)[0] if claim.sided else None)
        for claim in claims
    ]
    return [[_judgement(claim, found, mirrored, row) for claim, found, mirrored in measured] for row in range(len(b))]


def judge_pair(claims: Sequence[Claim], a: Poses | PoseRow, b: Poses | PoseRow) -> list[Judgement]:
    """Judge claims on one pair (both ``Poses`` of length 1)."""
    return judge(claims, a, b)[0]


def _judgement(
    claim: Claim, found: tuple[np.ndarray, np.ndarray, str], mirrored: np.ndarray | None, row: int
) -> Judgement:
    score, value, unit = float(found[0][row]), float(found[1][row]), found[2]
    if np.isnan(score):
        return Judgement(claim, Verdict.UNCHECKABLE, None, None, unit)
    verdict = Verdict.SUPPORTED if score >= 1 else Verdict.CONTRADICTED if score <= -1 else Verdict.UNSUPPORTED
    swap = verdict is not Verdict.SUPPORTED and mirrored is not None and float(mirrored[row]) >= 1
    return Judgement(claim, verdict, score, value, unit, swap)
