"""Spread over wordings: how much an answer depends on the words of a request that means the same.

Queries of one pair are wordings of one request. For each pair with at least two different wordings: the share of them
that finds the target (``mean``), whether all of them do (``worst``), whether any does (``best``), and the standard
deviation over them (of the population: 0 where all agree, 0.5 where half of them find it).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from autocompose.evaluate.metrics import Ranks
from autocompose.evaluate.robust.measures import Measures

SPREAD_OF = ("recall_at1", "recall_at10", "group_recall_at1")
SUMMARIES = ("mean", "worst", "best", "deviation")
Named = tuple[str, str, str]
"""Reference, target and text of a query."""


def wording_measures(queries: Sequence[Named], ranks: Ranks, clusters: np.ndarray) -> Measures | None:
    """``recall_at1_mean`` and so on for every pair with several wordings, in order of first appearance.

    A query that stands there again (another seed of the experiment) belongs to another pair.

    :param queries: Q queries, ``ranks`` and ``clusters`` of which are given.
    :return: None when no pair has several wordings.
    """
    labels = pair_labels(queries)
    counts = np.bincount(labels)
    several = np.flatnonzero(counts > 1)
    if not len(several):
        return None
    order = np.argsort(labels, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    values: dict[str, np.ndarray] = {}
    for name, hits in ranks.hits().items():
        if name in SPREAD_OF:
            summaries = _summaries(hits[order].astype(np.float64), starts, counts)
            values |= {f"{name}_{what}": summaries[what][several] for what in SUMMARIES}
    return Measures(values, np.asarray(clusters)[order[starts[several]]])


def pair_labels(queries: Sequence[Named]) -> np.ndarray:
    """``(Q,)`` int64: queries of equal label are wordings of one request; labels count up from 0 as pairs appear."""
    seen: Counter[Named] = Counter()
    label: dict[tuple[str, str, int], int] = {}
    labels = np.empty(len(queries), np.int64)
    for i, query in enumerate(queries):
        reference, target, _ = query
        labels[i] = label.setdefault((reference, target, seen[query]), len(label))
        seen[query] += 1
    return labels


def _summaries(hits: np.ndarray, starts: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
    """Of values sorted by group, each group's summaries; a group begins at each of ``starts``."""
    mean = np.add.reduceat(hits, starts) / counts
    square = np.add.reduceat(np.square(hits - np.repeat(mean, counts)), starts) / counts
    return {
        "mean": mean,
        "worst": np.minimum.reduceat(hits, starts),
        "best": np.maximum.reduceat(hits, starts),
        "deviation": np.sqrt(square),
    }
