import numpy as np
import pytest

from autocompose.bodies.convert import SKELETONS, convert_joints
from autocompose.bodies.points import normal_points
from autocompose.bodies.skeleton import SMPL22, mirror_order
from autocompose.core.errors import PoseError
from autocompose.describe.rules.codes.pair_codes import PAIR_CODES, PAIR_NAMES, pair_levels, pair_measures
from tests.fixtures.people import pairs, people

PARTS = {name: i for i, name in enumerate(SMPL22)}


def figure(skeleton: str, joints: np.ndarray) -> np.ndarray:
    """SMPL-22 joints told in another skeleton, as its detector would place them."""
    known = {name: joints[:, i] for name, i in PARTS.items()}
    head = joints[:, PARTS["head"]]
    for side in ("left", "right"):
        aside = 0.07 * (known[f"{side}_shoulder"] - known["neck"])
        for name in ("ear", "eye", "eye_inner", "eye_outer"):
            known[f"{side}_{name}"] = head + aside
        known[f"mouth_{side}"] = head + aside
        toe = known[f"{side}_foot"] - known[f"{side}_ankle"]
        known[f"{side}_heel"] = known[f"{side}_ankle"] - 0.3 * toe
        tip = (known[f"{side}_foot"] - 0.25 * known[f"{side}_heel"]) / 0.75
        for name in ("big_toe", "small_toe", "foot_index"):
            known[f"{side}_{name}"] = tip
        along = known[f"{side}_wrist"] - known[f"{side}_elbow"]
        for name in ("index", "pinky", "thumb", "hand", "middle2"):
            known[f"{side}_{name}"] = known[f"{side}_wrist"] + 0.3 * along
    known["nose"] = head
    fill = known["left_middle2"]
    return np.stack([known.get(name, fill) for name in SKELETONS[skeleton]], 1)


def levels(joints_a: np.ndarray, joints_b: np.ndarray, known: np.ndarray) -> np.ndarray:
    a, b = (pair_measures(normal_points(j, known)) for j in (joints_a, joints_b))
    return pair_levels(a - b)


@pytest.mark.parametrize("skeleton", ["smpl22", "smpl24", "smplh52"])
def test_smpl_skeletons_lose_nothing(skeleton: str) -> None:
    a, b = pairs(40)
    expected = levels(a, b, np.ones(22, bool))
    if skeleton == "smplh52":
        a, b = (figure(skeleton, j) for j in (a, b))
        index = SKELETONS[skeleton].index
        assert (index("left_middle2"), index("right_middle2")) == (26, 41)
    else:
        a, b = (figure(skeleton, j) for j in (a, b))
    found_a, found_b = convert_joints(a, skeleton), convert_joints(b, skeleton)
    assert found_a.known.all()
    assert np.array_equal(levels(found_a.joints, found_b.joints, found_a.known), expected)


@pytest.mark.parametrize("skeleton", ["coco17", "coco23", "mediapipe33"])
def test_keypoints_agree_with_the_joints_they_come_from(skeleton: str) -> None:
    a, b = pairs(150, seed=3)
    expected = levels(a, b, np.ones(22, bool))
    found_a, found_b = (convert_joints(figure(skeleton, j), skeleton) for j in (a, b))
    found = levels(found_a.joints, found_b.joints, found_a.known)
    feet = np.array(["foot" in name for name in PAIR_NAMES])
    told = ~feet if skeleton == "coco17" else np.ones_like(feet)
    assert (found[told] == expected[told]).mean() > 0.9
    assert not (found[told] * expected[told] < 0).any()  # never the opposite
    bends = [i for i, c in enumerate(PAIR_CODES) if c.kind == "bend"]
    assert np.array_equal(found[bends], expected[bends])  # angles do not depend on what is derived
    assert not found[~told].any()
    assert found_a.known.sum() == (20 if skeleton == "coco17" else 22)


def test_mediapipe_axes() -> None:
    joints = people(5)
    found = convert_joints(figure("mediapipe33", joints) * [1, -1, -1], "mediapipe33", up="-y")
    assert np.allclose(found.joints[:, PARTS["left_wrist"]], joints[:, PARTS["left_wrist"]])


def test_bad_input_is_refused() -> None:
    joints = people(30)
    with pytest.raises(PoseError, match="skeleton 'kinect': expected one of smpl22"):
        convert_joints(joints, "kinect")
    with pytest.raises(PoseError, match=r"coco17: expected \(N, 17, 3\) metres, got \(30, 22, 3\)"):
        convert_joints(joints, "coco17")
    exchanged = joints[:, mirror_order(SMPL22)]
    with pytest.raises(PoseError, match="left and right are swapped"):
        convert_joints(exchanged, "smpl22")
    assert convert_joints(exchanged, "smpl22", check_sides=False).joints.shape == (30, 22, 3)
    joints[4, 3, 1] = np.nan
    with pytest.raises(PoseError, match=r"smpl22\[4\]: NaN"):
        convert_joints(joints, "smpl22")


def test_a_bone_without_length_is_refused() -> None:
    joints = people(6)
    joints[2:4, PARTS["left_knee"]] = joints[2:4, PARTS["left_hip"]]
    with pytest.raises(PoseError, match=r"smpl22\[2\]: zero-length bone \(2 poses affected\)"):
        convert_joints(joints, "smpl22")
