"""Claims -> tests on features: the measurements that decide a claim. docs/audit.md lists them in one table.

A claim becomes ``all`` of the sides it mentions, each by ``any`` of its readings: people say "forward" of an arm
both for the way the hips face and for the way the chest faces, and "up" both from the pelvis and from the floor.

* Changes: signed change / tolerance. The tolerance is far below what people mention (5 cm, 8 degrees), half of it for
  "slightly".
* States, relations and places of B: 1 + (slack beyond the limit) / tolerance: a state supports itself exactly at its
  limit.
"""

from __future__ import annotations

from typing import NamedTuple

from autocompose.describe.audit.features import Feature
from autocompose.describe.reading.claims import CENTRAL_PARTS, LIMB_PARTS, Claim

METRES, DEGREES = 0.05, 8.0  # tolerance of changes
LEAN_DEGREES, TURN_DEGREES, AROUND_DEGREES = 5.0, 10.0, 120.0
BENT = 150.0  # degrees from which a joint is straight
SIDE_PAIR = ("left", "right")


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


ANGLES = frozenset(("bend", "lean-forward", "lean-left", "twist", "foot-yaw", "face-yaw", "face-down", "yaw", "tilt",
                    "aim"))  # fmt: skip
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
ARM_PARTS, LEG_PARTS = LIMB_PARTS[:6], LIMB_PARTS[6:]
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
    if not all(groups):
        return []
    if claim.degree == "slight":
        return [[test._replace(tolerance=test.tolerance / 2) if test.change else test for test in g] for g in groups]
    return groups


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
        return _move(part, side, action) + _goal(part, side, action, claim.how)
    if action in ("bend", "straighten"):
        return _bending(part, side, action, claim.how)
    if action.startswith("lean-"):
        return _leaning(part, action.removeprefix("lean-"))
    if action.startswith("turn-"):
        return _turning(part, side, action.removeprefix("turn-"))
    if action in ("closer", "apart"):
        return _distance_change(claim, side)
    if action in ("near", "level", "above", "below", "in-front", "behind", "left-of", "right-of"):
        return _relation(claim, side)
    if action == "bent" and claim.degree == "slight" and part in _BEND_JOINT:
        key: Feature = ("bend", _BEND_JOINT[part], side)
        return [Test(key, 0, 8.0, change=False, limit=140.0, slack=35.0)]
    return _state(part, side, action, claim.how)


def _move(part: str, side: str, action: str) -> list[Test]:
    axis, sign = _MOVES[action]
    ends = {"arm": ("arm", "hand"), "leg": ("leg", "foot")}.get(part, (part,))
    tests = [Test(("coordinate", axis, end, side), sign, METRES) for end in ends]
    if part in LIMB_PARTS and axis == "y":
        tests += [Test(("height", end, side), sign, METRES) for end in ends]
    if part in ARM_PARTS and axis != "y":
        tests += [Test(("from-chest", axis, end, side), sign, METRES) for end in ends]
    if part == "head" and axis == "y":
        tests += [Test(("lean-forward", "head"), -sign, DEGREES, wraps=True), Test(("face-down",), -sign, DEGREES)]
    if part == "shoulder" and axis == "z":
        tests.append(Test(("twist",), -sign if side == "left" else sign, DEGREES, wraps=True))
    if part == "torso":
        tests += _leaning(part, {"up": "backward", "down": "forward"}.get(action, action))
    return tests


def _goal(part: str, side: str, action: str, how: str) -> list[Test]:
    """Where a part ends up, or which way it points, for directions that are meant so."""
    if how == "move" or part not in LIMB_PARTS or part in ("shoulder", "hip"):
        return []
    axis, sign = _MOVES[action]
    tests = [] if how == "place" else _aim(part, side, action)
    if axis == "y":
        low: Feature = ("height", part, side)
        limit = 0.15 if sign > 0 else 0.35
        place = Test(low, sign, 0.1, change=False, limit=limit) if part in LEG_PARTS else None
        place = place or Test(("relative", "y", part, side, "shoulder", side), sign, 0.1, change=False, limit=-0.1)
        return [*tests, place] if how == "place" else tests
    tests.append(Test(("coordinate", axis, part, side), sign, 0.08, change=False, limit=sign * 0.05))
    if part in ARM_PARTS:
        tests.append(Test(("from-chest", axis, part, side), sign, 0.08, change=False, limit=sign * 0.05))
    return tests


