"""A run on one journal: workers until the work is over, a beating heart meanwhile, and an orderly end after Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Coroutine, Generator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, TypeVar

from autocompose.core.errors import StorageError
from autocompose.core.log import say
from autocompose.describe.mllm.asking.dialogue import advance
from autocompose.describe.mllm.asks import Answer, Ask, Dialect, Unanswered
from autocompose.describe.mllm.recipe import Endpoint, Limits
from autocompose.describe.mllm.recording.journal import BEAT, Journal
from autocompose.describe.mllm.recording.writer import Writer
from autocompose.describe.mllm.sending.client import Client, Send
from autocompose.describe.mllm.sending.costs import Costs
from autocompose.describe.mllm.sending.flow import Flow

R = TypeVar("R")
GRACE = 30.0
"""Seconds that requests in flight get to finish after Ctrl-C."""


@asynccontextmanager
async def session(
    writer: Writer, endpoint: Endpoint, limits: Limits, costs: Costs, send: Send | None = None
) -> AsyncIterator[Flow]:
    """A flow of questions to a server. At the end the journal records why it ended, and is closed.

    :param send: replaces the client (tests).
    :raises AnnotationError: what halted the flow.
    """
    stopped = "error"
    try:
        async with _sender(endpoint, limits, send) as sender:
            flow = Flow(sender, writer, limits, costs, endpoint.host, Dialect())
            yield flow
        stopped = flow.stop or "done"
    except asyncio.CancelledError:  # Ctrl-C before the first question
        stopped = "interrupted"
        raise
    finally:
        with suppress(StorageError):
            await writer.do(Journal.end, stopped)
        await writer.close()
    if flow.error is not None:
        raise flow.error


@asynccontextmanager
async def _sender(endpoint: Endpoint, limits: Limits, send: Send | None) -> AsyncIterator[Send]:
    if send is not None:
        yield send
        return
    async with Client(endpoint, limits.slots, limits.deadline) as client:
        yield client


async def work(flow: Flow, writer: Writer, workers: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run the workers, each of which ends when the flow has stopped. The first error of one ends all, and is raised."""
    crew = _Crew(flow)
    with crew.interruptible():
        tasks = [asyncio.create_task(worker) for worker in workers]
        beat = asyncio.create_task(_beat(writer))
        try:
            await crew.until_over(tasks)
        finally:
            beat.cancel()


async def lead(flow: Flow, steps: Generator[Ask, Answer, R], row: int = 0) -> R:
    """Answer questions as they come, and return what they lead to; pictures are prepared outside the event loop.

    :param row: of the work in the journal.
    :raises Stopped: the run ends.
    """
    step = await asyncio.to_thread(advance, steps)
    while isinstance(step, Ask):
        reply: Answer | Unanswered
        try:
            reply = await flow.ask(step, item=row)
        except Unanswered as unanswered:
            reply = unanswered
        step = advance(steps, reply)
    return step


async def _beat(writer: Writer) -> None:
    while True:
        await asyncio.sleep(BEAT)
        await writer.do(Journal.beat)


class _Crew:
    def __init__(self, flow: Flow) -> None:
        self.flow, self._hurry = flow, False

    async def until_over(self, workers: list[asyncio.Task[None]]) -> None:
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

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """First Ctrl-C: finish what is in flight; second: stop now."""

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
