"""The overlay of a picture on the page: the person's box and the estimated skeleton."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from autocompose.bodies.convert import SKELETONS
from autocompose.gallery.answer import Reference
from autocompose.gallery.item import Box, Item
from autocompose.gallery.pose import Pose

SEEN = 0.5  # least visibility of both ends of a bone that is drawn with a full line
_NAMES = SKELETONS["mediapipe33"]
_CHAINS = (("shoulder", "elbow", "wrist", "index"), ("hip", "knee", "ankle", "foot_index"), ("ankle", "heel"))
_TRUNK = (
    ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"), ("left_shoulder", "left_hip"),
    ("right_shoulder", "right_hip"), ("nose", "left_shoulder"), ("nose", "right_shoulder"),
)  # fmt: skip


def _bones() -> dict[str, list[tuple[int, int]]]:
    limbs = {
        side: [(f"{side}_{a}", f"{side}_{b}") for chain in _CHAINS for a, b in pairwise(chain)]
        for side in ("left", "right")
    }
    named = {**limbs, "trunk": list(_TRUNK)}
    return {part: [(_NAMES.index(a), _NAMES.index(b)) for a, b in bones] for part, bones in named.items()}


BONES = _bones()


@dataclass(frozen=True)
class Overlay:
    """Drawn in pixels of the upright picture.

    :param bones: class of lines -> an SVG path; () without an estimated skeleton.
    """

    width: int
    height: int
    box: Box | None
    bones: tuple[tuple[str, str], ...]


def overlay(of: Item | Reference | None) -> Overlay | None:
    """What to draw over the picture of an item or a reference; None: nothing."""
    if of is None:
        return None
    size = of.size if isinstance(of, Reference) else (of.width, of.height)
    bones = _paths(of.pose) if of.pose else ()
    return Overlay(*size, of.box, bones) if size and (of.box or bones) else None


def _paths(pose: Pose) -> tuple[tuple[str, str], ...]:
    if pose.landmarks is None:
        return ()
    lines: dict[str, list[str]] = {}
    for part, bones in BONES.items():
        for a, b in bones:
            ends = pose.landmarks[[a, b]]
            kind = part if ends[:, 2].min() >= SEEN else f"{part} unseen"
            lines.setdefault(kind, []).append(_line(ends))
    return tuple((kind, "".join(segments)) for kind, segments in lines.items())


def _line(ends: np.ndarray) -> str:
    (x, y), (u, v) = ends[:, :2].round(1).tolist()
    return f"M{x:g} {y:g}L{u:g} {v:g}"
