"""One value where a list is meant."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any


def is_one(value: Any) -> bool:
    """A single text, path or other thing, not a collection; a text is never a collection of its letters."""
    return isinstance(value, str | bytes | Path) or not isinstance(value, Iterable)


def several(value: Any) -> list[Any]:
    """The values of a collection, or a single one as a list of one.

    >>> several("raise your left arm")
    ['raise your left arm']
    """
    return [value] if is_one(value) else list(value)
