"""Ask a model every question of a split, and rank the gallery for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from autocompose.evaluate.embedding import CorpusEmbedding, fit_text_weight
from autocompose.evaluate.metrics import QueryRows, Ranks, rank_rows
from autocompose.evaluate.ranking import exact_scores, normalise, top_rows
from autocompose.model.embedders.embedder import BALANCED, Embedder, weighted_sum
from autocompose.model.embedders.naming import as_embedder
from autocompose.model.embedders.own import ComposingModel
from autocompose.model.encoder import Encoder
from autocompose.model.features import image_features, text_features
from autocompose.model.model import Model


@dataclass(frozen=True)
class Evaluation:
    """A model's answers to the questions of a split.

    :param names: N gallery pictures, in gallery order (which decides ties).
    :param gallery: ``(N, D)`` their features; ``predictions``: ``(Q, D)``; neither needs to be normalised.
    :param clusters: ``(Q,)`` labels of queries that are not independent of each other; intervals resample these.
    :param about: how a model that is not ours was used; JSON-able.
    """

    queries: Sequence[Question]
    names: Sequence[str]
    gallery: np.ndarray
    predictions: np.ndarray
    clusters: np.ndarray
    about: Mapping[str, Any] = field(default_factory=dict)

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
        about = {"model": dict(self.about)} if self.about else {}
        return {**self.ranks.metrics(), "ci95": self.ranks.ci95(self.clusters), **sizes, **about}


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
    tally, with_text = Tally("pairs"), len({query.pair for query in queries})
    tally.keep(with_text)
    tally.drop(f"no text in {key}", n=len(corpus.split(split)) - with_text)
    if tally.dropped:
        say(tally.line())
    return queries, QueryRows.of(queries, corpus.galleries[split], f"{corpus.root}, {split}: ")


def with_paraphrases(queries: Sequence[Question], corpus: Corpus, split: Split, keys: Sequence[str]) -> list[Question]:
    """Each pair's queries followed by its texts under other keys as further queries; equal texts are asked once.

    :raises ConfigError: no such texts; CorpusError: no pair of the queries has a text under one of the keys.
    """
    fields, pairs = [text_field(key) for key in keys], corpus.split(split)
    for name in fields:
        if not any(pairs[query.pair].texts.get(name) for query in queries):
            raise CorpusError(f"{corpus.root}, {split}: none of the pairs asked about has a text {name!r}")
    several: list[Question] = []
    for number, same in groupby(queries, key=lambda query: query.pair):
        own = list(same)
        further = (text for name in fields for text in pairs[number].texts.get(name, ()))
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
    model: Model | Embedder | str | Path,
    corpus: Corpus | str | Path,
    split: Split | str = Split.TEST,
    key: str = "human",
    flatten: bool = False,
    cache: Path | None = None,
    paraphrases: Sequence[str] = (),
) -> Evaluation:
    """Evaluate a model on a split of a corpus; ``.summary()`` gives the metrics with their intervals.

    :param model: a model, an embedder, or what names one (``open_embedder``). :param corpus: a corpus, or its folder.
    :param key: which texts to ask with: ``human``, ``rules``, ``mllm``, or a corpus key.
    :param flatten: one query per text (the paper's rule for AIST) instead of the first text only.
    :param cache: folder for the encoded gallery; None keeps nothing.
    :param paraphrases: texts of the same pairs that are asked too, such as ``("rules",)``; implies ``flatten``.
    :raises CorpusError: a pair that must have a text has none, or one names a picture that is not in the gallery.
    """
    embedder, loaded, part = as_embedder(model), as_corpus(corpus), split_of(split)
    if isinstance(embedder, ComposingModel):
        questions = ask(embedder.model.encoder, loaded, part, key, flatten, cache, paraphrases=paraphrases)
        return questions.answers(embedder.model)
    queries, rows = questions_of(loaded, part, key, flatten, paraphrases)
    return _answers(CorpusEmbedding(embedder, cache), loaded, part, key, queries, rows)


def _answers(
    embedding: CorpusEmbedding, corpus: Corpus, split: Split, key: str, queries: Sequence[Question], rows: QueryRows
) -> Evaluation:
    """The answers of an embedder that is not a model of ours."""
    embedder = embedding.embedder
    names, texts = corpus.galleries[split], [query.text for query in queries]
    gallery = embedding.pictures([corpus.image_path(name) for name in names])
    about: dict[str, Any] = {"name": embedder.name, "fingerprint": embedder.fingerprint, "dim": gallery.shape[1]}
    if embedder.joint:
        predictions = embedding.together([corpus.image_path(query.reference) for query in queries], texts)
        about["composition"] = "picture and text together"
    elif embedder.learned:
        predictions, about["composition"] = embedder.compose(gallery[rows.reference], texts), "of features"
    else:
        weight, fitted = embedder.text_weight, embedder.text_weight is None
        if weight is None:
            weight = _val_weight(embedding, corpus, split, key)
        predictions = weighted_sum(gallery[rows.reference], embedding.texts(texts), weight)
        about |= {"composition": "weighted sum", "text_weight": weight, "fitted_on_val": fitted}
    return Evaluation(queries, names, gallery, predictions, clusters_of(corpus, queries), about)


def _val_weight(embedding: CorpusEmbedding, corpus: Corpus, split: Split, key: str) -> float:
    """The weight of the text that is best on val; on val itself, and without a val part, nothing is fitted."""
    if split is Split.VAL or not corpus.split(Split.VAL):
        say(f"no val part to fit the weight of the text on: {BALANCED:g} is used")
        return BALANCED
    queries, rows = questions_of(corpus, Split.VAL, key, False)
    gallery = embedding.pictures([corpus.image_path(name) for name in corpus.galleries[Split.VAL]])
    weight = fit_text_weight(gallery, embedding.texts([query.text for query in queries]), rows)
    say(f"weight of the text, fitted on val: {weight:g}")
    return weight


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
