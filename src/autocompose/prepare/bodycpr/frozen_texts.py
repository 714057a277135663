"""The frozen texts of BodyCPR-v1's test pairs, so that figures stay comparable when the rules improve.

Three banks: ``auto`` and ``sents`` by rules, in one file, for every pair; ``mllm`` by a real multimodal LLM, for a few
pairs. Each bank has a hash of its own, so that a new bank does not invalidate the figures of the others.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from autocompose.core.errors import InputError
from autocompose.core.files import value_hash, write_bytes
from autocompose.core.records import Pair

FILE = "bodycpr_v1_texts.json.gz"
HASH = "418cf6043587916c5308f85cc6d26fd2e08dd32c47407a2e560f7bb16d27664f"  # value_hash of the file's content
KEYS = ("auto", "sents")
WRITTEN_FILE = "bodycpr_v1_mllm.json.gz"
WRITTEN_HASH = "cf2c9bc8938400f4e2c7af4bbfc8c5b0b0adda328aff0b0630ed4ac3b4cdce50"  # value_hash of the file's content
WRITTEN = "mllm"
Texts = dict[str, dict[str, list[str]]]


@lru_cache(maxsize=1)
def load() -> Texts:
    """``"reference target"`` -> corpus key -> texts by rules.

    :raises InputError: the shipped file is damaged.
    """
    texts: Texts = _read(FILE, HASH)
    return texts


@lru_cache(maxsize=1)
def load_written() -> dict[str, Any]:
    """The bank by a multimodal LLM: ``provenance`` in words, ``texts``: ``"reference target"`` -> texts.

    :raises InputError: the shipped file is damaged.
    """
    bank: dict[str, Any] = _read(WRITTEN_FILE, WRITTEN_HASH)
    return bank


def _read(name: str, expected: str) -> Any:
    with as_file(files("autocompose.prepare.bodycpr") / "data" / name) as path:
        try:
            value = json.loads(gzip.decompress(path.read_bytes()))
        except (OSError, EOFError, ValueError) as error:
            raise InputError(f"{path}: cannot be read ({error}); install the package again") from None
        if value_hash(value) != expected:
            raise InputError(f"{path}: not the content of BodyCPR-v1; install the package again")
    return value


def bank_hashes() -> dict[str, str]:
    """Corpus key of a bank -> hash of its texts, 16 digits; figures on a bank compare when it is equal."""
    banks = {key: {pair: texts[key] for pair, texts in load().items()} for key in KEYS}
    return {key: value_hash(bank)[:16] for key, bank in (banks | {WRITTEN: load_written()["texts"]}).items()}


def with_frozen_texts(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """The test pairs with their frozen texts in place of any others; only some have ``mllm``.

    :raises InputError: a pair is not one of BodyCPR-v1.
    """
    texts, written, with_banks = load(), load_written()["texts"], []
    for pair in pairs:
        frozen = texts.get(_key(pair))
        if frozen is None:
            raise InputError(f"{_key(pair)}: no test pair of BodyCPR-v1; make the benchmark again with this version")
        banks = {key: tuple(frozen[key]) for key in KEYS}
        if _key(pair) in written:
            banks[WRITTEN] = tuple(written[_key(pair)])
        with_banks.append(dataclasses.replace(pair, texts=banks))
    return tuple(with_banks)


def write(path: Path, pairs: Iterable[Pair]) -> str:
    """Freeze the texts of pairs; returns their hash."""
    return _write(path, {_key(pair): {key: list(pair.texts[key]) for key in KEYS} for pair in pairs})


def write_written(path: Path, provenance: str, texts: Mapping[tuple[str, str], list[str]]) -> str:
    """Freeze a bank by a multimodal LLM; returns its hash.

    :param texts: (reference, target) -> texts; every pair is one of BodyCPR-v1.
    """
    bank = {f"{reference} {target}": wordings for (reference, target), wordings in sorted(texts.items())}
    unknown = sorted(bank.keys() - load().keys())
    if unknown:
        raise InputError(f"{unknown[0]}: no test pair of BodyCPR-v1")
    return _write(path, {"provenance": provenance, "texts": bank})


def _write(path: Path, value: Mapping[str, Any]) -> str:
    write_bytes(path, gzip.compress(json.dumps(value, ensure_ascii=False).encode(), mtime=0))
    return value_hash(value)


def _key(pair: Pair) -> str:
    return f"{pair.reference} {pair.target}"
