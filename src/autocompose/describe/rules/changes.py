"""From measurements to possible statements about a pair: levels, super-codes, eligibility, importance; vectorised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from autocompose.bodies.points import normal_points
from autocompose.bodies.pose_frame import yaw_of
from autocompose.bodies.skeleton import SMPL22, mirror_joints, mirror_order, mirror_rotations
from autocompose.describe.rules.codes import absolute
from autocompose.describe.rules.codes import point_measures as measure
from autocompose.describe.rules.codes.pair_codes import NOISE, PAIR_CODES, PAIR_NAMES, ROWS, pair_levels, pair_measures
from autocompose.describe.rules.codes.single_codes import single_values
from autocompose.describe.rules.codes.spread import spreads
from autocompose.describe.rules.codes.upper_body import UPPER_NOISE, UPPER_THRESHOLDS, upper_measures
from autocompose.describe.rules.options import RuleOptions
from autocompose.describe.rules.statement import CATEGORIES, Statement

CLOSE = 0.20  # metres: "close" of the single-pose distance codes
FOLDED = 45.0  # degrees: "folded" of the single-pose angle codes
ALMOST_STRAIGHT = 135.0  # degrees: "slightly bent" or "straight" of the single-pose angle codes
# change of one unit of importance: the threshold of the strongest category of each kind
UNIT = {"bend": 80.0, "gap": 0.40, "side": 0.40, "height": 0.40, "depth": 0.40}
TURN_UNIT = 60.0
TURN_THRESHOLDS = (20.0, 60.0, 120.0, 150.0)
TURN_NOISE = 10.0
N_PAIR = len(PAIR_CODES)
SURE = 2.0  # standard deviations from which the uncertainty of the poses does not explain a change (docs/estimation.md)

STRAIGHTEN_NAMES = tuple(
    f"straighten:{side}_{limb}" for limb in ("leg", "arm") for side in ("left", "right")
)  # in the order of the bend codes
SUPER_NAMES: tuple[str, ...] = STRAIGHTEN_NAMES + tuple(
    f"{CATEGORIES['gap' if '_' in code.subject else 'gap both'][level]}:{code.subject}"
    for code in PAIR_CODES[ROWS["gap"]]
    for level in (2, 1, -1, -2)
)
ROW_NAMES = (*PAIR_NAMES, *STRAIGHTEN_NAMES, "turn", *UPPER_THRESHOLDS)


class Figures(NamedTuple):
    """N poses as they come in.

    :param joints: ``(N, 22, 3)`` SMPL-22 (or 24, with fingers), metres, scene frame, any place, yaw and size.
    :param rotations: ``(N, 22, 3)`` local axis-angle rotations; only the head needs them.
    :param known: ``(N, 22)`` bool, False for joints that the source skeleton lacks; None = all known.
    :param scene: ``(N,)`` names of the scenes; between two scenes (two photographs) the camera may have moved, so the
        heading of a person in one says nothing about the other. None = all poses share one.
    :param uncertainty: ``(N, 22)`` metres, the expected distance of each joint from the true one; a change that it may
        explain is not told. None = exact.
    """

    joints: np.ndarray
    rotations: np.ndarray | None = None
    known: np.ndarray | None = None
    scene: np.ndarray | None = None
    uncertainty: np.ndarray | None = None

    def rows(self, which: slice | list[int]) -> Figures:
        """Some of the poses."""
        return Figures(*(None if x is None else x[which] for x in self))  # type: ignore[arg-type]

    def mirrored(self) -> Figures:
        """The poses seen in a mirror; sides stay the person's own."""
        turned = None if self.rotations is None else mirror_rotations(self.rotations)
        order = mirror_order(SMPL22)
        known, uncertainty = (None if x is None else x[:, order] for x in (self.known, self.uncertainty))
        return Figures(mirror_joints(self.joints), turned, known, self.scene, uncertainty)


