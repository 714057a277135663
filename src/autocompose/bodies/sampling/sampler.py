"""Everyday poses by family: ranges of anatomical angles, then only those that touch the floor, balance and fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autocompose.bodies.kinematics import forward
from autocompose.bodies.sampling import limits
from autocompose.bodies.sampling import self_contact as selfhit
from autocompose.bodies.sampling.limits import ANGLES, ARM, INDEX, LEG, LIMITS, SIDES

Ranges = dict[str, tuple[float, float]]

PARTS = {"foot": ("foot", "ankle"), "hand": ("wrist",)}  # what may touch the floor
TOUCH = 0.04  # metres above the floor that still count as contact
DEEPEST = 0.02  # metres that two body parts may press into each other
RELAXED = (-5.0, 15.0)  # degrees, angles that a way leaves open
STANDING = 0.16  # metres: an ankle this near to the lowest joint belongs to a foot that stands
OVERHANG = 0.06  # metres that the centre of mass may leave the support: joints lie inside the skin

# Ways to hold an arm: angles of limits.ARM.
ARMS: dict[str, Ranges] = {
    "hanging": {"raise": (4, 18), "plane": (0, 60), "roll": (-20, 20), "elbow": (5, 30)},
    "swung forward": {"raise": (20, 50), "plane": (75, 100), "roll": (-30, 5), "elbow": (20, 90)},
    "swung back": {"raise": (20, 50), "plane": (-70, -50), "roll": (-15, 15), "elbow": (10, 60)},
    "forward": {"raise": (65, 105), "plane": (75, 100), "roll": (-20, 20), "elbow": (0, 30)},
    "sideways": {"raise": (65, 105), "plane": (-5, 25), "roll": (-10, 60), "elbow": (0, 35)},
    "up": {"raise": (140, 172), "plane": (20, 100), "roll": (-10, 30), "elbow": (0, 35)},
    "goalpost": {"raise": (70, 105), "plane": (0, 30), "roll": (60, 90), "elbow": (70, 105)},
    "hand on hip": {"raise": (35, 50), "plane": (-10, 15), "roll": (-70, -50), "elbow": (85, 110)},
    "hand at chest": {"raise": (15, 45), "plane": (40, 80), "roll": (-50, -10), "elbow": (100, 138)},
    "hand at head": {"raise": (75, 115), "plane": (20, 70), "roll": (40, 85), "elbow": (115, 142)},
    "forearm forward": {"raise": (5, 25), "plane": (20, 80), "roll": (-15, 20), "elbow": (75, 105)},
    "across": {"raise": (55, 85), "plane": (95, 118), "roll": (-40, 0), "elbow": (40, 100)},
    "propped": {"raise": (75, 100), "plane": (80, 92), "roll": (-80, -60), "elbow": (0, 8), "wrist": (70, 85)},
    "behind": {"raise": (18, 45), "plane": (-70, -45), "roll": (-60, -20), "elbow": (30, 90)},
}
QUIET_ARMS = ("hanging", "hanging", "hand on hip", "hand at chest", "forearm forward", "swung forward", "behind")

# Ways to hold a leg: angles of limits.LEG. "level" in a family puts the sole on the floor afterwards.
LEGS: dict[str, Ranges] = {
    "straight": {"flex": (-5, 8), "abduct": (2, 10), "rotate": (0, 15), "knee": (0, 8), "ankle": (-5, 5)},
    "wide": {"flex": (-5, 15), "abduct": (16, 32), "rotate": (5, 25), "knee": (0, 15), "ankle": (-5, 5)},
    "step forward": {"flex": (18, 38), "abduct": (0, 8), "rotate": (0, 10), "knee": (4, 25), "ankle": (-5, 15)},
    "step back": {"flex": (-25, -12), "abduct": (0, 8), "rotate": (0, 12), "knee": (5, 30), "ankle": (-10, 25)},
    "heel up behind": {"flex": (-20, 5), "abduct": (0, 8), "rotate": (0, 8), "knee": (65, 115), "ankle": (-35, -10)},
    "knee up": {"flex": (65, 110), "abduct": (-5, 15), "rotate": (-5, 15), "knee": (70, 115), "ankle": (-25, 5)},
    "kick forward": {"flex": (50, 85), "abduct": (-5, 12), "rotate": (0, 12), "knee": (0, 20), "ankle": (-25, 5)},
    "leg aside": {"flex": (-5, 15), "abduct": (32, 52), "rotate": (0, 25), "knee": (0, 12), "ankle": (-30, 5)},
    "leg back": {"flex": (-30, -18), "abduct": (0, 12), "rotate": (0, 15), "knee": (0, 25), "ankle": (-35, -5)},
    "tree": {"flex": (40, 60), "abduct": (40, 55), "rotate": (35, 50), "knee": (100, 125), "ankle": (-35, -15)},
    "half squat": {"flex": (35, 70), "abduct": (4, 22), "rotate": (0, 25), "knee": (45, 85), "ankle": (5, 28)},
    "deep squat": {"flex": (88, 118), "abduct": (10, 28), "rotate": (5, 30), "knee": (105, 140), "ankle": (15, 30)},
    "lunge front": {"flex": (58, 92), "abduct": (0, 10), "rotate": (0, 10), "knee": (65, 100), "ankle": (-5, 20)},
    "lunge back": {"flex": (-28, -8), "abduct": (0, 8), "rotate": (0, 10), "knee": (15, 75), "ankle": (0, 30)},
    "kneeling": {"flex": (-10, 12), "abduct": (2, 16), "rotate": (-5, 8), "knee": (78, 102), "ankle": (-45, -35)},
    "on heels": {"flex": (30, 50), "abduct": (3, 15), "rotate": (-5, 8), "knee": (132, 147), "ankle": (-45, -38)},
    "foot planted": {"flex": (78, 100), "abduct": (0, 15), "rotate": (-5, 12), "knee": (80, 100), "ankle": (-5, 10)},
    "long sit": {"flex": (88, 96), "abduct": (2, 18), "rotate": (0, 20), "knee": (0, 18), "ankle": (-30, 0)},
    "straddle": {"flex": (88, 96), "abduct": (22, 42), "rotate": (5, 25), "knee": (0, 18), "ankle": (-30, 0)},
    "knee raised": {"flex": (115, 140), "abduct": (0, 15), "rotate": (-5, 10), "knee": (60, 110), "ankle": (-35, -10)},
    "crossed": {"flex": (95, 112), "abduct": (35, 52), "rotate": (45, 65), "knee": (110, 135), "ankle": (-35, -10)},
    "lying flat": {"flex": (-5, 6), "abduct": (2, 18), "rotate": (0, 25), "knee": (0, 10), "ankle": (-40, -10)},
    "lying bent": {"flex": (35, 60), "abduct": (0, 14), "rotate": (-5, 10), "knee": (75, 115), "ankle": (-30, -5)},
    "lying raised": {"flex": (50, 88), "abduct": (0, 15), "rotate": (0, 12), "knee": (0, 30), "ankle": (-30, 0)},
    "tucked": {"flex": (95, 120), "abduct": (0, 14), "rotate": (-5, 10), "knee": (95, 130), "ankle": (-30, 0)},
    "on knee": {"flex": (75, 105), "abduct": (0, 12), "rotate": (-5, 8), "knee": (75, 110), "ankle": (-45, -30)},
    "stretched back": {"flex": (0, 20), "abduct": (0, 12), "rotate": (0, 8), "knee": (0, 15), "ankle": (-40, -10)},
}

# Ways that rest on the floor: the angle that is adjusted, the point that comes down, and the point it levels with;
# "other" is the opposite leg's.
GROUNDED: dict[str, tuple[str, str, str]] = {
    **dict.fromkeys(("long sit", "straddle", "knee raised", "crossed"), ("flex", "foot", "hip")),
    **dict.fromkeys(("kneeling", "on heels", "on knee"), ("knee", "foot", "knee")),
    "foot planted": ("knee", "foot", "other knee"),
    "lunge back": ("knee", "foot", "other foot"),
}

QUIET_TRUNK: Ranges = {"hinge": (-2, 6), "bend": (-3, 8), "lean": (-6, 6), "twist": (-10, 10), "nod": (-10, 18),
                       "tilt": (-8, 8), "turn": (-30, 30)}  # fmt: skip


@dataclass(frozen=True)
class Family:
    """A kind of pose.

    :param trunk: ranges of the trunk's angles; missing ones stay at 0.
    :param legs: possible (one leg, other leg) of ``LEGS``; sides are drawn.
    :param arms: possible ways of ``ARMS`` for each arm.
    :param floor: alternatives of body points that must all touch the floor; "foot" means both feet, "one foot" one.
    :param level: turn the ankles so that the soles of standing feet are level.
    :param overhang: metres that the centre of mass may leave the support; None: moving, any.
    :param settle: tip the whole body until it "balances" over its feet, or until "hands" and knees are on the floor.
    :param near: metres above the floor that count as contact.
    :param swing: the arm opposite to the first leg swings forward, the other back.
    """

    trunk: Ranges
    legs: tuple[tuple[str, str], ...]
    arms: tuple[str, ...] = QUIET_ARMS
    floor: tuple[str, ...] = ()
    level: bool = False
    overhang: float | None = OVERHANG
    swing: bool = False
    settle: str = ""
    near: float = TOUCH


FAMILIES: dict[str, Family] = {
    "standing": Family(QUIET_TRUNK, (("straight", "straight"), ("straight", "wide"), ("wide", "wide"),
                       ("straight", "step forward")), floor=("foot",), level=True, settle="balance"),
    "walking": Family({**QUIET_TRUNK, "bend": (0, 14), "twist": (-15, 15)},
                      (("step forward", "step back"), ("straight", "step back"), ("straight", "heel up behind")),
                      floor=("one foot",), level=True, settle="balance", overhang=0.2, swing=True),
    "running": Family({**QUIET_TRUNK, "hinge": (4, 16), "bend": (0, 15), "twist": (-20, 20)},
                      (("knee up", "step back"), ("kick forward", "heel up behind"), ("knee up", "straight")),
                      floor=("one foot",), overhang=None, swing=True),
    "sitting": Family({**QUIET_TRUNK, "hinge": (-22, 5), "bend": (0, 25)},
                      (("long sit", "long sit"), ("long sit", "knee raised"), ("knee raised", "knee raised"),
                       ("straddle", "straddle"), ("crossed", "crossed"), ("crossed", "long sit"),
                       ("crossed", "knee raised")), floor=("hip",), overhang=0.1),
    "kneeling": Family(QUIET_TRUNK, (("kneeling", "kneeling"), ("on heels", "on heels"), ("kneeling", "foot planted")),
                       floor=("one knee",), overhang=0.1),
    "squatting": Family({**QUIET_TRUNK, "hinge": (5, 40), "bend": (0, 25)},
                        (("half squat", "half squat"), ("deep squat", "deep squat")),
                        arms=(*QUIET_ARMS, "forward", "forward"), floor=("foot",), level=True, settle="balance"),
    "lunging": Family({**QUIET_TRUNK, "hinge": (-5, 20)}, (("lunge front", "lunge back"),),
                      arms=(*QUIET_ARMS, "sideways", "up", "forward"), floor=("foot",), level=True, overhang=0.1),
    "reaching": Family({**QUIET_TRUNK, "hinge": (0, 25), "lean": (-20, 20), "twist": (-25, 25)},
                       (("straight", "straight"), ("wide", "wide"), ("straight", "step forward"),
                        ("half squat", "half squat")),
                       arms=("up", "forward", "sideways", "across", "hanging", "hand on hip"),
                       floor=("foot",), level=True, settle="balance", overhang=0.08),
    "bending": Family({**QUIET_TRUNK, "hinge": (30, 75), "bend": (10, 40), "nod": (-35, 10)},
                      (("straight", "straight"), ("wide", "wide"), ("half squat", "half squat")),
                      arms=("hanging", "forward", "hand on hip", "swung forward", "forearm forward"),
                      floor=("foot",), level=True, settle="balance", overhang=0.18),
    "crawling": Family({"pitch": (62, 98), "bend": (-10, 15), "lean": (-8, 8), "twist": (-8, 8), "nod": (-40, 0),
                        "turn": (-25, 25)}, (("on knee", "on knee"), ("on knee", "stretched back")),
                       arms=("propped",), floor=("one knee", "hand"), settle="hands", overhang=0.1),
    "lying": Family({"pitch": (-92, -88), "roll": (-4, 4), "bend": (-2, 10), "lean": (-8, 8), "twist": (-6, 6),
                     "nod": (0, 20), "turn": (-45, 45)},
                    (("lying flat", "lying flat"), ("lying flat", "lying bent"), ("lying bent", "lying bent"),
                     ("lying flat", "lying raised"), ("tucked", "tucked")),
                    arms=("hanging", "sideways", "up", "goalpost", "forward", "hand at chest", "hand at head"),
                    floor=("pelvis", "spine3"), overhang=0.1),
    "lying face down": Family({"pitch": (86, 92), "roll": (-4, 4), "bend": (-12, 0), "lean": (-8, 8), "twist": (-6, 6),
                               "nod": (-35, -5), "turn": (-60, 60)},
                              (("lying flat", "lying flat"), ("lying flat", "heel up behind"),
                               ("heel up behind", "heel up behind"), ("lying flat", "wide")),
                              arms=("up", "goalpost", "hanging", "sideways"), floor=("pelvis", "one shoulder"),
                              overhang=None, near=0.12),
    "balancing": Family({**QUIET_TRUNK, "lean": (-15, 15)},
                        (("straight", "knee up"), ("straight", "tree"), ("straight", "leg aside"),
                         ("straight", "kick forward"), ("straight", "leg back"), ("straight", "heel up behind")),
                        arms=("sideways", "up", "hand on hip", "hand at chest", "forward", "goalpost"),
                        floor=("one foot",), level=True, settle="balance", overhang=0.1),
    "dancing": Family({**QUIET_TRUNK, "bend": (-15, 15), "lean": (-22, 22), "twist": (-30, 30)},
                      (("straight", "leg aside"), ("wide", "wide"), ("half squat", "wide"), ("straight", "leg back"),
                       ("step forward", "step back"), ("half squat", "half squat")),
                      arms=("up", "sideways", "goalpost", "across", "hand on hip", "forward", "hand at head"),
                      floor=("one foot",), level=True, settle="balance", overhang=0.14),
}  # fmt: skip


def draw(family: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw angles and put them on the floor, unchecked: ``(count, 29)`` degrees; left and right are equally likely."""
    rules = FAMILIES[family]
    angles = np.zeros((count, len(ANGLES)))
    for name, (low, high) in rules.trunk.items():
        angles[:, INDEX[name]] = _between(low, high, count, rng)
    ways = np.array(rules.legs)[rng.integers(len(rules.legs), size=count)]
    for i, side in enumerate(SIDES):
        put_limb(angles, side, "leg", ways[:, i], rng)
        arms = (
            np.array(("swung back", "swung forward"))[np.full(count, i)]
            if rules.swing
            else rng.choice(rules.arms, count)
        )
        put_limb(angles, side, "arm", arms, rng)
    angles = settle(limits.clip(angles), rules, ways)
    flip = rng.random(count) < 0.5
    angles[flip] = limits.mirror_angles(angles[flip])
    return angles


