"""Asking a multimodal LLM about many queries: consent, probe, workers, and an orderly end.

The journal holds every question with its answer, as that of an annotation does: nothing is paid for twice, a budget
counts all that was ever spent there, and what a killed run has asked is known to the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autocompose.core.errors import ConfigError, ImageError
from autocompose.core.log import bar, say
from autocompose.describe.mllm.judging.answers import Slip
from autocompose.describe.mllm.recording.journal import Journal
from autocompose.describe.mllm.recording.writer import Writer
from autocompose.describe.mllm.sending.client import Send
from autocompose.describe.mllm.sending.costs import money
from autocompose.describe.mllm.sending.crew import lead, session, work
from autocompose.describe.mllm.sending.dialects import settle
from autocompose.describe.mllm.sending.flow import Stopped
from autocompose.rerank.question import Query, Reply, Verdict, steps_of, verdict
from autocompose.rerank.settings import Reranker

VERSION = "rerank"  # questions are known by their content, so that runs with other settings share a journal
Prepare = Callable[[], Query]
"""Opens the pictures of a query."""


@dataclass
class Outcome:
    """What a run came to.

    :param verdicts: one for each query; None where the run ended before.
    :param stopped: ``done``, or why it ended: budget, rate-limit, unreachable or interrupted.
    :param requests: sent in this run, the probe included; ``known``: answers that the journal had.
    :param spent: dollars and tokens of the journal; ``prices``: how old the prices are.
    """

    verdicts: list[Verdict | None]
    stopped: str = "done"
    requests: int = 0
    known: int = 0
    spent: tuple[float, int] = (0.0, 0)
    prices: str = ""
    unchanged: Counter[str] = field(default_factory=Counter)

    def line(self) -> str:
        """One line for the console."""
        answered = sum(v is not None and not v.unchanged for v in self.verdicts)
        others = "".join(f", {n} unchanged ({why})" for why, n in self.unchanged.most_common())
        cost = f"{money(self.spent[0], self.prices)}, {self.spent[1]:,} tokens in this journal"
        return f"{answered} of {len(self.verdicts)} queries re-ranked{others}; {self.requests} requests; {cost}"

    def record(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "reranked": sum(v is not None and not v.unchanged for v in self.verdicts),
            "unchanged": dict(self.unchanged), "tokens": self.spent[1], "dollars": round(self.spent[0], 6),
            "prices": self.prices,
        }  # fmt: skip


def ask_consent(reranker: Reranker, journal: Path, pictures: str, candidates: Sequence[int], yes: bool) -> None:
    """See that pictures may be sent, and remember it in the journal.

    :param pictures: what would be sent, such as "11 pictures". :param yes: the user says that they may.
    :raises ConfigError: the host is not this machine, and nobody has consented yet.
    """
    file = Journal(journal)
    try:
        if not (yes or reranker.endpoint.loopback or file.get(reranker.consent_name)):
            cost = reranker.estimate(candidates).line()
            raise ConfigError(
                f"{pictures} would be sent to {reranker.endpoint.host} ({reranker.recipe.model}, {cost}); "
                "pass --yes when that is right"
            )
        with file.transaction():
            file.put(reranker.consent_name, time.time())
    finally:
        file.close()


def rerank_all(
    reranker: Reranker, journal: Path, queries: Sequence[Prepare], send: Send | None = None, quiet: bool = False
) -> Outcome:
    """Put the candidates of many queries in order. Ask for consent before.

    :param journal: file of the journal. :param send: replaces the client (tests). :param quiet: without progress.
    :raises AnnotationError: it cannot go on: key, model, quota; StorageError: the disk refuses.
    """
    return asyncio.run(_Run(reranker, queries, send, quiet).run(journal))


class _Run:
    def __init__(self, reranker: Reranker, queries: Sequence[Prepare], send: Send | None, quiet: bool) -> None:
        self.reranker, self.queries, self.send, self.quiet = reranker, queries, send, quiet
        self.outcome = Outcome([None] * len(queries), prices=reranker.costs.state)

    async def run(self, journal: Path) -> Outcome:
        reranker, self.writer = self.reranker, Writer(journal)
        async with session(self.writer, reranker.endpoint, reranker.limits, reranker.costs, self.send) as self.flow:
            await self._begin()
            await self._work()
        return self.outcome

    async def _begin(self) -> None:
        reranker = self.reranker
        name, recipe = reranker.dialect_name, reranker.recipe
        await self.writer.do(Journal.start, VERSION, {})
        with contextlib.suppress(Stopped):  # then no worker begins
            await settle(self.flow, self.writer, name, recipe.model, recipe.temperature, self.quiet)

    async def _work(self) -> None:
        jobs = iter(enumerate(self.queries))
        workers = min(2 * self.reranker.limits.slots, len(self.queries))
        with contextlib.nullcontext() if self.quiet else bar() as progress:
            task = progress.add_task("re-ranking", total=len(self.queries)) if progress else None

            def advanced() -> None:
                if progress and task is not None:
                    progress.advance(task)

            await work(self.flow, self.writer, [self._worker(jobs, advanced) for _ in range(workers)])
        self.outcome.stopped = self.flow.stop or "done"
        self.outcome.requests, self.outcome.known = self.flow.counts["requests"], self.flow.counts["known"]
        self.outcome.spent = await self.writer.do(Journal.spent)
        self.outcome.unchanged = Counter(v.unchanged for v in self.outcome.verdicts if v and v.unchanged)

    async def _worker(self, jobs: Iterator[tuple[int, Prepare]], advanced: Callable[[], None]) -> None:
        for number, prepare in jobs:
            if self.flow.stop is not None:
                return
            try:
                query = await asyncio.to_thread(prepare)
            except ImageError as error:
                say(f"not re-ranked: {error}")
                self.outcome.verdicts[number] = Verdict((), "picture")
                continue
            steps = await asyncio.to_thread(steps_of, query, self.reranker)
            replies = await asyncio.gather(*(lead(self.flow, part) for part in steps), return_exceptions=True)
            if any(isinstance(reply, Stopped) for reply in replies):
                return
            self.outcome.verdicts[number] = verdict(query, self.reranker, [_reply(reply) for reply in replies])
            advanced()


def _reply(reply: Reply | BaseException) -> Reply:
    """The reply, unless it is an exception that was raised."""
    if isinstance(reply, BaseException) and not isinstance(reply, Slip):
        raise reply
    return reply