@dataclass(frozen=True)
class Poses:
    """What is measured of N poses; rows as in ``PAIR_CODES``, ``upper_body`` and ``single_codes``.

    :param pair: ``(44, N)``. :param upper: ``(5, N)``, NaN unless wanted. :param single: ``(269, N)`` or None.
    :param yaw: ``(N,)`` degrees.
    :param spread: ``(49, N)`` standard deviations of the rows of ``pair`` and ``upper``; None = exact.
    """

    pair: np.ndarray
    upper: np.ndarray
    single: np.ndarray | None
    yaw: np.ndarray
    spread: np.ndarray | None = None


def measure_poses(figures: Figures, options: RuleOptions) -> Poses:
    """Measure everything that the options require.

    :raises PoseError: wrong shape, NaN, zero-length bones.
    """
    points = normal_points(figures.joints, figures.known)
    upper = np.full((len(UPPER_THRESHOLDS), len(points)), np.nan)
    if options.trunk or options.head:
        upper = upper_measures(points, figures.joints, figures.rotations if options.head else None)
        if not options.trunk:
            upper[:3] = np.nan
    single = None if options.absolute == "none" else single_values(points)
    spread = None if figures.uncertainty is None else spreads(figures.joints, figures.uncertainty, figures.known)
    return Poses(pair_measures(points), upper, single, yaw_of(np.asarray(figures.joints, float)), spread)


@dataclass(frozen=True)
class Changes:
    """The possible statements about P pairs.

    :param start, goal: the measurements of the two poses of each pair.
    :param levels: ``(54, P)`` int8, rows as in ``ROW_NAMES``: the eligible codes after the super-codes; distances
        remain only where the super-code (together, apart, in, out) came out, bends only where "straighten" did not.
    :param weights: ``(54, P)`` importance; 1 = threshold of the strongest category.
    :param turns: ``(P,)`` degrees from A to B, positive = to their own left; 0 when not wanted.
    :param states: ``(M, P)`` importance of the absolute states of B as in ``absolute.STATEMENTS``, 0 = not told.
    :param doubtful: ``(54, P)`` like ``levels``: the changes that the uncertainty of the poses may explain, which
        ``levels`` leaves out. :param spread: ``(54, P)`` standard deviations of the changes; 0 = exact.
    """

    start: Poses
    goal: Poses
    levels: np.ndarray
    weights: np.ndarray
    turns: np.ndarray
    states: np.ndarray
    doubtful: np.ndarray
    spread: np.ndarray

    def statements(self) -> Iterator[list[Statement]]:
        """The statements of each pair: changes in the order of the rows, then states."""
        changes = _per_pair(self.levels, self.weights)
        states = _per_pair(self.states, self.states)
        for changed, held in zip(changes, states, strict=True):
            result = [_PROTOTYPES[row, level]._replace(weight=weight) for row, level, weight in changed]
            yield result + [absolute.STATEMENTS[row]._replace(weight=weight) for row, _, weight in held]

    def numbers(self, pair: int) -> list[dict[str, Any]]:
        """What was measured behind the statements of one pair: code, category, value before and after, unit."""
        result = self._changed(self.levels, pair)
        for row in np.flatnonzero(self.states[:, pair]).tolist():
            statement = absolute.STATEMENTS[row]
            assert self.start.single is not None and self.goal.single is not None
            numbers = absolute.numbers(statement.codes[0], self.start.single[:, pair], self.goal.single[:, pair])
            result.append({"code": statement.codes[0], "category": statement.category, **numbers})
        return result

    def doubtful_numbers(self, pair: int) -> list[dict[str, Any]]:
        """The same of the changes that the uncertainty of the poses may explain."""
        return self._changed(self.doubtful, pair)

    def _changed(self, levels: np.ndarray, pair: int) -> list[dict[str, Any]]:
        result = []
        for row in np.flatnonzero(levels[:, pair]).tolist():
            category = _PROTOTYPES[row, int(levels[row, pair])].category
            before, after = self._measured(row, pair)
            unit = "m" if row < N_PAIR and PAIR_CODES[row].kind != "bend" else "deg"
            numbers = {"from": round(float(before), 3), "to": round(float(after), 3), "unit": unit}
            spread = float(self.spread[row, pair])
            numbers |= {"uncertainty": round(spread, 3)} if spread else {}
            result.append({"code": ROW_NAMES[row], "category": category, **numbers})
        return result

    def _measured(self, row: int, pair: int) -> tuple[float, float]:
        if row < N_PAIR:
            return self.start.pair[row, pair], self.goal.pair[row, pair]
        if row < N_PAIR + len(STRAIGHTEN_NAMES):  # "straighten" rests on the bend
            return self.start.pair[row - N_PAIR, pair], self.goal.pair[row - N_PAIR, pair]
        if ROW_NAMES[row] == "turn":
            return 0.0, self.turns[pair]
        upper = row - len(ROW_NAMES)
        return self.start.upper[upper, pair], self.goal.upper[upper, pair]


