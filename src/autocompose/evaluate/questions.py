"""Ask a model every question of a split, and rank the gallery for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from autocompose.core.errors import CorpusError
from autocompose.core.log import Tally, say
from autocompose.core.records import Question, Split, split_of
from autocompose.core.text_fields import text_field
from autocompose.corpus.format import Corpus, as_corpus
from autocompose.evaluate.metrics import QueryRows, Ranks, rank_rows
from autocompose.evaluate.ranking import exact_scores, normalise, top_rows
from autocompose.model.encoder import Encoder
from autocompose.model.features import image_features, text_features
from autocompose.model.hub import load
from autocompose.model.model import Model


@dataclass(frozen=True)
class Evaluation:
    """A model's answers to the questions of a split.

    :param names: N gallery pictures, in gallery order (which decides ties).
    :param gallery: ``(N, D)`` their features; ``predictions``: ``(Q, D)``; neither needs to be normalised.
    :param clusters: ``(Q,)`` labels of queries that are not independent of each other; intervals resample these.
    """

    queries: Sequence[Question]
    names: Sequence[str]
    gallery: np.ndarray
    predictions: np.ndarray
    clusters: np.ndarray

    @cached_property
    def rows(self) -> QueryRows:
        """The queries as gallery rows."""
        return QueryRows.of(self.queries, self.names)

    @cached_property
    def ranks(self) -> Ranks:
        """The rank of each target."""
        return rank_rows(self.predictions, self.gallery, self.rows)

    def top(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The first k gallery rows of each query without its reference, and their scores: two ``(Q, k)`` arrays."""
        predictions, gallery = normalise(self.predictions, "prediction"), normalise(self.gallery, "gallery")
        rows = top_rows(predictions, gallery, k, self.rows.reference)
        scores = exact_scores(np.repeat(predictions, rows.shape[1], 0), gallery[rows.ravel()])
        return rows, scores.reshape(rows.shape)

    def summary(self) -> dict[str, Any]:
        """Metrics in percent, their 95 % intervals, and sizes; JSON-able."""
        sizes = {"n_queries": len(self.queries), "n_gallery": len(self.names)}
        return {**self.ranks.metrics(), "ci95": self.ranks.ci95(self.clusters), **sizes}


@dataclass(frozen=True)
class Questions:
    """The questions of a split, encoded: what the answers of any composer need.

    :param gallery: ``(N, D)`` and ``texts``: ``(Q, D)`` un-normalised features.
    """

    queries: Sequence[Question]
    names: Sequence[str]
    gallery: np.ndarray
    texts: np.ndarray
    rows: QueryRows
    clusters: np.ndarray

    def answers(self, model: Model) -> Evaluation:
        """What the model's composer makes of them."""
        predictions = model.compose_features(self.gallery[self.rows.reference], self.texts)
        return Evaluation(self.queries, self.names, self.gallery, predictions, self.clusters)


def questions_of(
    corpus: Corpus, split: Split, key: str, flatten: bool, paraphrases: Sequence[str] = ()
) -> tuple[list[Question], QueryRows]:
    """The questions of a split; the parameters are those of ``evaluate_model``.

    :raises CorpusError: a pair that must have a text has none, or one names a picture that is not in the gallery.
    """
    queries = corpus.questions(split, key, flatten or bool(paraphrases))
    if paraphrases:
        queries = with_paraphrases(queries, corpus, split, paraphrases)
    tally, asked = Tally("pairs"), len({query.pair for query in queries})
    tally.keep(asked)
    tally.drop(f"no text in {key}", n=len(corpus.split(split)) - asked)
    if tally.dropped:
        say(tally.line())
    return queries, QueryRows.of(queries, corpus.galleries[split], f"{corpus.root}, {split}: ")


def with_paraphrases(queries: Sequence[Question], corpus: Corpus, split: Split, keys: Sequence[str]) -> list[Question]:
    """Each pair's queries followed by its texts under other keys as further queries; equal texts are asked once.

    :raises ConfigError: no such texts; CorpusError: no pair of the queries has a text under one of the keys.
    """
    fields, pairs = [text_field(key) for key in keys], corpus.split(split)
    for field in fields:
        if not any(pairs[query.pair].texts.get(field) for query in queries):
            raise CorpusError(f"{corpus.root}, {split}: none of the pairs asked about has a text {field!r}")
    several: list[Question] = []
    for number, same in groupby(queries, key=lambda query: query.pair):
        own = list(same)
        further = (text for field in fields for text in pairs[number].texts.get(field, ()))
        several += [replace(own[0], text=text) for text in dict.fromkeys([*(q.text for q in own), *further])]
    return several


def ask(
    encoder: Encoder,
    corpus: Corpus,
    split: Split = Split.TEST,
    key: str = "sents",
    flatten: bool = False,
    cache: Path | None = None,
    gallery: np.ndarray | None = None,
    paraphrases: Sequence[str] = (),
) -> Questions:
    """Encode the questions of a split; the parameters are those of ``evaluate_model``.

    :param gallery: features that are known already.
    """
    queries, rows = questions_of(corpus, split, key, flatten, paraphrases)  # finds faults before hours of encoding
    names = corpus.galleries[split]
    if gallery is None:
        gallery = image_features(encoder, [corpus.image_path(n) for n in names], cache).plain.numpy()
    texts = text_features(encoder, [q.text for q in queries]).numpy()
    return Questions(queries, names, gallery, texts, rows, clusters_of(corpus, queries))


def evaluate_model(
    model: Model | str | Path,
    corpus: Corpus | str | Path,
    split: Split | str = Split.TEST,
    key: str = "human",
    flatten: bool = False,
    cache: Path | None = None,
    paraphrases: Sequence[str] = (),
) -> Evaluation:
    """Evaluate a model on a split of a corpus; ``.summary()`` gives the metrics with their intervals.

    :param model: a model, or what ``autocompose.load`` takes. :param corpus: a corpus, or its folder.
    :param key: which texts to ask with: ``human``, ``rules``, ``mllm``, or a corpus key.
    :param flatten: one query per text (the paper's rule for AIST) instead of the first text only.
    :param cache: folder for the encoded gallery; None keeps nothing.
    :param paraphrases: texts of the same pairs that are asked too, such as ``("rules",)``; implies ``flatten``.
    :raises CorpusError: a pair that must have a text has none, or one names a picture that is not in the gallery.
    """
    model = model if isinstance(model, Model) else load(model)
    loaded = as_corpus(corpus)
    questions = ask(model.encoder, loaded, split_of(split), key, flatten, cache, paraphrases=paraphrases)
    return questions.answers(model)


def clusters_of(corpus: Corpus, queries: Sequence[Question]) -> np.ndarray:
    """Resampling units of intervals: queries of one cluster of cubes if poses name it, else of one reference."""
    references = np.array([q.reference for q in queries], dtype=object)
    if corpus.poses is None or "cube" not in corpus.poses.columns:
        return references
    index = corpus.poses.index()
    if not all(name in index for name in references):
        return references
    kind = "body" if "body" in corpus.poses.columns else "cube"  # cubes of one body are twins in the test part
    clusters: np.ndarray = corpus.poses.columns[kind][corpus.poses.rows(references.tolist())]
    return clusters
