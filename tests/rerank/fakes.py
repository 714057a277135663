"""A corpus of figures with queries, answers of a model that ranks at random, and the simulated re-ranker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from autocompose.core.records import Pair, Question, Split
from autocompose.corpus.format import Corpus
from autocompose.describe.mllm.asks import Answer, Ask, Dialect
from autocompose.describe.mllm.recipe import Endpoint, Limits
from autocompose.evaluate.questions import Evaluation
from autocompose.rerank.settings import Recipe, Reranker
from tests.simulator.chooser import Chooser, Mistakes
from tests.simulator.figures import figure_corpus

LOCAL = Endpoint(base_url="http://127.0.0.1:9/v1")
QUICK = Limits(slots=4, backoff=0.01, deadline=5)


class Fake:
    """A client that answers at once; ``before`` may raise a fault or return an answer of its own."""

    def __init__(
        self, chooser: Chooser | None = None, before: Callable[[Ask, int], Answer | None] | None = None
    ) -> None:
        self.chooser, self.before = chooser, before
        self.asks: list[Ask] = []

    async def __call__(self, ask: Ask, dialect: Dialect) -> Answer:
        self.asks.append(ask)
        await asyncio.sleep(0)
        if self.before is not None and ask.stage != "probe" and (own := self.before(ask, len(self.asks))) is not None:
            return own
        assert self.chooser is not None or ask.stage == "probe"
        message = (self.chooser or Chooser({}, Mistakes())).answer(ask.body(dialect))
        return Answer(message["content"], "stop", "", 900, 20, False, "sim-1")

    @property
    def questions(self) -> list[Ask]:
        return [ask for ask in self.asks if ask.stage != "probe"]


def figures(root: Path, pairs: int = 20, texts: int = 6) -> Corpus:
    """Figures with ``texts`` queries from every first one to figures drawn at random, in the split test."""
    made = figure_corpus(root, pairs)
    rng, names = np.random.default_rng(5), made.galleries[Split.TRAIN]
    entries = []
    for reference in names[:pairs]:
        for number, target in enumerate(rng.choice([n for n in names if n != reference], texts, replace=False)):
            sents = {"sents": (f"Change number {number}.",)}
            entries.append(Pair(reference, str(target), (reference, str(target), names[-1], names[-2]), sents))
    corpus = replace(made, pairs={Split.TEST: tuple(entries)}, galleries={Split.TEST: names})
    (root / "captions" / "train.json").unlink()
    (root / "image_splits" / "train.json").unlink()
    corpus.save()
    return corpus


def answers(corpus: Corpus, seed: int = 0) -> Evaluation:
    """A model that ranks at random."""
    rng, names = np.random.default_rng(seed), corpus.galleries[Split.TEST]
    queries: list[Question] = corpus.questions(Split.TEST, "sents")
    clusters = np.array([query.reference for query in queries], dtype=object)
    return Evaluation(queries, names, rng.normal(size=(len(names), 8)), rng.normal(size=(len(queries), 8)), clusters)


def wanted(corpus: Corpus) -> dict[str, int]:
    """What the simulator has to know."""
    number = {name: i for i, name in enumerate(corpus.galleries[Split.TEST])}
    return {f"{number[q.reference]} {q.text}": number[q.target] for q in corpus.questions(Split.TEST, "sents")}


def write_wanted(corpus: Corpus) -> Path:
    path = corpus.root / "wanted.json"
    path.write_text(json.dumps(wanted(corpus)))
    return path


def chooser(corpus: Corpus, **mistakes: float) -> Chooser:
    return Chooser(wanted(corpus), Mistakes(**mistakes))


def reranker(limits: Limits = QUICK, endpoint: Endpoint = LOCAL, prices: Path | None = None, **recipe: Any) -> Reranker:
    return Reranker(Recipe(**{"model": "sim", "size": 128, **recipe}), endpoint, limits, prices)
