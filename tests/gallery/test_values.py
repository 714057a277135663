from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocompose.gallery.storage.facts import Facts
from autocompose.gallery.values import Value, cleaned, meant, plain, text_of, typed


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


@pytest.mark.parametrize(
    ("value", "asked"),
    [
        (False, "False"), (False, "false"), (True, " TRUE "), (1e-5, "1e-05"), (1e-5, "0.00001"), (30.0, "30"),
        (30, "30.0"), (0.1, "0.10"), ("zo\u00eb", "zoe\u0308"), ("anna", " anna"), ("007", "007"), (-3, "-3"),
        ("1.10", "1.10"), (2**53 + 1, str(2**53 + 1)), (5e-324, "5e-324"),
    ],
)  # fmt: skip
def test_what_is_typed_means_the_value(value: Value, asked: str) -> None:
    assert meant(asked)(value)


@pytest.mark.parametrize(
    ("value", "asked"),
    [
        ("007", "7"), ("7", "007"), ("1.10", "1.1"), (1, "true"), (True, "1"), ("anna", "Anna"), (7, "007"),
        (10, "1_0"), (3, ""), ("x", "inf"), (2**53 + 1, str(2**53)), (float(2**53), str(2**53 + 1)),
    ],
)  # fmt: skip
def test_what_only_looks_like_it_does_not(value: Value, asked: str) -> None:
    assert not meant(asked)(value)


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
        assert meant(cell)(value) and meant(text_of(value))(value)


META = st.dictionaries(
    st.sampled_from(["a", "b", 'q"uote', "d.ot"]),
    st.booleans() | st.integers(-5, 5) | st.floats() | st.sampled_from(["x", "True", "1", "1.0", "ü"]),
)


@given(
    st.lists(META, max_size=12), st.sampled_from(["a", "b", 'q"uote']), st.sampled_from(["1", "true", "x", "0", "ü"])
)
def test_filters_are_the_slow_way(metas: list[dict[str, object]], column: str, asked: str) -> None:
    clean = [cleaned(meta) for meta in metas]
    facts = Facts.of(enumerate(clean))
    if not any(column in meta for meta in clean):
        assert column not in facts.values
        return
    slow = [i for i, meta in enumerate(clean) if column in meta and meant(asked)(meta[column])]
    assert facts.select({column: (asked,)}).tolist() == slow
    assert facts.select({column: ()}).tolist() == []
