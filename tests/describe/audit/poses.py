"""Small poses for the tests: a standing body whose joints are moved by hand, and random bodies."""

from __future__ import annotations

import numpy as np

from autocompose.bodies.kinematics import REST, forward
from autocompose.bodies.skeleton import SMPL22
from autocompose.describe.audit.measure import Poses

J = {name: i for i, name in enumerate(SMPL22)}


def standing(**moved: tuple[float, float, float]) -> np.ndarray:
    """``(22, 3)``: arms hanging, legs straight; then joints shifted by metres (x to the own left, y up, z forward)."""
    joints = REST.copy()
    for side, sign in (("left", 1), ("right", -1)):
        shoulder = joints[J[f"{side}_shoulder"]]
        joints[J[f"{side}_elbow"]] = shoulder + np.array([sign * 0.03, -0.28, 0])
        joints[J[f"{side}_wrist"]] = shoulder + np.array([sign * 0.04, -0.53, 0.02])
    for name, shift in moved.items():
        joints[J[name]] += shift
    return joints


def pair(**moved: tuple[float, float, float]) -> tuple[Poses, Poses]:
    """The standing body, and the same with joints shifted."""
    return Poses(standing()[None]), Poses(standing(**moved)[None])


def random_joints(n: int, seed: int) -> np.ndarray:
    """``(n, 22, 3)``: the average body with random joint angles, turned anywhere."""
    rng = np.random.default_rng(seed)
    rotations = rng.normal(0, 0.45, (n, 22, 3))
    rotations[:, 0] = rng.normal(0, 0.6, (n, 3)) * [0.5, 2.0, 0.5]
    return forward(rotations)[0]
