"""A whole annotation run: consent, probe, workers over all pairs, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from autocompose.core.errors import AnnotationError, ConfigError, StorageError
from autocompose.core.log import bar, say
from autocompose.core.records import Split, split_of
from autocompose.core.several import several
from autocompose.core.text_fields import Edit
from autocompose.corpus.format import Corpus, as_corpus
from autocompose.describe.mllm.asking.dialogue import Outcome, Steps, advance
from autocompose.describe.mllm.asking.sent_pictures import default_frame
from autocompose.describe.mllm.asks import Answer, Ask, Dialect, Item, SchemaMode, Unanswered
from autocompose.describe.mllm.job import EDITS, Job, Summary, dialect_name, enter, known_dialect, stored
from autocompose.describe.mllm.recipe import Endpoint, Limits, Recipe, journal_path
from autocompose.describe.mllm.recording.journal import BEAT, Journal
from autocompose.describe.mllm.recording.journal_reading import done_otherwise
from autocompose.describe.mllm.recording.writer import Writer
from autocompose.describe.mllm.sending.client import Client, Send
from autocompose.describe.mllm.sending.flow import Flow, Stopped
from autocompose.describe.mllm.sending.probe import probe

GRACE = 30.0
"""Seconds that requests in flight get to finish after Ctrl-C."""


def annotate_corpus(
    corpus: Corpus | str | Path,
    model: str,
    base_url: str = Endpoint().base_url,
    *,
    key_env: str = Endpoint().key_env,
    splits: Split | str | Iterable[Split | str] = (),
    edits: Edit | str | Iterable[Edit | str] = EDITS,
    pairs: int | None = None,
    limits: Limits | None = None,
    yes: bool = False,
    send: Send | None = None,
    **recipe: Any,
) -> Summary:
    """Describe a corpus with a multimodal LLM; ``export_texts`` then writes the accepted texts into its captions.

    The same call continues an interrupted run; no question is sent twice.

    :param model, base_url: an OpenAI-compatible server, and the model's name there.
    :param key_env: environment variable that holds the API key; a server on this machine needs none.
    :param splits: () = all. :param edits: which of the four variants. :param pairs: only the first N of each split.
    :param yes: consent to send the pictures to another machine, and to describe stale pairs again.
    :param recipe: fields of ``Recipe``, such as ``texts=3``, ``size=512``, ``grounded=True``.
    :raises AnnotationError: the run cannot go on; ConfigError: settings, or consent is missing.
    """
    loaded = as_corpus(corpus)
    recipe = {"frame": default_frame(loaded), **recipe, "model": model}
    job = Job(
        loaded,
        Recipe.parse(recipe, "annotate_corpus"),
        Endpoint(base_url=base_url, key_env=key_env),
        limits or Limits(),
        tuple(split_of(split) for split in several(splits)),
        tuple(Edit(edit) for edit in several(edits)),
        pairs,
    )
    return annotate(job, send, yes)


def annotate(job: Job, send: Send | None = None, yes: bool = False) -> Summary:
    """Run a job to its end; earlier results are kept and no question is sent twice.

    :param send: replaces the client (tests).
    :param yes: consent to send pictures to a host that is not this machine, and to ask stale pairs again.
    :raises AnnotationError: the run cannot go on: key, model, settings, quota; StorageError: the disk is full.
    """
    return asyncio.run(_Run(job, send, yes).run())


def needs_consent(job: Job, journal: Journal, estimate: str) -> str | None:
    """Why ``--yes`` is needed before anything is sent, or None."""
    count = len({name for item in job.items() for name in (item.reference, item.target)})
    if not job.endpoint.loopback and not journal.get(f"consent:{job.endpoint.host}:{job.recipe.model}"):
        return (
            f"{count} pictures would be sent to {job.endpoint.host} ({job.recipe.model}, {estimate}); "
            "pass --yes when that is right"
        )
    stale = done_otherwise(journal, job.version)
    if stale and not journal.get(f"renewed:{job.version}"):
        return (
            f"{stale} variants were described with other settings or prompts and would be asked again ({estimate}); "
            "pass --yes to do so; the old answers are kept"
        )
    return None


class _Run:
    def __init__(self, job: Job, send: Send | None, yes: bool) -> None:
        self.job, self.send, self.yes = job, send, yes
        self.summary = Summary(prices=job.costs.state)

    async def run(self) -> Summary:
        from autocompose.describe.mllm.cost_estimate import estimate

        job = self.job
        journal = Journal(journal_path(job.corpus.root))
        try:
            why = needs_consent(job, journal, estimate(job).line())
            if why and not self.yes:
                raise ConfigError(why)
            with journal.transaction():
                journal.put(f"consent:{job.endpoint.host}:{job.recipe.model}", time.time())
                journal.put(f"renewed:{job.version}", time.time())
        finally:
            journal.close()
        self.writer = Writer(journal_path(job.corpus.root))
        stopped = "error"
        try:
            async with self._client() as send:
                await self._begin(send)
                await self._work()
            stopped = self.summary.stopped
        except asyncio.CancelledError:  # Ctrl-C before the first question
            stopped = "interrupted"
            raise
        finally:
            with contextlib.suppress(StorageError):
                await self.writer.do(Journal.end, stopped)
            await self.writer.close()
        if self.flow.error is not None:
            raise self.flow.error
        return self.summary

    @contextlib.asynccontextmanager
    async def _client(self) -> AsyncIterator[Send]:
        if self.send is not None:
            yield self.send
            return
        async with Client(self.job.endpoint, self.job.limits.slots, self.job.limits.deadline) as client:
            yield client

    async def _begin(self, send: Send) -> None:
        job = self.job
        lost = await self.writer.do(partial(enter, job))
        others = len(await self.writer.do(Journal.living))
        if lost:
            say(f"{lost} requests were in flight when an earlier run was killed; they are sent again")
        if others:
            say(f"sharing the work with {others} other run{'s' if others > 1 else ''}")
        self.flow = Flow(send, self.writer, job.limits, job.costs, job.endpoint.host, Dialect())
        with contextlib.suppress(Stopped):  # then no worker begins
            self.flow.dialect = await self._dialect()
            if self.flow.dialect.schema is not SchemaMode.ENFORCED:
                how = self.flow.dialect.schema.value
                say(f"the server does not enforce the JSON schema ({how}); every answer is checked anyway")

    async def _dialect(self) -> Dialect:
        """The request format that the server accepts: from the journal, or from a probe.

        :raises Stopped: the run ends; AnnotationError: the server does not answer.
        """
        job = self.job
        known = await self.writer.do(known_dialect, job)
        if known:
            return known
        steps = probe(job.recipe.model, job.recipe.temperature)
        found = advance(steps)
        while not isinstance(found, Dialect):
            ask, self.flow.dialect = found
            try:
                found = advance(steps, await self.flow.ask(ask))
            except Unanswered as refused:
                if refused.reason != "rejected":
                    tries = f"tried {job.limits.tries} times; last: {refused.words}"
                    raise AnnotationError(f"{job.endpoint.host} does not answer, {tries}") from None
                found = advance(steps, refused)
        value = {"schema": found.schema.value, "limit_field": found.limit_field, "temperature": found.temperature}
        await self.writer.do(Journal.put, dialect_name(job), value)
        return found

    async def _work(self) -> None:
        items = self.job.items()
        total = sum(1 for _ in self.job.items())
        begun = time.monotonic()
        with bar() as progress, self._interruptible():
            task = progress.add_task("describing", total=total)
            workers = [
                asyncio.create_task(self._worker(items, lambda: progress.advance(task)))
                for _ in range(2 * self.job.limits.slots)
            ]
            beat = asyncio.create_task(self._beat())
            try:
                await self._until_over(workers)
            finally:
                beat.cancel()
        seconds = time.monotonic() - begun
        summary, flow = self.summary, self.flow
        summary.stopped = flow.stop or "done"
        summary.left = total - summary.done - sum(summary.failed.values()) - summary.skipped
        summary.requests += flow.counts.pop("requests", 0)
        summary.counts, summary.seconds = flow.counts, seconds
        summary.occupancy = flow.busy_seconds / (seconds * self.job.limits.slots) if seconds else 0.0
        summary.spent = await self.writer.do(Journal.spent)

    async def _until_over(self, workers: list[asyncio.Task[None]]) -> None:
        """Wait for the workers; after a stop they get a grace period. The first error of a worker ends the run."""
        pending: set[asyncio.Task[None]] = set(workers)
        deadline: float | None = None
        while pending:
            done, pending = await asyncio.wait(pending, timeout=0.5, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                if error := task.exception():
                    self.flow.halt("error")
                    for other in pending:
                        other.cancel()
                    await asyncio.gather(*pending, return_exceptions=True)
                    raise error
            if self.flow.stop is not None:
                deadline = deadline or time.monotonic() + GRACE
                if time.monotonic() > deadline or self._hurry:
                    for task in pending:
                        task.cancel()
                    await asyncio.gather(*pending, return_exceptions=True)
                    return

    async def _worker(self, items: Iterable[Item], tell: Callable[[], None]) -> None:
        for item in items:
            if self.flow.stop is not None:
                return
            inputs = await asyncio.to_thread(self.job.pictures.inputs, item)
            row = await self.writer.do(Journal.claim, item, self.job.version, inputs)
            if row is None:
                self.summary.skipped += 1
                tell()
                continue
            try:
                outcome = await self._lead(self.job.steps(item), row)
            except Stopped:
                return
            values = stored(self.job, item, outcome)
            await self.writer.do(Journal.finish, row, outcome.state, **values)
            self.summary.count(outcome)
            tell()

    async def _lead(self, steps: Steps, row: int) -> Outcome:
        """Get the answers to a pair's questions, one after the other; its pictures are prepared outside the event loop.

        :raises Stopped: the run ends.
        """
        found = await asyncio.to_thread(advance, steps)
        while isinstance(found, Ask):
            reply: Answer | Unanswered
            try:
                reply = await self.flow.ask(found, item=row)
            except Unanswered as unanswered:
                reply = unanswered
            found = advance(steps, reply)
        return found

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            await self.writer.do(Journal.beat)

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """First Ctrl-C: finish what is in flight; second: stop now."""
        self._hurry = False

        def interrupt() -> None:
            if self.flow.stop is None:
                say("stopping: requests in flight finish; press Ctrl-C again to drop them")
                self.flow.halt("interrupted")
            else:
                self._hurry = True

        loop = asyncio.get_running_loop()
        try:
            loop.add_signal_handler(signal.SIGINT, interrupt)
        except (NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
            yield
            return
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGINT)
