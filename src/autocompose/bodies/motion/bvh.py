"""BVH motion files: hierarchy, frames, forward kinematics, and the way from their joint names to SMPL-22."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from autocompose.bodies.convert import Converted, Parts, complete
from autocompose.bodies.pose_frame import y_up
from autocompose.bodies.skeleton import SMPL22
from autocompose.core.errors import PoseError

# our name -> names in BVH files, first match wins; {s} is the side in one of the spellings of _SIDES
_ALIASES: dict[str, tuple[str, ...]] = {
    "pelvis": ("hips", "hip", "pelvis", "root"),
    "neck": ("neck", "neck1", "neck01"),
    "head": ("head",),
    "hip": ("{s}upleg", "{s}thigh", "{s}hip", "{s}upperleg", "thigh{s}"),
    "knee": ("{s}leg", "{s}shin", "{s}knee", "{s}lowerleg", "{s}lowleg", "calf{s}"),
    "ankle": ("{s}foot", "{s}ankle", "foot{s}"),
    "foot": ("{s}toebase", "{s}toe", "{s}toes", "ball{s}"),
    "shoulder": ("{s}arm", "{s}uparm", "{s}upperarm", "upperarm{s}", "{s}shoulder"),
    "elbow": ("{s}forearm", "{s}elbow", "{s}lowarm", "{s}lowerarm", "lowerarm{s}"),
    "wrist": ("{s}hand", "{s}wrist", "hand{s}"),
}
_SIDES = {"left": ("left", "l"), "right": ("right", "r")}
_AXES = {"X": 0, "Y": 1, "Z": 2}


@dataclass
class Motion:
    """One BVH file.

    :param names, parents: J joints (end sites are called ``NAME_end``); the root has parent -1.
    :param joints: ``(T, J, 3)`` positions in the unit of the file.
    :param frame_time: seconds per frame.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    joints: np.ndarray
    frame_time: float


@dataclass
class _Skeleton:
    names: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    offsets: list[list[float]] = field(default_factory=list)
    channels: list[list[str]] = field(default_factory=list)


def read_bvh(path: Path) -> Motion:
    """Read a BVH file and compute the joint positions of all frames.

    :raises PoseError: missing, not BVH, a frame with the wrong number of values, NaN.
    """
    path = Path(path)
    try:
        tokens = path.read_text("utf-8", errors="replace").split()
    except OSError as error:
        raise PoseError(f"{path}: cannot be read ({error.strerror or error})") from None
    if not tokens or tokens[0].upper() != "HIERARCHY" or "MOTION" not in tokens:
        raise PoseError(f"{path}: not a BVH file (expected HIERARCHY and MOTION)")
    split = tokens.index("MOTION")
    try:
        skeleton = _hierarchy(tokens[1:split])
        count, frame_time, values = _frames(tokens[split + 1 :])
    except (ValueError, IndexError, KeyError) as error:
        raise PoseError(f"{path}: damaged BVH file ({error})") from None
    width = sum(map(len, skeleton.channels))
    if values.size != count * width or not np.isfinite(values).all():
        raise PoseError(f"{path}: expected {count} frames of {width} finite numbers, got {values.size} numbers")
    joints = _positions(skeleton, values.reshape(count, width))
    return Motion(tuple(skeleton.names), tuple(skeleton.parents), joints, frame_time)


def to_smpl22(motion: Motion, up: str = "y") -> Converted:
    """SMPL-22 joints of every frame, found by the usual joint names (CMU, Mixamo, 3ds Max, Blender).

    The unit of the file does not matter: poses are rescaled before they are measured.

    :raises PoseError: a joint that cannot be derived is missing; lists the names of the file.
    """
    places = _find(motion)
    missing = [n for n in _needed() if n not in places]
    if missing:
        raise PoseError(f"BVH: no joint for {', '.join(missing)}; the file has {', '.join(motion.names)}")
    parts: Parts = {name: y_up(motion.joints[:, i], up) for name, i in places.items()}
    known = np.ones(len(SMPL22), bool)
    for side in ("left", "right"):
        if f"{side}_foot" not in parts:
            known[SMPL22.index(f"{side}_foot")] = False
            parts[f"{side}_foot"] = parts[f"{side}_ankle"] + 0.35 * (parts[f"{side}_ankle"] - parts[f"{side}_knee"])
    parts = complete(parts)
    return Converted(np.stack([parts[name] for name in SMPL22], 1), known)


