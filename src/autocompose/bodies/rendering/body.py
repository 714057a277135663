"""A posed human body: SMPL-22 rotations in, vertices and joints out, in the scene frame of ``skeleton``.

The shape comes from ``anny`` (Apache-2.0), which is asked once per phenotype for its rest mesh. Posing is our own
linear blend skinning in float32: 30 rigid transforms instead of anny's 104 bones, about 1 ms for a body.

Rotations follow SMPL: each joint turns relative to its parent, with axes aligned to the world while the body stands in
the T-pose (arms level and sideways, palms down, legs straight down, facing +z). Anny rests differently, so a constant
rigid correction per bone, found from the rest bones themselves, comes first. Half of every twist of upper arms,
forearms and thighs is left to the nearer half of the limb, as the ``01`` and ``02`` bones of anny allow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from autocompose.bodies.rendering.appearance import Phenotype
from autocompose.bodies.rendering.clothing import Cut, cut_out, dress, neighbour_mean
from autocompose.bodies.rendering.rig import SCENE_FROM_ANNY, coco_regressor, load_anny, skin, tpose_motions
from autocompose.bodies.rotations import forward_kinematics, rotation_matrices, twist
from autocompose.bodies.skeleton import COCO17
from autocompose.core.errors import PoseError


@dataclass(frozen=True)
class PosedBodies:
    """Bodies in the scene frame, metres, float32.

    :param vertices: ``(B, V, 3)``.
    :param smpl22: ``(B, 22, 3)`` joints in the order of ``skeleton.SMPL22``.
    :param coco17: ``(B, 17, 3)`` joints in the order of ``skeleton.COCO17``.
    """

    vertices: np.ndarray
    smpl22: np.ndarray
    coco17: np.ndarray

    def on_floor(self) -> PosedBodies:
        """The same bodies, each lifted or lowered until its lowest vertex has y = 0."""
        up = np.zeros((len(self.vertices), 1, 3), np.float32)
        up[:, 0, 1] = -self.vertices[:, :, 1].min(1)
        return PosedBodies(self.vertices + up, self.smpl22 + up, self.coco17 + up)


@dataclass(frozen=True)
class _Shape:
    """One phenotype at rest: ``T`` = number of rigid transforms."""

    vertices: np.ndarray  # (V, 4) homogeneous, anny's rest pose, scene frame, float32
    joints: np.ndarray  # (22, 3) in the T-pose, pelvis at the origin
    to_tpose: np.ndarray  # (T, 3, 4) rigid motion of each transform from anny's rest pose to the T-pose
    coco: np.ndarray  # (17, T, 4) keypoints as weighted sums of the transforms' columns


class Body:
    """The body model. Building it reads a cache; the very first time it writes it (some seconds).

    Build it once per process (``shared_body``); processes that start together wait for each other.

    :ivar faces: ``(F, 3)`` vertex indices, outward normals by the right-hand rule.
    :ivar canonical: ``(V, 3)`` where each vertex lies on the default dressed body in the T-pose (see ``clothing``).
    :ivar neighbour_mean: sparse ``(V, V)``, takes each vertex to the mean of its neighbours.
    :raises DependencyError: anny is not installed.
    """

    def __init__(self) -> None:
        self._anny = load_anny()
        # in columns and of the type of indices: every picture gathers the corners
        self.faces: np.ndarray = np.asfortranarray(self._anny.faces.numpy(), np.intp)
        self.neighbour_mean = neighbour_mean(self.faces, len(self._anny.template_vertices))
        self._weights, self._twists = skin(self._anny)
        self._keypoints = coco_regressor(self._anny)
        self._shape = lru_cache(maxsize=64)(self._build_shape)
        self._cut: Cut | None = None
        tpose = np.zeros((1, 22, 3))
        naked = self.pose(tpose).on_floor().vertices[0]
        floor = naked[0, 1] - self.pose(tpose).vertices[0, 0, 1]
        self._cut = cut_out(self.faces, naked)
        self._shape.cache_clear()  # shapes from here on are dressed, which takes the places on the naked body
        self.canonical: np.ndarray = self.pose(tpose).vertices[0] + np.array([0, floor, 0], np.float32)

    def pose(
        self,
        rotations: np.ndarray,
        phenotypes: Phenotype | Sequence[Phenotype] | None = None,
        yaw: np.ndarray | float = 0.0,
    ) -> PosedBodies:
        """Pose bodies; their pelvis is at the origin (see ``PosedBodies.on_floor``).

        :param rotations: ``(B, 22, 3)`` axis-angle (radians) of each joint relative to its parent, SMPL-22 order, axes
            aligned to the world in the T-pose; all zero is the T-pose facing +z.
        :param phenotypes: one for all or one per body; the default body when left out.
        :param yaw: degrees, ``(B,)`` or a number, applied after everything else; positive to the person's own left.
        :raises PoseError: wrong shape, or values that are not finite.
        """
        shapes, motions, joints = self._move(rotations, phenotypes, yaw)
        vertices = np.empty((len(motions), len(self._weights), 3), np.float32)
        for i, (shape, motion) in enumerate(zip(shapes, motions, strict=True)):
            blended = (self._weights @ motion.reshape(len(motion), 12)).reshape(-1, 3, 4)
            vertices[i] = np.einsum("vij,vj->vi", blended, shape.vertices)
        return PosedBodies(vertices, joints, _coco(shapes, motions))

    def joints(
        self,
        rotations: np.ndarray,
        phenotypes: Phenotype | Sequence[Phenotype] | None = None,
        yaw: np.ndarray | float = 0.0,
    ) -> tuple[np.ndarray, np.ndarray]:
        """SMPL-22 ``(B, 22, 3)`` and COCO-17 ``(B, 17, 3)`` joints of ``pose``, without the vertices (fast)."""
        shapes, motions, joints = self._move(rotations, phenotypes, yaw)
        return joints, _coco(shapes, motions)

    def joints_on_floor(
        self, rotations: np.ndarray, phenotypes: Phenotype | Sequence[Phenotype] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """SMPL-22 ``(B, 22, 3)`` and COCO-17 ``(B, 17, 3)`` joints of ``pose(...).on_floor()``, to the last bit.

        Only the heights of the vertices are computed.
        """
        shapes, motions, joints = self._move(rotations, phenotypes, 0.0)
        up = np.zeros((len(motions), 1, 3), np.float32)
        for i, (shape, motion) in enumerate(zip(shapes, motions, strict=True)):
            blended = (self._weights @ motion.reshape(len(motion), 12)).reshape(-1, 3, 4)
            up[i, 0, 1] = -np.einsum("vj,vj->v", blended[:, 1], shape.vertices).min()
        return joints + up, _coco(shapes, motions) + up

    def _move(
        self, rotations: np.ndarray, phenotypes: Phenotype | Sequence[Phenotype] | None, yaw: np.ndarray | float
    ) -> tuple[list[_Shape], np.ndarray, np.ndarray]:
        """Rest shapes, rigid motions ``(B, T, 3, 4)`` from anny's rest pose, and joints ``(B, 22, 3)``."""
        rotations = np.asarray(rotations, float)
        if rotations.ndim != 3 or rotations.shape[1:] != (22, 3):
            raise PoseError(f"rotations have shape {rotations.shape}, expected (B, 22, 3) in SMPL-22 order")
        if not np.isfinite(rotations).all():
            raise PoseError(f"rotations of body {np.argwhere(~np.isfinite(rotations))[0][0]} are not finite")
        if phenotypes is None or isinstance(phenotypes, Phenotype):
            phenotypes = [phenotypes or Phenotype()] * len(rotations)
        if len(phenotypes) != len(rotations):
            raise PoseError(f"{len(phenotypes)} phenotypes for {len(rotations)} bodies, expected one or as many")
        shapes = [self._shape(phenotype) for phenotype in phenotypes]
        rest = np.stack([shape.joints for shape in shapes]) if shapes else np.zeros((0, 22, 3))
        local = rotation_matrices(rotations)
        turns = rotation_matrices(np.broadcast_to(np.radians(yaw), (len(rotations),))[:, None] * np.array([0.0, 1, 0]))
        world, joints = forward_kinematics(local, rest, turns)
        turned, pivots = [world], [np.arange(22)]
        for carrier, source, share, axis in self._twists:
            turned.append((world[:, carrier] @ twist(local[:, source], share, axis))[:, None])
            pivots.append(np.array([carrier]))
        pivot = np.concatenate(pivots)
        turn = np.concatenate(turned, 1)  # (B, T, 3, 3), from the T-pose
        shift = joints[:, pivot] - np.einsum("btij,btj->bti", turn, rest[:, pivot])
        to_tpose = np.stack([shape.to_tpose for shape in shapes]) if shapes else np.zeros((0, len(pivot), 3, 4))
        motions = turn @ to_tpose
        motions[..., 3] += shift
        return shapes, motions.astype(np.float32), joints.astype(np.float32)

    def _build_shape(self, phenotype: Phenotype) -> _Shape:
        import torch

        with torch.no_grad():
            coefficients = self._anny.get_phenotype_blendshape_coefficients(**vars(phenotype))
            vertices = self._anny.get_rest_vertices(coefficients)[0].numpy() @ SCENE_FROM_ANNY.T
            heads = self._anny.template_bone_heads + torch.einsum(
                "k,kbd->bd", coefficients[0], self._anny.bone_heads_blendshapes
            )
        heads = heads.numpy() @ SCENE_FROM_ANNY.T
        to_tpose, joints = tpose_motions(dict(zip(self._anny.bone_labels, heads, strict=True)), self._twists)
        # "kv,vt,vi->kti" as one matrix product, over the vertices that a keypoint uses
        used = np.flatnonzero(self._keypoints.any(0))
        points = self._keypoints[:, None, used] * _homogeneous(vertices)[used].T
        coco = np.swapaxes(points @ self._weights[used], 1, 2)
        if self._cut is not None:
            vertices = dress(vertices, self.faces, self._cut)
        return _Shape(_homogeneous(vertices), joints, to_tpose, coco)


@lru_cache(maxsize=1)
def shared_body() -> Body:
    """The body model of this process, built when it is first asked for."""
    return Body()


def _homogeneous(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points, np.ones((len(points), 1))], 1).astype(np.float32)


def _coco(shapes: list[_Shape], motions: np.ndarray) -> np.ndarray:
    joints = [np.einsum("kti,tdi->kd", shape.coco, motion) for shape, motion in zip(shapes, motions, strict=True)]
    return np.array(joints, np.float32).reshape(-1, len(COCO17), 3)
