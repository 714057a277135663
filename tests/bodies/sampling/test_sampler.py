"""Pose families, joint limits, and the skeleton they are measured on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from autocompose.bodies.kinematics import REST, forward
from autocompose.bodies.sampling import limits, sampler
from autocompose.bodies.sampling import self_contact as selfhit
from autocompose.bodies.sampling.limits import ANGLES, INDEX, LIMITS
from autocompose.bodies.skeleton import SMPL22, mirror_joints, mirror_rotations

J = {name: i for i, name in enumerate(SMPL22)}


def pose(**angles: float) -> np.ndarray:
    """Joints of one pose given by named angles."""
    row = np.zeros((1, len(ANGLES)))
    for name, value in angles.items():
        row[0, INDEX[name]] = value
    return forward(limits.to_rotations(row))[0][0]


def test_zero_angles_are_standing_with_hanging_arms() -> None:
    joints = pose()
    for side in ("left", "right"):
        shoulder, wrist = joints[J[f"{side}_shoulder"]], joints[J[f"{side}_wrist"]]
        assert np.allclose((wrist - shoulder)[[0, 2]], 0, atol=1e-6) and wrist[1] < shoulder[1] - 0.5
    assert np.allclose(joints[J["left_knee"]], REST[J["left_knee"]])


@pytest.mark.parametrize(
    ("angles", "joint", "axis", "sign"),
    [
        ({"left_arm_raise": 90, "left_arm_plane": 0}, "left_wrist", 0, 1),  # sideways: to the own left
        ({"right_arm_raise": 90, "right_arm_plane": 0}, "right_wrist", 0, -1),
        ({"left_arm_raise": 90, "left_arm_plane": 90}, "left_wrist", 2, 1),  # forward
        ({"right_arm_raise": 45, "right_arm_plane": -60}, "right_wrist", 2, -1),  # backward
        ({"left_arm_elbow": 90}, "left_wrist", 2, 1),  # the forearm comes forward
        ({"left_leg_flex": 90}, "left_knee", 2, 1),
        ({"right_leg_abduct": 40}, "right_ankle", 0, -1),
        ({"left_leg_knee": 90}, "left_ankle", 2, -1),  # the heel goes back
        ({"bend": 40}, "head", 2, 1),
        ({"hinge": 60}, "head", 2, 1),
        ({"lean": 30}, "head", 0, 1),
        ({"roll": 30}, "head", 0, 1),
    ],
)
def test_angles_turn_the_way_their_names_say(angles: dict[str, float], joint: str, axis: int, sign: int) -> None:
    assert sign * (pose(**angles) - pose())[J[joint], axis] > 0.08


def test_twist_brings_the_right_shoulder_forward() -> None:
    moved = pose(twist=40) - pose()
    assert moved[J["right_shoulder"], 2] > 0.08 > -0.08 > moved[J["left_shoulder"], 2]


def test_hinge_leaves_the_legs_where_they_are() -> None:
    legs = [J[f"{side}_{part}"] for side in ("left", "right") for part in ("knee", "ankle", "foot")]
    upright, bent = pose(left_leg_flex=30), pose(left_leg_flex=30, hinge=50)
    hips = [J["left_hip"], J["right_hip"]]
    assert np.allclose(upright[legs] - upright[hips].mean(0), bent[legs] - bent[hips].mean(0), atol=1e-6)


@given(st.lists(st.floats(-400, 400), min_size=len(ANGLES), max_size=len(ANGLES)))
@settings(deadline=None, max_examples=60)
def test_clip_ends_inside_the_ranges_and_is_final(values: list[float]) -> None:
    clipped = limits.clip(np.array([values]))
    low, high = np.array(list(LIMITS.values())).T
    assert (clipped >= low - 1e-9).all() and (clipped <= high + 1e-9).all()
    assert limits.within(clipped).all()


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=20)
def test_mirrored_angles_give_the_mirrored_pose(seed: int) -> None:
    rng = np.random.default_rng(seed)
    low, high = np.array(list(LIMITS.values())).T
    angles = rng.uniform(low, high, (2, len(ANGLES)))
    mirrored = forward(limits.to_rotations(limits.mirror_angles(angles)))[0]
    assert np.allclose(mirrored, mirror_joints(forward(limits.to_rotations(angles))[0]), atol=1e-6)
    assert np.allclose(mirrored, forward(mirror_rotations(limits.to_rotations(angles)))[0], atol=1e-6)


@pytest.mark.parametrize("family", sampler.FAMILIES)
def test_every_family_gives_plausible_poses(family: str) -> None:
    angles = sampler.sample(family, 6, np.random.default_rng(3))
    assert angles.shape == (6, len(ANGLES))
    assert limits.within(angles).all()
    joints = forward(limits.to_rotations(angles))[0]
    assert (selfhit.depth(joints) <= sampler.DEEPEST).all()
    overhang = sampler.FAMILIES[family].overhang
    assert overhang is None or (selfhit.imbalance(joints) <= overhang).all()


def test_the_same_generator_gives_the_same_poses() -> None:
    one, two = (sampler.sample("lunging", 3, np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(one, two)


@pytest.mark.parametrize(
    ("family", "low", "high"),
    [
        ("standing", 0.85, 1.2),
        ("squatting", 0.3, 0.95),
        ("sitting", 0.0, 0.12),
        ("lying", 0.0, 0.06),
        ("crawling", 0.3, 0.65),
    ],
)
def test_the_pelvis_is_as_high_as_the_family_says(family: str, low: float, high: float) -> None:
    joints = forward(limits.to_rotations(sampler.sample(family, 8, np.random.default_rng(0))))[0]
    pelvis = selfhit.clearance(joints)[:, 0]
    assert (pelvis >= low).all() and (pelvis <= high).all()


def test_left_and_right_are_drawn_equally_often() -> None:
    angles = sampler.draw("balancing", 600, np.random.default_rng(0))
    lifted = angles[:, INDEX["left_leg_flex"]] > angles[:, INDEX["right_leg_flex"]]
    assert 0.42 < lifted.mean() < 0.58


def test_level_feet_are_level_and_lifted_feet_stay() -> None:
    angles = np.zeros((1, len(ANGLES)))
    for name, value in {"left_leg_flex": 50, "left_leg_knee": 70, "right_leg_flex": 100, "right_leg_knee": 60}.items():
        angles[0, INDEX[name]] = value
    levelled = sampler.level_feet(angles)
    joints = forward(limits.to_rotations(levelled))[0][0]
    drop = joints[J["left_ankle"], 1] - joints[J["left_foot"], 1]
    assert np.isclose(drop, REST[J["left_ankle"], 1] - REST[J["left_foot"], 1], atol=1e-6)
    assert levelled[0, INDEX["left_leg_ankle"]] == pytest.approx(20)  # knee minus hip
    assert levelled[0, INDEX["right_leg_ankle"]] == 0


def slow_rotations(row: np.ndarray) -> np.ndarray:
    """One pose, one joint at a time, with scipy's rotations for single joints."""
    value = dict(zip(ANGLES, row.tolist(), strict=True))

    def turn(axis: str, degrees: float) -> Rotation:
        return Rotation.from_euler(axis, [[degrees]], degrees=True)

    hinge = turn("x", value["hinge"])
    found = {"pelvis": turn("x", value["pitch"]) * turn("z", -value["roll"]) * hinge}
    for joints, shares, names in (
        (("spine1", "spine2", "spine3"), (0.3, 0.35, 0.35), ("bend", "lean", "twist")),
        (("neck", "head"), (0.5, 0.5), ("nod", "tilt", "turn")),
    ):
        for joint, share in zip(joints, shares, strict=True):
            x, z, y = (share * value[name] for name in names)
            found[joint] = turn("x", x) * turn("z", -z) * turn("y", y)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        arm, leg = (
            {n: value[f"{side}_{limb}_{n}"] for n in t} for limb, t in (("arm", limits.ARM), ("leg", limits.LEG))
        )
        plane = np.radians(arm["plane"])
        axis = np.array([[-np.sin(plane), 0.0, sign * np.cos(plane)]])
        whole = Rotation.from_rotvec(axis * np.radians(arm["raise"])) * turn("y", sign * arm["roll"])
        collar = limits.collar_of(whole)
        thigh = turn("x", -leg["flex"]) * turn("z", sign * leg["abduct"]) * turn("y", sign * leg["rotate"])
        found |= {
            f"{side}_collar": collar,
            f"{side}_shoulder": collar.inv() * whole * turn("z", -90 * sign),
            f"{side}_elbow": turn("y", -sign * arm["elbow"]),
            f"{side}_wrist": turn("z", sign * arm["wrist"]),
            f"{side}_hip": hinge.inv() * thigh,
            f"{side}_knee": turn("x", leg["knee"]),
            f"{side}_ankle": turn("x", -leg["ankle"]),
        }
    return np.concatenate([found[name].as_rotvec() if name in found else np.zeros((1, 3)) for name in SMPL22])


