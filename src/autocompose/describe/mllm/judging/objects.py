"""Finding the JSON object of an answer: the last complete one, after any reasoning.

Reasoning models reason in JSON too, so a draft must never be taken for the answer, and a truncated object is never
completed: that would drop movements silently. Work grows with the length of the text only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_NAMES = (
    r"(?:[\w:.-]{0,20}[_:.-])?(?:think|thinking|thoughts?|reason|reasoning|reflection|analysis|scratchpad|monologue)\b"
)
_LESS, _MORE = r"(?:<|&lt;)\s*", r"[^<>&]*(?:>|&gt;)"
_OPEN = re.compile(
    rf"{_LESS}{_NAMES}{_MORE}|{_LESS}details\b[^<>&]*\breasoning\b{_MORE}|```(?:think|thinking|reasoning)\b"
    r"|◁think▷|\[THINK\]|<\|(?:START_THINKING|begin_of_thought|think|inner_prefix)\|>|<\|channel>\s*thought"
    r"|<\|channel\|>\s*(?:analysis|commentary)\b|\Aanalysis(?=[A-Z{])|\AThinking\.\.\.\s"
    r"|\AHere(?: is|['’]s) my thought process:",
    re.I,
)
_CLOSE = re.compile(
    rf"{_LESS}\\?/\s*{_NAMES}{_MORE}|◁/think▷|\[/THINK\]|<\|(?:END_THINKING|end_of_thought|content|inner_suffix)\|>"
    rf"|{_LESS}details\b[^<>&]*\breasoning\b{_MORE}(?:(?!<details\b).)*?</details>"
    r"|```(?:think|thinking|reasoning)\b.*?```|<channel\|>"
    r"|<\|channel\|>\s*final\b[^{<]*(?:<\|constrain\|>[^{<]*)?<\|message\|>|assistantfinal|\.\.\.done thinking\."
    r"|Here(?: is|['’]s) my response:",
    re.I | re.S,
)
_START = re.compile(r'\{(?=\s*(?:["}]|//|/\*))')
_STRING = r'"(?:[^"\\]|\\.)*(?:"|\Z)'
_TOKEN = re.compile(rf"{_STRING}|//[^\n]*|/\*.*?(?:\*/|\Z)|[{{}}\[\]]", re.S)
_COMMENT = re.compile(rf"({_STRING})|//[^\n]*|/\*.*?\*/", re.S)
_COMMA = re.compile(rf"({_STRING})|,(?=\s*[}}\]])", re.S)
_LENIENT = json.JSONDecoder(strict=False)
MAX_DEPTH = 32


class NoObjectError(ValueError):
    """The text holds no usable object; the message says why, worded for the model."""


def after_reasoning(text: str) -> str:
    """The text after a model's reasoning; '' when the reasoning never ends.

    The opening mark is often missing, because the server's template puts it into the prompt.
    """
    start = max((mark.end() for mark in _CLOSE.finditer(text)), default=0)
    again = _OPEN.search(text, start)
    return text[start : again.start() if again else len(text)]


def final_object(text: str, key: str, kind: type = list) -> tuple[dict[str, Any], bool]:
    """The last complete object of a text, and whether the text had to be repaired.

    Byte order marks, code fences, prose, comments, trailing commas, tool calls and wrappers around the object are
    repaired.

    :param key: what the object should have, of the type ``kind``; of several objects, the last with it counts.
    :raises NoObjectError: there is none, it is cut, or there are several in one.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict) and isinstance(value.get(key), kind):
        return value, False
    if isinstance(value, str) and value != text:
        return final_object(value, key, kind)[0], True
    said = after_reasoning(text)
    objects = [value] if isinstance(value, dict) else list(_objects(said, key))
    if not objects:
        empty = "it holds only reasoning" if text.strip() and not said.strip() else "it is empty"
        raise NoObjectError("it holds no JSON object" if said.strip() else empty)
    for candidate in reversed(objects):
        holders = list(_holders(candidate, key, kind, MAX_DEPTH))
        if len(holders) > 1:
            what = "lists of " if kind is list else "objects with "
            raise NoObjectError(f"it holds {len(holders)} {what}{key}")
        if holders:
            return holders[0], True
    return objects[-1], True


def _objects(text: str, key: str) -> Iterator[dict[str, Any]]:
    """The complete outermost objects of a text.

    Neither an object inside a truncated one nor one before it, which may be a draft, counts as the answer.
    """
    broken = False
    position = 0
    while opening := _START.search(text, position):
        position = _end(text, opening.start())
        value = _parsed(text[opening.start() : position])
        if value is not None:
            yield value
        broken = value is None and (broken or f'"{key}"' in text[opening.start() : position])
    if broken:
        raise NoObjectError("its last object is not valid JSON")


def _end(text: str, start: int) -> int:
    """Where the object that begins at ``start`` ends."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        if token[0] in "{[":
            depth += 1
            if depth > MAX_DEPTH:
                raise NoObjectError("its objects are nested too deep")
        elif token[0] in "}]":
            depth -= 1
            if not depth:
                return token.end()
    raise NoObjectError("its last object is cut")


def _parsed(text: str) -> dict[str, Any] | None:
    for attempt in (text, _COMMA.sub(_kept, _COMMENT.sub(_kept, text))):
        try:
            value = _LENIENT.decode(attempt)
        except ValueError:
            continue
        return value if isinstance(value, dict) else None
    return None


def _kept(match: re.Match[str]) -> str:
    return match[1] or ""


def _holders(value: Any, key: str, kind: type, depth: int) -> Iterator[dict[str, Any]]:
    """The objects inside a value that have ``key``; arguments of a tool call may be JSON in a string."""
    if depth == 0:
        return
    if isinstance(value, dict):
        if isinstance(value.get(key), kind):
            yield value
            return
        value = list(value.values())
    elif isinstance(value, str) and value.lstrip().startswith("{"):
        value = [_parsed(value.strip())]
    for inner in value if isinstance(value, list) else ():
        yield from _holders(inner, key, kind, depth - 1)
