"""Edit cubes: a base pose and three independent edits of different body parts, every edit on or off: 8 poses.

Cubes come in clusters. A cluster is one base pose whose body parts each have up to four states (the base's own and
three others); a cube lets three parts vary between two states and holds the other parts. For training, no two
poses of a cluster have the same states, for variety. For testing, cubes are twins: the same states, slightly turned in
every joint. A search that only looks for pictures like the reference then meets the twins of the reference
and of its neighbours first; without twins it would rank the target among the first ten in four of five cases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from autocompose.bodies.kinematics import forward
from autocompose.bodies.skeleton import SMPL22
from autocompose.prepare.bodycpr.cube_codes import MASKS, blind, edits_are_clear
from autocompose.prepare.bodycpr.limb_edits import Base, Plausible, States, compose, draw_states

PER_CLUSTER = 4
AHEAD = (4, 32)  # cubes tried together, more after each failure; eight take twice as long as one
BLIND = 0.40  # share of a cube's targets that may be found without the reference
OWN_STATE = 2.5  # probability of the base's own state relative to another
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
    """Up to ``count`` cubes around a base pose; fewer if there are too few working edits.

    :param twins: the cubes have the same states; else no two of their poses do.
    """
    plausible = Plausible(base)
    drawn = [draw_states(base, part, plausible, rng) for part in LAYOUTS[rng.integers(len(LAYOUTS))]]
    states = [part for part in drawn if len(part.hinge) > 1]
    if len(states) < 3:
        return []
    cubes: list[Cube] = []
    taken: set[tuple[int, ...]] = set()
    ahead = AHEAD[0]
    while tries > 0 and len(cubes) < count:
        trials = [_draw_trial(states, taken, rng) for _ in range(min(ahead, tries))]
        joints = _held(base, states, trials, plausible)
        number = next((n for n, eight in enumerate(joints) if eight is not None and _clear(eight)), None)
        if number is None:
            tries -= len(trials)
            ahead = min(2 * ahead, AHEAD[1])
            continue
        tries -= number + 1
        ahead, trial = AHEAD[0], trials[number]
        rng.bit_generator.state = trial.after  # draws after it do not count
        versions = _twins(base, states, trial, count if twins else 1, plausible, rng)
        if versions:
            taken |= set(map(tuple, trial.choices.tolist()))
            cubes += versions
    return cubes


class _Trial(NamedTuple):
    """A candidate cube.

    :param choices, free: of ``_draw_cube``.
    :param turns: of ``_draw_turns``; None: another cube has one of its poses already.
    :param after: the random generator's state behind it.
    """

    choices: np.ndarray
    free: list[int]
    turns: np.ndarray | None
    after: Mapping[str, Any]


def _draw_trial(states: list[States], taken: set[tuple[int, ...]], rng: np.random.Generator) -> _Trial:
    choices, free = _draw_cube([len(part.hinge) for part in states], rng)
    known = not taken.isdisjoint(map(tuple, choices.tolist()))
    turns = None if known else _draw_turns(rng)
    return _Trial(choices, free, turns, rng.bit_generator.state)


def _held(base: Base, states: list[States], trials: list[_Trial], plausible: Plausible) -> list[np.ndarray | None]:
    """Joints ``(8, 22, 3)`` of each trial, None where a pose is implausible; computed together."""
    rows = [n for n, trial in enumerate(trials) if trial.turns is not None]
    result: list[np.ndarray | None] = [None] * len(trials)
    if rows:
        choices = np.concatenate([trials[n].choices for n in rows])
        turns = np.repeat(np.stack([t.turns for t in trials if t.turns is not None]), 8, 0)
        joints = forward(compose(base.rotations, states, choices) + turns)[0]
        sound = [bool(poses.all()) for poses in plausible(joints).reshape(-1, 8)]
        for n, good, eight in zip(rows, sound, np.split(joints, len(rows)), strict=True):
            result[n] = eight if good else None
    return result


def _clear(joints: np.ndarray) -> bool:
    """Whether the edits of a cube ``(8, 22, 3)`` are visible, and its targets cannot be guessed."""
    return edits_are_clear(joints) and blind(joints) <= BLIND


def _twins(
    base: Base, states: list[States], trial: _Trial, count: int, plausible: Plausible, rng: np.random.Generator
) -> list[Cube]:
    """``count`` slightly turned versions of a sound trial, itself the first; none if one of them does not work."""
    parts = tuple(states[part].part for part in trial.free)
    poses = compose(base.rotations, states, trial.choices)
    versions = [Cube(poses + trial.turns, parts)]
    for _ in range(count - 1):
        cube = Cube(poses + _draw_turns(rng), parts)
        joints = forward(cube.rotations)[0]
        if not (plausible(joints).all() and _clear(joints)):
            return []
        versions.append(cube)
    return versions


def _draw_cube(sizes: list[int], rng: np.random.Generator) -> tuple[np.ndarray, list[int]]:
    """State choices ``(8, P)`` of a random cube, and its three free parts; the base's own states come up most."""
    free = sorted(rng.permutation(len(sizes))[:3].tolist())
    choices = np.zeros((8, len(sizes)), int)
    for part, size in enumerate(sizes):
        if part in free:
            pair = rng.choice(size, 2, replace=False, p=_shares(size))
            choices[:, part] = pair[MASKS[:, free.index(part)]]
        else:
            choices[:, part] = rng.choice(size, p=_shares(size))
    return choices, free


@lru_cache(maxsize=8)
def _shares(size: int) -> np.ndarray:
    """Probability of each state of a part."""
    weights = np.array([OWN_STATE] + [1.0] * (size - 1))
    return weights / weights.sum()


def _draw_turns(rng: np.random.Generator) -> np.ndarray:
    """Small turns ``(22, 3)`` that the eight poses of a cube share."""
    turns = rng.normal(0, JITTER, (len(SMPL22), 3))
    turns[[SMPL22.index("neck"), SMPL22.index("head")]] += rng.normal(0, HEAD_JITTER, 3)
    turns[[SMPL22.index(name) for name in ("pelvis", "left_wrist", "right_wrist")]] = 0
    return turns
