"""The simulated annotator as a function in this process, and small corpora of stick figures."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from autocompose.corpus.format import Corpus
from autocompose.describe.mllm.asks import Answer, Ask, Dialect
from autocompose.describe.mllm.frames import Frame
from autocompose.describe.mllm.job import Job
from autocompose.describe.mllm.recipe import Endpoint, Limits, Recipe
from tests.simulator.annotator import Annotator, Errors

LOCAL = Endpoint(base_url="http://127.0.0.1:9/v1")
QUICK = Limits(slots=4, backoff=0.01, deadline=5)


class Fake:
    """A client that answers at once; ``before`` may raise a fault or return an answer of its own."""

    def __init__(
        self, corpus: Corpus, errors: Errors | None = None, before: Callable[[Ask, int], Any] | None = None
    ) -> None:
        assert corpus.poses is not None
        self.annotator = Annotator(corpus.poses, errors or Errors())
        self.asks: list[Ask] = []
        self.before = before

    async def __call__(self, ask: Ask, dialect: Dialect) -> Answer:
        self.asks.append(ask)
        number = len(self.asks)
        await asyncio.sleep(0)
        if self.before is not None and ask.stage != "probe":
            own = self.before(ask, number)
            if isinstance(own, Awaitable):
                own = await own
            if own is not None:
                return own
        message = self.annotator.answer(ask.body(dialect))
        return Answer(message["content"], "stop", "", 300, 60, False, "sim-1")

    def of_stage(self, stage: str) -> list[Ask]:
        return [ask for ask in self.asks if ask.stage == stage]


def job(corpus: Corpus, limits: Limits = QUICK, endpoint: Endpoint = LOCAL, **recipe: Any) -> Job:
    edits = recipe.pop("edits", None)
    made = Job(corpus, Recipe(**{"model": "sim", "frame": Frame.COLOUR, "size": 256, **recipe}), endpoint, limits)
    return replace(made, edits=edits) if edits else made


def journal_of(corpus: Corpus) -> Path:
    return corpus.root / "annotation.sqlite"
