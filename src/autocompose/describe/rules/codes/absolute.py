"""End states of the target pose that a text may state, and the filter that keeps only those on a moving limb."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from autocompose.describe.rules.codes.pair_codes import LIMB_PARTS, SIDES
from autocompose.describe.rules.codes.single_codes import (
    ALIGNMENTS,
    MIDDLE,
    NAMES,
    ROW_OF,
    SETS,
    aligned,
    single_categories,
    super_singles,
)
from autocompose.describe.rules.statement import Statement

# importance of a state: of one that is new in the goal pose, and of one that held before already
NEW_RARE, NEW_COMMON, NEW_ALIGNED, HELD = 0.6, 0.4, 0.2, 0.1
_NEAR_HAND = ("shoulder", "elbow", "knee", "ankle", "foot")
_LIMBS = (
    ("arm", "shoulder", "upperarm", "elbow", "forearm", "wrist", "hand"),
    ("leg", "hip", "thigh", "knee", "shin", "ankle", "foot"),
)
# along the axis that is not aligned: (axes, category of the free axis) -> what the text says
_ALIGNED_SAYS = {
    ("xy", "z", True): "is_before",
    ("xy", "z", False): "is_behind",
    ("xz", "y", True): "is_above",
    ("xz", "y", False): "is_below",
}


class State(NamedTuple):
    """One absolute state.

    :param code: name of the single-pose code.
    :param row, category: where it is looked up among the elementary codes; -1 for super-codes and alignments.
    """

    code: str
    row: int
    category: int
    statement: Statement


def _statement(says: str, code: str, first: str, second: str, rare: bool, weight: float) -> Statement:
    side, _, part = first.rpartition("_")
    side2, _, part2 = second.rpartition("_")
    return Statement("is", says, 0, side, part, side2, part2, weight, (f"{says}:{code}",), rare)


def _state(
    says: str, kind: str, points: tuple[str, ...], category: int, subject: str, second: str, rare: bool
) -> State:
    code = f"{kind}:{':'.join(points)}"
    weight = NEW_RARE if rare else NEW_COMMON
    return State(code, ROW_OF[code], category, _statement(says, code, subject, second, rare, weight))


def _elementary() -> list[State]:
    states = []
    for points in SETS["angle"]:
        for says, category, rare in (("is_folded", 0, True), ("is_square", 2, False), ("is_straight", 5, False)):
            states.append(_state(says, "angle", points, category, points[1], "", rare))
    for part in LIMB_PARTS:
        points = (f"left_{part}", f"right_{part}")
        states.append(_state("is_near", "distance", points, 0, points[0], points[1], part in ("elbow", "foot")))
    for points in SETS["distance"]:
        if points[0].endswith("hand") and points[1].endswith(_NEAR_HAND):
            states.append(_state("is_near", "distance", points, 0, points[0], points[1], True))
    for part, (start, end) in {"thigh": ("hip", "knee"), "shin": ("knee", "ankle")}.items():
        for side in SIDES:
            points = (f"{side}_{start}", f"{side}_{end}")
            states.append(_state("is_flat", "upright", points, 2, f"{side}_{part}", "", True))
    for part, (start, end) in {"upperarm": ("shoulder", "elbow"), "forearm": ("elbow", "wrist")}.items():
        for side, (says, category) in product(SIDES, (("is_flat", 2), ("is_upright", 0))):
            points = (f"{side}_{start}", f"{side}_{end}")
            states.append(_state(says, "upright", points, category, f"{side}_{part}", "", category == 0))
    for side in SIDES:
        states.append(_state("is_floor", "ground", (f"{side}_hand",), 0, f"{side}_hand", "", False))
    return states


ELEMENTARY: tuple[State, ...] = tuple(_elementary())
_SUPERS = (
    ("is_flat", "torso horizontal", "torso", True),
    ("is_shoulder_width", "hands shoulder width", "both_hand", True),
    ("is_shoulder_width", "feet shoulder width", "both_foot", False),
)
SUPERS: tuple[Statement, ...] = tuple(
    _statement(says, code, subject, "", rare, NEW_RARE if rare else NEW_COMMON) for says, code, subject, rare in _SUPERS
)


def _aligned_statements() -> list[Statement]:
    keys = [
        *((axes, says) for axes in ("xy", "xz") for (a, _, _), says in _ALIGNED_SAYS.items() if a == axes),
        ("yz", "is_level"),
    ]
    return [
        _statement(says, f"{axes} aligned:{first}:{second}", first, second, False, NEW_ALIGNED)
        for axes, says in keys
        for first, second in ALIGNMENTS
    ]


STATEMENTS: tuple[Statement, ...] = (*(s.statement for s in ELEMENTARY), *SUPERS, *_aligned_statements())


def states(values: np.ndarray, noise: np.ndarray | None = None) -> np.ndarray:
    """Which absolute states hold, ``(M, N)`` bool in the order of ``STATEMENTS``.

    :param values: ``(269, N)`` from ``single_values``.
    :param noise: ``(269, N)`` in [-1, 1], or None.
    """
    categories = single_categories(values, noise)
    plain = [categories[s.row] == s.category for s in ELEMENTARY]
    supers = super_singles(categories)[: len(SUPERS)]
    is_aligned = aligned(categories)
    lined = []
    for axes, axis, positive in _ALIGNED_SAYS:
        for a, b in ALIGNMENTS:
            free = categories[ROW_OF[f"{axis}:{a}:{b}"]]
            lined.append(is_aligned[axes, a, b] & ((free > MIDDLE) if positive else ((free >= 0) & (free < MIDDLE))))
    lined += [is_aligned["yz", a, b] for a, b in ALIGNMENTS]
    return np.concatenate([np.array(plain), supers, np.array(lined)])


def numbers(name: str, before: np.ndarray, after: np.ndarray) -> dict[str, Any]:
    """The measured value behind an elementary state in A and B, {} for super-codes."""
    row = ROW_OF.get(name.partition(":")[2])
    if row is None:
        return {}
    unit = "deg" if NAMES[row].startswith(("angle", "upright")) else "m"
    return {"from": round(float(before[row]), 3), "to": round(float(after[row]), 3), "unit": unit}


def on_moving_limbs(statements: Iterable[Statement]) -> list[Statement]:
    """Drop the states of parts that no change names, unless they lie further out on a limb that changes."""
    statements = list(statements)
    inner: dict[tuple[str, int], int] = {}  # (side, limb) -> innermost part that a change names
    for s in statements:
        for limb, parts in enumerate(_LIMBS if not s.absolute else ()):
            if s.part in parts:
                for side in SIDES if s.side == "both" else (s.side,):
                    inner[side, limb] = min(inner.get((side, limb), 99), parts.index(s.part))

    def moves(side: str, part: str) -> bool:
        return any(
            part in parts and any(parts.index(part) >= inner.get((one, limb), 99) for one in _one(side))
            for limb, parts in enumerate(_LIMBS)
        )

    return [s for s in statements if not s.absolute or moves(s.side, s.part) or moves(s.side2, s.part2)]


def _one(side: str) -> tuple[str, ...]:
    return SIDES if side == "both" else (side,)
