"""From measurements to what may be said of each pair: levels, super-codes, eligibility and importance, vectorised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from autocompose.describe.rules import measure
from autocompose.describe.rules.pair_codes import NOISE, PAIR_CODES, PAIR_NAMES, ROWS, pair_levels
from autocompose.describe.rules.statement import CATEGORIES, Statement

CLOSE = 0.20  # metres: "close" of the single-pose distance codes
ALMOST_STRAIGHT = 135.0  # degrees: "slightly bent" or "straight" of the single-pose angle codes
# change of one unit of importance: the threshold of the strongest category of each kind
UNIT = {"bend": 80.0, "gap": 0.40, "side": 0.40, "height": 0.40, "depth": 0.40, "turn": 60.0}
TURN_THRESHOLDS = (20.0, 60.0, 120.0, 150.0)
TURN_NOISE = 10.0

STRAIGHTEN_NAMES = tuple(
    f"straighten:{side}_{limb}" for limb in ("leg", "arm") for side in ("left", "right")
)  # in the order of the bend codes
SUPER_NAMES: tuple[str, ...] = STRAIGHTEN_NAMES + tuple(
    f"{CATEGORIES['gap' if '_' in code.subject else 'gap both'][level]}:{code.subject}"
    for code in PAIR_CODES[ROWS["gap"]]
    for level in (2, 1, -1, -2)
)
ROW_NAMES = (*PAIR_NAMES, *STRAIGHTEN_NAMES, "turn")


@dataclass(frozen=True)
class Changes:
    """What may be said of P pairs.

    :param measures: ``(44, P)`` degrees and metres, of the start and of the goal poses.
    :param levels: ``(49, P)`` int8, rows as in ``ROW_NAMES``: the eligible codes after the super-codes; distances
        remain only where the super-code (together, apart, in, out) came out, bends only where "straighten" did not.
    :param weights: ``(49, P)`` importance; 1 = threshold of the strongest category.
    :param turns: ``(P,)`` degrees from A to B, positive = to their own left; 0 when not wanted.
    """

    measures: tuple[np.ndarray, np.ndarray]
    levels: np.ndarray
    weights: np.ndarray
    turns: np.ndarray

    def statements(self) -> Iterator[list[Statement]]:
        """The statements of each pair, in the order of the rows."""
        columns, rows = np.nonzero(self.levels.T)
        found = self.levels[rows, columns].tolist()
        weights = self.weights[rows, columns].tolist()
        ends = np.searchsorted(columns, np.arange(self.levels.shape[1]), side="right").tolist()
        start, names = 0, rows.tolist()
        for end in ends:
            yield [_PROTOTYPES[names[i], found[i]]._replace(weight=weights[i]) for i in range(start, end)]
            start = end

    def numbers(self, pair: int) -> list[dict[str, Any]]:
        """What was measured behind the statements of one pair: code, category, value before and after, unit."""
        result = []
        for row in np.flatnonzero(self.levels[:, pair]):
            source = row - len(PAIR_CODES) if row >= len(PAIR_CODES) else row  # "straighten" measures the bend
            turn = ROW_NAMES[row] == "turn"
            before, after = (0.0, self.turns[pair]) if turn else (m[source, pair] for m in self.measures)
            category = _PROTOTYPES[int(row), int(self.levels[row, pair])].category
            unit = "deg" if turn or source in range(*ROWS["bend"].indices(44)) else "m"
            numbers = {"from": round(float(before), 3), "to": round(float(after), 3), "unit": unit}
            result.append({"code": ROW_NAMES[row], "category": category, **numbers})
        return result


def find_changes(
    measures_a: np.ndarray, measures_b: np.ndarray, turns: np.ndarray, keys: np.ndarray, seed: int, noise: float
) -> Changes:
    """Bin the differences of P pairs and apply the rules of the 52 super-codes.

    :param measures_a, measures_b: ``(44, P)`` from ``pair_measures``.
    :param turns: ``(P,)`` degrees.
    :param keys: ``(P,)`` uint64, one per pair; with ``seed`` they decide the noise.
    :param noise: 1 = the widths of PoseFix, 0 = none.
    """
    values = measures_a - measures_b
    shape = (values.shape[0], values.shape[1])
    shift = [measure.jitter(shape, keys, seed, i) * noise if noise else np.zeros(shape) for i in range(3)]
    levels = pair_levels(values, shift[0])
    straight = _straighten(levels, measures_b, shift[2])
    levels[ROWS["bend"]][straight > 0] = 0
    _only_super_gaps(levels, measures_a, measures_b, shift)
    weights = np.abs(np.nan_to_num(values))
    for kind, rows in ROWS.items():
        weights[rows] /= UNIT[kind]
    turned = measure.levels(-(turns + TURN_NOISE * shift[1][0])[None], TURN_THRESHOLDS)
    return Changes(
        (measures_a, measures_b),
        np.concatenate([levels, straight, turned]),
        np.concatenate([weights, weights[ROWS["bend"]], np.abs(turns)[None] / UNIT["turn"]]),
        turns,
    )


def super_codes(measures_a: np.ndarray, measures_b: np.ndarray) -> np.ndarray:
    """Which of the 52 pair super-codes hold, ``(52, P)`` bool in the order of ``SUPER_NAMES``, without noise."""
    zero = np.zeros(measures_a.shape[1])
    found = find_changes(measures_a, measures_b, zero, zero.astype(np.uint64), 0, 0.0).levels
    gaps = [found[row] == level for row in range(ROWS["gap"].start, ROWS["gap"].stop) for level in (2, 1, -1, -2)]
    return np.concatenate([found[44:48] > 0, np.array(gaps)])


def _straighten(levels: np.ndarray, measures_b: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Knee or elbow opens, and is nearly straight in the goal: say it of the limb instead."""
    rows = ROWS["bend"]
    almost = measures_b[rows] + NOISE["bend"] * noise[rows] > ALMOST_STRAIGHT
    return ((levels[rows] > 0) & almost).astype(np.int8)


def _only_super_gaps(levels: np.ndarray, a: np.ndarray, b: np.ndarray, shift: list[np.ndarray]) -> None:
    """A distance is worth saying only when it starts close (apart, out) or ends close (together, in)."""
    rows = ROWS["gap"]
    close_a = a[rows] + NOISE["gap"] * shift[1][rows] <= CLOSE
    close_b = b[rows] + NOISE["gap"] * shift[2][rows] <= CLOSE
    gaps = levels[rows]
    gaps[~(((gaps > 0) & close_a) | ((gaps < 0) & close_b))] = 0


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
