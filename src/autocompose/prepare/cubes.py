"""Edit cubes: a base pose and three independent edits of different body parts, every edit on or off: 8 poses.

Cubes come in clusters. A cluster is one base pose whose body parts each have up to four states (the base's own and
three others); a cube lets three parts vary between two states and holds the other parts. No two poses of a cluster have
the same states, so cubes of a cluster look alike but never coincide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autocompose.bodies import limits, sampler, selfhit
from autocompose.bodies.kinematics import forward
from autocompose.bodies.limits import INDEX, SIDES
from autocompose.bodies.normalise import centre
from autocompose.bodies.points import normal_points
from autocompose.bodies.skeleton import SMPL22
from autocompose.describe.rules.pair_codes import NOISE, PAIR_CODES, THRESHOLDS, pair_levels, pair_measures

USABLE = np.array([[(r ^ t).bit_count() in (1, 2) for t in range(8)] for r in range(8)])  # [reference, target]
MASKS = np.array([[m >> 2 & 1, m >> 1 & 1, m & 1] for m in range(8)])  # (8, 3) edits on or off
PER_CLUSTER = 4
OTHER_STATES = 3  # of a part, besides the base's own
OWN_STATE = 2.5  # how much likelier the base's own state is than another
LEAST_MOVE = 0.018  # metres, mean over the joints: an edit that small pictures show (one hand moves by 40 cm)
BLIND = 0.40  # share of the targets that may be found without the reference; independent edits give 0.375
JITTER = np.radians(2.5)  # of every joint, per cube
HEAD_JITTER = np.radians(8)
_J = {name: i for i, name in enumerate(SMPL22)}
_ARM = ("collar", "shoulder", "elbow", "wrist")
_LEG = ("hip", "knee", "ankle")
_SPINE = ("spine1", "spine2", "spine3")
# part -> joints that it sets
PARTS: dict[str, tuple[str, ...]] = {
    "left arm": tuple(f"left_{j}" for j in _ARM),
    "right arm": tuple(f"right_{j}" for j in _ARM),
    "both arms": tuple(f"{s}_{j}" for s in SIDES for j in _ARM),
    "left leg": tuple(f"left_{j}" for j in _LEG),
    "right leg": tuple(f"right_{j}" for j in _LEG),
    "both legs": tuple(f"{s}_{j}" for s in SIDES for j in _LEG),
    "torso": _SPINE,
}
LAYOUTS = (
    ("left arm", "right arm", "left leg", "right leg", "torso"),
    ("left arm", "right arm", "left leg", "right leg", "torso"),
    ("both arms", "left leg", "right leg", "torso"),
    ("left arm", "right arm", "both legs", "torso"),
)
_UPRIGHT_LEGS = ("straight", "wide", "step forward", "step back", "heel up behind", "knee up", "kick forward",
                 "leg aside", "leg back", "tree", "half squat")  # fmt: skip
# family -> ways that one leg may take in an edit; families that are not named stand
LEG_WAYS: dict[str, tuple[str, ...]] = {
    "sitting": ("long sit", "straddle", "knee raised", "crossed", "lying raised", "tucked"),
    "kneeling": ("kneeling", "foot planted", "stretched back", "leg aside"),
    "crawling": ("on knee", "stretched back", "leg back", "tucked"),
    "lying": ("lying flat", "lying bent", "lying raised", "tucked", "wide", "tree"),
    "lying face down": ("lying flat", "heel up behind", "wide", "tree", "leg back"),
    "squatting": ("half squat", "deep squat", "kick forward", "leg aside", "wide"),
    "lunging": ("lunge front", "lunge back", "knee up", "straight", "leg back", "kick forward"),
}
# ways to hold the torso: ranges of hinge, bend, lean, twist
TORSO_WAYS: tuple[dict[str, tuple[float, float]], ...] = (
    {"hinge": (25, 60), "bend": (10, 40)},
    {"hinge": (-20, -8), "bend": (-30, -15)},
    {"hinge": (-3, 5), "bend": (-5, 10), "lean": (24, 35), "twist": (-8, 8)},
    {"hinge": (-3, 5), "bend": (-5, 10), "lean": (-35, -24), "twist": (-8, 8)},
    {"hinge": (-3, 8), "bend": (0, 10), "twist": (32, 45)},
    {"hinge": (-3, 8), "bend": (0, 10), "twist": (-45, -32)},
    {"hinge": (-3, 3), "bend": (-3, 6), "lean": (-4, 4), "twist": (-6, 6)},
)
_TOLD = np.array([c.kind != "gap" for c in PAIR_CODES])  # a distance alone never reaches a text
_CLEAR = np.array([THRESHOLDS[c.kind][0] + NOISE[c.kind] for c in PAIR_CODES])[_TOLD]
_ARM_POINTS = [i for i, p in enumerate(selfhit.POINTS) if p.rpartition("_")[2] in ("elbow", "wrist", "head", "crown")]
_PELVIS = selfhit.POINTS.index("pelvis")


@dataclass(frozen=True)
class Base:
    """Where a cluster starts.

    :param rotations: ``(22, 3)`` axis-angle, facing +z.
    :param family: of ``sampler.FAMILIES``, or the clip's kind of pose for motion capture.
    :param angles: ``(29,)`` for sampled poses.
    :param others: ``(K, 22, 3)`` other poses of the clip, whose limbs serve as edits.
    :param sequence: clip of motion capture, "" otherwise.
    """

    rotations: np.ndarray
    family: str
    angles: np.ndarray | None = None
    sequence: str = ""
    others: np.ndarray | None = None


@dataclass(frozen=True)
class Cube:
    """Eight poses.

    :param rotations: ``(8, 22, 3)``; pose m has edit i on when bit 2 - i of m is set (``MASKS``).
    :param parts: the three edited parts.
    """

    rotations: np.ndarray
    parts: tuple[str, str, str]


@dataclass(frozen=True)
class _States:
    """States of one part: ``rotations`` (S, 22, 3), of which the part's joints count, and ``hinge`` (S,) degrees."""

    part: str
    rotations: np.ndarray
    hinge: np.ndarray


