"""A rough symbolic score of every pose of a large gallery, from coordinates that were measured beforehand.

It differs from the exact score in three ways: a claim is read by the compared coordinates alone (by its first reading
where it speaks of none of them), all poses are taken to be as uncertain as the average one, and sides share nothing. It
only has to bring the best poses among the first few thousand; those are then scored exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from autocompose.describe.audit.judge import agreement_of
from autocompose.describe.audit.measure import Feature
from autocompose.describe.audit.rules import Test
from autocompose.evaluate.claim_cost import DOUBT, LENIENT, LOGIT, SIDE_WORST, SPREAD, limits
from autocompose.evaluate.pose_coordinates import COLUMN, UNITS, freedom
from autocompose.evaluate.symbolic import CHANGE_WORST, KEEP_DOUBT, KEEP_UNIT, PoseQuery

Column = Callable[[Feature], np.ndarray]  # feature -> its values for some poses, metres or degrees, without NaN
STEEPEST = 30.0  # exp() of more has no room in 32 bits


@dataclass(frozen=True)
class Reading:
    """One reading of a claim: its test, the reference's value, the least and most agreement, 1 / spread."""

    test: Test
    before: float | None
    low: float
    high: float
    sharpness: float

    def miss(self, values: np.ndarray) -> np.ndarray:
        """exp(-logit) of holding, ``(N,)``: the probability is 1 / (1 + miss)."""
        agrees = agreement_of(self.test, values, self.before)[0]
        miss = _exp((self.low - agrees) * self.sharpness - LENIENT)
        return miss if np.isinf(self.high) else miss + _exp((agrees - self.high) * self.sharpness - LENIENT)


@dataclass(frozen=True)
class Scan:
    """A query, ready for the rough score.

    :param sides: the alternative readings of each side of each claim.
    :param start: ``(F,)`` the reference's coordinates; ``inverse``: ``(F,)`` 1 / how far each may change, 0 = any way.
    """

    query: PoseQuery
    sides: tuple[tuple[Reading, ...], ...]
    start: np.ndarray
    inverse: np.ndarray

    @classmethod
    def of(cls, query: PoseQuery, variances: np.ndarray) -> Scan:
        """
        :param variances: ``(F,)`` mean of the gallery's coordinate variances.
        """
        sides = [
            tuple(_reading(query, test, *limits(claim, test), variances) for test in _chosen(side))
            for claim in query.claims
            for side in query.readings(claim)
        ]
        reference = query.reference
        doubts = KEEP_DOUBT * (variances + reference.coordinate_variances[0])
        inverse = 1 / np.sqrt(np.square(freedom(query.claims)) + doubts)
        start = reference.coordinates[0]
        unknown = np.isnan(start)
        known = [tuple(r for r in side if r.before is None or np.isfinite(r.before)) for side in sides]
        return cls(
            query,
            tuple(side for side in known if side),
            np.where(unknown, 0, start).astype(np.float32),
            np.where(unknown, 0, inverse).astype(np.float32),
        )

    @property
    def features(self) -> list[Feature]:
        """What the readings measure."""
        return list(dict.fromkeys(reading.test.feature for side in self.sides for reading in side))

    def costs(self, coordinates: np.ndarray, column: Column) -> np.ndarray:
        """``(N,)`` float32, lower is better.

        :param coordinates: ``(F, N)`` float32; NaN counts as unchanged.
        """
        total = np.zeros(coordinates.shape[1], np.float32)
        for side in self.sides:
            holds = sum(1 / (1 + reading.miss(column(reading.test.feature))) for reading in side) / len(side)
            total -= SIDE_WORST * np.tanh(np.log(holds) / SIDE_WORST)
        total *= self.query.told_share
        if self.query.kept_share:
            total += self.query.kept_share * np.log(1 + self._changed(coordinates) / KEEP_UNIT)
        return total

    def _changed(self, coordinates: np.ndarray) -> np.ndarray:
        total, change = np.zeros((2, coordinates.shape[1]), np.float32)
        for row, start, inverse in zip(coordinates, self.start, self.inverse, strict=True):
            if inverse:
                np.subtract(row, start, out=change)
                change *= inverse
                np.multiply(change, change, out=change)
                np.minimum(change, CHANGE_WORST, out=change)
                np.fmax(change, 0, out=change)  # NaN -> 0
                total += change
        return total


def _chosen(side: Sequence[Test]) -> list[Test]:
    compared = [test for test in side if test.feature in COLUMN]
    return compared or list(side[:1])


def _reading(query: PoseQuery, test: Test, low: float, high: float, variances: np.ndarray) -> Reading:
    column = COLUMN.get(test.feature)
    variance = 0.0 if column is None else float(variances[column] * UNITS[column] ** 2)
    before = query.reference.poses.feature(test.feature) if test.change else None
    own = query.reference.variance(test.feature)[0] if test.change else 0.0
    spread = float(np.sqrt(SPREAD**2 + DOUBT * (variance + own) / test.tolerance**2))
    return Reading(test, None if before is None else float(before[0]), low + query.margin, high, 1 / spread)


def _exp(z: np.ndarray) -> np.ndarray:
    return np.exp(np.minimum(LOGIT * z, STEEPEST, dtype=np.float32))
