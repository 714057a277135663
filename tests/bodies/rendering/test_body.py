import multiprocessing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autocompose.bodies.rendering.appearance import Phenotype
from autocompose.bodies.rendering.body import Body
from autocompose.bodies.rotations import forward_kinematics, rotation_matrices
from autocompose.bodies.skeleton import COCO17, SMPL22, SMPL22_PARENTS, mirror_joints, mirror_rotations, turn
from autocompose.core.errors import PoseError

J = {name: i for i, name in enumerate(SMPL22)}
TPOSE = np.zeros((1, 22, 3))


def random_poses(seed: int, count: int, spread: float = 0.5) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, spread, (count, 22, 3))


def test_zero_rotations_are_the_t_pose(body: Body) -> None:
    joints = body.pose(TPOSE).on_floor().smpl22[0]
    for side, sign in (("left", 1), ("right", -1)):
        arm = joints[[J[f"{side}_{part}"] for part in ("shoulder", "elbow", "wrist")]]
        np.testing.assert_allclose(arm[:, 1:], arm[:1, 1:].repeat(3, 0), atol=1e-3)  # level, sideways
        assert (np.diff(arm[:, 0] * sign) > 0.2).all()
        leg = joints[[J[f"{side}_{part}"] for part in ("hip", "knee", "ankle")]]
        np.testing.assert_allclose(leg[:, ::2], leg[:1, ::2].repeat(3, 0), atol=1e-3)  # straight down
        assert (np.diff(leg[:, 1]) < -0.3).all()
        assert joints[J[f"{side}_foot"], 2] > joints[J[f"{side}_ankle"], 2] + 0.1  # toes forward
    assert (np.diff(joints[[J[n] for n in ("pelvis", "spine1", "spine2", "spine3", "neck", "head")], 1]) > 0.05).all()


def test_the_palms_face_down_and_the_face_forward(body: Body) -> None:
    posed = body.pose(TPOSE)
    nose, ears = posed.coco17[0, COCO17.index("nose")], posed.coco17[0, [3, 4]].mean(0)
    assert nose[2] > ears[2] + 0.05
    hand = body.canonical[body.canonical[:, 0] > 0.76]  # beyond the wrist: flat, thumb side towards +z
    extent = np.ptp(hand, axis=0)
    assert extent[1] < extent[2]


def test_sizes_are_those_of_adults(body: Body) -> None:
    tall, short = (np.ptp(body.pose(TPOSE, Phenotype(height=h)).vertices[0, :, 1]) for h in (0.65, 0.35))
    assert 1.5 < short < tall < 2.1


def test_joints_without_vertices_agree_with_the_full_body(body: Body) -> None:
    rotations, phenotypes = random_poses(0, 3), [Phenotype(), Phenotype(gender=0.1, weight=0.7), Phenotype()]
    posed = body.pose(rotations, phenotypes, yaw=np.array([0.0, 50, -120]))
    smpl, coco = body.joints(rotations, phenotypes, yaw=np.array([0.0, 50, -120]))
    assert np.abs(smpl - posed.smpl22).max() < 1e-5
    assert np.abs(coco - posed.coco17).max() < 1e-5
    alone = body.pose(rotations[1:2], phenotypes[1], yaw=50)
    np.testing.assert_allclose(alone.vertices[0], posed.vertices[1], atol=1e-5)


def test_keypoints_are_those_of_anny_and_joints_lie_inside_the_skin(body: Body) -> None:
    import anny

    regressor = anny.KeypointsRegressor.coco(anny.Anny(), labels=list(COCO17)).regression_weights.numpy()
    posed = body.pose(random_poses(1, 2))
    # the skin that is seen is dressed, the keypoints belong to the body underneath
    assert np.abs(np.einsum("kv,bvd->bkd", regressor, posed.vertices) - posed.coco17).max() < 0.03
    order = {name: i for i, name in enumerate(COCO17)}
    for name in ("knee", "elbow", "wrist"):
        for side in ("left", "right"):
            gap = posed.coco17[:, order[f"{side}_{name}"]] - posed.smpl22[:, J[f"{side}_{name}"]]
            assert np.linalg.norm(gap, axis=1).max() < 0.04


def test_kinematics_against_a_joint_by_joint_walk(body: Body) -> None:
    rotations = random_poses(2, 1)[0]
    rest, _ = body.joints(TPOSE)
    posed, _ = body.joints(rotations[None])
    for joint in range(1, 22):
        offset, current = np.zeros(3), joint
        while current > 0:  # rotate each bone by all ancestors, the slow way
            parent, bone, ancestor = (
                SMPL22_PARENTS[current],
                rest[0, current] - rest[0, SMPL22_PARENTS[current]],
                current,
            )
            while ancestor > 0:
                ancestor = SMPL22_PARENTS[ancestor]
                bone = rotation_matrices(rotations[ancestor]) @ bone
            offset, current = offset + bone, parent
        np.testing.assert_allclose(posed[0, joint], posed[0, 0] + offset, atol=1e-5)


