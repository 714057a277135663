"""Claims against joints: supported, contradicted, unsupported, or not checkable.

A claim becomes the tests of ``rules``: ``all`` of the sides it mentions, each by ``any`` of its readings. A test
gives an agreement: >= 1 supports the claim, <= -1 contradicts it, between them the pose says neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np

from autocompose.describe.audit.measure import PoseRow, Poses
from autocompose.describe.audit.rules import ANGLES, Test, tests_of
from autocompose.describe.reading.claims import LIMB_PARTS, STATED, Claim

NEARLY = 0.5  # a reading that nearly holds keeps the others from contradicting
STILL = 0.15  # a smaller change, in tolerances, counts as none: the claim states a movement that did not happen
SWAP_BELOW = 0.4  # a claim that nearly holds as it stands does not count as swapped sides


class Verdict(str, Enum):
    """The joints' verdict on a claim."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    UNSUPPORTED = "unsupported"
    UNCHECKABLE = "not checkable"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Judgement:
    """A claim, its verdict and the number behind it.

    :param value: the measured change (or state) in ``unit`` along the claim; None when not checkable.
    :param swap: not supported as it stands, but supported with left and right swapped.
    """

    claim: Claim
    verdict: Verdict
    agreement: float | None
    value: float | None
    unit: str
    swap: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain values, rounded."""
        rounded = {
            k: None if v is None else round(v, 3) for k, v in (("agreement", self.agreement), ("value", self.value))
        }
        return {**self.claim.to_json(), "verdict": str(self.verdict), **rounded, "unit": self.unit, "swap": self.swap}


def agreement(claim: Claim, a: Poses | PoseRow, b: Poses | PoseRow) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How well a claim fits changes from A to B, for N pairs at once; one pose in A serves all of B.

    :return: agreement ``(N,)``, NaN where not checkable; the measured value ``(N,)`` behind it, and its
        unit ``(N,)``, "m" or "deg".
    """
    if claim.start:
        return agreement(replace(claim, start=False), a, a) if len(b) == len(a) else _unknown(len(b))
    rows = [_any([evaluate_test(test, a, b) for test in group]) for group in tests_of(claim)]
    if not rows:
        return _unknown(len(b))
    scores = np.stack([score for score, _, _ in rows])
    either = claim.side == "none" and claim.part in LIMB_PARTS
    pick = _extreme(scores, largest=either)
    columns = np.arange(len(b))
    values, units = (np.stack([row[k] for row in rows])[pick, columns] for k in (1, 2))
    return scores[pick, columns], values, units


def _unknown(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.full(n, np.nan), np.full(n, np.nan), np.full(n, "")


def _any(results: list[tuple[np.ndarray, np.ndarray, str]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pair by pair: the reading that agrees most if it supports, else the one that contradicts most, if one does."""
    scores = np.stack([score for score, _, _ in results])
    best, worst, columns = _extreme(scores, largest=True), _extreme(scores, largest=False), np.arange(scores.shape[1])
    against = (scores[worst, columns] <= -1) & (scores[best, columns] < NEARLY)
    pick = np.where(against, worst, best)
    values, units = np.stack([value for _, value, _ in results]), np.array([unit for *_, unit in results])
    return scores[pick, columns], values[pick, columns], units[pick]


def _extreme(scores: np.ndarray, largest: bool) -> np.ndarray:
    """Row of the largest or smallest value in every column, NaN never wins over a number."""
    filled = np.where(np.isnan(scores), -np.inf if largest else np.inf, scores)
    return filled.argmax(0) if largest else filled.argmin(0)


def evaluate_test(test: Test, a: Poses | PoseRow, b: Poses | PoseRow) -> tuple[np.ndarray, np.ndarray, str]:
    """One reading of a claim, for N pairs; one pose in A serves all of B.

    :return: agreement ``(N,)`` (see above), NaN where the pose cannot decide it; the measured value ``(N,)``, its unit.
    """
    unit = "deg" if test.feature[0] in ANGLES else "m"
    after, before = b.feature(test.feature), a.feature(test.feature) if test.change else None
    if after is None or (test.change and before is None):
        return np.full(len(b), np.nan), np.full(len(b), np.nan), unit
    return *agreement_of(test, after, before), unit


def agreement_of(
    test: Test, after: np.ndarray, before: np.ndarray | float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Agreement of a reading and its value, from a feature that is measured already; ``before`` for changes."""
    value = after if before is None else after - before
    if test.wraps:
        value = (value + 180) % 360 - 180
    if test.sign == 0:
        distance = np.abs(np.abs(value) - test.limit if test.wraps else value - test.limit)
        return 1 + (test.slack - distance) / test.tolerance, value
    if test.change:
        return test.sign * value / test.tolerance, value
    return 1 + test.sign * (value - test.limit) / test.tolerance, value


def judge(claims: Sequence[Claim], a: Poses | PoseRow, b: Poses | PoseRow) -> list[list[Judgement]]:
    """Judge the same claims on N pairs.

    :return: one list of judgements per pair.
    """
    measured = [
        (claim, agreement(claim, a, b), agreement(claim.swapped(), a, b)[0] if claim.sided else None)
        for claim in claims
    ]
    return [
        [_judgement(claim, outcome, mirrored, row) for claim, outcome, mirrored in measured] for row in range(len(b))
    ]


def judge_pair(claims: Sequence[Claim], a: Poses | PoseRow, b: Poses | PoseRow) -> list[Judgement]:
    """Judge claims on one pair (both ``Poses`` of length 1)."""
    return judge(claims, a, b)[0]


def _judgement(
    claim: Claim, outcome: tuple[np.ndarray, np.ndarray, np.ndarray], mirrored: np.ndarray | None, row: int
) -> Judgement:
    score, value, unit = float(outcome[0][row]), float(outcome[1][row]), str(outcome[2][row])
    if np.isnan(score):
        return Judgement(claim, Verdict.UNCHECKABLE, None, None, unit)
    missing = claim.action not in STATED and claim.how == "move" and claim.side != "both" and abs(score) < STILL
    against = score <= -1 or missing
    verdict = Verdict.SUPPORTED if score >= 1 else Verdict.CONTRADICTED if against else Verdict.UNSUPPORTED
    swap = score < SWAP_BELOW and mirrored is not None and float(mirrored[row]) >= 1
    return Judgement(claim, verdict, score, value, unit, swap)
