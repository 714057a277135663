"""Re-ranking the answers of an evaluation, so that they are measured as any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from autocompose.core.errors import AnnotationError
from autocompose.core.files import value_hash
from autocompose.core.log import say
from autocompose.corpus.format import Corpus
from autocompose.corpus.pictures.gate import Picture
from autocompose.describe.mllm.asking.sent_pictures import POINTS
from autocompose.describe.mllm.sending.client import Send
from autocompose.evaluate.metrics import Ranks, rank_rows
from autocompose.evaluate.questions import Evaluation
from autocompose.rerank.pictures import Shown, shown
from autocompose.rerank.question import Query, Verdict
from autocompose.rerank.run import Outcome, ask_consent, rerank_all
from autocompose.rerank.settings import JOURNAL, Reranker

KEPT = 512  # pictures in memory


@dataclass(frozen=True, kw_only=True)
class Reranked(Evaluation):
    """An evaluation whose first answers were put in order.

    :param first: ``(Q, k)`` gallery rows: the first answers of each query without its reference, in their new order.
    :param reranking: who did it, and what came of it; JSON-able.
    """

    first: np.ndarray
    reranking: dict[str, Any]

    @cached_property
    def ranks(self) -> Ranks:
        """The rank of each target; those behind the first answers are as they were."""
        before = rank_rows(self.predictions, self.gallery, self.rows)
        gallery, group = before.gallery.copy(), None if before.group is None else before.group.copy()
        queries, places = np.nonzero(self.first == self.rows.target[:, None])
        gallery[queries] = places
        if group is not None and self.rows.groups is not None:
            for query, place in zip(queries, places, strict=True):
                group[query] = np.isin(self.first[query, :place], self.rows.groups[query]).sum()
        return Ranks(gallery, group)

    def top(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """As ``Evaluation.top``; the scores of the first answers stay with their places."""
        depth = self.first.shape[1]
        rows, scores = super().top(max(k, depth))
        return np.concatenate([self.first, rows[:, depth:]], 1)[:, :k], scores[:, :k]

    def summary(self) -> dict[str, Any]:
        """Metrics, and ``rerank``: who did it, and what came of it."""
        return {**super().summary(), "rerank": self.reranking}


def rerank_evaluation(
    evaluation: Evaluation, corpus: Corpus, reranker: Reranker, yes: bool = False, send: Send | None = None
) -> Reranked:
    """Let a multimodal LLM put the first answers of every query in order; the same call continues a stopped run.

    The journal is ``CORPUS/rerank.sqlite``. Limbs are tinted where the corpus knows the keypoints of a picture.

    :param yes: consent to send the pictures to a host that is not this machine.
    :param send: replaces the client (tests).
    :raises ConfigError: consent is missing; AnnotationError: it cannot go on, or ended before all was asked.
    """
    top = evaluation.top(reranker.recipe.top)[0]
    pictures = len(np.union1d(top, evaluation.rows.reference))
    journal = corpus.root / JOURNAL
    ask_consent(reranker, journal, f"{pictures:,} pictures", [top.shape[1]] * len(top), yes)
    album = _Album(corpus, evaluation.names, reranker.recipe.size)
    queries = [
        partial(album.query, query.text, int(reference), rows)
        for query, reference, rows in zip(evaluation.queries, evaluation.rows.reference, top, strict=True)
    ]
    outcome = rerank_all(reranker, journal, queries, send)
    say(outcome.line())
    if outcome.stopped != "done":
        raise AnnotationError(f"{journal}: {_advice(outcome)}; the same command continues, and nothing is paid twice")
    first = np.stack([_applied(rows, verdict) for rows, verdict in zip(top, outcome.verdicts, strict=True)])
    kept = {field.name: getattr(evaluation, field.name) for field in fields(Evaluation)}
    return Reranked(**kept, first=first, reranking={**reranker.about(), **outcome.record()})


def _advice(outcome: Outcome) -> str:
    left = sum(verdict is None for verdict in outcome.verdicts)
    why = {"budget": "the budget is reached", "rate-limit": "the server has refused every request for too long"}
    why |= {"unreachable": "the server has gone away", "interrupted": "stopped"}
    return f"{why.get(outcome.stopped, outcome.stopped)}, {left:,} of {len(outcome.verdicts):,} queries are left"


def _applied(rows: np.ndarray, verdict: Verdict | None) -> np.ndarray:
    return rows if verdict is None or verdict.unchanged else rows[list(verdict.order)]


class _Album:
    """The pictures of a corpus as they are sent."""

    def __init__(self, corpus: Corpus, names: Sequence[str], size: int) -> None:
        self.corpus, self.names, self.size = corpus, names, size
        self._rows = corpus.poses.index() if corpus.poses else {}
        self._points = corpus.poses.columns.get(POINTS) if corpus.poses else None
        self._shown = lru_cache(KEPT)(self._open)

    def query(self, text: str, reference: int, candidates: np.ndarray) -> Query:
        """A query about gallery rows.

        :raises ImageError: a picture cannot be opened.
        """
        name = value_hash([text, self.names[reference], [self.names[row] for row in candidates]])
        pictures = tuple(self._shown(self.names[row]) for row in candidates)
        return Query(text, self._shown(self.names[reference]), pictures, name)

    def _open(self, name: str) -> Shown:
        with Picture(Path(self.corpus.image_path(name))) as file:
            stored, image = file.size, file.decode(2 * self.size)
        row = self._rows.get(name)
        points = None if self._points is None or row is None else self._points[row] * (image.width / stored[0])
        return shown(image, self.size, points)
