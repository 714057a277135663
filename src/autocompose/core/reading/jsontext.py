"""Strict JSON in and out, without the extensions of Python's parser."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

from autocompose.core.errors import InputError
from autocompose.core.log import say
from autocompose.core.reading.plain import decode

_NAMES = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}
SHOWN = 3  # keys that are named


class _Oddities:
    """Counts what JSON does not have, or leaves open, while a text is parsed."""

    def __init__(self) -> None:
        self.infinite = 0
        self.twice: list[str] = []

    def constant(self, _: str) -> None:
        self.infinite += 1

    def number(self, text: str) -> float | None:
        value = float(text)
        if math.isfinite(value):
            return value
        self.infinite += 1
        return None

    def object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        mapping = dict(pairs)
        if len(mapping) < len(pairs):
            seen: set[str] = set()
            self.twice += [key for key, _ in pairs if key in seen or seen.add(key)]  # type: ignore[func-returns-value]
        return mapping

    def notes(self) -> list[str]:
        """One sentence for each kind."""
        notes = []
        if self.infinite:
            notes.append(f"{self.infinite:,} numbers are NaN or infinite, which JSON does not have; taken as null")
        if self.twice:
            names = ", ".join(ascii(key)[:60] for key in dict.fromkeys(self.twice[:SHOWN]))
            notes.append(f"{len(self.twice):,} keys stand twice in one object ({names}); the last value counts")
        return notes


_said: set[str] = set()


def parse_json(data: bytes | str, origin: Path | str, expected: type | None = None) -> Any:
    """The value of a JSON text, with or without a byte order mark.

    NaN and infinite numbers become None, and of a key that an object has twice the last value counts; both are said
    once for each ``origin``.

    :param origin: file or place that the text comes from, named in errors.
    :param expected: ``dict`` or ``list`` when the value must be one.
    :raises InputError: not JSON (with line and column), not UTF-8, nested too deeply, or not of the type.
    """
    text = data if isinstance(data, str) else decode(data, origin)
    odd = _Oddities()
    try:
        value = json.loads(text, parse_constant=odd.constant, parse_float=odd.number, object_pairs_hook=odd.object)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"{origin}: not valid JSON at {place} ({error.msg})") from None
    except ValueError:  # Python refuses to read numbers of thousands of digits
        raise InputError(f"{origin}: contains a number with too many digits") from None
    except RecursionError:
        raise InputError(f"{origin}: lists or objects are nested too deeply") from None
    if expected is not None and not isinstance(value, expected):
        raise InputError(f"{origin}: expected {_NAMES[expected]}, got {json_type(value)}")
    for note in odd.notes():
        if (line := f"{origin}: {note}") not in _said:
            _said.add(line)
            say(line)
    return value


def json_type(value: Any) -> str:
    """What a JSON value is, in words."""
    return "null" if value is None else _NAMES.get(type(value), type(value).__name__)


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON text, non-ASCII kept readable; NaN and infinite numbers become null, half surrogates are escaped.

    :raises InputError: nested too deeply to be written.
    """
    try:
        try:
            text = json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)
        except ValueError:
            text = json.dumps(finite(value), ensure_ascii=False, indent=indent, allow_nan=False)
        if text.isascii():
            return text
        text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(finite(value), indent=indent, allow_nan=False)
    except RecursionError:
        raise InputError("a value is nested too deeply to be written as JSON") from None
    return text


def json_line(value: Any, indent: int | None = None) -> str:
    """JSON text for standard output: letters as they are where it takes UTF-8, else escaped as JSON does."""
    plain = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8"
    return to_json(value, indent) if plain else json.dumps(finite(value), indent=indent, allow_nan=False)


def finite(value: Any) -> Any:
    """The same value with None for every NaN and infinite number in it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    return [finite(inner) for inner in value] if isinstance(value, list | tuple) else value
