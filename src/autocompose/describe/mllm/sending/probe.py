"""A probe of how a server treats a JSON schema: once per (server, model), stored in the journal."""

from __future__ import annotations

import json
import secrets
from collections.abc import Generator
from dataclasses import replace

from autocompose.core.errors import AnnotationError
from autocompose.describe.mllm.asks import Answer, Ask, Dialect, SchemaMode, Unanswered
from autocompose.describe.mllm.judging.objects import after_reasoning

LETTERS = "bcdfghjklmnpqrstvwxz"
LADDER = (SchemaMode.ENFORCED, SchemaMode.OBJECT, SchemaMode.PLAIN)


def probe_ask(model: str, temperature: float | None) -> tuple[Ask, str]:
    """A question whose only valid answer is a random word that is not in the prompt."""
    word = "".join(secrets.choice(LETTERS) for _ in range(8))
    schema = {"type": "object", "properties": {"word": {"type": "string", "enum": [word]}}, "required": ["word"]}
    system = "You answer with one JSON object that has the single key word."
    return Ask("probe", system, ("Name any word.",), schema, model, 60, temperature), word


def probe(model: str, temperature: float | None) -> Generator[tuple[Ask, Dialect], Answer, Dialect]:
    """Find the dialect of a server: yields questions with a dialect to try, receives answers, returns the dialect.

    A schema that is refused leads to ``json_object``, then to no format at all; a refused ``max_tokens`` to
    ``max_completion_tokens``; a refused temperature to none. A refusal is thrown in as ``Unanswered``.

    :raises AnnotationError: even the plainest question is refused.
    """
    dialect: Dialect | None = Dialect()
    words = ""
    while dialect is not None:
        ask, word = probe_ask(model, temperature)
        try:
            answer = yield ask, dialect
        except Unanswered as refused:
            words, dialect = refused.words, _simpler(dialect, refused.words)
            continue
        if dialect.schema is SchemaMode.ENFORCED and not _holds(answer.raw, word):
            return replace(dialect, schema=SchemaMode.IGNORED)
        return dialect
    raise AnnotationError(f"the server refuses even a plain question to {model}: {words}")


def _simpler(dialect: Dialect, words: str) -> Dialect | None:
    if "max_completion_tokens" in words and dialect.limit_field == "max_tokens":
        return replace(dialect, limit_field="max_completion_tokens")
    if "temperature" in words and dialect.temperature:
        return replace(dialect, temperature=False)
    step = LADDER.index(dialect.schema) + 1
    return replace(dialect, schema=LADDER[step]) if step < len(LADDER) else None


def _holds(raw: str, word: str) -> bool:
    try:
        return json.loads(after_reasoning(raw)) == {"word": word}
    except (ValueError, RecursionError):
        return False
