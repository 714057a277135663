"""A whole annotation run: consent, probe, workers over all pairs, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from typing import Any

from autocompose.core.errors import AnnotationError, ConfigError, StorageError
from autocompose.core.log import bar, say
from autocompose.describe.mllm.asks import Answer, Ask, Dialect, Fault, FaultKind, Item, SchemaMode
from autocompose.describe.mllm.job import Job, Summary, dialect_name, enter, known_dialect, stored
from autocompose.describe.mllm.recipe import journal_path
from autocompose.describe.mllm.recording.journal import BEAT, Attempt, Journal
from autocompose.describe.mllm.recording.writer import Writer
from autocompose.describe.mllm.sending.client import Client, Send
from autocompose.describe.mllm.sending.flow import Flow, Stopped
from autocompose.describe.mllm.sending.probe import probe

GRACE = 30.0
"""Seconds that requests in flight get to finish after Ctrl-C."""


def annotate(job: Job, send: Send | None = None, yes: bool = False) -> Summary:
    """Run a job to its end; everything done before is kept and nothing is asked twice.

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
    stale = journal.db.execute(
        "SELECT COUNT(*) FROM items WHERE state = 'done' AND version != ?", (job.version,)
    ).fetchone()[0]
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
        dialect = await self._dialect(send)
        if dialect.schema is not SchemaMode.ENFORCED:
            say(f"the server does not enforce the JSON schema ({dialect.schema.value}); every answer is checked anyway")
        self.flow = Flow(send, self.writer, job.limits, job.costs, job.endpoint.host, dialect)

    async def _dialect(self, send: Send) -> Dialect:
        job = self.job
        known = await self.writer.do(known_dialect, job)
        if known:
            return known
        found = await probe(self._probing(send), job.recipe.model, job.recipe.temperature)
        value = {"schema": found.schema.value, "limit_field": found.limit_field, "temperature": found.temperature}
        await self.writer.do(Journal.put, dialect_name(job), value)
        return found

    def _probing(self, send: Send) -> Callable[[Ask, Dialect], Any]:
        """Ask the probe's questions: transport faults are retried, what stops a run stops it here too."""
        job = self.job

        async def once(ask: Ask, dialect: Dialect) -> Answer:
            for tries in range(1, job.limits.tries + 1):
                wall, begun = time.time(), time.monotonic()
                self.summary.requests += 1
                try:
                    answer = await send(ask, dialect)
                except Fault as fault:
                    tried = Attempt(fault.reason, job.endpoint.host, wall, time.monotonic() - begun, 0, fault.message)
                    await self.writer.do(Journal.record, ask.key, tried)
                    if fault.kind is FaultKind.ITEM_FAILED:
                        raise
                    away = fault.kind is FaultKind.RUN_FAILED or fault.reason == "unreachable"
                    if away or tries == job.limits.tries:
                        unwell = f"{job.endpoint.host} does not answer, tried {tries} times; last: {fault.message}"
                        raise AnnotationError(fault.message if away else unwell) from None
                    await asyncio.sleep(min(60.0, fault.after or job.limits.backoff * 2 ** (tries - 1)))
                    continue
                cost = job.costs.of_answer(answer)
                tried = Attempt("ok", job.endpoint.host, wall, time.monotonic() - begun, cost)
                await self.writer.do(Journal.record, ask.key, tried, answer)
                return answer
            raise AssertionError("unreachable")

        return once

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
                outcome = await self.job.outcome(item, partial(self.flow.ask, item=row))
            except Stopped:
                return
            values = stored(self.job, item, outcome)
            await self.writer.do(Journal.finish, row, outcome.state, **values)
            self.summary.count(outcome)
            tell()

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
