"""A rough symbolic score of every pose of a large gallery, from coordinates that were measured beforehand.

It differs from the exact score in two ways: it uses one reading per kind of feature, and it takes all poses to be as
uncertain as the average one. It only has to place the best poses among the first few thousand, which are then scored
exactly. Once it is known which score these have (a sample tells), most poses are given up early: by a bound on what one
side of a claim may cost, then while the changes of their coordinates are added up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from autocompose.describe.audit.judge import agreement_of
from autocompose.describe.audit.measure import Feature
from autocompose.describe.audit.rules import Test
from autocompose.evaluate.claim_cost import LOGIT, SIDE_WORST, SPREAD, limits
from autocompose.evaluate.pose_coordinates import COLUMN, COORDINATES, UNITS, freedom
from autocompose.evaluate.symbolic import CHANGE_WORST, KEEP_DOUBT, KEEP_UNIT, PoseQuery

STEP = 3  # coordinates between two looks at which poses are left
ROUNDING = 1e-5  # of float32, by which bounds are widened
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
        low, *high = (np.exp(z, out=z) for z in self._doubts(values))
        return sum(high, start=low)

    def may_hold(self, values: np.ndarray, doubt: float) -> np.ndarray:
        """``(N,)`` bool: False where the probability is certainly below 1 / (1 + exp(doubt))."""
        low, *high = (z <= doubt for z in self._doubts(values))
        return low & high[0] if high else low

    def _doubts(self, values: np.ndarray) -> Iterator[np.ndarray]:
        """Logits of the agreement being too low, and too high if it can be."""
        yield self._logit(values, -self.sharpness, self.low * self.sharpness)
        if np.isfinite(self.high):
            yield self._logit(values, self.sharpness, -self.high * self.sharpness)

    def _logit(self, values: np.ndarray, slope: float, offset: float) -> np.ndarray:
        """LOGIT (slope agreement + offset); where agreement is linear in the value, in few passes."""
        if self.test.wraps or self.test.sign == 0:
            z: np.ndarray = LOGIT * (slope * agreement_of(self.test, values, self.before)[0] + offset)
            return z
        zero, one = (float(agreement_of(self.test, np.array(v), self.before)[0]) for v in (0.0, 1.0))
        z = np.float32(LOGIT * slope * (one - zero)) * values
        z += np.float32(LOGIT * (slope * zero + offset))
        return z


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
        total = self._claims(column, coordinates.shape[1])
        if self.query.rest_share:
            changed = np.zeros(coordinates.shape[1], np.float32)
            for place in np.flatnonzero(self.inverse).tolist():
                changed += self._change(place, coordinates[place])
            total += self._rest(changed)
        return total

    def order(self, coordinates: np.ndarray) -> list[int]:
        """The coordinates that count, first those whose changes cost most in a sample ``(F, N)``."""
        places = np.flatnonzero(self.inverse).tolist()
        cost = [self._change(place, coordinates[place]).mean() for place in places]
        return [places[i] for i in np.argsort(cost)[::-1]]

    def within(
        self, limit: float, order: Sequence[int], coordinates: np.ndarray, column: Column, rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Those of some rows that cost at most ``limit``, and their costs, as ``costs`` has them.

        :param order: of coordinates, see there. :param rows: ``(R,)`` ascending.
        """
        changed = np.zeros(len(rows), np.float32)
        if self.query.rest_share:
            left = KEEP_UNIT * np.expm1(limit / self.query.rest_share) * (1 + ROUNDING) + ROUNDING
            for done, place in enumerate(order, 1):
                changed += self._change(place, coordinates[place].take(rows))
                if done * CHANGE_WORST > left and done % STEP == 0:
                    kept = np.flatnonzero(changed <= left)  # to take these is quicker than to index by a mask
                    rows, changed = rows.take(kept), changed.take(kept)
        costs = self._rest(changed)
        for side in self.sides:
            costs += self._side(side, lambda feature: column(feature).take(rows))  # noqa: B023
            kept = np.flatnonzero(costs <= limit)
            rows, costs = rows.take(kept), costs.take(kept)
        return rows, costs

    def possible(self, limit: float, column: Column, allowed: np.ndarray) -> np.ndarray:
        """``(N,)`` bool: which of the allowed poses may cost no more than ``limit``, by each side of a claim alone."""
        side_limit = limit / self.query.text_share * (1 + ROUNDING) if self.query.text_share else SIDE_WORST
        if side_limit >= SIDE_WORST:
            return allowed
        holds = np.exp(-SIDE_WORST * np.arctanh(side_limit / SIDE_WORST)) - ROUNDING  # the mean of a side's readings
        if holds <= 0:
            return allowed
        doubt = float(np.log(1 / holds - 1))
        for side in self.sides:
            allowed = allowed & np.any([r.may_hold(column(r.test.feature), doubt) for r in side], 0)
        return allowed

    def _claims(self, column: Column, count: int) -> np.ndarray:
        total = np.zeros(count, np.float32)
        for side in self.sides:
            total += self._side(side, column)
        return total

    def _side(self, side: tuple[Reading, ...], column: Column) -> np.ndarray:
        with np.errstate(over="ignore", divide="ignore"):  # what cannot hold costs SIDE_WORST
            holds = sum(1 / (1 + reading.miss(column(reading.test.feature))) for reading in side) / len(side)
            cost: np.ndarray = np.tanh(np.log(holds) / SIDE_WORST)
            cost *= -SIDE_WORST * self.query.text_share
        return cost

    def _rest(self, changed: np.ndarray) -> np.ndarray:
        cost: np.ndarray = self.query.rest_share * np.log(1 + changed / KEEP_UNIT)
        return cost

    def _change(self, place: int, values: np.ndarray) -> np.ndarray:
        change = values - self.start[place]
        change *= self.inverse[place]
        np.multiply(change, change, out=change)
        np.minimum(change, CHANGE_WORST, out=change)
        if place >= len(COORDINATES):  # an angle, which may be undefined: NaN -> 0
            np.fmax(change, 0, out=change)
        return change


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
