"""The metadata of all items by column, for filters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autocompose.core.errors import InputError
from autocompose.gallery.filter import Where, matcher
from autocompose.gallery.values import Value

MAX_VALUES = 60  # a column with more different values is no filter to choose from


@dataclass(frozen=True)
class Facts:
    """Column -> its different values, and which of them each item has.

    :param ids: ``(N,)`` int64, in any order.
    :param values: column -> different values, numbers first, in order.
    :param codes: column -> ``(N,)`` int32 position in ``values``; -1 = the item has none.
    """

    ids: np.ndarray
    values: dict[str, list[Value]]
    codes: dict[str, np.ndarray]

    @classmethod
    def of(cls, items: Iterable[tuple[int, Mapping[str, Value | None]]]) -> Facts:
        """From (id, metadata) of each item; None is no value."""
        ids: list[int] = []
        cells: dict[str, tuple[list[int], list[Value]]] = {}  # rows that have the column, and what they have
        for row, (number, meta) in enumerate(items):
            ids.append(number)
            for name, value in meta.items():
                if value is None:
                    continue
                if name not in cells:
                    cells[name] = [], []
                rows, found = cells[name]
                rows.append(row)
                found.append(value)
        values, codes = {}, {}
        for name in sorted(cells):
            rows, found = cells[name]
            keys = list(zip(map(type, found), found, strict=True))  # 1, 1.0 and True are different values
            order = sorted(set(keys), key=_order)
            position = {key: i for i, key in enumerate(order)}
            codes[name] = np.full(len(ids), -1, np.int32)
            codes[name][rows] = [position[key] for key in keys]
            values[name] = [value for _, value in order]
        return cls(np.array(ids, np.int64), values, codes)

    def choices(self) -> dict[str, tuple[Value, ...]]:
        """Column -> values to choose from; () when there are more than ``MAX_VALUES``."""
        return {name: tuple(found) if len(found) <= MAX_VALUES else () for name, found in self.values.items()}

    def select(self, where: Where) -> np.ndarray:
        """Ids (int64) of the items that have one of the requested values in each column.

        :raises InputError: no item has such a column.
        """
        kept = np.ones(len(self.ids), bool)
        for column, typed in where.items():
            codes = self._codes_of(column, typed)  # first: it refuses a column that is not there
            kept &= np.isin(self.codes[column], codes)
        return self.ids[kept]

    def values_meant(self, column: str, typed: Sequence[str]) -> list[Value]:
        """The values of a column that typed text matches.

        :raises InputError: no item has such a column.
        """
        return [self.values[column][code] for code in self._codes_of(column, typed)]

    def _codes_of(self, column: str, typed: Sequence[str]) -> list[int]:
        if column not in self.values:
            known = ", ".join(self.values) or "none"
            raise InputError(f"filter {column!r}: the gallery has no such column; it has: {known}")
        tests = [matcher(text) for text in typed]
        return [code for code, value in enumerate(self.values[column]) if any(test(value) for test in tests)]


def _order(key: tuple[type, Value]) -> tuple[bool, float, str]:
    value = key[1]
    return (True, 0.0, value) if isinstance(value, str) else (False, float(value), "")
