"""Exact CLIP token counts without importing torch: byte-pair encoding over the vocabulary file of open_clip."""

from __future__ import annotations

import gzip
import re
from functools import lru_cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

from autocompose.core.errors import DependencyError

CLIP_TOKENS = 77  # context length of CLIP, start and end token included
_WORDS = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[a-z]+|[0-9]|[^\sa-z0-9]+")
_MERGES = 49152 - 256 - 2


def count_tokens(text: str) -> int:
    """Number of CLIP tokens of an English text, with the start and end token.

    Plain ASCII only is exact (which is all that the word banks contain).
    """
    return 2 + sum(map(_word_tokens, _WORDS.findall(text.lower())))


@lru_cache(maxsize=1)
def _ranks() -> dict[tuple[str, str], int]:
    package = find_spec("open_clip")
    if package is None or package.origin is None:
        raise DependencyError("open_clip_torch", "dev", "counting CLIP tokens")
    path = Path(package.origin).parent / "bpe_simple_vocab_16e6.txt.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        file.readline()
        return {tuple(line.split()): i for i, line in zip(range(_MERGES), file, strict=False)}  # type: ignore[misc]


@lru_cache(maxsize=65536)
def _word_tokens(word: str) -> int:
    ranks = _ranks()
    pieces = [*word[:-1], word[-1] + "</w>"]
    while len(pieces) > 1:
        rank, at = min((ranks.get(pair, _MERGES), i) for i, pair in enumerate(pairwise(pieces)))
        if rank == _MERGES:
            break
        pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
    return len(pieces)