def put_limb(angles: np.ndarray, side: str, limb: str, ways: np.ndarray, rng: np.random.Generator) -> None:
    """Draw one limb of poses ``(N, 29)`` in place.

    :param limb: ``arm`` or ``leg``.
    :param ways: ``(N,)`` names of ``ARMS`` or ``LEGS``.
    """
    table, names = (ARMS, ARM) if limb == "arm" else (LEGS, LEG)
    for way in sorted(set(ways)):
        rows = np.flatnonzero(ways == way)
        for name in names:
            low, high = table[way].get(name, RELAXED)
            angles[rows, INDEX[f"{side}_{limb}_{name}"]] = _between(low, high, len(rows), rng)


def settle(angles: np.ndarray, rules: Family, ways: np.ndarray) -> np.ndarray:
    """Put drawn poses ``(N, 29)`` with legs ``ways`` (N, 2) on the floor the way their family stands."""
    if rules.level:
        angles = level_feet(angles)
    if rules.settle == "hands":
        angles = onto_hands(angles)
    angles = ground(angles, ways)
    if rules.settle == "hands":
        angles = onto_hands(angles)
    if rules.settle == "balance":
        angles = level_feet(balance(balance(angles)))
    return limits.clip(angles)


def ground(angles: np.ndarray, ways: np.ndarray) -> np.ndarray:
    """Adjust the legs whose way is in ``GROUNDED`` by a few Newton steps; what cannot be reached stays off."""
    result = angles.copy()
    for way, (angle, point, on) in GROUNDED.items():
        for i, side in enumerate(SIDES):
            rows = np.flatnonzero(ways[:, i] == way)
            other = SIDES[1 - i] if on.startswith("other ") else side
            ends = ((side, point), (other, on.removeprefix("other ")))
            if len(rows):
                result[rows] = _level_ends(result[rows], INDEX[f"{side}_leg_{angle}"], ends)
    return result


