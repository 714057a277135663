"""Rotations of a skeleton: axis-angle to matrices, forward kinematics, and the twist of a limb."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from autocompose.bodies.skeleton import SMPL22_PARENTS


def rotation_matrices(axis_angle: np.ndarray) -> np.ndarray:
    """Rodrigues' formula: ``(..., 3)`` radians -> ``(..., 3, 3)``."""
    angle = np.linalg.norm(axis_angle, axis=-1)[..., None, None]
    axis = axis_angle / np.maximum(angle[..., 0], 1e-12)
    x, y, z = np.moveaxis(axis, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*x.shape, 3, 3)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)


def forward_kinematics(local: np.ndarray, rest: np.ndarray, turn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Chain local rotations down the SMPL-22 tree.

    :param local: ``(B, 22, 3, 3)``; ``rest``: ``(B, 22, 3)`` T-pose joints; ``turn``: ``(B, 3, 3)`` applied last.
    :return: rotations from the T-pose ``(B, 22, 3, 3)`` and joints ``(B, 22, 3)``; the pelvis stays where it rests.
    """
    world, joints = np.empty_like(local), np.array(rest, float)
    world[:, 0] = turn @ local[:, 0]
    for joint, parent in _LEVELS:  # all joints of one depth together
        above = world[:, parent]
        world[:, joint] = above @ local[:, joint]
        offset = rest[:, joint] - rest[:, parent]
        # one axis for poses and joints: einsum adds in another order with two, and the frozen poses need every bit
        moved = np.einsum("bij,bj->bi", above.reshape(-1, 3, 3), offset.reshape(-1, 3))
        joints[:, joint] = joints[:, parent] + moved.reshape(offset.shape)
    return world, joints


def _levels() -> Iterator[tuple[list[int], list[int]]]:
    """Joints of the SMPL-22 tree by their distance from the pelvis, and their parents."""
    level = [0]
    while level := [joint for joint, parent in enumerate(SMPL22_PARENTS) if parent in level]:
        yield level, [SMPL22_PARENTS[joint] for joint in level]


_LEVELS = tuple(_levels())


def twist(rotation: np.ndarray, share: float, axis: int) -> np.ndarray:
    """``share`` of the twist of ``(B, 3, 3)`` about a coordinate axis (swing-twist split of the quaternion)."""
    j, k = (axis + 1) % 3, (axis + 2) % 3
    # the quaternion's part along the axis and its scalar part, both times 4w
    angle = 2 * np.arctan2(rotation[:, k, j] - rotation[:, j, k], 1 + np.trace(rotation, axis1=1, axis2=2))
    return rotation_matrices(share * angle[:, None] * np.eye(3)[axis])
