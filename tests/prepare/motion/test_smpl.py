from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from autocompose.bodies.kinematics import forward
from autocompose.bodies.skeleton import SMPL22, turn
from autocompose.core.errors import InputError
from autocompose.prepare.motion.smpl import face_viewer, read_sequence, rotations_of

J = {name: i for i, name in enumerate(SMPL22)}


def random_poses(n: int, seed: int = 0) -> np.ndarray:
    """Upright SMPL-H parameters in AMASS' z-up world, any heading."""
    rng = np.random.default_rng(seed)
    poses = rng.normal(0, 0.2, (n, 52, 3))
    heading = Rotation.from_euler("z", rng.uniform(-180, 180, (n, 1)), degrees=True)
    poses[:, 0] = (heading * Rotation.from_euler("x", 90, degrees=True) * Rotation.from_rotvec(poses[:, 0])).as_rotvec()
    return poses


@pytest.mark.parametrize("joints", [22, 24, 52, 55])
def test_every_layout_gives_the_same_rotations(joints: int) -> None:
    poses = np.zeros((4, joints, 3))
    poses[:, :22] = random_poses(4)[:, :22]
    flat, shaped = (rotations_of(p, "y", "x") for p in (poses.reshape(4, -1), poses))
    np.testing.assert_array_equal(flat, shaped)
    np.testing.assert_array_equal(flat, poses[:, :22])


def test_wrong_shapes_and_nan_are_refused() -> None:
    for shape in ((5, 71), (5, 23, 3), (72,), (5, 24, 2)):
        with pytest.raises(InputError, match="expected"):
            rotations_of(np.zeros(shape), "y", "file")
    poses = np.zeros((3, 72))
    poses[1, 5] = np.nan
    with pytest.raises(InputError, match="file: frame 1 has values that are not finite"):
        rotations_of(poses, "y", "file")


def test_z_up_worlds_stand_upright_and_keep_their_sides() -> None:
    """An upright person who faces -y in a z-up world faces the camera, with the own left on the picture's right."""
    poses = np.zeros((1, 52, 3))
    poses[0, 0] = [np.pi / 2, 0, 0]
    joints = forward(rotations_of(poses, "z", "x"))[0][0]
    assert joints[J["head"], 1] > 0.5 and joints[J["left_foot"], 1] < -0.9
    assert joints[J["left_wrist"], 0] > 0.5 > -0.5 > joints[J["right_wrist"], 0]
    assert joints[J["left_foot"], 2] > joints[J["left_ankle"], 2]  # toes point to the camera


def test_heading_equals_the_published_euler_formula() -> None:
    poses = random_poses(50)
    matrix = Rotation.from_rotvec(poses[:, 0]).as_matrix()
    published = np.degrees(np.arctan2(matrix[:, 1, 0], matrix[:, 0, 0]))  # c of R = Rz(c) Ry(b) Rx(a), z up
    facing, yaw = face_viewer(rotations_of(poses, "z", "x"))
    np.testing.assert_allclose((yaw - published + 180) % 360 - 180, 0, atol=1e-6)
    np.testing.assert_allclose(face_viewer(facing)[1], 0, atol=1e-6)


def test_taking_the_heading_out_turns_the_joints_and_nothing_else() -> None:
    rotations = rotations_of(random_poses(20), "z", "x")
    facing, yaw = face_viewer(rotations)
    np.testing.assert_allclose(turn(forward(facing)[0], yaw), forward(rotations)[0], atol=1e-9)
    other, _ = face_viewer(rotations, np.full(20, 30.0))
    np.testing.assert_allclose(turn(forward(other)[0], 30.0), forward(rotations)[0], atol=1e-9)
    assert face_viewer(np.zeros((0, 22, 3)))[1].shape == (0,)


def test_sequence_files(tmp_path: Path) -> None:
    poses = random_poses(6).reshape(6, 156)
    np.savez(tmp_path / "amass.npz", poses=poses, mocap_framerate=120.0)
    np.savez(tmp_path / "smplx.npz", root_orient=poses[:, :3], pose_body=poses[:, 3:66], mocap_frame_rate=120)
    (tmp_path / "aist.pkl").write_bytes(pickle.dumps({"smpl_poses": poses[:, :72]}))
    amass, smplx, aist = (read_sequence(tmp_path / name) for name in ("amass.npz", "smplx.npz", "aist.pkl"))
    np.testing.assert_allclose(amass.rotations, smplx.rotations)
    np.testing.assert_allclose(amass.rotations, aist.rotations)
    assert amass.time[1] == pytest.approx(1 / 120) and aist.time[1] == pytest.approx(1 / 60)
    np.savez(tmp_path / "other.npz", x=1)
    with pytest.raises(InputError, match="no array poses or smpl_poses or root_orient; there are x"):
        read_sequence(tmp_path / "other.npz")
    np.savez(tmp_path / "rate.npz", poses=poses, mocap_framerate=0)
    with pytest.raises(InputError, match="frame rate"):
        read_sequence(tmp_path / "rate.npz")