def _level_ends(angles: np.ndarray, column: int, ends: tuple[tuple[str, str], tuple[str, str]]) -> np.ndarray:
    points = [[selfhit.POINTS.index(f"{side}_{p}") for p in PARTS.get(part, (part,))] for side, part in ends]

    def error(trial: np.ndarray) -> np.ndarray:
        joints = forward(limits.to_rotations(trial, legs_only=True))[0]
        low = joints[..., 1] - selfhit.SKIN[: joints.shape[1]]
        first, second = (low[:, end].min(1) for end in points)
        return first - second

    angles = angles.copy()
    for _ in range(5):
        nudged = angles.copy()
        nudged[:, column] += 1
        now, later = np.split(error(np.concatenate([angles, nudged])), 2)
        slope = later - now
        step = np.where(np.abs(slope) > 1e-4, -now / np.where(slope == 0, 1, slope), 0.0)
        angles[:, column] = np.clip(angles[:, column] + np.clip(step, -15, 15), *LIMITS[ANGLES[column]])
    return angles


def level_feet(angles: np.ndarray) -> np.ndarray:
    """Turn the ankles of the feet near the floor so that their soles are level, as far as the joint allows."""
    joints, world = forward(limits.to_rotations(angles))
    result = angles.copy()
    for side, shin, ankle in zip(SIDES, (4, 5), (7, 8), strict=True):
        up = world[:, shin, 1]  # height of the shin's axes; the sole is level when the foot's z axis has none
        level = np.clip(-np.degrees(np.arctan2(up[:, 2], up[:, 1])), *LIMITS[f"{side}_leg_ankle"])
        low = joints[:, ankle, 1] < joints[..., 1].min(axis=1) + STANDING
        result[low, INDEX[f"{side}_leg_ankle"]] = level[low]
    return result


