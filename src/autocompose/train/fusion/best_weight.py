"""Fitting the weight of a model's cosine against the symbolic score, on queries with known targets.

Nothing is standardised first. A constant added to all scores of a query cancels in its ranking; the symbolic score has
a unit of its own (the cost of claims), so it keeps weight 1; and the weight of the cosine adapts to the model's spread.
Scaling each query's scores to unit variance instead would make an answer depend on what else is in the gallery.

The weight maximises the mean of group recall@1 and recall@10, smoothed over neighbouring weights of the grid to reduce
noise. The likelihood of the targets under a conditional logit was tried: a few
questions that the poses answer badly dominate it, and it gave small-v1 three times its best weight.
"""

from __future__ import annotations

import numpy as np

from autocompose.core.errors import InputError
from autocompose.evaluate.fusion import Weights, fuse
from autocompose.evaluate.metrics import QueryRows, rank_scores

GRID = (0.0, *(float(round(2 ** (i / 2), 1)) for i in range(19)))  # 0, 1, 1.4, 2 ... 512
JUDGED_BY = ("group_recall_at1", "recall_at10")


def fit(cosines: np.ndarray, symbolic: np.ndarray, rows: QueryRows, kinds: np.ndarray | None = None) -> Weights:
    """Choose the weight.

    :param cosines, symbolic: ``(Q, N)`` scores of every gallery item for every question; -inf: cannot be scored.
    :param kinds: ``(Q,)`` kind of text of each question; kinds have equal weight. None: one kind.
    :raises InputError: no questions, or shapes do not fit.
    """
    if not len(cosines) or not cosines.shape == symbolic.shape or len(rows.target) != len(cosines):
        raise InputError(f"fusion: cosines {cosines.shape}, symbolic {symbolic.shape}, {len(rows.target)} questions")
    labels = np.zeros(len(cosines), int) if kinds is None else np.unique(kinds, return_inverse=True)[1]
    shares = 1 / np.bincount(labels)[labels]
    values = np.array([(shares * hits(fuse(cosines, symbolic, Weights(c)), rows).mean(0)).sum() for c in GRID])
    ends = np.concatenate([values[:1], values, values[-1:]])
    smooth = (ends[:-2] + 2 * values + ends[2:]) / 4
    return Weights(GRID[int(smooth.argmax())])


def hits(scores: np.ndarray, rows: QueryRows) -> np.ndarray:
    """``(2, Q)`` bool: the target is first of its group, and among the first ten; without groups ``(1, Q)``."""
    by_metric = rank_scores(scores, rows).hits()
    return np.stack([by_metric[name] for name in JUDGED_BY if name in by_metric])
