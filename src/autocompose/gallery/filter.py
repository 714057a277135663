"""The filter of a search: ``COLUMN=VALUE`` conditions on the metadata, parsed and compared here.

The stores select by it: ``storage/facts.py`` (embedded), ``storage/qdrant.py``.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence

from autocompose.core.errors import InputError
from autocompose.gallery.values import TRUTH, Value, number_of, text_of

Where = Mapping[str, Sequence[str]]
"""Column -> allowed values as typed; an item needs one of them in each column."""


def parse_where(conditions: list[str] | tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """``["family=kick", "family=jump", "body=3"]`` -> column -> allowed values; columns are joined by "and".

    :raises InputError: a condition without ``=``.
    """
    where: dict[str, tuple[str, ...]] = {}
    for condition in conditions:
        column, sign, value = condition.partition("=")
        if not sign or not column.strip():
            raise InputError(f"filter {condition!r}: expected COLUMN=VALUE, such as family=kick")
        where[column.strip()] = (*where.get(column.strip(), ()), value.strip())
    return where


def matcher(typed: str) -> Callable[[Value], bool]:
    """A test for the values that typed text matches: the text itself, and numbers in any spelling (0.50)."""
    text = unicodedata.normalize("NFC", typed.strip())
    number, truth = number_of(text), TRUTH.get(text.casefold())

    def matches(value: Value) -> bool:
        if isinstance(value, bool):
            return value is truth
        return text_of(value) == text if isinstance(value, str) else value == number

    return matches
