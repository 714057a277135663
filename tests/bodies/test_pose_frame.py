import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocompose.bodies.kinematics import forward
from autocompose.bodies.points import FINGER_LENGTH, MIDPOINTS, POINTS35, normal_points, points_of
from autocompose.bodies.pose_frame import (
    NEUTRAL_BONES,
    centre,
    check_joints,
    faults,
    remove_yaw,
    rescale,
    sides_exchanged,
    y_up,
    yaw_of,
)
from autocompose.bodies.skeleton import SMPL22, SMPL22_PARENTS, mirror_joints, turn
from autocompose.core.errors import PoseError
from tests.fixtures.people import people

INDEX = {name: i for i, name in enumerate(POINTS35)}


@given(st.floats(-179, 179), st.integers(0, 20))
def test_yaw_is_the_turn_that_was_made(yaw: float, seed: int) -> None:
    facing = remove_yaw(people(1, seed))
    assert yaw_of(facing)[0] == pytest.approx(0, abs=1e-6)
    assert yaw_of(turn(facing, yaw))[0] == pytest.approx(yaw, abs=1e-6)


def test_yaw_of_a_person_on_their_side_is_the_heading_of_the_front() -> None:
    standing = forward(np.zeros((1, 22, 3)))[0]
    on_side = standing[..., [1, 0, 2]] * np.array([1.0, -1.0, 1.0])  # left side down: x becomes -y
    assert yaw_of(turn(on_side, 50.0))[0] == pytest.approx(50, abs=6)  # the neck stands 4 degrees before the pelvis


def test_rescale_keeps_directions_and_sets_lengths() -> None:
    joints = centre(people(5) * 1.7)
    scaled = rescale(joints)
    for joint, parent in enumerate(SMPL22_PARENTS[1:], start=1):
        before, after = joints[:, joint] - joints[:, parent], scaled[:, joint] - scaled[:, parent]
        size = np.linalg.norm(after, axis=1)
        assert np.allclose(size, NEUTRAL_BONES[joint])
        assert np.allclose(before / np.linalg.norm(before, axis=1)[:, None], after / size[:, None])


def test_points_are_the_middles_that_they_name() -> None:
    points = normal_points(people(3))
    for name, parts in MIDPOINTS.items():
        assert np.allclose(points[:, INDEX[name]], np.mean([points[:, INDEX[p]] for p in parts], axis=0))
    finger = points[:, INDEX["left_middle2"]] - points[:, INDEX["left_wrist"]]
    assert np.allclose(np.linalg.norm(finger, axis=1), FINGER_LENGTH)


def test_given_fingers_are_used() -> None:
    joints = people(2)
    fingers = joints[:, [20, 21]] + np.array([0, 0.05, 0])
    points = normal_points(np.concatenate([joints, fingers], 1))
    finger = points[:, INDEX["left_middle2"]] - points[:, INDEX["left_wrist"]]
    assert np.allclose(finger, [0, FINGER_LENGTH, 0])


def test_unknown_joints_silence_what_derives_from_them() -> None:
    known = np.array([name != "left_foot" and name != "right_knee" for name in SMPL22])
    points = points_of(people(2), known)
    lost = {POINTS35[i] for i in np.flatnonzero(np.isnan(points).any((0, 2)))}
    assert lost == {"left_foot", "right_knee", "right_thigh", "right_shin"}


def test_points_do_not_depend_on_place_yaw_and_size() -> None:
    joints = people(4)
    moved = turn(joints - joints.mean(1, keepdims=True), 77.0) * 0.6 + 3.0
    assert np.allclose(normal_points(joints), normal_points(moved), atol=1e-9)


def test_vertical_axes() -> None:
    points = people(2)
    z_up = np.stack([points[..., 0], -points[..., 2], points[..., 1]], -1)
    assert np.allclose(y_up(z_up, "z"), points)
    assert np.allclose(y_up(points * [1, -1, -1], "-y"), points)
    with pytest.raises(PoseError, match="up axis 'x'"):
        y_up(points, "x")


def test_exchanged_sides_are_noticed() -> None:
    joints = people(50)
    names = [n.replace("left", "?").replace("right", "left").replace("?", "right") for n in SMPL22]
    swapped = joints[:, [SMPL22.index(n) for n in names]]
    assert sides_exchanged(joints) < 0.2
    assert sides_exchanged(mirror_joints(joints)) < 0.2
    assert sides_exchanged(swapped) > 0.8
    assert sides_exchanged(joints[:0]) == 0.0


def test_who_kneels_has_toes_that_point_backwards() -> None:
    rotations = np.zeros((1, 22, 3))
    for side in ("left", "right"):
        rotations[0, SMPL22.index(f"{side}_knee"), 0] = 2.0
        rotations[0, SMPL22.index(f"{side}_ankle"), 0] = 0.4
    joints = forward(rotations)[0]
    toes, ankle = joints[0, SMPL22.index("left_foot")], joints[0, SMPL22.index("left_ankle")]
    assert toes[2] < ankle[2]  # the person faces +z
    names = [n.replace("left", "?").replace("right", "left").replace("?", "right") for n in SMPL22]
    assert sides_exchanged(joints) == 0
    assert sides_exchanged(joints[:, [SMPL22.index(n) for n in names]]) == 1


def test_bad_joints_are_named() -> None:
    joints = people(3)
    with pytest.raises(PoseError, match=r"expected \(N, 22 or 24, 3\) metres, got \(3, 17, 3\)"):
        check_joints(joints[:, :17])
    broken = joints.copy()
    broken[1, 4] = np.nan
    with pytest.raises(PoseError, match=r"joints\[1\]: NaN"):
        normal_points(broken)
    broken = joints.copy()
    broken[2, 20] = broken[2, 18]
    with pytest.raises(PoseError, match="pose 2: bone left_elbow - left_wrist has zero length"):
        normal_points(broken)
    assert faults(broken) == ["", "", "zero-length bone"]
    broken[0, 0] = np.inf
    assert faults(broken)[0] == "NaN coordinate"