def cluster(base: Base, rng: np.random.Generator, count: int = PER_CLUSTER, tries: int = 120) -> list[Cube]:
    """Up to ``count`` cubes around a base pose; fewer when edits that work are not found."""
    layout = LAYOUTS[rng.integers(len(LAYOUTS))]
    check = _Check(base)
    states = [s for part in layout if len((s := _draw_states(base, part, check, rng)).hinge) > 1]
    if len(states) < 3:
        return []
    sizes = np.array([len(s.hinge) for s in states])
    cubes: list[Cube] = []
    taken: set[tuple[int, ...]] = set()
    for _ in range(tries):
        choices, free = _draw_cube(sizes, rng)
        keys = {tuple(row) for row in choices.tolist()}
        if keys & taken:
            continue
        rotations = _jitter(compose(base.rotations, states, choices), rng)
        if check.good(rotations).all() and edits_are_clear(joints := forward(rotations)[0]) and blind(joints) <= BLIND:
            taken |= keys
            cubes.append(Cube(rotations, tuple(states[p].part for p in free)))  # type: ignore[arg-type]
        if len(cubes) == count:
            break
    return cubes


def compose(base: np.ndarray, states: list[_States], choices: np.ndarray) -> np.ndarray:
    """Poses that take state ``choices[n, p]`` of part p: ``(N, 22, 3)``."""
    result = np.repeat(base[None], len(choices), axis=0)
    hinge = np.zeros(len(choices))
    for column, part in enumerate(states):
        joints = [_J[j] for j in PARTS[part.part]]
        result[:, joints] = part.rotations[choices[:, column]][:, joints]
        hinge += part.hinge[choices[:, column]]
    return _hinge(result, hinge)


def codes(rotations: np.ndarray) -> np.ndarray:
    """Levels of the pair codes that texts tell, from every pose of a cube to every other.

    :param rotations: ``(8, 22, 3)``.
    :return: ``(8, 8, C)`` int8, [reference, target].
    """
    return joint_codes(forward(rotations)[0])


def joint_codes(joints: np.ndarray) -> np.ndarray:
    """``codes`` of joints ``(8, 22, 3)``."""
    measures = pair_measures(normal_points(joints))
    n = measures.shape[1]
    values = measures[:, :, None] - measures[:, None, :]
    return pair_levels(values.reshape(len(measures), -1)).reshape(-1, n, n)[_TOLD].transpose(1, 2, 0)


