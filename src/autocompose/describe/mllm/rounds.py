"""Annotation without a live endpoint: collect the open questions of a corpus, get them answered elsewhere, continue.

Stage II depends on Stage I's answer, and a wrong answer leads to another question, so this goes in rounds: each replays
every pair from the journal until it meets a question without an answer. No question is sent twice here either.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from autocompose.core.log import track
from autocompose.describe.mllm.asking.dialogue import advance
from autocompose.describe.mllm.asks import Answer, Ask, Dialect, Item, Unanswered
from autocompose.describe.mllm.job import Job, Summary, enter, known_dialect, stored
from autocompose.describe.mllm.recipe import journal_path
from autocompose.describe.mllm.recording.journal import Attempt, Journal


class Rounds:
    """The journal of a job, replayed. Use as a context manager; it works on the journal as a run of its own.

    :raises AnnotationError: another run works on this journal with other settings.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.summary = Summary(prices=job.costs.state)

    def __enter__(self) -> Rounds:
        job = self.job
        self.journal = Journal(journal_path(job.corpus.root))
        with self.journal.transaction():
            enter(job, self.journal)
        return self

    def __exit__(self, *_: object) -> None:
        with self.journal.transaction():
            self.journal.end("done")
        self.summary.spent = self.journal.spent()
        self.journal.close()

    def open_questions(self) -> Iterator[Ask]:
        """Replay every pair: finished ones are stored; of the others, return each next question once."""
        seen: set[str] = set()
        total = sum(1 for _ in self.job.items())
        for item in track(self.job.items(), "replaying", total):
            with self.journal.transaction():
                row = self.journal.claim(item, self.job.version, self.job.pictures.inputs(item))
            if row is None:
                continue
            ask = self._replay(item, row)
            if ask is not None and ask.key not in seen:
                seen.add(ask.key)
                yield ask

    def _replay(self, item: Item, row: int) -> Ask | None:
        """Answer a pair's questions from the journal; return the first one without an answer, or None at the end."""
        steps = self.job.steps(item)
        outcome = advance(steps)
        while isinstance(outcome, Ask):
            reply: Answer | Unanswered | None = self.journal.lookup(outcome)
            if reply is None and (failed := self.journal.failure(outcome)) is not None:
                reply = Unanswered("rejected", failed)
            if reply is None:
                with self.journal.transaction():
                    self.journal.enter(outcome, row, "open")
                    self.journal.unclaim(row)
                return outcome
            outcome = advance(steps, reply)
        with self.journal.transaction():
            self.journal.finish(row, outcome.state, **stored(self.job, item, outcome))
        self.summary.count(outcome)
        return None

    def dialect(self) -> Dialect:
        """The dialect of the model's server, if an earlier probe has determined it."""
        return known_dialect(self.journal, self.job) or Dialect()

    def prompt_tokens(self, key: str) -> int:
        """Our estimate of an open question's tokens, for services that do not count; 0 when it is not known."""
        question = self.journal.open_question(key)
        return self.job.costs.prompt_tokens(*question) if question else 0

    def record(self, key: str, answer: Answer | None, host: str, words: str = "", discount: float = 1.0) -> bool:
        """Store an answer (or a rejection, in ``words``) to an open question.

        :param discount: price of the answer as a share of the list price; batches cost half.
        :return: False when the journal does not know the question, or it has an answer already.
        """
        if not self.journal.open_question(key):
            return False
        kind, cost = ("ok", discount * self.job.costs.of_answer(answer)) if answer else ("rejected", 0.0)
        attempt = Attempt(kind, host, time.time(), 0.0, cost, words)
        with self.journal.transaction():
            self.journal.record(key, attempt, answer, "open" if answer else "failed")
        self.summary.requests += 1
        return True


def answer_in_rounds(
    job: Job, engine: Callable[[list[Ask]], Iterator[list[tuple[str, Answer | None, str]]]], host: str
) -> Summary:
    """Run a job with an engine that answers many questions at once.

    :param engine: open questions -> blocks of (key, answer or None, words of the failure); each block is committed
        before the next is asked for, so a dying engine loses at most a block.
    """
    with Rounds(job) as rounds:
        while asks := list(rounds.open_questions()):
            before = rounds.summary.requests
            for block in engine(asks):
                for key, answer, words in block:
                    rounds.record(key, answer, host, words)
            if rounds.summary.requests == before:
                rounds.summary.stopped = "unreachable"
                break
    return rounds.summary
