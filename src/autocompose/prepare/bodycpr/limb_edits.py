"""Edits of body parts: other ways to hold an arm, a leg or the torso that suit a given base pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from autocompose.bodies.kinematics import forward
from autocompose.bodies.sampling import limits, sampler
from autocompose.bodies.sampling import self_contact as selfhit
from autocompose.bodies.sampling.limits import ARM, INDEX, LEG, SIDES
from autocompose.bodies.skeleton import SMPL22
from autocompose.prepare.bodycpr.cube_codes import clearly_differ

OTHER_STATES = 3  # of a part, besides the base's own
MARGIN = 1.15  # factor on the limits of ``clearly_differ`` between states: they must hold beside other states too
ELBOW_ONLY = 0.3  # share of the arm edits that bend or stretch the elbow alone
_J = {name: i for i, name in enumerate(SMPL22)}
_LIMBS = {"arm": ("collar", "shoulder", "elbow", "wrist"), "leg": ("hip", "knee", "ankle")}
# part -> joints that it sets
PARTS: dict[str, tuple[str, ...]] = {
    **{f"{side} {limb}": tuple(f"{side}_{j}" for j in joints) for limb, joints in _LIMBS.items() for side in SIDES},
    **{f"both {limb}s": tuple(f"{s}_{j}" for s in SIDES for j in joints) for limb, joints in _LIMBS.items()},
    "torso": ("spine1", "spine2", "spine3"),
}
# family -> ways that one leg may take in an edit; families that are not named stand
_UPRIGHT_LEGS = ("straight", "wide", "step forward", "step back", "heel up behind", "knee up", "kick forward",
                 "leg aside", "leg back", "tree", "half squat")  # fmt: skip
LEG_WAYS: dict[str, tuple[str, ...]] = {
    "sitting": ("long sit", "straddle", "knee raised", "crossed", "lying raised", "tucked"),
    "kneeling": ("kneeling", "foot planted", "stretched back", "leg aside"),
    "crawling": ("on knee", "stretched back", "leg back", "tucked"),
    "lying": ("lying flat", "lying bent", "lying raised", "tucked", "wide", "tree"),
    "lying face down": ("lying flat", "heel up behind", "wide", "tree", "leg back"),
    "squatting": ("half squat", "deep squat", "kick forward", "leg aside", "wide"),
    "lunging": ("lunge front", "lunge back", "knee up", "straight", "leg back", "kick forward"),
}
# family -> ways that both legs may take together, so that no body hovers
_UPRIGHT_BOTH = ("straight", "wide", "half squat", "deep squat")
BOTH_LEGS: dict[str, tuple[str, ...]] = {
    "sitting": ("long sit", "straddle", "knee raised", "crossed"),
    "kneeling": ("kneeling", "on heels", "deep squat"),
    "crawling": ("on knee", "stretched back"),
    "lying": ("lying flat", "lying bent", "lying raised", "tucked", "wide"),
    "lying face down": ("lying flat", "heel up behind", "wide"),
}
_ARM_WAYS = tuple(way for way in sampler.ARMS if way != "propped")
# ways to hold the torso; angles that are not named stay within STILL
STILL = (-5.0, 5.0)
TORSO_WAYS: tuple[dict[str, tuple[float, float]], ...] = (
    {"hinge": (25, 60), "bend": (10, 40)},
    {"hinge": (-20, -8), "bend": (-30, -15)},
    {"lean": (24, 35)},
    {"lean": (-35, -24)},
    {"twist": (32, 45)},
    {"twist": (-45, -32)},
    {},
)
_ARM_POINTS = [i for i, p in enumerate(selfhit.POINTS) if p.rpartition("_")[2] in ("elbow", "wrist", "head", "crown")]
_PELVIS, _NECK = (selfhit.POINTS.index(name) for name in ("pelvis", "neck"))


@dataclass(frozen=True)
class Base:
    """The base pose of a cluster.

    :param rotations: ``(22, 3)`` axis-angle, facing +z.
    :param family: of ``sampler.FAMILIES``, or another name for motion capture.
    :param angles: ``(29,)`` of ``limits.ANGLES`` for sampled poses.
    :param sequence: clip of motion capture, "" otherwise.
    :param others: ``(K, 22, 3)`` other poses of the clip, whose limbs serve as edits.
    """

    rotations: np.ndarray
    family: str
    angles: np.ndarray | None = None
    sequence: str = ""
    others: np.ndarray | None = None


@dataclass(frozen=True)
class States:
    """States of one part, the base's own first.

    :param rotations: ``(S, 22, 3)``, of which the joints of the part count.
    :param hinge: ``(S,)`` degrees by which pelvis and trunk tip forward over the hips, besides.
    """

    part: str
    rotations: np.ndarray
    hinge: np.ndarray


class Plausible:
    """Whether edited poses are still plausible, compared with their base."""

    def __init__(self, base: Base) -> None:
        joints = forward(base.rotations[None])[0]
        rules = sampler.FAMILIES.get(base.family)
        moving = rules is not None and rules.overhang is None
        self._depth = max(sampler.DEEPEST, float(selfhit.depth(joints)[0])) + 0.005
        self._pelvis = float(selfhit.clearance(joints)[0, _PELVIS])
        self._overhang = np.inf if moving else max(0.1, float(selfhit.imbalance(joints)[0]) + 0.04)
        self.upright = bool(joints[0, _NECK, 1] - joints[0, _PELVIS, 1] > 0.35 and self._pelvis > 0.6)

    def __call__(self, joints: np.ndarray) -> np.ndarray:
        """``(N,)`` bool for ``(N, 22, 3)`` metres: nothing intersects, falls over or lifts the body by an arm."""
        joints = selfhit.extended(joints)
        clear = selfhit.clearance(joints)
        on_arm = clear[:, _ARM_POINTS].min(1) < 0.01
        lifted = (clear[:, _PELVIS] > self._pelvis + 0.06) & (on_arm | (self._pelvis < 0.3))
        return (selfhit.depth(joints) <= self._depth) & (selfhit.imbalance(joints) <= self._overhang) & ~lifted


def draw_states(base: Base, part: str, plausible: Plausible, rng: np.random.Generator, tries: int = 32) -> States:
    """The base's own state and a few others that work alone and differ clearly from each other."""
    drawn = _draw_torso(base, tries, rng) if part == "torso" else _draw_limb(base, part, plausible.upright, tries, rng)
    trial = compose(base.rotations, [drawn], np.arange(tries)[:, None])
    joints = forward(np.concatenate([trial, base.rotations[None]]))[0]
    apart = clearly_differ(joints, joints, MARGIN)
    kept: list[int] = []
    for i in np.flatnonzero(plausible(joints[:-1])).tolist():
        if len(kept) < OTHER_STATES and apart[i, [-1, *kept]].all():
            kept.append(i)
    rotations = np.concatenate([base.rotations[None], drawn.rotations[kept]])
    return States(part, rotations, np.concatenate([[0.0], drawn.hinge[kept]]))