def told_apart(levels: np.ndarray) -> np.ndarray:
    """``(8, 8)`` bool: the codes from r to t are not empty and differ from those of every other candidate of r."""
    same = (levels[:, :, None] == levels[:, None, :]).all(-1)  # (r, t, other)
    n = len(levels)
    index = np.arange(n)
    same[index, :, index] = False  # the reference is no candidate
    return (same.sum(-1) == 1) & levels.any(-1) & (index[:, None] != index)


def edits_are_clear(joints: np.ndarray) -> bool:
    """Every pair one or two edits apart moves enough, and changes a told measurement by more than threshold plus noise.

    :param joints: ``(8, 22, 3)`` metres, facing +z.
    """
    return bool(_clear(joints, joints)[USABLE].all())


def _clear(one: np.ndarray, other: np.ndarray, margin: float = 1.0) -> np.ndarray:
    """``(A, B)`` bool for poses ``(A, 22, 3)`` and ``(B, 22, 3)``."""
    first, second = (pair_measures(normal_points(j))[_TOLD] for j in (one, other))
    told = np.abs(first[:, :, None] - second[:, None]) > margin * _CLEAR[:, None, None]
    move = np.linalg.norm(centre(one)[:, None] - centre(other)[None], axis=-1).mean(-1)
    return told.any(0) & (move > margin * LEAST_MOVE)


def blind(joints: np.ndarray) -> float:
    """Share of the usable pairs of a cube whose target is found without looking at the reference.

    For each candidate the scorer adds up how far its true measurements lie to the side that the codes name.

    :param joints: ``(8, 22, 3)`` metres.
    """
    levels = joint_codes(joints).astype(float)  # (r, t, code)
    measures = pair_measures(normal_points(joints))[_TOLD] / _CLEAR[:, None]
    scores = levels @ measures  # (r, t, candidate)
    index = np.arange(8)
    scores[index, :, index] = -np.inf  # the reference is no candidate
    best = scores.argmax(-1) == index
    return float(best[USABLE].mean())


class _Check:
    """Whether edited poses are still plausible, measured against their base."""

    def __init__(self, base: Base) -> None:
        rules = sampler.FAMILIES.get(base.family)
        joints = forward(base.rotations[None])[0]
        clear = selfhit.clearance(joints)
        self.depth = max(sampler.DEEPEST, float(selfhit.depth(joints)[0])) + 0.005
        self.pelvis = float(clear[0, _PELVIS])
        self.low = self.pelvis < 0.3
        self.upright = bool(joints[0, _J["neck"], 1] - joints[0, 0, 1] > 0.35 and self.pelvis > 0.6)
        still = rules is None or rules.overhang is not None
        self.overhang = max(0.1, float(selfhit.imbalance(joints)[0]) + 0.04) if still else np.inf

    def good(self, rotations: np.ndarray) -> np.ndarray:
        """``(N,)`` bool."""
        joints = forward(rotations)[0]
        clear = selfhit.clearance(joints)
        rise = clear[:, _PELVIS] - self.pelvis
        on_arm = clear[:, _ARM_POINTS].min(1) < 0.01
        lifted = (rise > 0.06) & (on_arm | self.low)
        return (selfhit.depth(joints) <= self.depth) & (selfhit.imbalance(joints) <= self.overhang) & ~lifted


def _draw_states(base: Base, part: str, check: _Check, rng: np.random.Generator, tries: int = 32) -> _States:
    """The base's own state and a few others that work alone and differ clearly from each other."""
    drawn = _draw_part(base, part, check, tries, rng)
    trial = compose(base.rotations, [drawn], np.arange(tries)[:, None])
    good = np.flatnonzero(check.good(trial))
    joints = forward(np.concatenate([trial, base.rotations[None]]))[0]
    apart = _clear(joints, joints, margin=1.15)
    kept: list[int] = []
    for i in good:
        if apart[i, [-1, *kept]].all():
            kept.append(int(i))
        if len(kept) == OTHER_STATES:
            break
    return _States(
        part,
        np.concatenate([base.rotations[None], drawn.rotations[kept]]),
        np.concatenate([[0.0], drawn.hinge[kept]]),
    )


