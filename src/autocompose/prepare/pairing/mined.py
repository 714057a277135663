"""The last steps of a corpus that starts from 3D poses: mine pairs, write rule texts, give groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from autocompose.core.errors import InputError
from autocompose.core.log import Tally
from autocompose.core.records import Pair, Split
from autocompose.corpus.poses import PoseTable
from autocompose.prepare.pairing.pairs import PairOptions, mine_pairs, widened


@dataclass(frozen=True)
class Mining:
    """How pairs are made.

    :param gap: most seconds between two poses of one motion. :param low, high: window of the poses' cosine similarity.
    :param texts: rule texts per pair and direction, 0 for none.
    :param views: "any", or the pictures of a pair come from the "same" or from "different" cameras (column ``view``).
    """

    gap: float = 2.0
    low: float = 0.80
    high: float = 0.97
    texts: int = 3
    views: str = "any"

    def __post_init__(self) -> None:
        if self.views not in ("any", "same", "different"):
            raise InputError(f"views of a pair {self.views!r}: expected any, same or different")
        if not -1 <= self.low < self.high <= 1:
            raise InputError(f"similarity {self.low} to {self.high}: expected low below high, both in -1 to 1")
        if self.gap <= 0:
            raise InputError(f"gap {self.gap}: expected seconds, above 0")


class _Rows(NamedTuple):
    start: int
    goal: int
    in_sequence: bool


def mined_pairs(
    table: PoseTable, rows: Mapping[Split, Sequence[int]], mining: Mining, seed: int, tally: Tally
) -> dict[Split, tuple[Pair, ...]]:
    """Pairs within each split, with ``auto`` and ``auto-reverse`` texts, without groups.

    :param rows: split -> rows of ``table`` that belong to it.
    :param tally: counts poses that became the goal of a pair.
    """
    result = {}
    options = PairOptions(low=mining.low, high=mining.high, gap=mining.gap)
    for split, indices in rows.items():
        pool = np.asarray(indices, int)
        chosen = [pair for part in _pools(table, pool, mining.views) for pair in _mine(table, part, options, seed)]
        if mining.views == "different":
            view = table.columns["view"]
            chosen = [pair for pair in chosen if view[pair.start] != view[pair.goal]]
        goals = {pair.goal for pair in chosen}
        tally.keep(len(goals))
        limit = None if goals else widened(table.joints[pool], *_motion(table, pool), options)
        tally.drop("no reference pose within the constraints", n=len(pool) - len(goals), limit=limit)
        result[split] = tuple(_written(table, chosen, mining.texts, seed))
    return result


def _pools(table: PoseTable, pool: np.ndarray, views: str) -> list[np.ndarray]:
    if views != "same" or not len(pool):
        return [pool]
    return [pool[table.columns["view"][pool] == view] for view in np.unique(table.columns["view"][pool])]


def _mine(table: PoseTable, pool: np.ndarray, options: PairOptions, seed: int) -> list[_Rows]:
    mined = mine_pairs(table.joints[pool], *_motion(table, pool), seed, options)
    return [_Rows(int(pool[m.start]), int(pool[m.goal]), m.in_sequence) for m in mined]


def _motion(table: PoseTable, pool: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Motion and time of poses; None if unknown."""
    return tuple(table.columns[key][pool] if key in table.columns else None for key in ("sequence", "time"))  # type: ignore[return-value]


def _written(table: PoseTable, chosen: list[_Rows], n_texts: int, seed: int) -> list[Pair]:
    from autocompose.describe.rules.changes import Figures
    from autocompose.describe.rules.texts import describe_pairs

    ends = [(table.names[pair.start], table.names[pair.goal]) for pair in chosen]
    there: list[list[str]] = [[] for _ in chosen]
    back = list(there)
    if n_texts and chosen:
        figures = Figures(table.joints, scene=table.columns.get("scene"))
        a, b = (figures.rows([pair[k] for pair in chosen]) for k in (0, 1))
        there = describe_pairs(a, b, seed, n_texts, keys=[f"{one}>{other}" for one, other in ends])
        back = describe_pairs(b, a, seed, n_texts, keys=[f"{other}>{one}" for one, other in ends])
    pairs = []
    for pair, (reference, target), texts, reverse in zip(chosen, ends, there, back, strict=True):
        fields = {"auto": tuple(texts), "auto-reverse": tuple(reverse)}
        extra = {"sequence_relation": "in" if pair.in_sequence else "out"}
        pairs.append(Pair(reference, target, (), {k: v for k, v in fields.items() if v}, extra))
    return pairs
