"""A rough symbolic score of every pose of a large gallery, from coordinates that were measured beforehand.

It differs from the exact score in two ways: it uses one reading per kind of feature, and it takes all poses to be as
uncertain as the average one. It only has to place the best poses among the first few thousand, which are then scored
exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from autocompose.describe.audit.judge import agreement_of
from autocompose.describe.audit.measure import Feature
from autocompose.describe.audit.rules import Test
from autocompose.evaluate.claim_cost import LOGIT, SIDE_WORST, SPREAD, limits
from autocompose.evaluate.pose_coordinates import COLUMN, COORDINATES, UNITS, freedom
from autocompose.evaluate.symbolic import CHANGE_WORST, KEEP_DOUBT, KEEP_UNIT, PoseQuery

Column = Callable[[Feature], np.ndarray]  # feature -> its values for some poses, metres or degrees, without NaN


@dataclass(frozen=True)
class Reading:
    """One reading of a claim: its test, the reference's value, minimum and maximum agreement, 1 / spread."""

    test: Test
    before: float | None
    low: float
    high: float
    sharpness: float

    def miss(self, values: np.ndarray) -> np.ndarray:
        """exp(-logit) of holding, ``(N,)`` float32: the probability is 1 / (1 + miss)."""
        miss = self._beyond(values, -self.sharpness, self.low * self.sharpness)
        if np.isinf(self.high):
            return miss
        return miss + self._beyond(values, self.sharpness, -self.high * self.sharpness)

    def _beyond(self, values: np.ndarray, slope: float, offset: float) -> np.ndarray:
        """exp(LOGIT (slope agreement + offset)); where agreement is linear in the value, in few passes."""
        if self.test.wraps or self.test.sign == 0:
            z = LOGIT * (slope * agreement_of(self.test, values, self.before)[0] + offset)
        else:
            zero, one = (float(agreement_of(self.test, np.array(v), self.before)[0]) for v in (0.0, 1.0))
            z = np.float32(LOGIT * slope * (one - zero)) * values
            z += np.float32(LOGIT * (slope * zero + offset))
        found: np.ndarray = np.exp(z, out=z)
        return found


@dataclass(frozen=True)
class Scan:
    """A query, ready for the rough score.

    :param sides: the alternative readings of each side of each claim.
    :param start: ``(F,)`` the reference's coordinates.
    :param inverse: ``(F,)`` 1 / how far each coordinate may change, 0 = without limit.
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
        with np.errstate(over="ignore", divide="ignore"):  # what cannot hold costs SIDE_WORST
            for side in self.sides:
                holds = sum(1 / (1 + reading.miss(column(reading.test.feature))) for reading in side) / len(side)
                total -= SIDE_WORST * np.tanh(np.log(holds) / SIDE_WORST)
        total *= self.query.text_share
        if self.query.rest_share:
            total += self.query.rest_share * np.log(1 + self._changed(coordinates) / KEEP_UNIT)
        return total

    def _changed(self, coordinates: np.ndarray) -> np.ndarray:
        total, change = np.zeros((2, coordinates.shape[1]), np.float32)
        for place, (row, start, inverse) in enumerate(zip(coordinates, self.start, self.inverse, strict=True)):
            if inverse:
                np.subtract(row, start, out=change)
                change *= inverse
                np.multiply(change, change, out=change)
                np.minimum(change, CHANGE_WORST, out=change)
                if place >= len(COORDINATES):  # an angle, which may be undefined: NaN -> 0
                    np.fmax(change, 0, out=change)
                total += change
        return total


def _chosen(side: Sequence[Test]) -> list[Test]:
    """One reading for each kind of feature, the compared coordinate where there is a choice."""
    kinds: dict[tuple[str, bool], Test] = {}
    for test in side:
        kind = (test.feature[0], test.change)
        if kind not in kinds or (test.feature in COLUMN and kinds[kind].feature not in COLUMN):
            kinds[kind] = test
    return list(kinds.values())


def _reading(query: PoseQuery, test: Test, low: float, high: float, variances: np.ndarray) -> Reading:
    column = COLUMN.get(test.feature)
    variance = 0.0 if column is None else float(variances[column] * UNITS[column] ** 2)
    before = query.reference.poses.feature(test.feature) if test.change else None
    own = query.reference.variance(test.feature)[0] if test.change else 0.0
    spread = float(np.sqrt(SPREAD**2 + (variance + own) / test.tolerance**2))
    return Reading(test, None if before is None else float(before[0]), low + query.margin, high, 1 / spread)
