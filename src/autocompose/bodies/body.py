"""A posed human body: SMPL-22 rotations in, vertices and joints out, in the scene frame of ``skeleton``.

The shape comes from ``anny`` (Apache-2.0), which is asked once per phenotype for its rest mesh. Posing is our own
linear blend skinning in float32: 30 rigid transforms instead of anny's 104 bones, about 2 ms for a body.

Rotations follow SMPL: each joint turns relative to its parent, with axes aligned to the world while the body stands in
the T-pose (arms level and sideways, palms down, legs straight down, facing +z). Anny rests differently, so a constant
rigid correction per bone, found from the rest bones themselves, comes first. Half of every twist of upper arms,
forearms and thighs is left to the nearer half of the limb, as the ``01`` and ``02`` bones of anny allow.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from autocompose.bodies.clothing import dress, neighbour_mean
from autocompose.bodies.skeleton import COCO17, SMPL22, SMPL22_PARENTS, mirror_joints
from autocompose.core.errors import DependencyError, PoseError

if TYPE_CHECKING:
    from collections.abc import Iterator

_J = {name: i for i, name in enumerate(SMPL22)}
# anny's frame is z up, facing -y, left +x
_SCENE_FROM_ANNY = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])

# SMPL joint -> anny bone whose head it is; sided joints are completed with .L and .R
_HEADS = {
    "pelvis": "spine04", "spine1": "spine03", "spine2": "spine02", "spine3": "spine01", "neck": "neck01",
    "head": "head",
    "hip": "upperleg01", "knee": "lowerleg01", "ankle": "foot", "foot": "toe3-1", "collar": "clavicle",
    "shoulder": "upperarm01", "elbow": "lowerarm01", "wrist": "wrist",
}  # fmt: skip
# anny bone (up to a digit or dash) -> the joint that moves it; longest prefix wins
_MOVED_BY = {
    "root": "pelvis", "pelvis": "pelvis", "spine05": "pelvis", "spine04": "pelvis", "spine03": "spine1",
    "spine02": "spine2", "spine01": "spine3", "neck": "neck", "head": "head", "eye": "head",
    "upperleg": "hip", "lowerleg": "knee", "foot": "ankle", "toe": "foot",
    "clavicle": "collar", "shoulder": "collar", "upperarm": "shoulder", "lowerarm": "elbow", "wrist": "wrist",
    "finger": "wrist", "metacarpal": "wrist",
}  # fmt: skip
# anny bone -> (joint that carries it, joint whose twist is shared, share of that twist, twist axis in the T-pose)
_TWISTED = {
    "upperarm01": ("shoulder", "shoulder", -0.5, 0),
    "lowerarm01": ("elbow", "elbow", -0.5, 0),
    "lowerarm02": ("elbow", "wrist", 0.5, 0),
    "upperleg01": ("hip", "hip", -0.5, 1),
}


@dataclass(frozen=True)
class Phenotype:
    """Shape of a body; every value runs from 0 to 1.

    :param gender: 0 male, 1 female.
    :param age: 0.67 is a young adult, 1 old; children are below.
    """

    gender: float = 0.5
    age: float = 0.7
    muscle: float = 0.5
    weight: float = 0.5
    height: float = 0.5
    proportions: float = 0.5


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
    """The body model. Building it reads anny's caches; the very first time it writes them (about a minute).

    Build it once and fork, or once per process: processes that start together wait for each other.

    :ivar faces: ``(F, 3)`` vertex indices, outward normals by the right-hand rule.
    :ivar canonical: ``(V, 3)`` where each vertex lies on the default dressed body in the T-pose (see ``clothing``).
    :ivar neighbour_mean: sparse ``(V, V)``, takes each vertex to the mean of its neighbours.
    :raises DependencyError: anny is not installed.
    """

    def __init__(self) -> None:
        self._anny = _load_anny()
        self.faces: np.ndarray = self._anny.faces.numpy().astype(np.int32)
        self.neighbour_mean = neighbour_mean(self.faces, len(self._anny.template_vertices))
        self._weights, self._twists = _skin(self._anny)
        self._keypoints = _coco_regressor(self._anny)
        self._shape = lru_cache(maxsize=64)(self._build_shape)
        self._naked = np.zeros((0, 3), np.float32)
        tpose = np.zeros((1, 22, 3))
        self._naked = self.pose(tpose).on_floor().vertices[0]
        floor = self._naked[0, 1] - self.pose(tpose).vertices[0, 0, 1]
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
            turned.append((world[:, carrier] @ _twist(local[:, source], share, axis))[:, None])
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
            vertices = self._anny.get_rest_vertices(coefficients)[0].numpy() @ _SCENE_FROM_ANNY.T
            heads = self._anny.template_bone_heads + torch.einsum(
                "k,kbd->bd", coefficients[0], self._anny.bone_heads_blendshapes
            )
        heads = heads.numpy() @ _SCENE_FROM_ANNY.T
        to_tpose, joints = _to_tpose(dict(zip(self._anny.bone_labels, heads, strict=True)), self._twists)
        coco = np.einsum("kv,vt,vi->kti", self._keypoints, self._weights, _homogeneous(vertices), optimize=True)
        if len(self._naked):
            vertices = dress(vertices, self.faces, self._naked)
        return _Shape(_homogeneous(vertices), joints, to_tpose, coco)


def _homogeneous(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points, np.ones((len(points), 1))], 1).astype(np.float32)


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
    for joint, parent in enumerate(SMPL22_PARENTS[1:], 1):
        world[:, joint] = world[:, parent] @ local[:, joint]
        offset = rest[:, joint] - rest[:, parent]
        joints[:, joint] = joints[:, parent] + np.einsum("bij,bj->bi", world[:, parent], offset)
    return world, joints


def _twist(rotation: np.ndarray, share: float, axis: int) -> np.ndarray:
    """``share`` of the twist of ``(B, 3, 3)`` about a coordinate axis (swing-twist split of the quaternion)."""
    j, k = (axis + 1) % 3, (axis + 2) % 3
    # the quaternion's part along the axis and its scalar part, both times 4w
    angle = 2 * np.arctan2(rotation[:, k, j] - rotation[:, j, k], 1 + np.trace(rotation, axis1=1, axis2=2))
    return rotation_matrices(share * angle[:, None] * np.eye(3)[axis])


def _coco(shapes: list[_Shape], motions: np.ndarray) -> np.ndarray:
    joints = [np.einsum("kti,tdi->kd", shape.coco, motion) for shape, motion in zip(shapes, motions, strict=True)]
    return np.array(joints, np.float32).reshape(-1, len(COCO17), 3)


def _to_tpose(heads: dict[str, np.ndarray], twists: Sequence[tuple[int, int, float, int]]) -> tuple[np.ndarray, Any]:
    """Rigid motions ``(T, 3, 4)`` from anny's rest pose to the T-pose, and the T-pose joints ``(22, 3)``.

    Only the left half of the skeleton is used and then mirrored, so that the two sides agree exactly.
    """
    rest = np.array([heads[_sided(_HEADS, name)] for name in SMPL22])
    left = np.array([not name.startswith("right_") for name in SMPL22])
    centre = np.array([not name.startswith(("left_", "right_")) for name in SMPL22])
    rest[centre, 0] = 0
    rest[~left] = mirror_joints(rest)[~left]
    turn = np.tile(np.eye(3), (22, 1, 1))
    bones = {a: rest[_J[f"left_{b}"]] - rest[_J[f"left_{a}"]] for a, b in _NEXT.items()}
    knuckles = heads["finger2-1.L"] - heads["finger5-1.L"]  # points to the thumb's side: forward in the T-pose
    for name, along, aside, axis, forward in (
        ("shoulder", bones["shoulder"], bones["elbow"], 0, 2),
        ("elbow", bones["elbow"], -bones["shoulder"], 0, 2),
        ("wrist", heads["finger3-1.L"] - heads["wrist.L"], knuckles, 0, 2),
        ("hip", -bones["hip"], bones["ankle"], 1, 2),
        ("knee", -bones["knee"], bones["ankle"], 1, 2),
        ("ankle", np.array([0.0, 1, 0]), bones["ankle"], 1, 2),
        ("foot", np.array([0.0, 1, 0]), bones["ankle"], 1, 2),
    ):
        matrix = _align(along, aside, axis, forward)
        turn[_J[f"left_{name}"]] = matrix
        turn[_J[f"right_{name}"]] = matrix * np.array([[1, -1, -1], [-1, 1, 1], [-1, 1, 1]])  # conjugated by the mirror
    joints = np.zeros((22, 3))
    for joint, parent in enumerate(SMPL22_PARENTS[1:], 1):
        joints[joint] = joints[parent] + turn[parent] @ (rest[joint] - rest[parent])
    pivots = [*range(22), *(carrier for carrier, *_ in twists)]
    turns = turn[pivots]
    for i, (carrier, source, share, axis) in enumerate(twists, 22):
        if carrier != source:  # the far half of the forearm takes its part of the hand's turn here too
            turns[i] = _twist((turn[source] @ turn[carrier].T)[None], share, axis)[0] @ turns[i]
    shift = joints[pivots] - np.einsum("tij,tj->ti", turns, rest[pivots])
    return np.concatenate([turns, shift[..., None]], 2), joints


_NEXT = {"shoulder": "elbow", "elbow": "wrist", "hip": "knee", "knee": "ankle", "ankle": "foot"}


def _align(along: np.ndarray, aside: np.ndarray, axis: int, forward: int) -> np.ndarray:
    """The rotation that takes ``along`` to coordinate axis ``axis`` and ``aside`` into the plane with ``forward``."""
    first = along / np.linalg.norm(along)
    second = aside - first * (aside @ first)
    second /= np.linalg.norm(second)
    source = np.stack([first, second, np.cross(first, second)], 1)
    unit = np.eye(3)
    target = np.stack([unit[axis], unit[forward], np.cross(unit[axis], unit[forward])], 1)
    return target @ source.T


def _sided(table: dict[str, str], joint: str) -> str:
    """Anny's bone for an SMPL joint, such as ``left_knee`` -> ``lowerleg01.L``."""
    side, _, rest = joint.partition("_")
    return f"{table[rest]}.{side[0].upper()}" if side in ("left", "right") else table[joint]