def balance(angles: np.ndarray) -> np.ndarray:
    """Tip whole bodies, at most 12 degrees, until their centre of mass is over the middle of what stands."""
    result = angles.copy()
    joints, _ = forward(limits.to_rotations(angles))
    centre = selfhit.centre_of_mass(joints)
    standing = selfhit.clearance(joints)[:, : joints.shape[1]] <= STANDING
    middle = (joints * standing[..., None]).sum(1) / standing.sum(1)[:, None]
    offset = centre - middle
    for name, across, sign in (("pitch", 2, -1.0), ("roll", 0, -1.0)):
        tip = np.degrees(np.arctan2(offset[:, across], np.maximum(offset[:, 1], 0.3)))
        result[:, INDEX[name]] += np.clip(sign * tip, -12, 12)
    return result


def onto_hands(angles: np.ndarray) -> np.ndarray:
    """Pitch whole bodies until the lower knee and the lower hand are equally high."""
    result = angles.copy()
    points = selfhit.extended(forward(limits.to_rotations(angles))[0])
    low = points[..., 1] - selfhit.SKIN
    rows = np.arange(len(points))
    ends = []
    for part in ("wrist", "knee"):
        sides = [selfhit.POINTS.index(f"{side}_{part}") for side in SIDES]
        lower = np.array(sides)[low[:, sides].argmin(1)]
        ends.append((low[rows, lower], points[rows, lower, 2]))
    (hand_y, hand_z), (knee_y, knee_z) = ends
    result[:, INDEX["pitch"]] += np.degrees(np.arctan2(hand_y - knee_y, np.maximum(hand_z - knee_z, 0.1)))
    return result


