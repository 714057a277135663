"""Joint positions -> local rotations of our body: the pose of any converted skeleton can be rendered."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from autocompose.bodies.kinematics import REST
from autocompose.bodies.pose_frame import check_joints
from autocompose.bodies.skeleton import SMPL22, SMPL22_PARENTS

_J = {name: i for i, name in enumerate(SMPL22)}
STRAIGHT = (0.1, 0.35)  # sine of the bend from which a hinge's plane starts to count, and counts fully


def rotations_from_joints(joints: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """Local rotations whose forward kinematics has the bone directions of the given joints.

    Pelvis and chest come from the lines through hips and shoulders and the trunk; limbs keep their exact
    directions, and twist so that knees and elbows are hinges. Hands follow the forearm, heads the neck.

    :param joints: ``(N, 22, 3)`` SMPL-22, scene frame, any place and size.
    :param known: ``(22,)`` bool; feet that are not known keep their rest direction.
    :return: ``(N, 22, 3)`` axis-angle, as ``Body.pose`` takes them.
    :raises PoseError: wrong shape or values that are not finite.
    """
    joints = check_joints(joints)
    known = np.ones(len(SMPL22), bool) if known is None else known
    world = np.empty((len(joints), len(SMPL22), 3, 3))
    world[:, 0] = _frame(joints, "left_hip", "right_hip", "pelvis", "spine1")
    chest = _frame(joints, "left_shoulder", "right_shoulder", "spine2", "neck")
    between = _between(world[:, 0], chest)
    for name, turn in zip(("spine1", "spine2", "spine3"), between, strict=True):
        world[:, _J[name]] = turn
    for name in ("neck", "head"):
        world[:, _J[name]] = _swing(chest @ _rest("neck", "head"), _bone(joints, "neck", "head")) @ chest
    for side, out in (("left", 1.0), ("right", -1.0)):
        # collars are often made up from neck and shoulder, so that line is what both skeletons share
        line = _swing(chest @ _rest("neck", f"{side}_shoulder"), _bone(joints, "neck", f"{side}_shoulder"))
        world[:, _J[f"{side}_collar"]] = line @ chest
        # normals of the planes in which a limb bends, in the T-pose: elbows forward, knees backward
        _limb(world, joints, [f"{side}_{n}" for n in ("shoulder", "elbow", "wrist")], np.array([0, -out, 0]))
        _limb(world, joints, [f"{side}_{n}" for n in ("hip", "knee", "ankle")], np.array([1.0, 0, 0]))
        shin, foot = world[:, _J[f"{side}_knee"]], (f"{side}_ankle", f"{side}_foot")
        toes = _swing(shin @ _rest(*foot), _bone(joints, *foot)) @ shin if known[_J[foot[1]]] else shin
        for name in foot:
            world[:, _J[name]] = toes
        world[:, _J[f"{side}_wrist"]] = world[:, _J[f"{side}_elbow"]]
    local = world.copy()
    local[:, 1:] = np.swapaxes(world[:, list(SMPL22_PARENTS[1:])], -1, -2) @ world[:, 1:]
    return Rotation.from_matrix(local.reshape(-1, 3, 3)).as_rotvec().reshape(joints.shape)


def _limb(world: np.ndarray, joints: np.ndarray, names: list[str], normal: np.ndarray) -> None:
    """Fill in the two joints of an arm or leg; ``normal`` (3,) is that of its hinge in the T-pose."""
    first, second, end = names
    parent = world[:, SMPL22_PARENTS[_J[first]]]
    upper, lower = _bone(joints, first, second), _bone(joints, second, end)
    turn = _swing(parent @ _rest(first, second), upper) @ parent
    across = np.cross(upper, lower)
    bend = np.linalg.norm(across, axis=1)
    axis = turn @ normal
    # signed angle about the upper bone from the swung hinge axis to the real one; no weight for a straight limb
    angle = np.arctan2((np.cross(axis, across) * upper).sum(1), (axis * across).sum(1))
    weight = np.clip((bend - STRAIGHT[0]) / (STRAIGHT[1] - STRAIGHT[0]), 0, 1)
    turn = Rotation.from_rotvec((weight * angle)[:, None] * upper).as_matrix() @ turn
    world[:, _J[first]] = turn
    world[:, _J[second]] = _swing(turn @ _rest(second, end), lower) @ turn


def _rest(a: str, b: str) -> np.ndarray:
    bone = REST[_J[b]] - REST[_J[a]]
    unit: np.ndarray = bone / np.linalg.norm(bone)
    return unit


def _bone(joints: np.ndarray, a: str, b: str) -> np.ndarray:
    bone = joints[:, _J[b]] - joints[:, _J[a]]
    unit: np.ndarray = bone / np.maximum(np.linalg.norm(bone, axis=1, keepdims=True), 1e-9)
    return unit


def _frame(joints: np.ndarray, left: str, right: str, low: str, high: str) -> np.ndarray:
    """Turn ``(N, 3, 3)`` of a trunk part from its rest, given by a line to the left and one upwards."""

    def axes(points: np.ndarray) -> np.ndarray:
        across, up = _bone(points, right, left), _bone(points, low, high)
        ahead = np.cross(across, up)
        ahead /= np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-9)
        return np.stack([across, np.cross(ahead, across), ahead], -1)

    frames: np.ndarray = axes(joints) @ np.swapaxes(axes(REST[None]), -1, -2)
    return frames


def _between(start: np.ndarray, end: np.ndarray) -> list[np.ndarray]:
    """Turns a third and two thirds of the way from ``start`` to ``end``, and ``end``."""
    way = Rotation.from_matrix(np.swapaxes(start, -1, -2) @ end).as_rotvec()
    return [start @ Rotation.from_rotvec(way * share).as_matrix() for share in (1 / 3, 2 / 3, 1.0)]


def _swing(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The smallest rotations ``(N, 3, 3)`` that take unit vectors ``a`` to ``b``."""
    axis = np.cross(a, b)
    sine = np.linalg.norm(axis, axis=1, keepdims=True)
    # opposite vectors have no smallest rotation: any axis across a will do
    other = np.cross(a, np.where(np.abs(a[:, :1]) < 0.9, [[1.0, 0, 0]], [[0.0, 1, 0]]))
    unit = np.where(sine > 1e-9, axis / np.maximum(sine, 1e-9), other / np.linalg.norm(other, axis=1, keepdims=True))
    angle = np.arctan2(sine[:, 0], (a * b).sum(1))
    return Rotation.from_rotvec(unit * angle[:, None]).as_matrix()