def find_changes(start: Poses, goal: Poses, keys: np.ndarray, seed: int, options: RuleOptions) -> Changes:
    """Bin the differences of P pairs and apply the rules of the 52 super-codes.

    :param keys: ``(P,)`` uint64, one per pair; with ``seed`` they decide the noise.
    """
    values = start.pair - goal.pair
    shift = [_noise(values.shape, keys, seed, i, options.noise) for i in range(3)]
    levels = pair_levels(values, shift[0])
    straight = _straighten(levels, goal.pair, shift[2])
    levels[ROWS["bend"]][straight > 0] = 0
    _fold(levels, goal.pair, shift[2])
    _only_super_gaps(levels, start.pair, goal.pair, shift)
    turns = (goal.yaw - start.yaw + 180) % 360 - 180 if options.rotation else np.zeros(values.shape[1])
    turned = measure.levels(-(turns + TURN_NOISE * shift[1][:1]), TURN_THRESHOLDS)
    upper, upper_weights = _upper(start.upper - goal.upper, UPPER_NOISE * shift[1][-len(UPPER_THRESHOLDS) :])
    weights = np.abs(np.nan_to_num(values))
    for kind, rows in ROWS.items():
        weights[rows] /= UNIT[kind]
    combined = np.concatenate([levels, straight, turned, upper])
    sizes = np.abs(np.nan_to_num(np.concatenate([values, values[ROWS["bend"]], turns[None], start.upper - goal.upper])))
    spread = _row_spreads(start, goal)
    sure = sizes >= SURE * spread
    return Changes(
        start,
        goal,
        combined * sure,
        np.concatenate([weights, weights[ROWS["bend"]], np.abs(turns)[None] / TURN_UNIT, upper_weights]),
        turns,
        _states(start, goal, levels, straight, _noise((269, len(keys)), keys, seed, 3, options.noise)),
        combined * ~sure,
        spread,
    )


def _row_spreads(start: Poses, goal: Poses) -> np.ndarray:
    """Standard deviations of the differences of two poses, ``(54, P)``; 0 where exact, and for the turn."""
    total = np.zeros((N_PAIR + len(UPPER_THRESHOLDS), start.pair.shape[1]))
    for poses in (start, goal):
        total += 0.0 if poses.spread is None else poses.spread**2
    spread = np.sqrt(total)
    bends, turn = spread[ROWS["bend"]], np.zeros((1, spread.shape[1]))
    return np.concatenate([spread[:N_PAIR], bends, turn, spread[N_PAIR:]])


def _noise(shape: tuple[int, ...], keys: np.ndarray, seed: int, stream: int, width: float) -> np.ndarray:
    rows, columns = shape
    return measure.jitter((rows, columns), keys, seed, stream) * width if width else np.zeros(shape)