def plausible(joints: np.ndarray, family: str) -> np.ndarray:
    """``(N,)`` bool: nothing passes through itself, the family's parts touch the floor, nobody falls over."""
    rules = FAMILIES[family]
    good = selfhit.depth(joints) <= DEEPEST
    if rules.overhang is not None:
        good &= selfhit.imbalance(joints) <= rules.overhang
    return good & touches(joints, rules.floor, rules.near)


def touches(joints: np.ndarray, parts: tuple[str, ...], within: float) -> np.ndarray:
    """``(N,)`` bool: each of ``parts`` is on the floor; ``one x`` = at least one side, ``x`` = all."""
    near = selfhit.clearance(joints) <= within
    good = np.ones(len(joints), bool)
    for part in parts:
        word = part.removeprefix("one ")
        points = PARTS.get(word, (word,))
        sides = (
            [np.any([near[:, selfhit.POINTS.index(f"{side}_{p}")] for p in points], axis=0) for side in SIDES]
            if f"left_{points[0]}" in selfhit.POINTS
            else [near[:, selfhit.POINTS.index(word)]]
        )
        good &= np.any(sides, axis=0) if part != word else np.all(sides, axis=0)
    return good


def sample(family: str, count: int, rng: np.random.Generator, batch: int = 64) -> np.ndarray:
    """Plausible poses of a family.

    :return: ``(count, 29)`` degrees.
    """
    rows: list[np.ndarray] = []
    while sum(map(len, rows)) < count:
        angles = draw(family, batch, rng)
        rows.append(angles[plausible(forward(limits.to_rotations(angles))[0], family)])
    return np.concatenate(rows)[:count]


def _between(low: float, high: float, count: int, rng: np.random.Generator) -> np.ndarray:
    """Values in a range, the middle more likely than the ends."""
    return low + (high - low) * rng.beta(1.5, 1.5, count)
