from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocompose.gallery.filter import matcher
from autocompose.gallery.values import Value, plain, text_of, typed


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (np.float32(0.1), 0.1), (np.float16(0.1), 0.1), (np.float64(1e-5), 1e-5), (np.bool_(False), False),
        (np.uint8(7), 7), (np.uint64(2**63), 2**63), (np.str_("ü"), "ü"), (np.longdouble(0.5), 0.5), (True, True),
        (np.float32(np.inf), None), (np.nan, None), (-float("inf"), None), (None, None), ([1], None),
        ("half \ud800", "half ?"),
    ],
)  # fmt: skip
def test_values_of_arrays_are_plain_python(raw: object, value: Value | None) -> None:
    found = plain(raw)
    assert found == value and type(found) is type(value)
    json.dumps(found, allow_nan=False).encode()


def columns(**cells: list[str]) -> dict[str, list[Value]]:
    rows = typed(dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True))
    return {name: [row[name] for row in rows] for name in cells}


def test_columns_of_a_table_have_the_type_of_all_their_cells() -> None:
    cells = {
        "age": ["7", "31"], "height": ["1.5", "2"], "small": ["1e-5", "0.1"], "occluded": ["True", "FALSE"],
        "code": ["007", "31"], "version": ["1.1", "1.10"], "mixed": ["3", "three"], "comma": ["1,5", "2,0"],
        "never": ["inf", "nan"], "huge": ["1e999", "1"], "phone": ["493012345678901234567", "1"],
    }  # fmt: skip
    assert columns(**cells) == {
        **cells,
        "age": [7, 31], "height": [1.5, 2], "small": [1e-5, 0.1], "occluded": [True, False],
    }  # fmt: skip


@given(st.lists(st.from_regex(r"\A[-+]?[0-9]{0,4}[.]?[0-9]{0,3}(e[-+]?[0-9]{1,3})?\Z"), min_size=1, max_size=6))
def test_different_cells_stay_different_and_are_found_as_they_were_written(cells: list[str]) -> None:
    values = columns(c=cells)["c"]
    assert len({(type(v), v) for v in values}) == len(set(cells))
    for cell, value in zip(cells, values, strict=True):
        assert matcher(cell)(value) and matcher(text_of(value))(value)
