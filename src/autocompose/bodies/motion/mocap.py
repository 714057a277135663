"""Real human motion: the motion-capture clips that the package pybullet carries, as SMPL-22 local rotations.

A frame holds 44 numbers: seconds; root position (3); quaternions w, x, y, z of root, chest and neck; then for the
right and the left side hip (4), knee angle, ankle (4), shoulder (4), elbow angle. y is up, x forward, z to the body's
right; at rest the arms hang. Knee angles are negative, elbow angles positive when bent.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from autocompose.bodies.kinematics import forward
from autocompose.bodies.pose_frame import remove_yaw
from autocompose.bodies.sampling.limits import collar_of
from autocompose.bodies.skeleton import SMPL22
from autocompose.core.errors import InputError, PoseError
from autocompose.core.reading.jsontext import parse_json
from autocompose.core.reading.plain import read_file

NUMBERS = 44
APART = 0.08  # metres, mean joint distance between kept frames
_J = {name: i for i, name in enumerate(SMPL22)}
# clip axes (forward, up, right) -> scene axes (left, up, forward)
_AXES = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
_LIMBS = {"right": 16, "left": 30}  # first number of a side: hip 4, knee 1, ankle 4, shoulder 4, elbow 1


@dataclass(frozen=True)
class Clip:
    """One motion.

    :param name: such as ``walk``.
    :param time: ``(T,)`` seconds.
    :param rotations: ``(T, 22, 3)`` local axis-angle, zero = T-pose, scene frame; the root keeps its heading.
    """

    name: str
    time: np.ndarray
    rotations: np.ndarray


def clip_files() -> tuple[Path, ...]:
    """The motion files of pybullet in order of name; empty when the package is not installed."""
    spec = find_spec("pybullet_data")
    if spec is None or not spec.submodule_search_locations:
        return ()
    folder = Path(next(iter(spec.submodule_search_locations))) / "data" / "motions"
    return tuple(sorted(folder.glob("humanoid3d_*.txt")))


def read_clip(path: Path) -> Clip:
    """Read one ``humanoid3d_*.txt``.

    :raises PoseError: not JSON, no frames, a frame without 44 finite numbers, or a quaternion of length zero.
    """
    try:
        frames = np.array(parse_json(read_file(path), path, dict)["Frames"], float)
    except (InputError, ValueError, KeyError, TypeError) as error:
        raise PoseError(f"{path}: not a humanoid3d motion ({error}); expected JSON with 'Frames'") from None
    if frames.ndim != 2 or frames.shape[1] != NUMBERS or not len(frames) or not np.isfinite(frames).all():
        raise PoseError(f"{path}: expected frames of {NUMBERS} finite numbers, got an array {frames.shape}")
    try:
        rotations = _retarget(frames)
    except ValueError as error:
        raise PoseError(f"{path}: a quaternion cannot be used ({error})") from None
    time = np.concatenate([[0.0], np.cumsum(frames[:-1, 0])])
    return Clip(Path(path).stem.removeprefix("humanoid3d_"), time, rotations)


def _retarget(frames: np.ndarray) -> np.ndarray:
    result = np.zeros((len(frames), len(SMPL22), 3))

    def turned(first: int) -> Rotation:
        vector = Rotation.from_quat(frames[:, [first + 1, first + 2, first + 3, first]]).as_rotvec()
        return Rotation.from_rotvec(vector @ _AXES.T)

    def put(joint: str, rotation: Rotation) -> None:
        result[:, _J[joint]] = rotation.as_rotvec()

    put("pelvis", turned(4))
    for first, joints in ((8, ("spine1", "spine2", "spine3")), (12, ("neck", "head"))):
        share = Rotation.from_rotvec(turned(first).as_rotvec() / len(joints))  # one clip joint, several of ours
        for joint in joints:
            put(joint, share)
    for side, first in _LIMBS.items():
        hang = Rotation.from_euler("z", -90 if side == "left" else 90, degrees=True)  # T-pose -> hanging
        arm = turned(first + 9)
        collar = collar_of(arm)
        put(f"{side}_hip", turned(first))
        put(f"{side}_knee", Rotation.from_euler("x", -frames[:, first + 4 : first + 5]))
        put(f"{side}_ankle", turned(first + 5))
        put(f"{side}_collar", collar)
        put(f"{side}_shoulder", collar.inv() * arm * hang)
        put(f"{side}_elbow", hang.inv() * Rotation.from_euler("x", -frames[:, first + 13 : first + 14]) * hang)
    return result


def distinct_frames(clip: Clip, apart: float = APART, limit: int | None = None) -> np.ndarray:
    """Frames that differ from each other, in order of time.

    :param apart: minimum mean joint distance in metres between any two kept frames, heading removed.
    :param limit: maximum number per clip; evenly thinned in time above it.
    :return: frame numbers.
    """
    joints = remove_yaw(forward(clip.rotations)[0])
    kept = [0]
    for frame in range(1, len(joints)):
        gaps = np.linalg.norm(joints[kept] - joints[frame], axis=-1).mean(axis=-1)
        if gaps.min() >= apart:
            kept.append(frame)
    frames = np.array(kept)
    return (
        frames if limit is None or len(frames) <= limit else frames[np.linspace(0, len(frames) - 1, limit).astype(int)]
    )