def _aim(part: str, side: str, action: str) -> list[Test]:
    """Pointing: within 45 degrees of the direction; a joint also by standing out from its neighbours."""
    axis, sign = _MOVES[action]
    frames = ("hips", "chest") if part in ARM_PARTS and axis != "y" else ("hips",)
    limbs = {"hand": ("forearm", "arm"), "foot": ("shin", "leg")}.get(part, (part,))
    tests = [Test(("aim", action, limb, side, frame), -1, 15.0, change=False, limit=45.0)
             for limb in limbs for frame in frames]  # fmt: skip
    if part in ("elbow", "knee"):
        tests.append(Test(("apex", axis, part, side), sign, 0.05, change=False, limit=sign * 0.03))
    return tests


def _bending(part: str, side: str, action: str, how: str) -> list[Test]:
    if part in _BEND_JOINT:
        joint = _BEND_JOINT[part]
        tests = [Test(("bend", joint, side), -1 if action == "bend" else 1, DEGREES)]
        if how == "reach":
            tests.append(Test(("bend", joint, side), 1, 10.0, change=False, limit=150.0))
            tests.append(Test(("stretch", part, side), 1, METRES))
        return tests
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
        beside = Test(("surface-gap", part, side, "body", "none"), -1, 0.08, change=False, limit=0.16)
        return [Test(key, sign, METRES) for key in keys] + ([beside] if claim.how == "place" else [])
    if {part, claim.other} in _RIGID:
        return []  # their distance cannot change
    ends: Feature = (part, side, claim.other, _other_side(claim, side))
    return [Test(("distance", *ends), sign, METRES), Test(("flat-distance", *ends), sign, METRES)]


_RIGID = [{"knee", "pelvis"}, {"knee", "hip"}, {"thigh", "hip"}, {"thigh", "pelvis"}, {"elbow", "shoulder"},
          {"hand", "elbow"}, {"hand", "forearm"}, {"foot", "knee"}, {"foot", "shin"}]  # fmt: skip


def _other_side(claim: Claim, side: str) -> str:
    """Both hands on both knees: each on its own; a knee beside its foot: the same leg."""
    limbs = claim.other in LIMB_PARTS and claim.other != claim.part
    if limbs and claim.other_side == "both" and claim.side == "both":
        return side
    same = (claim.part in ARM_PARTS) == (claim.other in ARM_PARTS)
    return side if limbs and same and claim.other_side == "none" else claim.other_side


_PLACE = {"above": ("y", 1), "below": ("y", -1), "in-front": ("z", 1), "behind": ("z", -1), "left-of": ("x", 1),
          "right-of": ("x", -1)}  # fmt: skip
NEAR = 0.24  # metres between surfaces
_LEVEL = {"head": 0.18, "pelvis": 0.18, "torso": 0.22, "body": 0.22}


def _relation(claim: Claim, side: str) -> list[Test]:
    part, action, other = claim.part, claim.action, claim.other or "body"
    other_side = _other_side(claim, side)
    if part in ("body", "torso", "pelvis"):
        return []
    if action == "near":
        key: Feature = ("surface-gap", part, side, other, other_side)
        return [Test(key, -1, 0.08, change=False, limit=NEAR)]
    if action == "level":
        key = ("relative", "y", part, side, other, other_side)
        return [Test(key, 0, 0.06, change=False, limit=0.0, slack=_LEVEL.get(other, 0.12))]
    axis, sign = _PLACE[action]
    tests = [Test(("relative", axis, part, side, other, other_side), sign, 0.05, change=False, limit=0.0)]
    if axis == "z" and (other in CENTRAL_PARTS or part in ARM_PARTS):
        tests.append(Test(("before", part, side, other, other_side), sign, 0.05, change=False, limit=0.0))
    return tests


def _state(part: str, side: str, action: str, how: str) -> list[Test]:
    if action in ("bent", "straight", "right-angle") and part in _BEND_JOINT:
        key: Feature = ("bend", _BEND_JOINT[part], side)
        if action == "right-angle":
            return [Test(key, 0, 10.0, change=False, limit=90.0, slack=25.0)]
        sign = 1 if action == "straight" else -1  # "make it straight" also holds when it got straighter
        return [Test(key, sign, 10.0, change=False, limit=BENT), Test(key, sign, DEGREES)]
    if action in ("horizontal", "vertical", "straight") and part not in ("shoulder", "hip", "pelvis"):
        if action == "straight" and part != "torso":
            return []
        key = ("tilt", part, side)
        if how == "reach":
            return [Test(key, 1 if action == "horizontal" else -1, DEGREES)]
        if action == "horizontal":
            return [Test(key, 1, 10.0, change=False, limit=68.0)]
        return [Test(key, -1, 8.0, change=False, limit=27.0)]
    if action == "near-floor" and part not in ("body", "torso"):
        return [Test(("floor", part, side), -1, 0.08, change=False, limit=0.35)]
    if action == "on-floor" and part not in ("body", "torso"):
        return [Test(("floor", part, side), -1, 0.08, change=False, limit=0.17)]
    return []
