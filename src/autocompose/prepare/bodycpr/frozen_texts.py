"""The frozen texts of BodyCPR-v1's test pairs: how a figure stays comparable when the rules improve."""

from __future__ import annotations

import dataclasses
import gzip
import json
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path

from autocompose.core.errors import InputError
from autocompose.core.files import value_hash, write_bytes
from autocompose.core.records import Pair

FILE = "bodycpr_v1_texts.json.gz"
HASH = "418cf6043587916c5308f85cc6d26fd2e08dd32c47407a2e560f7bb16d27664f"  # value_hash of the file's content
KEYS = ("auto", "sents")
Texts = dict[str, dict[str, list[str]]]


@lru_cache(maxsize=1)
def load() -> Texts:
    """``"reference target"`` -> corpus key -> texts.

    :raises InputError: the shipped file is damaged.
    """
    with as_file(files("autocompose.prepare.bodycpr") / "data" / FILE) as path:
        try:
            texts: Texts = json.loads(gzip.decompress(path.read_bytes()))
        except (OSError, EOFError, ValueError) as error:
            raise InputError(f"{path}: cannot be read ({error}); install the package again") from None
        if value_hash(texts) != HASH:
            raise InputError(f"{path}: not the content of BodyCPR-v1; install the package again")
    return texts


def with_frozen_texts(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """The test pairs with their frozen ``auto`` and ``sents`` in place of any others.

    :raises InputError: a pair is not one of BodyCPR-v1.
    """
    texts, found = load(), []
    for pair in pairs:
        frozen = texts.get(_key(pair))
        if frozen is None:
            raise InputError(f"{_key(pair)}: no test pair of BodyCPR-v1; make the benchmark again with this version")
        found.append(dataclasses.replace(pair, texts={key: tuple(frozen[key]) for key in KEYS}))
    return tuple(found)


def write(path: Path, pairs: Iterable[Pair]) -> str:
    """Freeze the texts of pairs; returns their hash."""
    texts = {_key(pair): {key: list(pair.texts[key]) for key in KEYS} for pair in pairs}
    write_bytes(path, gzip.compress(json.dumps(texts, ensure_ascii=False).encode(), mtime=0))
    return value_hash(texts)


def _key(pair: Pair) -> str:
    return f"{pair.reference} {pair.target}"