def _needed() -> list[str]:
    return [f"{s}_{p}" for s in _SIDES for p in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")]


def _find(motion: Motion) -> dict[str, int]:
    """Our joint name -> number in the file."""
    plain = {_plain(name): i for i, name in reversed(list(enumerate(motion.names)))}
    places: dict[str, int] = {}
    for part, aliases in _ALIASES.items():
        if "{s}" not in aliases[0]:
            found = [plain[a] for a in aliases if a in plain]
            places |= {part: found[0]} if found else {}
            continue
        for side, spellings in _SIDES.items():
            found = [plain[n] for a in aliases for s in spellings if (n := a.replace("{s}", s)) in plain]
            places |= {f"{side}_{part}": found[0]} if found else {}
    for side in _SIDES:
        end = motion.names[places[f"{side}_ankle"]] + "_end" if f"{side}_ankle" in places else ""
        if f"{side}_foot" not in places and end in motion.names:
            places[f"{side}_foot"] = motion.names.index(end)
    return places


def _plain(name: str) -> str:
    """``mixamorig:Left_Arm`` -> ``leftarm``; end sites keep their mark, so they never match by accident."""
    if name.endswith("_end"):
        return name
    return name.rpartition(":")[2].replace("_", "").replace("-", "").replace(".", "").replace(" ", "").lower()


def _hierarchy(tokens: list[str]) -> _Skeleton:
    skeleton, stack, i = _Skeleton(), [-1], 0
    while i < len(tokens):
        word = tokens[i].upper()
        if word in ("ROOT", "JOINT", "END"):
            ends = word == "END"
            skeleton.names.append(skeleton.names[stack[-1]] + "_end" if ends else tokens[i + 1])
            skeleton.parents.append(stack[-1])
            skeleton.offsets.append([0.0, 0.0, 0.0])
            skeleton.channels.append([])
            i += 2
        elif word == "{":
            stack.append(len(skeleton.names) - 1)
            i += 1
        elif word == "}":
            stack.pop()
            i += 1
        elif word == "OFFSET":
            skeleton.offsets[-1] = [float(v) for v in tokens[i + 1 : i + 4]]
            i += 4
        elif word == "CHANNELS":
            count = int(tokens[i + 1])
            skeleton.channels[-1] = [_channel(token) for token in tokens[i + 2 : i + 2 + count]]
            i += 2 + count
        else:
            raise ValueError(f"unexpected word {tokens[i]!r} in the hierarchy")
    if not skeleton.names or stack != [-1]:
        raise ValueError("brackets of the hierarchy do not match")
    return skeleton


def _channel(token: str) -> str:
    if token[:1].upper() not in _AXES or token[1:].lower() not in ("position", "rotation"):
        raise ValueError(f"unknown channel {token!r}")
    return token


def _frames(tokens: list[str]) -> tuple[int, float, np.ndarray]:
    """``Frames: N Frame Time: S values...``."""
    if tokens[0] != "Frames:" or tokens[2:4] != ["Frame", "Time:"]:
        raise ValueError("expected 'Frames: N' and 'Frame Time: S' after MOTION")
    return int(tokens[1]), float(tokens[4]), np.array(tokens[5:], float)


def _positions(skeleton: _Skeleton, values: np.ndarray) -> np.ndarray:
    count = len(values)
    joints = np.zeros((count, len(skeleton.names), 3))
    turned = np.zeros((count, len(skeleton.names), 3, 3))
    column = 0
    for j, (parent, channels) in enumerate(zip(skeleton.parents, skeleton.channels, strict=True)):
        place = np.tile(skeleton.offsets[j], (count, 1))
        turn = np.broadcast_to(np.eye(3), (count, 3, 3))
        for channel in channels:
            axis, kind = _AXES[channel[0].upper()], channel[1:].lower()
            if kind == "position":
                place[:, axis] = values[:, column]
            else:
                turn = turn @ _about(axis, np.radians(values[:, column]))
            column += 1
        if parent < 0:
            joints[:, j], turned[:, j] = place, turn
        else:
            joints[:, j] = joints[:, parent] + np.einsum("tij,tj->ti", turned[:, parent], place)
            turned[:, j] = turned[:, parent] @ turn
    return joints


def _about(axis: int, angle: np.ndarray) -> np.ndarray:
    """Rotation matrices ``(T, 3, 3)`` about a coordinate axis."""
    result = np.zeros((len(angle), 3, 3))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    result[:, axis, axis] = 1.0
    result[:, i, i] = result[:, j, j] = np.cos(angle)
    result[:, j, i] = np.sin(angle)
    result[:, i, j] = -np.sin(angle)
    return result
