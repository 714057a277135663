"""The filter of a search: parsing conditions, comparing values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocompose.core.errors import InputError
from autocompose.gallery.filter import matcher, parse_where
from autocompose.gallery.storage.facts import Facts
from autocompose.gallery.values import Value, cleaned


def test_conditions_are_parsed() -> None:
    assert parse_where(["family=kick", "body=3", "family=a=b"]) == {"family": ("kick", "a=b"), "body": ("3",)}
    for wrong in ("family", "=x"):
        with pytest.raises(InputError, match="expected COLUMN=VALUE"):
            parse_where([wrong])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (False, "False"), (False, "false"), (True, " TRUE "), (1e-5, "1e-05"), (1e-5, "0.00001"), (30.0, "30"),
        (30, "30.0"), (0.1, "0.10"), ("zo\u00eb", "zoe\u0308"), ("anna", " anna"), ("007", "007"), (-3, "-3"),
        ("1.10", "1.10"), (2**53 + 1, str(2**53 + 1)), (5e-324, "5e-324"),
    ],
)  # fmt: skip
def test_what_is_typed_means_the_value(value: Value, text: str) -> None:
    assert matcher(text)(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("007", "7"), ("7", "007"), ("1.10", "1.1"), (1, "true"), (True, "1"), ("anna", "Anna"), (7, "007"),
        (10, "1_0"), (3, ""), ("x", "inf"), (2**53 + 1, str(2**53)), (float(2**53), str(2**53 + 1)),
    ],
)  # fmt: skip
def test_what_only_looks_like_it_does_not(value: Value, text: str) -> None:
    assert not matcher(text)(value)


META = st.dictionaries(
    st.sampled_from(["a", "b", 'q"uote', "d.ot"]),
    st.booleans() | st.integers(-5, 5) | st.floats() | st.sampled_from(["x", "True", "1", "1.0", "ü"]),
)


@given(
    st.lists(META, max_size=12), st.sampled_from(["a", "b", 'q"uote']), st.sampled_from(["1", "true", "x", "0", "ü"])
)
def test_filters_are_the_slow_way(metas: list[dict[str, object]], column: str, text: str) -> None:
    clean = [cleaned(meta) for meta in metas]
    facts = Facts.of(enumerate(clean))
    if not any(column in meta for meta in clean):
        assert column not in facts.values
        return
    slow = [i for i, meta in enumerate(clean) if column in meta and matcher(text)(meta[column])]
    assert facts.select({column: (text,)}).tolist() == slow
    assert facts.select({column: ()}).tolist() == []
