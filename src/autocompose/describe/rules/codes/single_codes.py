"""The 423 codes of a single pose: 269 elementary ones (angles, distances, positions ...) and 154 super-codes.

Thresholds, joint sets and noise widths are those of PoseFix (ICCV 2023). Categories are numbers from low to high.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from autocompose.describe.rules.codes import point_measures as measure
from autocompose.describe.rules.codes.pair_codes import BEND_POINTS, LIMB_PARTS, SIDES


@dataclass(frozen=True)
class Kind:
    """One way to measure a pose.

    :param thresholds: upper limits of all categories but the last; degrees or metres.
    :param categories: names, from low to high.
    :param noise: half width of the noise, in the unit of the thresholds.
    """

    thresholds: tuple[float, ...]
    categories: tuple[str, ...]
    noise: float


_NEAR_AXIS = (-0.15, -0.05, 0.05, 0.15)
KINDS: dict[str, Kind] = {
    "angle": Kind(
        (45, 75, 105, 135, 160), ("folded", "very bent", "right angle", "half bent", "slightly bent", "straight"), 5
    ),
    "distance": Kind((0.20, 0.40, 0.80), ("close", "shoulder width", "spread", "wide"), 0.05),
    "x": Kind(_NEAR_AXIS, ("right", "-", "aligned", "-", "left"), 0.05),
    "y": Kind(_NEAR_AXIS, ("below", "-", "aligned", "-", "above"), 0.05),
    "z": Kind(_NEAR_AXIS, ("behind", "-", "aligned", "-", "front"), 0.05),
    "upright": Kind((10, 80), ("vertical", "-", "horizontal"), 5),
    "ground": Kind((0.10,), ("on ground", "-"), 0.05),
}
LOW, MIDDLE, HIGH = 0, 2, 4  # categories of the axis kinds
EXTREMITIES = ("hand", "foot")
ARM, LEG = ("shoulder", "upperarm", "elbow", "forearm"), ("hip", "thigh", "knee", "shin")
SEGMENTS = {
    "thigh": ("hip", "knee"),
    "shin": ("knee", "ankle"),
    "upperarm": ("shoulder", "elbow"),
    "forearm": ("elbow", "wrist"),
}
Set = tuple[str, ...]


def _alignments() -> list[tuple[str, str]]:
    """Extremity and a part of another limb: 48 pairs."""
    own = {"hand": ARM, "foot": LEG}
    return [
        (f"{side}_{end}", f"{other}_{part}")
        for end, side in product(EXTREMITIES, SIDES)
        for part, other in product(ARM + LEG, SIDES)
        if not (side == other and part in own[end])
    ]


ALIGNMENTS: tuple[tuple[str, str], ...] = tuple(_alignments())


def _sides(*parts: str) -> list[Set]:
    """The same parts of the left, then of the right side."""
    return [tuple(f"{side}_{part}" for part in parts) for side in SIDES]


def _across(part: str) -> Set:
    return (f"left_{part}", f"right_{part}")


def _cross(first: str, second: str) -> list[Set]:
    return [(f"{a}_{first}", f"{b}_{second}") for a, b in product(SIDES, SIDES)]


def _table() -> dict[str, tuple[Set, ...]]:
    front = ("neck", "pelvis")
    all_five = [_across(p) for p in ("shoulder", *LIMB_PARTS)]
    hand_elbow = [("left_hand", "right_elbow"), ("right_hand", "left_elbow")]
    sets: dict[str, list[Set]] = {
        "angle": [s for joints in BEND_POINTS.values() for s in _sides(*joints)],
        "distance": [_across(p) for p in LIMB_PARTS]
        + [*_cross("hand", "shoulder"), *hand_elbow]
        + [*_cross("hand", "knee"), *_cross("hand", "ankle"), *_cross("hand", "foot")]
        + [(f"{side}_{part}", "torso") for part, side in product(LIMB_PARTS, SIDES)],
        "x": [_across("hand"), _across("foot"), front, *_sides("hand", "shoulder"), *_sides("foot", "hip")],
        "y": [
            *all_five,
            *((f"{side}_ankle", "neck") for side in SIDES),
            *_sides("hip", "knee"),
            *_sides("hand", "shoulder"),
            *_sides("foot", "hip"),
            *((f"{side}_wrist", "neck") for side in SIDES),
        ],
        "z": [*all_five, front, *((f"{side}_{end}", "torso") for end, side in product(EXTREMITIES, SIDES))],
        "upright": [s for joints in SEGMENTS.values() for s in _sides(*joints)]
        + [("pelvis", "left_shoulder"), ("pelvis", "right_shoulder"), ("pelvis", "neck")]
        + [_across("hand"), _across("foot")],
        "ground": [(f"{side}_{part}",) for part, side in product(("knee", "foot", "hand"), SIDES)],
    }
    for kind in ("distance", "x", "y", "z"):
        sets[kind] = list(dict.fromkeys(sets[kind] + list(ALIGNMENTS)))
    return {kind: tuple(s) for kind, s in sets.items()}


SETS: dict[str, tuple[Set, ...]] = _table()
_STARTS = np.cumsum([0] + [len(SETS[kind]) for kind in KINDS])
ROWS: dict[str, slice] = {k: slice(int(a), int(b)) for k, a, b in zip(KINDS, _STARTS, _STARTS[1:], strict=False)}
NAMES: tuple[str, ...] = tuple(f"{kind}:{':'.join(s)}" for kind in KINDS for s in SETS[kind])
ROW_OF: dict[str, int] = {name: row for row, name in enumerate(NAMES)}
SUPER_NAMES: tuple[str, ...] = (
    "torso horizontal",
    "hands shoulder width",
    "feet shoulder width",
    *(f"{axes} aligned:{a}:{b}" for axes in ("xy", "xz", "yz") for a, b in ALIGNMENTS),
    "bent left", "bent right", "bent forward", "bent backward",
    "kneeling on left", "kneeling on right", "kneeling",
)  # fmt: skip


def single_values(points: np.ndarray) -> np.ndarray:
    """The 269 measurements of normalised points ``(N, 35, 3)``: ``(269, N)`` degrees and metres."""
    cols = measure.columns(points)
    axes = [measure.offsets(cols, SETS[kind], axis) for axis, kind in enumerate("xyz")]
    return np.concatenate([
        measure.angles(cols, SETS["angle"]),
        measure.distances(cols, SETS["distance"]),
        *axes,
        measure.verticality(cols, SETS["upright"]),
        measure.above_lowest(cols, [s[0] for s in SETS["ground"]]),
    ])  # fmt: skip


def single_categories(values: np.ndarray, noise: np.ndarray | None = None) -> np.ndarray:
    """Bin ``(269, N)`` measurements: int8 category numbers, -1 where a point is unknown.

    :param noise: ``(269, N)`` in [-1, 1]; scaled by each kind's width and added before binning.
    """
    result = np.empty(values.shape, np.int8)
    for kind, rows in ROWS.items():
        shown = values[rows] if noise is None else values[rows] + KINDS[kind].noise * noise[rows]
        result[rows] = measure.bins(shown, KINDS[kind].thresholds)
    return result


def super_singles(categories: np.ndarray) -> np.ndarray:
    """The 154 super-codes of ``(269, N)`` categories: ``(154, N)`` bool in the order of ``SUPER_NAMES``."""

    def has(kind: str, points: str, category: int) -> np.ndarray:
        return np.asarray(categories[ROW_OF[f"{kind}:{points}"]] == category)

    def width(part: str) -> np.ndarray:
        across = f"left_{part}:right_{part}"
        return has("distance", across, 1) & has("upright", across, 2)

    torso = has("upright", "pelvis:left_shoulder", 2) & has("upright", "pelvis:right_shoulder", 2)
    return np.stack([torso, width("hand"), width("foot"), *aligned(categories).values(), *_bent(has), *_kneeling(has)])


def aligned(categories: np.ndarray) -> dict[tuple[str, str, str], np.ndarray]:
    """(axes, extremity, part) -> where the two are in line along the remaining axis, and not far from each other."""
    result = {}
    for axes in ("xy", "xz", "yz"):
        for a, b in ALIGNMENTS:
            first, second = (categories[ROW_OF[f"{axis}:{a}:{b}"]] for axis in axes)
            apart = categories[ROW_OF[f"distance:{a}:{b}"]]
            result[axes, a, b] = (first == MIDDLE) & (second == MIDDLE) & (apart >= 0) & (apart < 3)
    return result


def _bent(has) -> list[np.ndarray]:  # type: ignore[no-untyped-def]
    """The trunk leaves the vertical: an ankle is below the neck, and the neck is not above the pelvis."""
    standing = has("y", "left_ankle:neck", LOW) | has("y", "right_ankle:neck", LOW)
    ways = (("x", HIGH), ("x", LOW), ("z", HIGH), ("z", LOW))
    return [standing & has(axis, "neck:pelvis", category) for axis, category in ways]


def _kneeling(has) -> list[np.ndarray]:  # type: ignore[no-untyped-def]
    knees, ground = "left_knee:right_knee", {p: has("ground", p, 0) for p in _across("knee") + _across("foot")}
    both = ground["left_knee"] & ground["right_knee"]
    hips = has("y", "left_hip:left_knee", HIGH) & has("y", "right_hip:right_knee", HIGH)
    folded = np.logical_and(*(has("angle", ":".join(s), 0) for s in _sides(*BEND_POINTS["knee"])))
    return [
        has("y", knees, LOW) & ground["left_knee"] & ground["right_foot"],
        has("y", knees, HIGH) & ground["right_knee"] & ground["left_foot"],
        both & (hips | folded),
    ]


def all_codes(points: np.ndarray, noise: np.ndarray | None = None) -> np.ndarray:
    """All 423 codes of normalised points ``(N, 35, 3)``: ``(423, N)`` int8, super-codes 0 or 1."""
    categories = single_categories(single_values(points), noise)
    return np.concatenate([categories, super_singles(categories).astype(np.int8)])
