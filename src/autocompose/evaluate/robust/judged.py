"""Several correct targets and hard negatives: the first answers to a query, judged by the poses in the pictures.

A text rarely describes one picture only. Here every picture counts as a correct target whose pose fulfils the text
(the audit supports each claim that it can check, as in ``satisfaction``) and is *near* the target's, at most 0.05 m
in the mean distance of joints; the target itself always counts. Hard negatives among the first answers are the
reference's *look-alikes*, near its pose without fulfilling the text, and *opposites*, which fulfil the text with left
and right exchanged and not the text. Poses are compared as the audit measures them: pelvis at the origin, hips along
x, legs of 0.8 m.

The audit shares its parser with the symbolic search: figures of that engine are flattered by common misreadings.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autocompose.core.log import track
from autocompose.corpus.format import Corpus
from autocompose.describe.audit.measure import Poses
from autocompose.describe.side_words import swap_sides
from autocompose.evaluate.questions import Evaluation
from autocompose.evaluate.robust.measures import Measures
from autocompose.evaluate.satisfaction import fulfilled_claims

NEAR = 0.05  # metres; the median pair of BodyCPR's test part is 0.078 apart, and a target has 6 correct pictures
DEPTH = 10  # answers that are looked at
NAMES = (
    "average_precision_at10", "satisfaction_at10", "look_alikes_at1", "look_alikes_at10", "opposites_at1",
    "opposites_at10",
)  # fmt: skip


def judge(evaluation: Evaluation, corpus: Corpus) -> Measures | None:
    """The measures of every query; None when the corpus has no poses.

    A query has none whose reference or target has no pose, or of whose text no claim can be checked; none about
    opposites where the text names no side. Pictures without a pose count as wrong answers.
    """
    if corpus.poses is None:
        return None
    gallery = GalleryPoses.of(corpus, evaluation.names)
    rows, top = evaluation.rows, evaluation.top(DEPTH)[0]
    queries = zip((q.text for q in evaluation.queries), rows.reference.tolist(), rows.target.tolist(), top, strict=True)
    values = [gallery.judged(*query) for query in track(queries, "judging answers", len(top))]
    columns = np.array(values, np.float64).reshape(len(top), len(NAMES))
    return Measures(dict(zip(NAMES, columns.T, strict=True)), evaluation.clusters)


class GalleryPoses:
    """The poses of N gallery pictures, some of which may be unknown.

    :param joints: ``(N, 22, 3)`` metres, SMPL-22; rows that are not finite are unknown.
    """

    def __init__(self, joints: np.ndarray) -> None:
        self.known = np.isfinite(joints).all((1, 2))
        self._place = np.cumsum(self.known) - 1  # gallery row -> row of the known poses
        self.poses = Poses(joints[self.known])

    @classmethod
    def of(cls, corpus: Corpus, names: Sequence[str]) -> GalleryPoses:
        """The poses of these pictures of a corpus that has poses."""
        assert corpus.poses is not None, "judge asks first"
        index = corpus.poses.index()
        joints = np.full((len(names), 22, 3), np.nan)
        there = [i for i, name in enumerate(names) if name in index]
        joints[there] = corpus.poses.joints[[index[names[i]] for i in there]]
        return cls(joints)

    def near(self, row: int, rows: np.ndarray) -> np.ndarray:
        """``(R,)`` bool: which of R gallery rows are near the pose of another."""
        joints = self.poses.joints
        gap = np.linalg.norm(joints[self._place[rows]] - joints[self._place[row]], axis=-1).mean(1)
        close: np.ndarray = self.known[rows] & (gap <= NEAR)
        return close

    def fulfils(self, text: str, row: int) -> np.ndarray | None:
        """``(N,)`` bool: does what the text asks, seen from the pose of a gallery row; None when nothing decides."""
        fulfils = fulfilled_claims(text, int(self._place[row]), self.poses)
        return None if fulfils is None else self._everywhere(fulfils)

    def _everywhere(self, of_known: np.ndarray) -> np.ndarray:
        marked = np.zeros(len(self.known), bool)
        marked[self.known] = of_known
        return marked

    def judged(self, text: str, reference: int, target: int, top: np.ndarray) -> tuple[float, ...]:
        """The measures ``NAMES`` of one query, NaN where not defined.

        :param reference, target: gallery rows. :param top: ``(k,)`` gallery rows of the first answers, best first.
        """
        fulfils = self.fulfils(text, reference) if self.known[[reference, target]].all() else None
        if fulfils is None:
            return (np.nan,) * len(NAMES)
        correct, able = np.zeros_like(fulfils), np.flatnonzero(fulfils)
        correct[able[self.near(target, able)]] = True
        correct[target] = True
        shares = _shares(self.near(reference, top) & ~(fulfils | correct)[top])
        swapped = swap_sides(text)
        opposite = self.fulfils(swapped, reference) if swapped != text else None
        shares += [np.nan, np.nan] if opposite is None else _shares((opposite & ~fulfils & ~correct)[top])
        return average_precision(correct, top), float(fulfils[top].mean()), *shares


def _shares(marked: np.ndarray) -> list[float]:
    """Shares of the first answer and of all of them that are marked."""
    return [float(marked[:1].mean()), float(marked.mean())]


def average_precision(correct: np.ndarray, top: np.ndarray) -> float:
    """Mean, over the places of ``top`` that hold a correct picture, of the share of correct ones up to that place.

    The sum is divided by the number of correct pictures that ``top`` could hold, so that 1 is a perfect list.

    :param correct: ``(N,)`` bool. :param top: ``(k,)`` gallery rows, best first.
    :return: 0 to 1; NaN without correct pictures or without answers.
    """
    possible = min(len(top), int(correct.sum()))
    if not possible:
        return float("nan")
    hit = correct[top]
    return float((hit * np.cumsum(hit) / np.arange(1, len(top) + 1)).sum() / possible)
