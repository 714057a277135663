"""Capsules against brute force, the floor, and balance."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from autocompose.bodies.kinematics import forward
from autocompose.bodies.sampling import limits
from autocompose.bodies.sampling import self_contact as selfhit
from autocompose.bodies.sampling.limits import ANGLES, INDEX
from autocompose.bodies.skeleton import mirror_joints


def joints_of(**angles: float) -> np.ndarray:
    row = np.zeros((1, len(ANGLES)))
    for name, value in angles.items():
        row[0, INDEX[name]] = value
    return forward(limits.to_rotations(row))[0]


def slow_distance(a0: np.ndarray, a1: np.ndarray, b0: np.ndarray, b1: np.ndarray, n: int = 201) -> float:
    """The obvious way: many points on both segments."""
    t = np.linspace(0, 1, n)[:, None]
    a, b = a0 + t * (a1 - a0), b0 + t * (b1 - b0)
    return float(np.linalg.norm(a[:, None] - b[None], axis=-1).min())


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=80)
def test_segment_distance_agrees_with_brute_force(seed: int) -> None:
    ends = np.random.default_rng(seed).uniform(-1, 1, (4, 3))
    fast = float(selfhit.segment_distance(*ends))
    slow = slow_distance(*ends)
    assert fast <= slow + 1e-9 and slow - fast < 0.02


def test_segment_distance_of_parallel_and_crossing_segments() -> None:
    zero, x, y = np.zeros(3), np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
    assert np.isclose(selfhit.segment_distance(zero, x, y, x + y), 1.0)
    assert np.isclose(selfhit.segment_distance(zero, x, 3 * x, 4 * x), 2.0)
    assert np.isclose(selfhit.segment_distance(-x, x, -y, y), 0.0)


def test_an_arm_through_the_trunk_is_found_and_a_free_one_is_not() -> None:
    folded = {"left_arm_raise": 60, "left_arm_plane": 125, "left_arm_roll": -80, "left_arm_elbow": 120}
    through = joints_of(right_arm_raise=20, **folded)
    free = joints_of(left_arm_raise=70, right_arm_raise=20)
    assert selfhit.depth(free)[0] < 0.02 < selfhit.depth(through)[0]


def test_depth_does_not_depend_on_the_side() -> None:
    joints = joints_of(left_arm_raise=50, left_arm_plane=80, left_arm_elbow=100, right_leg_flex=80, twist=20)
    assert np.allclose(selfhit.depth(joints), selfhit.depth(mirror_joints(joints)))


def test_standing_is_on_the_feet_and_balanced() -> None:
    joints = joints_of()
    clear = selfhit.clearance(joints)[0]
    assert clear[selfhit.POINTS.index("left_foot")] < 0.05 and clear.min() == 0
    assert clear[selfhit.POINTS.index("pelvis")] > 0.8
    assert selfhit.imbalance(joints)[0] < 0.05


def test_leaning_far_falls_over() -> None:
    assert selfhit.imbalance(joints_of(pitch=40))[0] > 0.2
    assert selfhit.imbalance(joints_of(roll=40))[0] > 0.1


def test_clearance_does_not_depend_on_height() -> None:
    joints = joints_of(left_leg_flex=60)
    assert np.allclose(selfhit.clearance(joints + np.array([0, 1.5, 0])), selfhit.clearance(joints))
