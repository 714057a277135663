"""Limbs whose depth two pictures do not show."""

from __future__ import annotations

import numpy as np

from autocompose.bodies.skeleton import SMPL22
from autocompose.describe.mllm.judging.unclear_depth import unclear_in_depth
from tests.describe.audit.poses import standing

WRIST, ELBOW = SMPL22.index("left_wrist"), SMPL22.index("left_elbow")


def spread() -> np.ndarray:
    """Two equal poses that face the camera, arms straight out to the sides."""
    joints = np.stack([standing(), standing()])
    for side, sign in (("left", 1.0), ("right", -1.0)):
        shoulder = joints[:, SMPL22.index(f"{side}_shoulder")]
        joints[:, SMPL22.index(f"{side}_elbow")] = shoulder + np.array([sign * 0.28, 0, 0])
        joints[:, SMPL22.index(f"{side}_wrist")] = shoulder + np.array([sign * 0.54, 0, 0])
    return joints


def test_nothing_is_unclear_where_all_is_seen() -> None:
    assert not unclear_in_depth(spread()) & {"left_hand", "right_hand", "left_elbow", "right_elbow"}


def test_a_large_change_of_depth_is_unclear() -> None:
    joints = spread()
    joints[1, WRIST, 2] += 0.25
    assert "left_hand" in unclear_in_depth(joints) and "left_elbow" not in unclear_in_depth(joints)


def test_a_hand_before_the_trunk_is_unclear() -> None:
    joints = spread()
    joints[:, WRIST] = joints[:, SMPL22.index("spine2")] + np.array([0, 0, 0.4])
    assert "left_hand" in unclear_in_depth(joints) and "right_hand" not in unclear_in_depth(joints)
