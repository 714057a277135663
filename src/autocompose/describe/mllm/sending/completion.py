"""Reading a chat completion, live or from a batch file, into an answer. No field is taken for granted."""

from __future__ import annotations

import json
import re
from typing import Any

from autocompose.describe.mllm.asks import Answer
from autocompose.describe.mllm.judging.objects import after_reasoning

FINISHES = {
    "length": "length", "max_tokens": "length", "model_length": "length", "max_output_tokens": "length",
    "content_filter": "content_filter", "safety": "content_filter", "prohibited_content": "content_filter",
    "blocklist": "content_filter", "recitation": "content_filter", "sensitive": "content_filter",
}  # fmt: skip
"""Names of servers for what ended an answer; every other name is ``stop``."""
BROKEN = ("error", "abort")
MAX_TOKENS = 10**9
PICTURE = 800
"""Tokens assumed for a picture of an unknown model."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_FENCE = re.compile(r"\A```(?:json)?\s*(.*?)\s*```\Z", re.S)


class NoAnswerError(ValueError):
    """The completion contains no answer; the message is the server's."""


def read_completion(completion: Any, prompt_tokens: int) -> Answer:
    """The answer of a completion (decoded JSON of any shape).

    Reasoning in a field of its own is ignored. An answer in parts, in a tool call, or misplaced by the server in the
    field for reasoning is accepted.

    :param prompt_tokens: our estimate, for servers that do not count, or count nonsense.
    :raises NoAnswerError: it holds none.
    """
    body = completion if isinstance(completion, dict) else {}
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None
    if choice is None or choice.get("error") or choice.get("finish_reason") in BROKEN:
        trouble = choice and (choice.get("error") or f"finished with {choice.get('finish_reason')}")
        raise NoAnswerError(str(trouble or body.get("error") or completion or "no choices"))
    declared = choice.get("message")
    message = declared if isinstance(declared, dict) else {}
    content, refusal = _content(message.get("content"))
    reasoning = _text(message.get("reasoning_content")) or _text(message.get("reasoning"))
    finish = FINISHES.get(str(choice.get("finish_reason")).lower(), "stop")
    raw = content.strip() and content  # servers that cut off the reasoning leave the empty lines after it
    raw = raw or _called(message) or (_misplaced(reasoning) if finish == "stop" else "")
    prompt, made, estimated = believed(body.get("usage"), prompt_tokens, estimate_tokens(raw + reasoning))
    return Answer(
        raw=raw,
        finish=finish,
        refusal=_text(message.get("refusal")) or refusal,
        prompt_tokens=prompt,
        completion_tokens=made,
        estimated=estimated,
        model=_text(body.get("model")),
        fingerprint=_text(body.get("system_fingerprint")),
    )


def believed(usage: Any, prompt: int, made: int) -> tuple[int, int, bool]:
    """Token counts of prompt and completion, and whether one is our estimate.

    Budgets depend on these numbers, so a missing, negative, zero or absurd count is replaced.

    :param usage: as the server reports it.
    :param prompt: our estimate; ``made`` likewise, of the completion.
    """
    stated = usage if isinstance(usage, dict) else {}
    details = stated.get("completion_tokens_details")
    reasoning = _count(details.get("reasoning_tokens")) if isinstance(details, dict) else 0
    counts = _count(stated.get("prompt_tokens")), max(_count(stated.get("completion_tokens")), reasoning)
    return counts[0] or prompt, counts[1] or made, not all(counts)


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has (3.5 characters each, rounded up)."""
    return int(len(text) / 3.5) + 1


def _count(value: Any) -> int:
    """A number of tokens, 0 when it cannot be one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < MAX_TOKENS:
        return 0
    return int(value)


def _content(value: Any) -> tuple[str, str]:
    """The text of a message's content, and a refusal among its parts."""
    if isinstance(value, dict):
        return _text(json.dumps(value)), ""
    if not isinstance(value, list):
        return _text(value), ""
    parts = [part if isinstance(part, dict) else {"text": part} for part in value]
    texts = [_text(part.get("text")) for part in parts if part.get("type", "text") in ("text", "output_text")]
    return "".join(texts), "".join(_text(part.get("refusal")) for part in parts)


def _called(message: dict[str, Any]) -> str:
    """The arguments of a tool call: some servers turn a schema into a tool."""
    calls = message.get("tool_calls")
    call = calls[-1] if isinstance(calls, list) and calls else None
    function = call.get("function") if isinstance(call, dict) else message.get("function_call")
    arguments = function.get("arguments") if isinstance(function, dict) else None
    return _text(json.dumps(arguments) if isinstance(arguments, dict) else arguments)


def _misplaced(reasoning: str) -> str:
    """The answer of a server that mistakes all of it for reasoning: one object and nothing else."""
    said = _FENCE.sub(r"\1", after_reasoning(reasoning).strip())
    try:
        return said if isinstance(json.loads(said), dict) else ""
    except (ValueError, RecursionError):
        return ""


def _text(value: Any) -> str:
    """The text with unpaired surrogates replaced, so that any file can store it; '' for another type."""
    return _SURROGATE.sub("\ufffd", value) if isinstance(value, str) else ""