def compose(base: np.ndarray, states: list[States], choices: np.ndarray) -> np.ndarray:
    """Poses ``(N, 22, 3)`` that take state ``choices[n, p]`` of part p and otherwise the base ``(22, 3)``."""
    result = np.repeat(base[None], len(choices), axis=0)
    hinge = np.zeros(len(choices))
    for column, part in enumerate(states):
        joints = [_J[joint] for joint in PARTS[part.part]]
        result[:, joints] = part.rotations[choices[:, column]][:, joints]
        hinge += part.hinge[choices[:, column]]
    tip = Rotation.from_euler("x", hinge[:, None], degrees=True)
    result[:, 0] = (Rotation.from_rotvec(result[:, 0]) * tip).as_rotvec()
    for hip in (_J["left_hip"], _J["right_hip"]):  # the legs stay where they are
        result[:, hip] = (tip.inv() * Rotation.from_rotvec(result[:, hip])).as_rotvec()
    return result


def _draw_limb(base: Base, part: str, upright: bool, count: int, rng: np.random.Generator) -> States:
    limb, sides = ("arm" if "arm" in part else "leg"), [s for s in SIDES if s in part] or list(SIDES)
    angles = _angles(base, count)
    ways = rng.choice(_ways(base.family, part), count)
    for side in sides:
        sampler.put_limb(angles, side, limb, ways, rng)
    if len(sides) == 2:  # both sides do nearly the same
        left, right = ([INDEX[f"{side}_{limb}_{name}"] for name in (ARM if limb == "arm" else LEG)] for side in sides)
        angles[:, right] = angles[:, left] + rng.normal(0, 3, (count, len(left)))
    angles = limits.clip(angles)
    if limb == "leg" and base.angles is not None:
        angles = _stand(base.family, angles, sides, ways)
    rotations = limits.to_rotations(angles)
    if limb == "arm":
        alone = rng.random(count) < ELBOW_ONLY
        for joint in (_J[f"{side}_{j}"] for side in sides for j in ("collar", "shoulder", "wrist")):
            rotations[alone, joint] = base.rotations[joint]
    if base.others is not None:  # limbs of the same motion; all of them where a standing person's would look odd
        taken = rng.random(count) < (0.5 if upright else 1.0)
        rotations[taken] = base.others[rng.integers(len(base.others), size=taken.sum())]
    return States(part, rotations, np.zeros(count))


def _draw_torso(base: Base, count: int, rng: np.random.Generator) -> States:
    angles = _angles(base, count)
    before = angles[:, INDEX["hinge"]].copy()
    for row in angles:
        way = TORSO_WAYS[rng.integers(len(TORSO_WAYS))]
        for name in ("hinge", "bend", "lean", "twist"):
            row[INDEX[name]] = rng.uniform(*way.get(name, STILL))
    angles = limits.clip(angles)
    return States("torso", limits.to_rotations(angles), angles[:, INDEX["hinge"]] - before)


def _ways(family: str, part: str) -> tuple[str, ...]:
    if part == "both legs":
        return BOTH_LEGS.get(family, _UPRIGHT_BOTH)
    return _ARM_WAYS if "arm" in part else LEG_WAYS.get(family, _UPRIGHT_LEGS)


def _angles(base: Base, count: int) -> np.ndarray:
    return np.repeat((np.zeros(len(INDEX)) if base.angles is None else base.angles)[None], count, axis=0)


def _stand(family: str, angles: np.ndarray, sides: list[str], ways: np.ndarray) -> np.ndarray:
    """Let edited legs reach the floor as their way requires."""
    both = np.stack([ways if side in sides else np.full(len(ways), "") for side in SIDES], 1)
    angles = limits.clip(sampler.ground(angles, both))
    return sampler.level_feet(angles) if sampler.FAMILIES[family].level else angles
