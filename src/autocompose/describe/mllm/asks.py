"""The types of the engine: a picture to send, a question, an answer, a fault."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

from autocompose.core.files import value_hash
from autocompose.core.records import Split
from autocompose.core.text_fields import Edit


@dataclass(frozen=True)
class Item:
    """One unit of work: a pair of pictures under one edit."""

    reference: str
    target: str
    edit: Edit
    split: Split = Split.TRAIN

    def __str__(self) -> str:
        return f"{self.reference} -> {self.target} ({self.edit.value})"


@dataclass(frozen=True)
class Picture:
    """The bytes that are sent, nothing else of the file: no EXIF, no name."""

    data: bytes
    mime: str

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the bytes."""
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def url(self) -> str:
        """The picture as a data URI."""
        return f"data:{self.mime};base64,{base64.b64encode(self.data).decode()}"


class SchemaMode(str, Enum):
    """How a server treats ``response_format``; determined by a probe."""

    ENFORCED = "enforced"
    IGNORED = "ignored"
    OBJECT = "json_object"
    PLAIN = "plain"


@dataclass(frozen=True)
class Dialect:
    """The request dialect of one (server, model).

    :param limit_field: ``max_tokens``, or ``max_completion_tokens`` where the old name is refused.
    :param temperature: the model accepts a temperature.
    """

    schema: SchemaMode = SchemaMode.ENFORCED
    limit_field: str = "max_tokens"
    temperature: bool = True


@dataclass(frozen=True)
class Ask:
    """One question. Equal keys mean the same question, which is paid for once.

    :param stage: ``parts`` (Stage I), ``texts`` (Stage II) or ``probe``.
    :param content: texts and pictures of the user message, in order.
    :param sample: 0 for the first attempt, incremented when the question is repeated after a wrong answer.
    """

    stage: str
    system: str
    content: tuple[str | Picture, ...]
    schema: dict[str, Any]
    model: str
    max_tokens: int
    temperature: float | None = None
    detail: str = "auto"
    edit: str = ""
    sample: int = 0

    @cached_property
    def key(self) -> str:
        """SHA-256 over everything that may change the answer; not over host, time or speed."""
        shown = [part if isinstance(part, str) else {"picture": part.hash} for part in self.content]
        return value_hash([self.stage, self.system, shown, self.schema, self.model, self.sample, self.parameters])

    @property
    def parameters(self) -> dict[str, Any]:
        """The settings of the question."""
        return {
            "max_tokens": self.max_tokens, "temperature": self.temperature, "detail": self.detail, "edit": self.edit,
        }  # fmt: skip

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The pictures of the question."""
        return tuple(part for part in self.content if isinstance(part, Picture))

    @property
    def text(self) -> str:
        """The user message without its pictures."""
        return "\n".join(part if isinstance(part, str) else "[picture]" for part in self.content)

    def body(self, dialect: Dialect) -> dict[str, Any]:
        """The request body of ``POST /chat/completions``."""
        user: str | list[dict[str, Any]]
        if self.pictures:
            user = [self._part(part) for part in self.content]
        else:
            user = "\n".join(str(part) for part in self.content)
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "system", "content": self.system}, {"role": "user", "content": user}],
            dialect.limit_field: self.max_tokens,
        }
        if self.temperature is not None and dialect.temperature:
            body["temperature"] = self.temperature
        if dialect.schema in (SchemaMode.ENFORCED, SchemaMode.IGNORED):
            named = {"name": self.stage, "schema": self.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        elif dialect.schema is SchemaMode.OBJECT:
            body["response_format"] = {"type": "json_object"}
        return body

    def _part(self, part: str | Picture) -> dict[str, Any]:
        if isinstance(part, str):
            return {"type": "text", "text": part}
        image = {"url": part.url} if self.detail == "auto" else {"url": part.url, "detail": self.detail}
        return {"type": "image_url", "image_url": image}

    def record(self) -> str:
        """The question for the journal, pictures by their hash."""
        return json.dumps([part if isinstance(part, str) else {"picture": part.hash} for part in self.content])


@dataclass(frozen=True)
class Answer:
    """The raw answer.

    :param finish: ``stop``, ``length``, ``content_filter`` ...
    :param estimated: the server sent no usage; the token counts are our estimate.
    :param attempt: row number among the attempts of the question.
    """

    raw: str
    finish: str = "stop"
    refusal: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False
    model: str = ""
    fingerprint: str = ""
    attempt: int = 0


class Unanswered(Exception):  # noqa: N818  (a value of the protocol that travels as an exception)
    """A question that gets no answer: transport keeps failing, or the server rejects it.

    :param reason: a short stable name for counts, as in ``Fault``.
    """

    def __init__(self, reason: str, words: str) -> None:
        super().__init__(words)
        self.reason, self.words = reason, words


class FaultKind(str, Enum):
    """The consequence of a fault for the run."""

    WAIT = "wait"  # rate limit; does not count as a try
    RETRY = "retry"  # transport: retried a bounded number of times
    ITEM_FAILED = "item_failed"  # this question cannot be answered
    RUN_FAILED = "run_failed"  # no question can be answered


class Fault(Exception):  # noqa: N818  (a value of the protocol that travels as an exception)
    """A request that failed.

    :param reason: a short stable name for counts: ``rate-limit``, ``transport``, ``unreachable``, ``rejected`` ...
    :param after: seconds that the server asked us to wait, or None.
    """

    def __init__(self, kind: FaultKind, reason: str, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.kind, self.reason, self.message, self.after = kind, reason, message, after
