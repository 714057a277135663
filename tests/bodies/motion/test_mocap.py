"""The motion-capture clips of pybullet: reading, frame conventions, thinning, bad files."""

import json
from pathlib import Path

import numpy as np
import pytest

from autocompose.bodies.kinematics import forward
from autocompose.bodies.motion import mocap
from autocompose.bodies.pose_frame import remove_yaw
from autocompose.bodies.skeleton import SMPL22
from autocompose.core.errors import PoseError

J = {name: i for i, name in enumerate(SMPL22)}
CLIPS = {path.stem.removeprefix("humanoid3d_"): path for path in mocap.clip_files()}
with_clips = pytest.mark.skipif(not CLIPS, reason="pybullet is not installed")

STILL = [0.03, 0, 0.9, 0, *[1, 0, 0, 0] * 3, *([1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0] * 2)]


def write(path: Path, frames: object) -> Path:
    path.write_text(json.dumps({"Loop": "wrap", "Frames": frames}))
    return path


def joints_of(path: Path) -> np.ndarray:
    return remove_yaw(forward(mocap.read_clip(path).rotations)[0])


def test_the_rest_frame_stands_with_hanging_arms(tmp_path: Path) -> None:
    joints = joints_of(write(tmp_path / "humanoid3d_rest.txt", [STILL]))[0]
    assert joints[J["left_wrist"], 1] < joints[J["left_shoulder"], 1] - 0.5
    assert joints[J["left_knee"], 0] > 0 > joints[J["right_knee"], 0]
    assert joints[J["left_foot"], 2] > joints[J["left_ankle"], 2]


def test_knee_and_elbow_bend_the_natural_way(tmp_path: Path) -> None:
    frame = list(STILL)
    frame[20], frame[29] = -1.2, 1.2  # right knee, right elbow
    joints = joints_of(write(tmp_path / "humanoid3d_bent.txt", [frame]))[0]
    assert joints[J["right_ankle"], 2] < joints[J["right_knee"], 2] - 0.3
    assert joints[J["right_wrist"], 2] > joints[J["right_elbow"], 2] + 0.15
    assert abs(joints[J["left_ankle"], 2] - joints[J["left_knee"], 2]) < 0.05


def test_times_add_up_the_durations(tmp_path: Path) -> None:
    clip = mocap.read_clip(write(tmp_path / "humanoid3d_x.txt", [STILL, STILL, STILL]))
    assert clip.name == "x" and np.allclose(clip.time, [0, 0.03, 0.06])


@with_clips
def test_all_clips_of_the_package_are_read() -> None:
    assert len(CLIPS) == 15
    clips = [mocap.read_clip(path) for path in CLIPS.values()]
    assert sum(len(clip.time) for clip in clips) == 1620
    assert all(np.isfinite(clip.rotations).all() for clip in clips)


@with_clips
def test_walkers_stay_upright_with_the_head_up_and_move_their_legs_in_turn() -> None:
    joints = joints_of(CLIPS["walk"])
    assert (joints[:, J["head"], 1] > 0.5).all() and (joints[:, J["left_ankle"], 1] < -0.7).all()
    left, right = (joints[:, J[f"{side}_ankle"], 2] for side in ("left", "right"))
    assert np.corrcoef(left, right)[0, 1] < -0.8


@with_clips
def test_distinct_frames_are_apart_and_capped() -> None:
    clip = mocap.read_clip(CLIPS["kick"])
    frames = mocap.distinct_frames(clip)
    joints = remove_yaw(forward(clip.rotations)[0])[frames]
    gaps = np.linalg.norm(joints[:, None] - joints[None], axis=-1).mean(-1)
    assert gaps[~np.eye(len(frames), dtype=bool)].min() >= mocap.APART
    few = mocap.distinct_frames(clip, limit=4)
    assert len(few) == 4 and set(few) <= set(frames)


@pytest.mark.parametrize(
    "content",
    ["not json", "{}", "[1]", '{"Frames": []}', '{"Frames": [[1, 2]]}', '{"Frames": [[1], [2, 3]]}'],
)
def test_broken_files_are_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "humanoid3d_bad.txt"
    path.write_text(content)
    with pytest.raises(PoseError, match=r"humanoid3d_bad\.txt"):
        mocap.read_clip(path)


def test_a_zero_quaternion_and_a_missing_file_are_named(tmp_path: Path) -> None:
    frame = list(STILL)
    frame[8:12] = [0, 0, 0, 0]
    with pytest.raises(PoseError, match="quaternion"):
        mocap.read_clip(write(tmp_path / "humanoid3d_zero.txt", [frame]))
    with pytest.raises(PoseError, match=r"missing\.txt"):
        mocap.read_clip(tmp_path / "missing.txt")
