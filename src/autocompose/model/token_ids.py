"""CLIP's token ids of a text, as open_clip's tokenizer gives them, each different word looked up once."""

from __future__ import annotations

import re
from functools import lru_cache

from open_clip.tokenizer import SimpleTokenizer

# Printable ASCII without "&": open_clip's repair of Unicode and HTML leaves such a text alone, and no token of CLIP
# contains white space, so the tokens of a text are those of its words.
_PLAIN = re.compile("[ -%'-~]*")


def token_ids(text: str) -> list[int]:
    """Without start and end token; equal to open_clip's, some nine times as fast for plain English."""
    if _PLAIN.fullmatch(text):
        return [token for word in text.split() for token in _of_word(word)]
    return list(_tokenizer().encode(text))


@lru_cache(maxsize=2**16)
def _of_word(word: str) -> tuple[int, ...]:
    return tuple(_tokenizer().encode(word))


@lru_cache(maxsize=1)
def _tokenizer() -> SimpleTokenizer:
    return SimpleTokenizer()
