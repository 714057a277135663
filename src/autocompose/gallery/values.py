"""Metadata values: one conversion for writing, filtering, showing and deleting.

A value is a text, a whole number, a number or true/false. What JSON does not have (NaN, infinite numbers) is no value.
Columns of a table are texts in the file; a column becomes one of numbers when all its cells are, and no two different
cells become equal ("1.1" and "1.10" stay texts, like "007").
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Value = str | int | float | bool
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,19})(?:\.\d{1,400})?(?:[eE][-+]?\d{1,3})?", re.ASCII)
TRUTH = {"true": True, "false": False}


def plain(value: Any) -> Value | None:
    """A value of an array or of JSON as plain Python; None when it is not finite, or no value at all.

    Numbers of less than 64 bits become the shortest decimal that means the same: 0.1, not 0.10000000149011612.
    """
    if isinstance(value, str):
        return str(value).encode("utf-8", "replace").decode()
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if isinstance(value, bool) or kind == "b":
        return bool(value)
    if isinstance(value, int) or kind in ("i", "u"):
        return int(value)
    if isinstance(value, float) or kind == "f":
        number = float(value) if isinstance(value, float) and not kind else float(str(value))
        return number if math.isfinite(number) else None
    if kind == "M":  # a date
        return None if str(value) == "NaT" else str(value)
    return None


def cleaned(meta: Mapping[str, Any]) -> dict[str, Value]:
    """Only valid values; older galleries contain NaN and infinite numbers."""
    return {name: value for name, raw in meta.items() if (value := plain(raw)) is not None}


def text_of(value: Value) -> str:
    """The text that stands for a value where only texts can be compared; 1 and 1.0 have the same."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return unicodedata.normalize("NFC", value.strip()) if isinstance(value, str) else repr(value)


def number_of(text: str) -> int | float | None:
    """The number that a text spells, None when it spells none."""
    if not re.fullmatch(_NUMBER, text):
        return None
    number = float(text)
    if not math.isfinite(number):
        return None
    return int(text) if text.lstrip("-").isdigit() else number


def typed(rows: Iterable[Mapping[str, str]]) -> list[dict[str, Value]]:
    """The cells of a table with the type of their column."""
    rows = list(rows)
    cells: dict[str, set[str]] = {}
    for row in rows:
        for name, cell in row.items():
            cells.setdefault(name, set()).add(cell)
    known = {name: _typed_column(sorted(column_cells)) for name, column_cells in cells.items()}
    return [{name: known[name][cell] for name, cell in row.items()} for row in rows]


def _typed_column(cells: Sequence[str]) -> dict[str, Value]:
    if all(cell.casefold() in TRUTH for cell in cells):
        return {cell: TRUTH[cell.casefold()] for cell in cells}
    numbers: dict[str, Value] = {cell: number for cell in cells if (number := number_of(cell)) is not None}
    if len(set(map(text_of, numbers.values()))) == len(cells):
        return numbers
    return dict(zip(cells, cells, strict=True))
