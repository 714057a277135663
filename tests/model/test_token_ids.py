"""Token ids are open_clip's, whatever the text."""

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from open_clip.tokenizer import SimpleTokenizer

from autocompose.model.token_ids import token_ids

OPEN_CLIP = SimpleTokenizer()


@given(st.text(max_size=80) | st.text(string.printable, max_size=80))
@example("Raise your left arm, don't turn; it's the LEFT one's.")
@example("a &amp; b")
@example("&quot ; <b>")
@example("tab\tnew\nline\x0b\x1c")
@example("<start_of_text>x<END_OF_TEXT> </w>")
@example("l'arri\u00e8re \u201cgauche\u201d \ufb01n")
@example("")
def test_they_are_those_of_open_clip(text):
    assert token_ids(text) == OPEN_CLIP.encode(text)


@pytest.mark.parametrize("letter", string.printable)
def test_every_printable_sign(letter):
    for text in (letter, f"a{letter}b", f"a {letter}{letter} b", f"'{letter}"):
        assert token_ids(text) == OPEN_CLIP.encode(text), repr(text)