def _straighten(levels: np.ndarray, goal: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Knee or elbow opens, and is nearly straight in the goal: say it of the limb instead."""
    rows = ROWS["bend"]
    almost = goal[rows] + NOISE["bend"] * noise[rows] > ALMOST_STRAIGHT
    return ((levels[rows] > 0) & almost).astype(np.int8)


def _fold(levels: np.ndarray, goal: np.ndarray, noise: np.ndarray) -> None:
    """Level -4: knee or elbow bends much more *and* is folded in the goal; only then may a text say "all the way"."""
    rows = ROWS["bend"]
    folded = goal[rows] + NOISE["bend"] * noise[rows] <= FOLDED
    levels[rows][(levels[rows] == -3) & folded] = -4


def _only_super_gaps(levels: np.ndarray, a: np.ndarray, b: np.ndarray, shift: list[np.ndarray]) -> None:
    """A distance is worth saying only when it starts close (apart, out) or ends close (together, in)."""
    rows = ROWS["gap"]
    close_a = a[rows] + NOISE["gap"] * shift[1][rows] <= CLOSE
    close_b = b[rows] + NOISE["gap"] * shift[2][rows] <= CLOSE
    gaps = levels[rows]
    gaps[~(((gaps > 0) & close_a) | ((gaps < 0) & close_b))] = 0


def _upper(values: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    levels = np.concatenate([
        measure.levels((values + noise)[row : row + 1], limits) for row, limits in enumerate(UPPER_THRESHOLDS.values())
    ])  # fmt: skip
    strongest = np.array([[limits[-1]] for limits in UPPER_THRESHOLDS.values()])
    return levels, np.abs(np.nan_to_num(values)) / strongest


def _states(start: Poses, goal: Poses, levels: np.ndarray, straight: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Importance of the absolute states of B; a state that a super-code already says is silent."""
    if start.single is None or goal.single is None:
        return np.zeros((len(absolute.STATEMENTS), levels.shape[1]))
    weights = np.array([[s.weight] for s in absolute.STATEMENTS])
    holds = absolute.states(goal.single, noise)
    held = absolute.states(start.single)
    for row, silencer in _SILENCED.items():
        holds[row] &= ~(straight[silencer] > 0 if silencer < 4 else levels[silencer] < 0)
    return holds * np.where(held, weights * absolute.HELD, weights)


def _silenced() -> dict[int, int]:
    """State -> what silences it: straighten (row 0..3 of the bends) or a distance row that says "together"."""
    result = {}
    for row, statement in enumerate(absolute.STATEMENTS):
        if statement.category == "is_straight":
            result[row] = PAIR_NAMES.index(f"bend:{statement.side}_{statement.part}")
        elif statement.category == "is_near" and statement.part == statement.part2:
            result[row] = PAIR_NAMES.index(f"gap:{statement.part}")
    return result


def _per_pair(chosen: np.ndarray, weights: np.ndarray) -> Iterator[list[tuple[int, int, float]]]:
    """For each column of ``(R, P)`` the (row, value, weight) of its non-zero entries."""
    columns, rows = np.nonzero(chosen.T)
    entries = list(
        zip(rows.tolist(), chosen[rows, columns].astype(int).tolist(), weights[rows, columns].tolist(), strict=True)
    )
    start = 0
    for end in np.searchsorted(columns, np.arange(chosen.shape[1]), side="right").tolist():
        yield entries[start:end]
        start = end


def _prototypes() -> dict[tuple[int, int], Statement]:
    result = {}
    for row, name in enumerate(ROW_NAMES):
        kind, _, subject = name.removesuffix(":torso").partition(":")
        side, _, part = subject.rpartition("_")
        side = side or ("both" if kind == "gap" else "")
        for level, category in CATEGORIES["gap both" if side == "both" else kind].items():
            rare = kind in ("gap", "straighten", "turn")
            result[row, level] = Statement(kind, category, level, side, part, "", "", 0.0, (name,), rare)
    return result


_PROTOTYPES = _prototypes()
_SILENCED = _silenced()
