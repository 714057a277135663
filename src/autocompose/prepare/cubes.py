"""Edit cubes: a base pose and three independent edits of different body parts, every edit on or off: 8 poses.

Cubes come in clusters. A cluster is one base pose whose body parts each have up to four states (the base's own and
three others); a cube lets three parts vary between two states and holds the other parts. Where the cubes train, no two
poses of a cluster have the same states: the most variety. Where they test, they are twins: the same states, slightly
turned in every joint. A search that only looks for pictures like the reference then meets the twins of the reference
and of its neighbours first; without twins it would have the target among its first ten in four of five cases.
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
JITTER = np.radians(1.5)  # of every joint, the same for the poses of a cube; twins are then some 25 mm apart
HEAD_JITTER = np.radians(4)
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


def cluster(
    base: Base, rng: np.random.Generator, count: int = PER_CLUSTER, twins: bool = False, tries: int = 120
) -> list[Cube]:
    """Up to ``count`` cubes around a base pose; fewer when edits that work are not found.

    :param twins: the cubes have the same states; else no two of their poses do.
    """
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
        parts = tuple(states[part].part for part in free)
        found = _sound(compose(base.rotations, states, choices), parts, count if twins else 1, plausible, rng)
        if found:
            taken |= keys
            cubes += found
        if len(cubes) == count:
            break
    return cubes


def _sound(
    poses: np.ndarray, parts: tuple[str, ...], count: int, plausible: Plausible, rng: np.random.Generator
) -> list[Cube]:
    """``count`` slightly turned versions of a cube's poses ``(8, 22, 3)``, or none if one of them does not work."""
    found = []
    for _ in range(count):
        rotations = _jitter(poses, rng)
        joints = forward(rotations)[0]
        if not (plausible(joints).all() and edits_are_clear(joints) and blind(joints) <= BLIND):
            return []
        found.append(Cube(rotations, parts))
    return found


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
