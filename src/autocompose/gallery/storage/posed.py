"""The items with a pose: which of them may be found, and how well their poses answer a question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from autocompose.evaluate.measured import Measured
from autocompose.evaluate.pose_index import DEPTH, PoseIndex
from autocompose.evaluate.symbolic import PoseQuery
from autocompose.gallery.pose import JOINTS, Pose

LARGE = 10_000  # poses; with fewer, scoring all of them exactly takes no longer than choosing candidates


@dataclass(frozen=True, eq=False)
class Posed:
    """The items with a pose.

    :param ids: ``(N,)`` int64, ascending.
    :param joints: ``(N, 22, 3)`` and ``uncertainty`` ``(N, 22)`` (0 = known) float32, metres.
    :param allowed: ``(N,)`` bool: which may be found; None = all.
    :param index: what chooses candidates in a large gallery; None: all are scored.
    """

    ids: np.ndarray
    joints: np.ndarray
    uncertainty: np.ndarray
    allowed: np.ndarray | None = None
    index: PoseIndex | None = None

    @classmethod
    def of(cls, poses: Sequence[tuple[int, Pose]]) -> Posed:
        """Ids, ascending, with their poses."""
        joints = [pose.joints for _, pose in poses]
        doubts = [pose.doubts for _, pose in poses]
        return cls(
            np.array([i for i, _ in poses], np.int64),
            np.array(joints, np.float32).reshape(-1, JOINTS, 3),
            np.array(doubts, np.float32).reshape(-1, JOINTS),
        )

    @classmethod
    def mapped(cls, ids: np.ndarray, index: PoseIndex) -> Posed:
        """Those of an index, which may be memory-mapped."""
        return cls(ids, index.poses[..., :3], index.poses[..., 3], index=index)

    def indexed(self) -> Posed:
        """The same with an index in memory where there are many."""
        return self.mapped(self.ids, PoseIndex.of(self.joints, self.uncertainty)) if self.is_large else self

    @property
    def is_large(self) -> bool:
        """There are so many that candidates are chosen."""
        return len(self.ids) >= LARGE

    def __len__(self) -> int:
        """How many may be found."""
        return len(self.ids) if self.allowed is None else int(np.count_nonzero(self.allowed))

    @property
    def rows(self) -> np.ndarray:
        """Rows of those that may be found."""
        return np.arange(len(self.ids)) if self.allowed is None else np.flatnonzero(self.allowed)

    @cached_property
    def known(self) -> int:
        """How many poses are known, not estimated."""
        return int((self.uncertainty == 0).all(1).sum())

    def only(self, ids: np.ndarray) -> Posed:
        """Only some items may be found."""
        allowed = np.zeros(len(self.ids), bool)
        allowed[self.rows_of(ids)] = True
        return replace(self, allowed=allowed)

    def without(self, ids: Sequence[int]) -> Posed:
        """Some items may not be found."""
        allowed = np.ones(len(self.ids), bool) if self.allowed is None else self.allowed.copy()
        allowed[self.rows_of(np.asarray(ids, np.int64))] = False
        return replace(self, allowed=allowed)

    def holds(self, ids: np.ndarray) -> np.ndarray:
        """``(M,)`` bool: which of some items have a pose and may be found."""
        if not len(self.ids):
            return np.zeros(len(ids), bool)
        rows = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        there: np.ndarray = self.ids[rows] == ids
        return there if self.allowed is None else there & self.allowed[rows]

    def rows_of(self, ids: np.ndarray) -> np.ndarray:
        """Rows of those of some items that have a pose and may be found."""
        return np.searchsorted(self.ids, ids[self.holds(ids)])

    def candidates(self, query: PoseQuery, depth: int = DEPTH) -> np.ndarray:
        """Rows among which the best are: about ``depth`` of a large gallery, all of a small one."""
        return self.rows if self.index is None else self.index.candidates(query, depth, self.allowed)

    def scores(self, query: PoseQuery, rows: np.ndarray) -> np.ndarray:
        """``(R,)`` float32 exact scores of some rows, at most 0; higher is better."""
        return query.scores(Measured.of(self.joints[rows], self.uncertainty[rows]))

    def best(self, query: PoseQuery, depth: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids and scores of at least ``depth`` items, or of all there are, best first."""
        rows = self.candidates(query, depth)
        scores = self.scores(query, rows)
        order = np.argsort(-scores, kind="stable")
        return self.ids[rows[order]], scores[order]
