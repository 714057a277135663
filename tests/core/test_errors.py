"""Messages: one line, whatever a stranger's file has put into them."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from autocompose.core.errors import CorpusError, InputError, one_line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("photos/zo\u00eb \u3042.jpg: damaged", "photos/zo\u00eb \u3042.jpg: damaged"),
        ("a\nb\tc\x1b[31m", r"a\nb\tc\x1b[31m"),
        ("\udce4.jpg, \u202egpj.b", r"\udce4.jpg, \u202egpj.b"),
        (f"/{'d' * 255}/{'e' * 255}/x.jpg", f"/{'d' * 255}/{'e' * 255}/x.jpg"),
        (f"--store {'9' * 5000}: expected", f"--store {'9' * 150}...{'9' * 146}: expected"),
    ],
)
def test_one_line(text: str, line: str) -> None:
    assert one_line(text) == line


@given(st.text(st.characters(codec=None), max_size=50), st.integers(1, 400))
@example("x ", 5000)
def test_every_message_is_one_short_line(piece: str, times: int) -> None:
    error = CorpusError(piece * times, [piece * times])
    for text in (str(error), *error.entries):
        assert text.isprintable() and len(text) <= 1800
        assert one_line(text) == text
    assert str(pickle.loads(pickle.dumps(InputError(piece * times)))) == str(InputError(piece * times))
