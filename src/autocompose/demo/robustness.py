"""The demo's measures beside recall, of the Combiner: what poses say of its answers, and its spread over wordings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autocompose.core.records import Question, Split
from autocompose.core.text_fields import PARTIAL_KEYS
from autocompose.corpus.format import Corpus
from autocompose.evaluate.metrics import QueryRows
from autocompose.evaluate.questions import Evaluation, Questions, clusters_of, with_paraphrases
from autocompose.evaluate.robust.judged import NEAR, judge
from autocompose.evaluate.robust.wordings import wording_measures
from autocompose.model.features import text_features
from autocompose.model.model import Model

WORDINGS = {"auto": (), "sents": ("auto",), "mllm": ()}  # texts of the queries -> texts that are further wordings


def robustness(corpus: Corpus, questions: dict[str, Questions], model: Model, every: int) -> dict[str, Any]:
    """``judged`` and ``wordings`` for each kind of texts, on every n-th query (``every``).

    :param questions: corpus key -> the questions with these texts, encoded. Texts that only some pairs have are asked
        for all of these.
    """
    values: dict[str, Any] = {"judged": {}, "wordings": {}, "near_metres": NEAR}
    for key, encoded in questions.items():
        queries = list(encoded.queries)[::every]
        judged = judge(_answers(corpus, encoded, queries, model), corpus)
        assert judged is not None, "BodyCPR always has poses"
        values["judged"][key] = judged.summary()
    encoded = next(iter(questions.values()))
    for key, others in WORDINGS.items():
        if not any(pair.texts.get(key) for pair in corpus.split(Split.TEST)):
            continue
        step = 1 if key in PARTIAL_KEYS else every
        chosen = {query.pair for query in corpus.questions(Split.TEST, key)[::step]}
        queries = [query for query in corpus.questions(Split.TEST, key, flatten=True) if query.pair in chosen]
        evaluation = _answers(corpus, encoded, with_paraphrases(queries, corpus, Split.TEST, others), model)
        named = [(q.reference, q.target, q.text) for q in evaluation.queries]
        measures = wording_measures(named, evaluation.ranks, evaluation.clusters)
        if measures is not None:
            values["wordings"][key] = {**measures.summary(), "n_queries": len(named)}
    return values


def _answers(corpus: Corpus, encoded: Questions, queries: Sequence[Question], model: Model) -> Evaluation:
    """The model's answers to other queries over the same gallery."""
    texts = text_features(model.encoder, [query.text for query in queries]).numpy()
    rows = QueryRows.of(queries, encoded.names)
    return Questions(queries, encoded.names, encoded.gallery, texts, rows, clusters_of(corpus, queries)).answers(model)
