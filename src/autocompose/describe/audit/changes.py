"""The large changes of a pair, by limb, and which of them a text mentions."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from autocompose.describe.audit.judge import Judgement, Verdict
from autocompose.describe.audit.measure import Feature, Poses
from autocompose.describe.reading.claims import LIMB_PARTS, Claim

LARGE_METRES, LARGE_DEGREES, LARGE_TRUNK = 0.40, 45.0, 25.0
UNITS = ("left arm", "right arm", "left leg", "right leg", "torso")
_LIMBS = {"arm": ("hand", "elbow"), "leg": ("foot", "knee")}


def large_changes(a: Poses, b: Poses) -> np.ndarray:
    """``(N, 5)`` bool in the order of ``UNITS``.

    A limb has a large change when its end or middle joint moved by 40 cm relative to the pelvis, or its angle by 45
    degrees; the torso when it leans or twists by 25 degrees.
    """
    columns = []
    for unit in UNITS[:4]:
        side, limb = unit.split()
        moved = [np.linalg.norm(b.point(part, side) - a.point(part, side), axis=1) for part in _LIMBS[limb]]
        bent = _change(a, b, ("bend", _LIMBS[limb][1], side))
        columns.append((np.max(moved, 0) >= LARGE_METRES) | (bent >= LARGE_DEGREES))
    trunk: tuple[Feature, ...] = (("lean-forward", "torso"), ("lean-left", "torso"), ("twist",))
    columns.append(np.max([_change(a, b, key) for key in trunk], 0) >= LARGE_TRUNK)
    return np.stack(columns, 1)


def _change(a: Poses, b: Poses, key: Feature) -> np.ndarray:
    before, after = a.feature(key), b.feature(key)
    assert before is not None and after is not None
    return np.nan_to_num(np.abs((after - before + 180) % 360 - 180))


def mentioned(judged: Iterable[Judgement]) -> set[str]:
    """The units that supported claims mention."""
    return {unit for j in judged if j.verdict is Verdict.SUPPORTED for unit in units_of(j.claim)}


def units_of(claim: Claim) -> set[str]:
    """The ``UNITS`` that a claim mentions; a claim about the whole body mentions legs and torso."""
    if claim.part == "body":
        return {"left leg", "right leg", "torso"}
    if claim.part in ("torso", "pelvis") or claim.part == "shoulder":
        return {"torso"} | (_limb_units(claim) if claim.part == "shoulder" else set())
    return _limb_units(claim) if claim.part in LIMB_PARTS else set()


def _limb_units(claim: Claim) -> set[str]:
    limb = "arm" if claim.part in LIMB_PARTS[:6] else "leg"
    return {f"{side} {limb}" for side in ("left", "right") if claim.side in (side, "both", "none")}
