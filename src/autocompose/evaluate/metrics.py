"""Recall over the gallery and within candidate groups, with intervals that resample clusters of queries.

The reference picture is removed from the ranking. Pictures of equal similarity stand in gallery order (see
``ranking`` for what equal means).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autocompose.core.errors import CorpusError
from autocompose.core.records import Question
from autocompose.evaluate.ranking import before, blocks, normalise, ranks_of

RECALL_AT = (1, 5, 10, 50)
GROUP_RECALL_AT = (1, 3, 5)
BOOTSTRAPS = 2000


@dataclass(frozen=True)
class Ranks:
    """The rank of each query's target; 0 = first.

    :param gallery: ``(Q,)`` int64 rank in the whole gallery without the reference.
    :param group: ``(Q,)`` int64 rank within the candidate group without the reference; None without groups.
    """

    gallery: np.ndarray
    group: np.ndarray | None = None

    def hits(self) -> dict[str, np.ndarray]:
        """Metric name -> ``(Q,)`` bool: the query counts as found."""
        hits = {f"recall_at{k}": self.gallery < k for k in RECALL_AT}
        if self.group is not None:
            hits |= {f"group_recall_at{k}": self.group < k for k in GROUP_RECALL_AT}
        return hits

    def metrics(self) -> dict[str, float]:
        """The recalls in percent, and ``median_rank`` counted from 1."""
        values = {name: 100 * float(hit.mean()) for name, hit in self.hits().items()}
        return values | {"median_rank": float(np.median(self.gallery)) + 1}

    def ci95(self, clusters: np.ndarray | Sequence[object] | None = None, seed: int = 0) -> dict[str, list[float]]:
        """95 % intervals ``[low, high]`` in percent of each recall.

        :param clusters: ``(Q,)`` labels; queries of one label are drawn together. None: every query alone.
        """
        names, hits = zip(*self.hits().items(), strict=True)
        draws = bootstrap_means(np.stack(hits, 1).astype(np.float64), clusters, seed)
        low, high = 100 * np.percentile(draws, [2.5, 97.5], axis=0)
        return {name: [float(a), float(b)] for name, a, b in zip(names, low, high, strict=True)}


def rank_queries(
    predictions: np.ndarray, gallery: np.ndarray, names: Sequence[str], queries: Sequence[Question]
) -> Ranks:
    """Rank the gallery for each query by cosine similarity to the prediction.

    :param predictions: ``(Q, D)`` predicted features, in the order of ``queries``.
    :param gallery: ``(N, D)`` features of the pictures ``names``; neither needs to be normalised.
    :raises CorpusError: a reference, target or group member is not in the gallery (lists the queries), reference and
        target are the same, a group lacks its target, or only some queries have groups.
    :raises InputError: a feature is not finite.
    """
    return rank_rows(predictions, gallery, QueryRows.of(queries, names))


@dataclass(frozen=True)
class QueryRows:
    """Queries as gallery rows.

    :param reference, target: ``(Q,)`` int64.
    :param groups: members of each query's candidate group, or None.
    """

    reference: np.ndarray
    target: np.ndarray
    groups: tuple[np.ndarray, ...] | None

    @classmethod
    def of(cls, queries: Sequence[Question], names: Sequence[str], origin: str = "") -> QueryRows:
        """Look every name up; see ``rank_queries`` for the errors, whose messages begin with ``origin``."""
        row = {name: i for i, name in enumerate(names)}
        if len(row) < len(names):
            twice = next(name for i, name in enumerate(names) if row[name] != i)
            raise CorpusError(f"{origin}gallery: {twice} occurs more than once; the ranking needs each picture once")
        grouped = any(q.group for q in queries)
        faults = [
            f"query {i} (pair {q.pair}): {fault}" for i, q in enumerate(queries) for fault in _faults(q, row, grouped)
        ]
        if faults:
            raise CorpusError(f"{origin}{faults[0]} ({len(faults)} faults in {len(queries)} queries)", faults)
        reference, target = (np.array([row[getattr(q, e)] for q in queries], np.int64) for e in ("reference", "target"))
        groups = tuple(np.array(sorted({row[n] for n in q.group} - {row[q.reference]})) for q in queries)
        return cls(reference, target, groups if grouped else None)


def _faults(query: Question, row: dict[str, int], grouped: bool) -> list[str]:
    faults = [f"{what} {name} is not in the gallery" for what, name in _named(query) if name not in row]
    if query.reference == query.target:
        faults.append(f"reference and target are the same picture {query.target}")
    if grouped and query.target not in query.group:
        faults.append(
            f"target {query.target} is not in its group" if query.group else "no group, though others have one"
        )
    return faults


def _named(query: Question) -> list[tuple[str, str]]:
    return [("reference", query.reference), ("target", query.target), *(("group member", n) for n in query.group)]


def rank_rows(predictions: np.ndarray, gallery: np.ndarray, rows: QueryRows) -> Ranks:
    """``rank_queries`` for names that are looked up already."""
    predicted, pictures = normalise(predictions, "prediction"), normalise(gallery, "gallery")
    ranks = ranks_of(predicted, pictures, rows.target, rows.reference)
    return Ranks(ranks, None if rows.groups is None else _group_ranks(predicted, pictures, rows.target, rows.groups))


def rank_scores(scores: np.ndarray, rows: QueryRows) -> Ranks:
    """Ranks from a score of every gallery picture for every query; equal scores stand in gallery order.

    :param scores: ``(Q, N)``, higher is better.
    """
    gallery, group = np.empty(len(scores), np.int64), np.empty(len(scores), np.int64)
    order = np.arange(scores.shape[1])
    for q, row in enumerate(scores):
        target = rows.target[q]
        ahead = (row > row[target]) | ((row == row[target]) & (order < target))
        ahead[rows.reference[q]] = False
        gallery[q] = ahead.sum()
        if rows.groups is not None:
            group[q] = ahead[rows.groups[q]].sum()
    return Ranks(gallery, group if rows.groups is not None else None)


def _group_ranks(
    predicted: np.ndarray, pictures: np.ndarray, targets: np.ndarray, groups: Sequence[np.ndarray]
) -> np.ndarray:
    ranks = np.empty(len(targets), np.int64)
    for part in blocks(len(targets), 1024):
        query = np.repeat(np.arange(part.stop - part.start), [len(g) for g in groups[part]])
        won = before(predicted[part], pictures, targets[part], query, np.concatenate(groups[part]))
        ranks[part] = np.bincount(query[won], minlength=part.stop - part.start)
    return ranks


def bootstrap_means(
    values: np.ndarray, clusters: np.ndarray | Sequence[object] | None, seed: int = 0, draws: int = BOOTSTRAPS
) -> np.ndarray:
    """Means of resampled queries: whole clusters are drawn with replacement.

    :param values: ``(Q, M)``.
    :return: ``(draws, M)``.
    """
    labels = np.arange(len(values)) if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1]
    n = int(labels.max()) + 1
    sums = np.zeros((n, values.shape[1]))
    np.add.at(sums, labels, values)
    counts = np.bincount(labels, minlength=n)
    rng = np.random.default_rng(seed)
    means = np.empty((draws, values.shape[1]))
    for rows in blocks(draws, max(1, 10_000_000 // n)):
        weights = rng.multinomial(n, np.full(n, 1 / n), size=rows.stop - rows.start)
        means[rows] = (weights @ sums) / (weights @ counts)[:, None]
    return means


@dataclass(frozen=True)
class Difference:
    """A paired difference, second minus first, in percentage points.

    :param ci95: interval of the difference.
    :param p_value: two-sided, from the same resampling; at least 1 / (draws + 1).
    """

    value: float
    ci95: tuple[float, float]
    p_value: float


def compare(
    first: Ranks, second: Ranks, clusters: np.ndarray | Sequence[object] | None = None, seed: int = 0
) -> dict[str, Difference]:
    """Paired comparison of two runs over the same queries, by resampling clusters.

    :raises CorpusError: the runs have different numbers of queries.
    """
    if len(first.gallery) != len(second.gallery):
        raise CorpusError(
            f"the runs have {len(first.gallery)} and {len(second.gallery)} queries; compare the same test"
        )
    one, two = first.hits(), second.hits()
    names = [name for name in one if name in two]
    change = np.stack([two[n].astype(np.float64) - one[n] for n in names], 1)
    return dict(zip(names, difference(change, clusters, seed), strict=True))


def difference(change: np.ndarray, clusters: np.ndarray | Sequence[object] | None, seed: int = 0) -> list[Difference]:
    """The difference that paired changes amount to, by resampling clusters.

    :param change: ``(Q, M)`` second minus first of every query, for M measures.
    """
    draws = bootstrap_means(change, clusters, seed)
    low, high = np.percentile(draws, [2.5, 97.5], axis=0)
    tail = 1 + np.minimum((draws <= 0).sum(0), (draws >= 0).sum(0))
    p_values = np.minimum(1, 2 * tail / (len(draws) + 1))
    return [
        Difference(100 * float(change[:, i].mean()), (100 * float(low[i]), 100 * float(high[i])), float(p_values[i]))
        for i in range(change.shape[1])
    ]