def _draw_part(base: Base, part: str, check: _Check, count: int, rng: np.random.Generator) -> _States:
    angles = np.repeat((np.zeros(len(INDEX)) if base.angles is None else base.angles)[None], count, axis=0)
    if part == "torso":
        return _draw_torso(base, angles, rng)
    limb = "arm" if "arm" in part else "leg"
    sides = [s for s in SIDES if s in part] or list(SIDES)
    table = [w for w in sampler.ARMS if w != "propped"] if limb == "arm" else LEG_WAYS.get(base.family, _UPRIGHT_LEGS)
    ways = rng.choice(table, count)
    for side in sides:
        sampler.put_limb(angles, side, limb, ways, rng)
    if len(sides) == 2:  # both sides do the same
        columns = [INDEX[f"{s}_{limb}_{name}"] for s in SIDES for name in (limits.ARM if limb == "arm" else limits.LEG)]
        half = len(columns) // 2
        angles[:, columns[half:]] = angles[:, columns[:half]] + rng.normal(0, 3, (count, half))
    angles = limits.clip(angles)
    if limb == "leg" and base.angles is not None:
        angles = _stand(base.family, angles, sides, ways)
    rotations = limits.to_rotations(angles)
    if limb == "arm":  # some edits bend or stretch the elbow alone
        only = rng.random(count) < 0.3
        for side in sides:
            keep = [_J[f"{side}_{j}"] for j in ("collar", "shoulder", "wrist")]
            rotations[np.ix_(only, keep)] = base.rotations[keep]
    if base.others is not None:  # limbs of the same motion; all of them where a standing person's would look odd
        taken = rng.random(count) < (0.5 if check.upright else 1.0)
        rotations[taken] = base.others[rng.integers(len(base.others), size=taken.sum())]
    return _States(part, rotations, np.zeros(count))


def _stand(family: str, angles: np.ndarray, sides: list[str], ways: np.ndarray) -> np.ndarray:
    """Let edited legs meet the floor as their way does."""
    both = np.stack([ways if s in sides else np.full(len(ways), "") for s in SIDES], 1)
    angles = limits.clip(sampler.ground(angles, both))
    return sampler.level_feet(angles) if sampler.FAMILIES[family].level else angles


def _draw_torso(base: Base, angles: np.ndarray, rng: np.random.Generator) -> _States:
    hinge = angles[:, INDEX["hinge"]].copy()
    for row in range(len(angles)):
        way = TORSO_WAYS[rng.integers(len(TORSO_WAYS))]
        for name in ("hinge", "bend", "lean", "twist"):
            angles[row, INDEX[name]] = rng.uniform(*way.get(name, (-5, 5)))
    angles = limits.clip(angles)
    return _States("torso", limits.to_rotations(angles), angles[:, INDEX["hinge"]] - hinge)


def _draw_cube(sizes: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """State choices ``(8, P)`` of a random cube, and its three free parts; the base's own states come up most."""
    free = np.sort(rng.permutation(len(sizes))[:3])
    choices = np.zeros((8, len(sizes)), int)
    for part, size in enumerate(sizes):
        weights = np.array([OWN_STATE] + [1.0] * (size - 1))
        if part in free:
            pair = rng.choice(size, 2, replace=False, p=weights / weights.sum())
            choices[:, part] = pair[MASKS[:, list(free).index(part)]]
        else:
            choices[:, part] = rng.choice(size, p=weights / weights.sum())
    return choices, free


def _hinge(rotations: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Tip pelvis and trunk forward over hips that stay, ``(N, 22, 3)``."""
    from scipy.spatial.transform import Rotation

    result = rotations.copy()
    tip = Rotation.from_euler("x", degrees[:, None], degrees=True)
    result[:, 0] = (Rotation.from_rotvec(rotations[:, 0]) * tip).as_rotvec()
    for side in SIDES:
        hip = _J[f"{side}_hip"]
        result[:, hip] = (tip.inv() * Rotation.from_rotvec(rotations[:, hip])).as_rotvec()
    return result


def _jitter(rotations: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same small turns for the eight poses of a cube."""
    turns = rng.normal(0, JITTER, (len(SMPL22), 3))
    turns[[_J["neck"], _J["head"]]] += rng.normal(0, HEAD_JITTER, 3)
    turns[[_J["pelvis"], _J["left_wrist"], _J["right_wrist"]]] = 0
    return rotations + turns