def test_rotations_of_many_poses_are_those_of_each_joint_alone() -> None:
    low, high = np.array(list(LIMITS.values())).T
    angles = limits.clip(np.random.default_rng(0).uniform(low, high, (12, len(ANGLES))))
    np.testing.assert_allclose(limits.to_rotations(angles), [slow_rotations(row) for row in angles], atol=1e-12)
    for row in angles:  # the frozen benchmark needs every bit, whatever else is in the batch
        np.testing.assert_array_equal(
            limits.to_rotations(row[None])[0], limits.to_rotations(angles)[(angles == row).all(1)][0]
        )


def test_legs_alone_are_as_those_of_the_whole_pose() -> None:
    low, high = np.array(list(LIMITS.values())).T
    angles = limits.clip(np.random.default_rng(1).uniform(low, high, (12, len(ANGLES))))
    whole, alone = limits.to_rotations(angles), limits.to_rotations(angles, legs_only=True)
    legs = [J[name] for name in SMPL22 if name == "pelvis" or name.endswith(("hip", "knee", "ankle", "foot"))]
    np.testing.assert_array_equal(alone[:, legs], whole[:, legs])
    np.testing.assert_array_equal(forward(alone)[0][:, legs], forward(whole)[0][:, legs])
    assert not np.delete(alone, legs, axis=1).any()
