"""The 44 elementary pair codes: how a target pose B differs from a reference pose A.

Every code is measured as value(A) - value(B) and binned; the public *level* is signed so that positive means "B has
the larger measurement": straighter, farther, more to the left, higher, more to the front. 0 says nothing.
Thresholds and noise widths are those of PoseFix (ICCV 2023).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autocompose.bodies.points import normal_points
from autocompose.describe.rules.codes import point_measures as measure


@dataclass(frozen=True)
class PairCode:
    """What is compared.

    :param kind: ``bend`` (angle, degrees), ``gap`` (distance), ``side``, ``height``, ``depth`` (position); metres.
    :param points: the measured points.
    :param subject: ``left_knee`` ..., or a part without a side for what both sides do together (``hand``).
    """

    kind: str
    points: tuple[str, ...]
    subject: str

    @property
    def name(self) -> str:
        """``kind:subject``, with ``:torso`` for the distance to the torso."""
        return f"{self.kind}:{self.subject}" + (":torso" if self.points[-1] == "torso" else "")


SIDES = ("left", "right")
BEND_POINTS = {"knee": ("hip", "knee", "ankle"), "elbow": ("shoulder", "elbow", "wrist")}
LIMB_PARTS = ("elbow", "hand", "knee", "foot")
THRESHOLDS: dict[str, tuple[float, ...]] = {
    "bend": (18.0, 45.0, 80.0),
    "gap": (0.10, 0.40),
    "side": (0.15, 0.40),
    "height": (0.15, 0.40),
    "depth": (0.15, 0.40),
}
NOISE = {"bend": 5.0, "gap": 0.05, "side": 0.05, "height": 0.05, "depth": 0.05}
AXES = {"side": 0, "height": 1, "depth": 2}
KINDS = tuple(THRESHOLDS)


def _sided(parts: tuple[str, ...]) -> list[str]:
    return [f"{side}_{part}" for part in parts for side in SIDES]


def _table() -> tuple[PairCode, ...]:
    bends = [
        PairCode("bend", tuple(f"{side}_{p}" for p in joints), f"{side}_{part}")
        for part, joints in BEND_POINTS.items()
        for side in SIDES
    ]
    gaps = [PairCode("gap", (f"left_{p}", f"right_{p}"), p) for p in LIMB_PARTS]
    gaps += [PairCode("gap", (p, "torso"), p) for p in _sided(LIMB_PARTS)]
    moves = [PairCode("side", (p,), p) for p in _sided(LIMB_PARTS)]
    moves += [PairCode(kind, (p,), p) for kind in ("height", "depth") for p in _sided(("shoulder", *LIMB_PARTS))]
    return (*bends, *gaps, *moves)


PAIR_CODES: tuple[PairCode, ...] = _table()
PAIR_NAMES: tuple[str, ...] = tuple(code.name for code in PAIR_CODES)
ROWS: dict[str, slice] = {
    kind: slice(
        min(i for i, c in enumerate(PAIR_CODES) if c.kind == kind),
        max(i for i, c in enumerate(PAIR_CODES) if c.kind == kind) + 1,
    )
    for kind in KINDS
}


def pair_codes(joints_a: np.ndarray, joints_b: np.ndarray) -> np.ndarray:
    """Levels of the 44 pair codes without noise.

    :param joints_a, joints_b: ``(P, 22, 3)`` SMPL-22 joints of the start and goal poses, metres, scene frame, any yaw,
        place and body size.
    :return: ``(P, 44)`` int8 in the order of ``PAIR_NAMES``; bend -3..3, all others -2..2, 0 = no notable change.
    :raises PoseError: wrong shape, NaN, zero-length bones.
    """
    batches = [slice(i, i + 2048) for i in range(0, len(joints_a), 2048)]
    parts = [
        pair_levels(pair_values(pair_measures(normal_points(joints_a[s])), pair_measures(normal_points(joints_b[s]))))
        for s in batches
    ]
    return np.concatenate(parts, axis=1).T if parts else np.zeros((0, len(PAIR_CODES)), np.int8)


def pair_measures(points: np.ndarray) -> np.ndarray:
    """The 44 measurements ``(44, N)`` of poses given as normalised points ``(N, 35, 3)``; NaN where a point is."""
    cols = measure.columns(points)
    sets = {kind: [c.points for c in PAIR_CODES[ROWS[kind]]] for kind in KINDS}
    moved = [cols[measure.index([s[0] for s in sets[kind]]), axis] for kind, axis in AXES.items()]
    return np.concatenate([measure.angles(cols, sets["bend"]), measure.distances(cols, sets["gap"]), *moved])


def pair_values(measures_a: np.ndarray, measures_b: np.ndarray) -> np.ndarray:
    """Start minus goal, ``(44, P)``."""
    return measures_a - measures_b


def pair_levels(values: np.ndarray, noise: np.ndarray | None = None) -> np.ndarray:
    """Bin start-minus-goal values ``(44, P)`` into levels ``(44, P)`` int8.

    :param noise: ``(44, P)`` in [-1, 1]; scaled by each kind's width and added before binning.
    """
    result = np.zeros(values.shape, np.int8)
    for kind, rows in ROWS.items():
        shown = values[rows] if noise is None else values[rows] + NOISE[kind] * noise[rows]
        result[rows] = measure.levels(shown, THRESHOLDS[kind])
    return result
