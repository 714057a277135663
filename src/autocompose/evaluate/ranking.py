"""Exact ranks of a few gallery rows among very many, in blocks.

The score of a query and a gallery picture is their cosine similarity, *defined* as the float64 dot product of the
float32 normalised vectors, rounded to float32. Equal vectors thus have equal scores, and pictures of equal score stand
in gallery order. A float32 matrix product decides all comparisons that its rounding error cannot turn; only the few
others are computed by the definition.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from autocompose.core.errors import InputError
from autocompose.core.log import track

QUERY_BLOCK, GALLERY_BLOCK = 512, 512  # a block of scores (1 MB) stays in the cache of a core

TOP_SCORES = 1 << 24  # whole rows of scores that ``top_rows`` holds at a time: 64 MB


def normalise(vectors: np.ndarray, what: str) -> np.ndarray:
    """Rows ``(N, D)`` scaled to length 1 in float64 and rounded to float32; zero rows stay zero.

    :raises InputError: a row is not finite.
    """
    out = np.empty(vectors.shape, np.float32)
    for rows in blocks(len(vectors), GALLERY_BLOCK):
        part = np.asarray(vectors[rows], np.float64)
        length = np.sqrt((part * part).sum(1, keepdims=True))
        if not np.isfinite(length).all():
            bad = rows.start + int(np.flatnonzero(~np.isfinite(length[:, 0]))[0])
            raise InputError(f"{what}[{bad}]: the feature is not finite; the model is broken")
        out[rows] = part / np.where(length == 0, 1, length)
    return out


def blocks(n: int, size: int) -> Iterator[slice]:
    """Slices that cover ``range(n)``."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def exact_scores(queries: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """Scores of matching rows: ``(M, D)`` and ``(M, D)`` float32 -> ``(M,)`` float32, by the definition."""
    scores = np.empty(len(queries), np.float32)
    for rows in blocks(len(queries), GALLERY_BLOCK):
        # the sum over one contiguous row is the same whatever the other rows are
        scores[rows] = (queries[rows].astype(np.float64) * pictures[rows]).sum(1)
    return scores


def error_bound(dim: int) -> float:
    """No float32 dot product of two rows of length 1 is further than this from its true value, in any order."""
    return 1.01 * (dim + 8) * float(np.finfo(np.float32).eps) / 2  # + 8: rounding of lengths and thresholds


def ranks_of(queries: np.ndarray, gallery: np.ndarray, targets: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """Number of gallery rows that rank before each query's target.

    :param queries: ``(Q, D)`` normalised float32.
    :param gallery: ``(N, D)`` normalised float32.
    :param targets: ``(Q,)`` gallery rows.
    :param removed: ``(Q,)`` gallery rows left out (the reference picture).
    :return: ``(Q,)`` int64, 0 = first.
    """
    ranks = np.empty(len(queries), np.int64)
    for rows in track(list(blocks(len(queries), QUERY_BLOCK)), "ranking queries"):
        ranks[rows] = _block_ranks(queries[rows], gallery, targets[rows], removed[rows])
    return ranks


def _block_ranks(queries: np.ndarray, gallery: np.ndarray, targets: np.ndarray, removed: np.ndarray) -> np.ndarray:
    threshold = exact_scores(queries, gallery[targets])
    band = np.float32(error_bound(queries.shape[1]))
    low, high = (threshold - band)[:, None], (threshold + band)[:, None]
    ahead = np.zeros(len(queries), np.int64)
    for columns in blocks(len(gallery), GALLERY_BLOCK):
        scores = queries @ gallery[columns].T
        above = scores > high
        ahead += np.count_nonzero(above, axis=1)
        query, picture = np.nonzero((scores >= low) ^ above)
        picture += columns.start
        won = _exactly_before(queries, gallery, threshold, targets, query, picture)
        ahead += np.bincount(query[won], minlength=len(queries))
    every = np.arange(len(queries))
    return ahead - _exactly_before(queries, gallery, threshold, targets, every, removed)


def before(
    queries: np.ndarray, gallery: np.ndarray, targets: np.ndarray, query: np.ndarray, picture: np.ndarray
) -> np.ndarray:
    """Whether gallery row ``picture[m]`` ranks before the target of query ``query[m]``: ``(M,)`` bool.

    :param targets: ``(Q,)`` gallery rows; the other arrays are those of ``ranks_of``.
    """
    threshold = exact_scores(queries, gallery[targets])
    band = np.float32(error_bound(queries.shape[1]))
    won = np.empty(len(query), bool)
    for rows in blocks(len(query), GALLERY_BLOCK):
        q, p = query[rows], picture[rows]
        gap = np.einsum("ij,ij->i", queries[q], gallery[p]) - threshold[q]
        part = gap > 0
        close = np.abs(gap) <= band
        part[close] = _exactly_before(queries, gallery, threshold, targets, q[close], p[close])
        won[rows] = part
    return won


def _exactly_before(
    queries: np.ndarray,
    gallery: np.ndarray,
    threshold: np.ndarray,
    targets: np.ndarray,
    query: np.ndarray,
    picture: np.ndarray,
) -> np.ndarray:
    """``before`` by the definition, pair by pair."""
    won = np.empty(len(query), bool)
    for rows in blocks(len(query), GALLERY_BLOCK):
        q, p = query[rows], picture[rows]
        scores = exact_scores(queries[q], gallery[p])
        won[rows] = (scores > threshold[q]) | ((scores == threshold[q]) & (p < targets[q]))
    return won


def top_rows(queries: np.ndarray, gallery: np.ndarray, k: int, removed: np.ndarray | None = None) -> np.ndarray:
    """The first ``k`` gallery rows of each query, ``(Q, min(k, N))`` int64; with ``removed``, N is one less.

    :param queries, gallery: normalised float32.
    :param removed: ``(Q,)`` gallery rows that take no part.
    """
    k = min(k, len(gallery) - (removed is not None))
    band = 2 * error_bound(queries.shape[1])
    out = np.empty((len(queries), k), np.int64)
    for rows in blocks(len(queries), max(1, TOP_SCORES // max(1, len(gallery)))):
        scores = queries[rows] @ gallery.T
        if removed is not None:
            scores[np.arange(len(scores)), removed[rows]] = -np.inf
        kth = np.partition(scores, len(gallery) - k, axis=1)[:, len(gallery) - k] if k else np.zeros(len(scores))
        for i, row in enumerate(scores):
            near = np.flatnonzero(row >= kth[i] - band)
            exact = exact_scores(np.broadcast_to(queries[rows][i], (len(near), queries.shape[1])), gallery[near])
            out[rows.start + i] = near[np.argsort(-exact, kind="stable")][:k]
    return out
