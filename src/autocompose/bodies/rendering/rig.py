"""The parts of ``anny`` in use: the cached model, skinning weights, rotations from its rest pose to the T-pose."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autocompose.bodies.rendering.blend_shapes import quick_blend_shapes
from autocompose.bodies.rotations import twist
from autocompose.bodies.skeleton import COCO17, SMPL22, SMPL22_PARENTS, mirror_joints
from autocompose.core.cache import alone, ensure_home, find_cached, writable_cache
from autocompose.core.errors import DependencyError, StorageError
from autocompose.core.log import say

_J = {name: i for i, name in enumerate(SMPL22)}
# anny's frame is z up, facing -y, left +x
SCENE_FROM_ANNY = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])

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


def load_anny() -> Any:
    """Anny's model from our own cache folder, which the first call fills.

    Processes that call this together wait for each other, and a build that was cut short is begun again.

    :raises DependencyError: anny is not installed. :raises StorageError: the cache folder cannot be written.
    """
    ensure_home()
    try:
        import anny
        from anny.paths import set_anny_cache_path
        from safetensors import SafetensorError
    except ImportError as error:
        raise DependencyError("anny", "demo", "posing bodies") from error
    name = f"anny-{anny.__version__}"
    ready = find_cached(f"{name}/ready")
    folder = ready.parent if ready else writable_cache() / name
    set_anny_cache_path(folder / "data")
    try:
        if not ready:  # what is ready may lie where nobody may write, and needs no lock
            with alone(folder):
                _build(anny, folder)
        return anny.Anny(skinning_method="lbs")  # unused, but the default would load and compile warp
    except (OSError, SafetensorError) as error:  # a full disk is the second, while anny writes
        reason = getattr(error, "strerror", None) or error
        raise StorageError(
            f"{folder}: cannot be written or read ({reason}); free space, delete the folder to build it again, or set"
            " XDG_CACHE_HOME"
        ) from error


def _build(anny: Any, folder: Path) -> None:
    if (folder / "ready").exists():  # another process has built it while this one waited
        return
    say(f"building the body model in {folder}: takes a few seconds, once")
    shutil.rmtree(folder / "data", ignore_errors=True)
    with quick_blend_shapes():
        anny.Anny(skinning_method="lbs")
    for path in (folder / "data").rglob("*.safetensors"):
        if not path.name.startswith("build_compact"):  # 780 MB that only the building needed
            path.unlink()
    (folder / "ready").touch()


def tpose_motions(
    heads: dict[str, np.ndarray], twists: Sequence[tuple[int, int, float, int]]
) -> tuple[np.ndarray, Any]:
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
            turns[i] = twist((turn[source] @ turn[carrier].T)[None], share, axis)[0] @ turns[i]
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


def skin(model: Any) -> tuple[np.ndarray, list[tuple[int, int, float, int]]]:
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


def coco_regressor(model: Any) -> np.ndarray:
    """Weights ``(17, V)`` of the COCO keypoints over the vertices."""
    from anny import KeypointsRegressor

    regressor = KeypointsRegressor.coco(model, labels=list(COCO17))
    weights: np.ndarray = regressor.regression_weights.numpy()
    return weights