def _skin(model: Any) -> tuple[np.ndarray, list[tuple[int, int, float, int]]]:
    """Skinning weights ``(V, T)`` of the 22 joints followed by the twisted half bones, and those bones' recipes."""
    twists: list[tuple[int, int, float, int]] = []
    column: dict[str, int] = {}
    for bone, (carrier, source, share, axis) in _TWISTED.items():
        for side, letter in (("left", "L"), ("right", "R")):
            column[f"{bone}.{letter}"] = 22 + len(twists)
            twists.append((_J[f"{side}_{carrier}"], _J[f"{side}_{source}"], share, axis))
    for bone in model.bone_labels:
        if bone not in column:
            joint = next(_MOVED_BY[bone[:n]] for n in range(len(bone), 0, -1) if bone[:n] in _MOVED_BY)
            sided = {"L": "left_", "R": "right_"}.get(bone.rpartition(".")[2], "")
            column[bone] = _J.get(sided + joint, _J.get(joint, 0))
    columns = np.array([column[bone] for bone in model.bone_labels])
    weights = np.zeros((len(model.template_vertices), 22 + len(twists)), np.float32)
    indices, values = model.vertex_bone_indices.numpy(), model.vertex_bone_weights.numpy()
    np.add.at(weights, (np.arange(len(weights))[:, None], columns[indices]), values)
    return weights, twists


def _coco_regressor(model: Any) -> np.ndarray:
    """Weights ``(17, V)`` of the COCO keypoints over the vertices."""
    from anny import KeypointsRegressor

    regressor = KeypointsRegressor.coco(model, labels=list(COCO17))
    weights: np.ndarray = regressor.regression_weights.numpy()
    return weights


def _load_anny() -> Any:
    try:
        import anny
        from anny.paths import get_anny_cache_path
    except ImportError as error:
        raise DependencyError("anny", "demo", "posing bodies") from error
    with _alone(get_anny_cache_path()):  # anny writes its cache files in place: only one process may build them
        return anny.Anny()


@contextmanager
def _alone(folder: Any) -> Iterator[None]:
    """Hold an exclusive lock beside ``folder`` (released by the system when the process dies)."""
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "autocompose.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
