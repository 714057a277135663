"""A whole annotation run: consent, probe, workers over all pairs, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from autocompose.core.errors import ConfigError
from autocompose.core.log import bar, say
from autocompose.core.records import Split, split_of
from autocompose.core.several import several
from autocompose.core.text_fields import Edit
from autocompose.corpus.format import Corpus, as_corpus
from autocompose.describe.mllm.asking.sent_pictures import default_frame
from autocompose.describe.mllm.asks import Item
from autocompose.describe.mllm.job import EDITS, Job, Summary, dialect_name, enter, stored
from autocompose.describe.mllm.recipe import Endpoint, Limits, Recipe, journal_path
from autocompose.describe.mllm.recording.journal import Journal
from autocompose.describe.mllm.recording.journal_reading import done_otherwise
from autocompose.describe.mllm.recording.writer import Writer
from autocompose.describe.mllm.sending.client import Send
from autocompose.describe.mllm.sending.crew import lead, session, work
from autocompose.describe.mllm.sending.dialects import settle
from autocompose.describe.mllm.sending.flow import Stopped


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
        async with session(self.writer, job.endpoint, job.limits, job.costs, self.send) as self.flow:
            await self._begin()
            await self._work()
        return self.summary

    async def _begin(self) -> None:
        job = self.job
        lost = await self.writer.do(partial(enter, job))
        others = len(await self.writer.do(Journal.living))
        if lost:
            say(f"{lost} requests were in flight when an earlier run was killed; they are sent again")
        if others:
            say(f"sharing the work with {others} other run{'s' if others > 1 else ''}")
        with contextlib.suppress(Stopped):  # then no worker begins
            await settle(self.flow, self.writer, dialect_name(job), job.recipe.model, job.recipe.temperature)

    async def _work(self) -> None:
        items = self.job.items()
        total = sum(1 for _ in self.job.items())
        begun = time.monotonic()
        with bar() as progress:
            task = progress.add_task("describing", total=total)
            workers = [self._worker(items, lambda: progress.advance(task)) for _ in range(2 * self.job.limits.slots)]
            await work(self.flow, self.writer, workers)
        seconds = time.monotonic() - begun
        summary, flow = self.summary, self.flow
        summary.stopped = flow.stop or "done"
        summary.left = total - summary.done - sum(summary.failed.values()) - summary.skipped
        summary.requests += flow.counts.pop("requests", 0)
        summary.counts, summary.seconds = flow.counts, seconds
        summary.occupancy = flow.busy_seconds / (seconds * self.job.limits.slots) if seconds else 0.0
        summary.spent = await self.writer.do(Journal.spent)

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
                outcome = await lead(self.flow, self.job.steps(item), row)
            except Stopped:
                return
            values = stored(self.job, item, outcome)
            await self.writer.do(Journal.finish, row, outcome.state, **values)
            self.summary.count(outcome)
            tell()
