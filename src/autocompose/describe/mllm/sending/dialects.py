"""Finding out how a server wants to be asked, once per (server, model)."""

from __future__ import annotations

from dataclasses import asdict

from autocompose.core.errors import AnnotationError
from autocompose.core.log import say
from autocompose.describe.mllm.asking.dialogue import advance
from autocompose.describe.mllm.asks import Dialect, SchemaMode, Unanswered
from autocompose.describe.mllm.recording.journal import Journal
from autocompose.describe.mllm.recording.writer import Writer
from autocompose.describe.mllm.sending.flow import Flow
from autocompose.describe.mllm.sending.probe import probe


async def settle(
    flow: Flow, writer: Writer, name: str, model: str, temperature: float | None, quiet: bool = False
) -> None:
    """Give the flow the dialect that the journal holds under ``name``, else that of a probe.

    :param quiet: do not say that the server does not enforce the schema.
    :raises Stopped: the run ends; AnnotationError: the server does not answer.
    """
    known = await writer.do(remembered, name)
    flow.dialect = known or await probed(flow, writer, name, model, temperature)
    if flow.dialect.schema is not SchemaMode.ENFORCED and not quiet:
        how = flow.dialect.schema.value
        say(f"the server does not enforce the JSON schema ({how}); every answer is checked anyway")


async def probed(flow: Flow, writer: Writer, name: str, model: str, temperature: float | None) -> Dialect:
    """Probe a server, and remember the dialect in the journal under ``name``.

    :raises Stopped: the run ends; AnnotationError: the server does not answer.
    """
    steps = probe(model, temperature)
    step = advance(steps)
    while not isinstance(step, Dialect):
        ask, flow.dialect = step
        try:
            step = advance(steps, await flow.ask(ask))
        except Unanswered as refused:
            if refused.reason != "rejected":
                tries = f"tried {flow.tries} times; last: {refused.words}"
                raise AnnotationError(f"{flow.host} does not answer, {tries}") from None
            step = advance(steps, refused)
    await writer.do(Journal.put, name, asdict(step) | {"schema": step.schema.value})
    return step


def remembered(journal: Journal, name: str) -> Dialect | None:
    """The dialect that a probe has found out before."""
    known = journal.get(name)
    return Dialect(SchemaMode(known["schema"]), known["limit_field"], known["temperature"]) if known else None