def test_named_rotations_do_what_smpl_does(body: Body) -> None:
    def moved(joint: str, axis_angle: tuple[float, float, float]) -> np.ndarray:
        rotations = TPOSE.copy()
        rotations[0, J[joint]] = np.radians(axis_angle)
        return body.joints(rotations)[0][0] - body.joints(TPOSE)[0][0]

    assert moved("left_shoulder", (0, 0, -90))[J["left_wrist"], 1] < -0.4  # arm down
    assert moved("left_elbow", (0, -90, 0))[J["left_wrist"], 2] > 0.2  # forearm forward
    assert moved("right_knee", (90, 0, 0))[J["right_ankle"], 2] < -0.3  # heel back
    assert moved("right_hip", (-90, 0, 0))[J["right_knee"], 2] > 0.3  # thigh forward
    assert moved("spine2", (45, 0, 0))[J["head"], 2] > 0.2  # bow


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), yaw=st.floats(-180, 180))
def test_mirrored_rotations_give_mirrored_joints_and_yaw_turns_them(body: Body, seed: int, yaw: float) -> None:
    rotations = random_poses(seed, 2)
    smpl, coco = body.joints(rotations)
    mirrored_smpl, mirrored_coco = body.joints(mirror_rotations(rotations))
    np.testing.assert_allclose(mirrored_smpl, mirror_joints(smpl), atol=1e-5)
    np.testing.assert_allclose(mirrored_coco, mirror_joints(coco, COCO17), atol=5e-3)  # anny's mesh is nearly symmetric
    turned_smpl, turned_coco = body.joints(rotations, yaw=yaw)
    np.testing.assert_allclose(turned_smpl, turn(smpl, yaw), atol=1e-5)
    np.testing.assert_allclose(turned_coco, turn(coco, yaw), atol=1e-5)


def test_skin_follows_rigidly_and_stays_whole(body: Body) -> None:
    posed = body.pose(random_poses(3, 4, 0.4))
    head = body.canonical[:, 1] > 1.72
    rest = body.pose(TPOSE).vertices[0, head]
    for vertices in posed.vertices[:, head]:
        np.testing.assert_allclose(
            np.linalg.norm(vertices - vertices[0], axis=1), np.linalg.norm(rest - rest[0], axis=1), atol=2e-3
        )
    assert np.isfinite(posed.vertices).all()
    edges = np.linalg.norm(posed.vertices[:, body.faces[:, 0]] - posed.vertices[:, body.faces[:, 1]], axis=2)
    assert edges.max() < 0.2  # no vertex is left behind


def test_on_floor_rests_on_the_floor(body: Body) -> None:
    posed = body.pose(random_poses(4, 3))
    standing = posed.on_floor()
    np.testing.assert_allclose(standing.vertices[:, :, 1].min(1), 0, atol=1e-6)
    np.testing.assert_allclose(
        standing.smpl22 - posed.smpl22, (standing.vertices - posed.vertices)[:, :1].repeat(22, 1), atol=1e-5
    )


def test_a_batch_of_none(body: Body) -> None:
    posed = body.pose(np.zeros((0, 22, 3)))
    assert posed.vertices.shape == (0, len(body.canonical), 3)
    assert posed.smpl22.shape == (0, 22, 3) and posed.coco17.shape == (0, 17, 3)


@pytest.mark.parametrize(
    ("rotations", "phenotypes", "message"),
    [
        (np.zeros((2, 24, 3)), None, r"\(2, 24, 3\).*\(B, 22, 3\)"),
        (np.zeros((22, 3)), None, r"expected \(B, 22, 3\)"),
        (np.where(np.arange(3)[:, None, None] == 2, np.nan, np.zeros((3, 22, 3))), None, "body 2"),
        (np.zeros((2, 22, 3)), [Phenotype()] * 3, "3 phenotypes for 2 bodies"),
    ],
)
def test_bad_rotations_are_refused(body: Body, rotations: np.ndarray, phenotypes: object, message: str) -> None:
    with pytest.raises(PoseError, match=message):
        body.pose(rotations, phenotypes)  # type: ignore[arg-type]


def _build(_: int) -> int:
    return len(Body().canonical)


@pytest.mark.slow
def test_several_processes_may_start_at_once(body: Body) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        assert pool.map(_build, range(3)) == [len(body.canonical)] * 3


def test_joints_on_floor_are_those_of_the_whole_body_to_the_last_bit(body: Body) -> None:
    poses = random_poses(4, 5, 0.8)
    for shape in (None, Phenotype(gender=0.9, weight=0.7), [Phenotype(height=0.1 * i + 0.2) for i in range(5)]):
        posed = body.pose(poses, shape).on_floor()
        joints, coco = body.joints_on_floor(poses, shape)
        np.testing.assert_array_equal(joints, posed.smpl22)
        np.testing.assert_array_equal(coco, posed.coco17)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_kinematics_by_levels_are_those_joint_by_joint(count: int) -> None:
    rng = np.random.default_rng(count)
    local, turns = rotation_matrices(rng.normal(0, 1, (count, 22, 3))), rotation_matrices(rng.normal(0, 1, (count, 3)))
    rest = rng.normal(0, 0.3, (count, 22, 3))
    slow_world, slow_joints = local.copy(), rest.copy()
    slow_world[:, 0] = turns @ local[:, 0]
    for joint, parent in enumerate(SMPL22_PARENTS[1:], 1):
        slow_world[:, joint] = slow_world[:, parent] @ local[:, joint]
        offset = rest[:, joint] - rest[:, parent]
        slow_joints[:, joint] = slow_joints[:, parent] + np.einsum("bij,bj->bi", slow_world[:, parent], offset)
    world, joints = forward_kinematics(local, rest, turns)
    np.testing.assert_array_equal(world, slow_world)
    np.testing.assert_array_equal(joints, slow_joints)
