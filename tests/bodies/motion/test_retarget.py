from __future__ import annotations

import numpy as np
import pytest

from autocompose.bodies.kinematics import REST, forward
from autocompose.bodies.motion.mocap import clip_files, read_clip
from autocompose.bodies.motion.retarget import rotations_from_joints
from autocompose.bodies.skeleton import SMPL22, SMPL22_PARENTS, mirror_joints, mirror_rotations
from autocompose.core.errors import PoseError

J = {name: i for i, name in enumerate(SMPL22)}
LIMBS = [f"{s}_{n}" for s in ("left", "right") for n in ("elbow", "wrist", "knee", "ankle", "foot")]


def bones(joints: np.ndarray) -> np.ndarray:
    parents = list(SMPL22_PARENTS[1:])
    found = joints[:, 1:] - joints[:, parents]
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    clips = [read_clip(path) for path in clip_files()]
    if not clips:
        pytest.skip("pybullet is not installed")
    return np.concatenate([c.rotations[::10] for c in clips])


def test_limbs_point_exactly_where_they_pointed(frames: np.ndarray) -> None:
    joints = forward(frames)[0]
    again = forward(rotations_from_joints(joints))[0]
    cosines = (bones(joints) * bones(again)).sum(-1)
    limbs = [J[name] - 1 for name in LIMBS]
    assert cosines[:, limbs].min() > 0.9999
    assert np.linalg.norm(joints - again, axis=-1).mean() < 0.02  # metres; trunk and collars are approximations


def test_a_figure_of_another_size_and_place_gives_the_same_rotations(frames: np.ndarray) -> None:
    joints = forward(frames)[0]
    a, b = rotations_from_joints(joints), rotations_from_joints(joints * 37.0 + 5.0)
    np.testing.assert_allclose(a, b, atol=1e-6)


def test_rest_gives_no_rotation_and_mirror_commutes(frames: np.ndarray) -> None:
    np.testing.assert_allclose(rotations_from_joints(REST[None]), 0, atol=1e-9)
    joints = forward(frames[:200])[0]
    mirrored = forward(rotations_from_joints(mirror_joints(joints)))[0]
    np.testing.assert_allclose(mirrored, forward(mirror_rotations(rotations_from_joints(joints)))[0], atol=1e-6)


def test_elbows_and_knees_bend_about_their_hinge() -> None:
    """A forearm that bends forward from the T-pose must turn the elbow only, with no twist of the upper arm."""
    rotations = np.zeros((2, 22, 3))
    rotations[0, J["left_elbow"]] = [0, -1.2, 0]
    rotations[1, J["right_knee"]] = [1.2, 0, 0]
    found = rotations_from_joints(forward(rotations)[0])
    np.testing.assert_allclose(found[:, :20], rotations[:, :20], atol=1e-6)


def test_unknown_feet_keep_their_rest_direction() -> None:
    joints = REST[None].copy()
    joints[:, [J["left_foot"], J["right_foot"]]] += 3.0
    known = np.ones(22, bool)
    known[[J["left_foot"], J["right_foot"]]] = False
    np.testing.assert_allclose(rotations_from_joints(joints, known), 0, atol=1e-9)
    with pytest.raises(PoseError):
        rotations_from_joints(np.full((1, 22, 3), np.nan))
