"""Edit cubes: a base pose and three independent edits of different body parts, every edit on or off: 8 poses.

Cubes come in clusters. A cluster is one base pose whose body parts each have up to four states (the base's own and
three others); a cube lets three parts vary between two states and holds the other parts. No two poses of a cluster
have the same states, so cubes of a cluster look alike but never coincide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autocompose.bodies.kinematics import forward
from autocompose.bodies.skeleton import SMPL22
from autocompose.prepare.cube_codes import MASKS, blind, edits_are_clear
from autocompose.prepare.edits import Base, Plausible, compose, draw_states

PER_CLUSTER = 4
BLIND = 0.40  # share of a cube's targets that may be found without the reference
OWN_STATE = 2.5  # how much likelier the base's own state is than another
JITTER = np.radians(2.5)  # of every joint, the same for the poses of a cube
HEAD_JITTER = np.radians(8)
LAYOUTS = (
    ("left arm", "right arm", "left leg", "right leg", "torso"),
    ("left arm", "right arm", "left leg", "right leg", "torso"),
    ("both arms", "left leg", "right leg", "torso"),
    ("left arm", "right arm", "both legs", "torso"),
)


@dataclass(frozen=True)
class Cube:
    """Eight poses.

    :param rotations: ``(8, 22, 3)``; pose m has edit i on when ``MASKS[m, i]``.
    :param parts: the three edited parts.
    """

    rotations: np.ndarray
    parts: tuple[str, ...]


def cluster(base: Base, rng: np.random.Generator, count: int = PER_CLUSTER, tries: int = 120) -> list[Cube]:
    """Up to ``count`` cubes around a base pose; fewer when edits that work are not found."""
    plausible = Plausible(base)
    drawn = [draw_states(base, part, plausible, rng) for part in LAYOUTS[rng.integers(len(LAYOUTS))]]
    states = [part for part in drawn if len(part.hinge) > 1]
    if len(states) < 3:
        return []
    cubes: list[Cube] = []
    taken: set[tuple[int, ...]] = set()
    for _ in range(tries):
        choices, free = _draw_cube([len(part.hinge) for part in states], rng)
        keys = set(map(tuple, choices.tolist()))
        if keys & taken:
            continue
        rotations = _jitter(compose(base.rotations, states, choices), rng)
        joints = forward(rotations)[0]
        if plausible(rotations).all() and edits_are_clear(joints) and blind(joints) <= BLIND:
            taken |= keys
            cubes.append(Cube(rotations, tuple(states[part].part for part in free)))
        if len(cubes) == count:
            break
    return cubes


def _draw_cube(sizes: list[int], rng: np.random.Generator) -> tuple[np.ndarray, list[int]]:
    """State choices ``(8, P)`` of a random cube, and its three free parts; the base's own states come up most."""
    free = sorted(rng.permutation(len(sizes))[:3].tolist())
    choices = np.zeros((8, len(sizes)), int)
    for part, size in enumerate(sizes):
        weights = np.array([OWN_STATE] + [1.0] * (size - 1))
        if part in free:
            pair = rng.choice(size, 2, replace=False, p=weights / weights.sum())
            choices[:, part] = pair[MASKS[:, free.index(part)]]
        else:
            choices[:, part] = rng.choice(size, p=weights / weights.sum())
    return choices, free


def _jitter(rotations: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same small turns for the eight poses of a cube."""
    turns = rng.normal(0, JITTER, (len(SMPL22), 3))
    turns[[SMPL22.index("neck"), SMPL22.index("head")]] += rng.normal(0, HEAD_JITTER, 3)
    turns[[SMPL22.index(name) for name in ("pelvis", "left_wrist", "right_wrist")]] = 0
    return rotations + turns
