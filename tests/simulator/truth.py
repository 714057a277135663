"""What moves between two poses, measured in the simulator's own way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autocompose.bodies.skeleton import SMPL22

J = {name: i for i, name in enumerate(SMPL22)}
MOVE, TURN, LEAN = 0.18, 25.0, 15.0  # metres, degrees: what the simulator finds worth saying
MOST = 5


@dataclass(frozen=True)
class Movement:
    """``size`` 1 is barely worth saying; side "" for the torso."""

    side: str
    part: str
    way: str
    size: float

    @property
    def key(self) -> str:
        return f"{self.part} {self.way}"


def own_frame(joints: np.ndarray) -> np.ndarray:
    """Pelvis in the origin, hips along x: x left, y up, z forward."""
    centred = joints - joints[J["pelvis"]]
    left = centred[J["left_hip"]] - centred[J["right_hip"]]
    x = np.array([left[0], 0, left[2]]) / np.hypot(left[0], left[2])
    forward = np.array([-x[2], 0, x[0]])
    if forward @ np.cross(x, [0, 1, 0]) < 0:
        forward = -forward
    return np.stack([centred @ x, centred[:, 1], centred @ forward], 1)


def angle(joints: np.ndarray, a: str, b: str, c: str) -> float:
    u, v = joints[J[a]] - joints[J[b]], joints[J[c]] - joints[J[b]]
    return float(np.degrees(np.arccos(np.clip(u @ v / np.linalg.norm(u) / np.linalg.norm(v), -1, 1))))


def changes(a: np.ndarray, b: np.ndarray) -> dict[tuple[str, str, str], float]:
    """(side, part, way) -> signed size for every way, positive where the pose goes that way; 1 = worth saying."""
    a, b = own_frame(a), own_frame(b)
    found: dict[tuple[str, str, str], float] = {}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for part, joint in (("hand", "wrist"), ("foot", "ankle")):
            d = (b - a)[J[f"{side}_{joint}"]] / MOVE
            ways = {"up": d[1], "forward": d[2]} | ({"out": d[0] * sign} if part == "hand" else {})
            for way, value in ways.items():
                opposite = {"up": "down", "forward": "back", "out": "in"}[way]
                found[side, part, way], found[side, part, opposite] = value, -value
        for part, (u, v, w) in {"elbow": ("shoulder", "elbow", "wrist"), "knee": ("hip", "knee", "ankle")}.items():
            names = (f"{side}_{u}", f"{side}_{v}", f"{side}_{w}")
            bent = (angle(a, *names) - angle(b, *names)) / TURN
            found[side, part, "bend"], found[side, part, "straighten"] = bent, -bent
    lean = [np.degrees(np.arctan2(p[J["neck"], 2], p[J["neck"], 1])) for p in (a, b)]
    forward = (lean[1] - lean[0]) / LEAN
    found["", "torso", "forward"], found["", "torso", "back"] = forward, -forward
    return found


def movements(a: np.ndarray, b: np.ndarray) -> list[Movement]:
    """The largest changes, at most one per side and part."""
    best: dict[tuple[str, str], Movement] = {}
    for (side, part, way), size in changes(a, b).items():
        m = best.get((side, part))
        if size >= 1 and (m is None or m.size < size):
            best[side, part] = Movement(side, part, way, float(size))
    return sorted(best.values(), key=lambda m: -m.size)[:MOST]
